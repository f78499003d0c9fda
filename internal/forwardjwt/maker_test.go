package forwardjwt

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/internal/identity"
	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/reason"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

func TestATokenIsSentAgainForHalfItsLife(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Settings{Lifetime: 20 * time.Second}, nil)
	id := alice(t, nil)
	first, _ := f.sign(t, id, "")
	f.clock.Advance(10*time.Second - 1)
	if again, _ := f.sign(t, alice(t, nil), ""); again == first {
		t.Error("another credential of the user, signed again by the issuer, gets the same token")
	}
	if again, _ := f.sign(t, id, ""); again != first {
		t.Error("another token just before half its life is over")
	}
	f.clock.Advance(1)
	second, body := f.sign(t, id, "")
	if iat, _ := body.GetIssuedAt(); second == first || !iat.Equal(begin.Add(10*time.Second)) {
		t.Errorf("no new token after half its life: %v", body)
	}
	// A clock that was set back: it would be issued in the future.
	back := newFixture(t, Settings{}, func(c *Config) { c.Keys, c.Cache = f.keys, f.Cache })
	back.keys = f.keys
	now, _ := back.sign(t, id, "")
	back.clock.Advance(-time.Minute)
	if earlier, _ := back.sign(t, id, ""); earlier == now {
		t.Error("a token that is issued in the future is sent")
	}
}

// TestThreat76_TokensAreKeptByCredential: neither another credential of the same user, nor
// another option, nor what has changed meanwhile gets the token that was made before.
func TestThreat76_TokensAreKeptByCredential(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Settings{}, nil)
	v := judge(t, nil)
	few, many := credentialOf(t, jwt.MapClaims{"scope": "read"}), credentialOf(t, jwt.MapClaims{"scope": "read write"})
	for range 2 {
		for text, scope := range map[string]string{few: "read", many: "read write"} {
			if _, body := f.sign(t, withToken(t, v, text), ""); body["scope"] != scope {
				t.Errorf("scope %v, want %s", body["scope"], scope)
			}
		}
	}
	plain := func(f *fixture, id *identity.Identity, apiKey string) string {
		t.Helper()
		text, body := f.sign(t, id, apiKey)
		if body["iss"] != testIssuer {
			t.Errorf("iss %v", body["iss"])
		}
		return text
	}
	// sibling is another option with the same keys and cache.
	sibling := func(s Settings, change func(*Config)) *fixture {
		other := newFixture(t, s, func(c *Config) {
			c.Keys, c.Cache = f.keys, f.Cache
			if change != nil {
				change(c)
			}
		})
		other.keys = f.keys
		return other
	}
	first := plain(f, withToken(t, v, few), "")
	if plain(sibling(Settings{}, nil), withToken(t, v, few), "") != first {
		t.Error("the same option elsewhere, as after a reload, signs again")
	}
	for name, other := range map[string]*fixture{
		"another audience": sibling(Settings{Audience: "https://reports.internal"}, nil), "another lifetime": sibling(Settings{Lifetime: 2 * time.Minute}, nil),
		"a claim": sibling(Settings{Claims: []*identity.NamedClaim{{Path: "email"}}}, nil), "another service": sibling(Settings{Issuer: "https://auth.example.org"}, nil),
		"any issuer": sibling(Settings{}, func(c *Config) { c.AnyIssuer = true }), "a prefix": sibling(Settings{}, func(c *Config) { c.UserPrefix = "key:" }),
	} {
		if plain(other, withToken(t, v, few), "") == first {
			t.Errorf("%s gets the same token", name)
		}
	}

	named := judge(t, func(p *validator.Policy) { p.UserClaims = []string{"email"} })
	scoped := judge(t, func(p *validator.Policy) { p.ScopeClaims = []string{"permissions"} })
	text := credentialOf(t, jwt.MapClaims{"email": "a@example.com", "scope": "read", "permissions": []string{"admin"}})
	for name, c := range map[string]struct {
		v           *validator.Validator
		user, scope string
	}{"by sub": {v, "alice", "read"}, "by email": {named, "a@example.com", "read"}, "by permissions": {scoped, "alice", "admin"}} {
		if _, body := f.sign(t, withToken(t, c.v, text), ""); body["sub"] != c.user || body["scope"] != c.scope {
			t.Errorf("%s: %v", name, body)
		}
	}

	before := plain(f, withKey(t, partner(nil)), partnersKey)
	if plain(f, withKey(t, partner(nil)), partnersKey) != before {
		t.Error("an API key that has not changed gets another token")
	}
	for name, change := range map[string]func(*apikey.Record){
		"fewer scopes": func(r *apikey.Record) { r.Scopes = r.Scopes[:1] }, "another consumer": func(r *apikey.Record) { r.Consumer = "else" },
		"another id": func(r *apikey.Record) { r.ID = "else" }, "an end": func(r *apikey.Record) { r.Expires = begin.Add(time.Second) },
		"meta": func(r *apikey.Record) { r.Meta = claims.Value{} },
	} {
		if plain(f, withKey(t, partner(change)), partnersKey) == before {
			t.Errorf("%s: the token is that of before", name)
		}
	}

	both := withToken(t, v, few)
	k, _ := withKey(t, partner(nil)).Key()
	both.SetKey(k)
	if got := plain(f, both, partnersKey); got == first || got == before {
		t.Error("token and API key together get the token of one of them")
	}
}

// TestARetiredKeysTokensAreNotSent: not even those that were made before.
func TestARetiredKeysTokensAreNotSent(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Settings{}, nil)
	id := alice(t, nil)
	old, _ := f.sign(t, id, "")
	f.keys.signer.Store(newSigner(t, key.ES256))
	fresh, _ := f.sign(t, id, "") // which checks the kid
	if fresh == old {
		t.Error("the token of the key before is sent")
	}
	f.keys.signer.Store(nil)
	if text, err := f.Sign(t.Context(), id, ""); text != "" || err != error(reason.SigningKeysUnavailable) {
		t.Errorf("without keys: %q %v", text, err)
	}
	without := newFixture(t, Settings{}, func(c *Config) { c.Cache = nil })
	without.keys.signer.Store(nil)
	if text, err := without.Sign(t.Context(), id, ""); text != "" || err != error(reason.SigningKeysUnavailable) {
		t.Errorf("without keys and cache: %q %v", text, err)
	}
}

// TestOneOfManyRequestsSigns: requests that come together cost one signature.
func TestOneOfManyRequestsSigns(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Settings{}, nil)
	id := alice(t, nil)
	var all sync.Map
	var wait sync.WaitGroup
	for range 50 {
		wait.Go(func() {
			text, err := f.Sign(t.Context(), id, "")
			if err != nil {
				t.Error(err)
			}
			all.Store(text, true)
		})
	}
	wait.Wait()
	n := 0
	for range all.Range {
		n++
	}
	if n != 1 {
		t.Errorf("%d tokens", n)
	}
}

// TestWithoutACacheEachRequestSigns: also where the credential's digest is not known.
func TestWithoutACacheEachRequestSigns(t *testing.T) {
	t.Parallel()
	without := newFixture(t, Settings{}, func(c *Config) { c.Cache = nil })
	id := alice(t, nil)
	one, _ := without.sign(t, id, "")
	if two, _ := without.sign(t, id, ""); one == two {
		t.Error("the same token without a cache")
	}
	f := newFixture(t, Settings{}, nil)
	uncached := withToken(t, judge(t, nil).Cached(nil), credentialOf(t, nil))
	one, _ = f.sign(t, uncached, "")
	if two, _ := f.sign(t, uncached, ""); one == two {
		t.Error("the same token for a credential without a digest")
	}
}

func TestTheCacheIsBounded(t *testing.T) {
	t.Parallel()
	const size = 100 << 10
	f := newFixture(t, Settings{}, func(c *Config) { c.Cache = NewCache(size) })
	f.keys.signer.Store(newSigner(t, key.EdDSA))
	v := judge(t, nil)
	for i := range 200 {
		f.sign(t, withToken(t, v, credentialOf(t, jwt.MapClaims{"n": i})), "")
	}
	f.Cache.store.CleanUp()
	if got := f.Cache.store.WeightedSize(); got > size || got < size/2 {
		t.Errorf("%d bytes", got)
	}
	f.clock.Advance(30 * time.Second)
	f.Cache.Sweep(f.clock.Now())
	if n := f.Cache.store.EstimatedSize(); n != 0 {
		t.Errorf("%d old tokens after a sweep", n)
	}
	f.sign(t, alice(t, nil), "")
	f.Cache.Sweep(f.clock.Now())
	if n := f.Cache.store.EstimatedSize(); n != 1 {
		t.Errorf("%d tokens after a sweep, want the fresh one", n)
	}
	f.Cache.Resize(0)
	if n := f.Cache.store.EstimatedSize(); n != 0 {
		t.Errorf("%d tokens in an empty cache", n)
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	asIs := func(text string) (string, error) {
		if strings.Contains(text, "{") {
			return "", fmt.Errorf("%s is not set", text)
		}
		return text, nil
	}
	claim := func(path, name string) Settings {
		return Settings{Audience: upstream, Claims: []*identity.NamedClaim{{Path: path, Name: name}}}
	}
	for want, s := range map[string]Settings{
		"the audience is empty": {}, "a token for everybody": {Audience: "*"}, "{env.X} is not set": {Audience: "{env.X}"}, "{env.Y} is not set": {Audience: upstream, Issuer: "{env.Y}"},
		"10m0.000000001s is not from": {Audience: upstream, Lifetime: MaxLifetime + 1}, "999.999999ms is not from": {Audience: upstream, Lifetime: MinLifetime - 1}, "-1s is not from": {Audience: upstream, Lifetime: -time.Second},
		`"auth" is not a URL`: {Audience: upstream, Issuer: "auth"}, "an entry is null": {Audience: upstream, Claims: []*identity.NamedClaim{nil}},
		"a claim path is empty": claim("", ""), `"a b " begins or ends`: claim("a b ", ""), "control character": claim("a", "b\n"),
		"duplicate name roles": {Audience: upstream, Claims: []*identity.NamedClaim{{Path: "realm.roles"}, {Path: "roles"}}},
	} {
		if _, err := s.Check(asIs); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "forward_jwt: ") {
			t.Errorf("%+v: %v, want %s", s, err, want)
		}
	}
	for _, name := range []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "scope", "cnf", "act", "azp", "acr", "auth_time", "scp", "appid", "cid", "idp", "auth_method", "key_id"} {
		for _, s := range []Settings{claim(name, ""), claim("meta."+name, ""), claim("email", name)} {
			if _, err := s.Check(asIs); err == nil || !strings.Contains(err.Error(), "the claim "+name+" of the token") {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := claim(name, "x_"+name).Check(asIs); err != nil {
			t.Errorf("%s under another name: %v", name, err)
		}
	}
	s, err := Settings{Audience: upstream}.Check(asIs)
	if err != nil || s.Lifetime != time.Minute {
		t.Errorf("the default: %+v %v", s, err)
	}
	for _, d := range []time.Duration{MinLifetime, MaxLifetime} {
		if s, err := (Settings{Audience: upstream, Lifetime: d, Issuer: "https://auth.example.com"}).Check(asIs); err != nil || s.Lifetime != d {
			t.Errorf("%s: %v", d, err)
		}
	}
}

// A token is not sent once it has expired while the machine slept, for which one of its clocks
// stands still.
func TestATokenGrowsOldWhileTheMachineSleeps(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Settings{}, nil)
	id := alice(t, nil)
	sign := func(at time.Time) string {
		t.Helper()
		f.clock.Set(at)
		text, err := f.Sign(t.Context(), id, "")
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	first := sign(time.Now())
	if sign(clock.AfterSleep(time.Second)) != first {
		t.Error("it is not sent again")
	}
	if sign(clock.AfterSleep(time.Hour)) == first {
		t.Error("it is sent although it has expired")
	}
}
