package forwardjwt

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/identity"
	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

// wantClaims compares the claims of a token, but for its "jti", which must be there.
func wantClaims(t *testing.T, got jwt.MapClaims, want map[string]any) {
	t.Helper()
	if id, _ := got["jti"].(string); len(id) < 20 {
		t.Errorf("jti %q", id)
	}
	delete(got, "jti")
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	plain := map[string]any{}
	if err := json.Unmarshal(text, &plain); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(map[string]any(got), plain) {
		t.Errorf("claims\n%v, want\n%v", got, plain)
	}
}

func TestTheClaimsOfATokenForTheUpstream(t *testing.T) {
	t.Parallel()
	now := begin.Unix()
	t.Run("of a token", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, Settings{}, nil)
		_, body := f.sign(t, alice(t, jwt.MapClaims{"scope": "read write", "client_id": "app", "azp": "other", "jti": "of the credential", "email": "a@example.com"}), "")
		wantClaims(t, body, map[string]any{
			"iss": testIssuer, "sub": "alice", "aud": upstream, "iat": now, "exp": now + 60, "scope": "read write", "idp": "https://idp.example.com/", "auth_method": "jwt", "client_id": "app",
		})
	})
	t.Run("of an API key", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, Settings{Lifetime: 10 * time.Minute, Claims: []*identity.NamedClaim{{Path: "meta.plan"}, {Path: "meta.none"}, {Path: "sub", Name: "consumer"}}}, nil)
		id := withKey(t, partner(nil))
		id.Naming.UserPrefix = "key:"
		_, body := f.sign(t, id, partnersKey)
		wantClaims(t, body, map[string]any{
			"iss": testIssuer, "sub": "key:partner", "aud": upstream, "iat": now, "exp": now + 600, "scope": "orders:read orders:write", "idp": "api_key:config", "auth_method": "api_key",
			"key_id": "partner-2026", "plan": "gold", "consumer": "partner",
		})
	})
	t.Run("of both", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, Settings{}, nil)
		id := alice(t, nil)
		k, _ := withKey(t, partner(nil)).Key()
		id.SetKey(k)
		_, body := f.sign(t, id, partnersKey)
		wantClaims(t, body, map[string]any{
			"iss": testIssuer, "sub": "alice", "aud": upstream, "iat": now, "exp": now + 60, "idp": "https://idp.example.com/", "auth_method": "jwt", "key_id": "partner-2026",
		})
	})
	t.Run("that are named", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, Settings{Claims: []*identity.NamedClaim{
			{Path: "realm.roles"}, {Path: "https://x.example/t", Name: "tenant"}, {Path: "n"}, {Path: "yes"}, {Path: "null"}, {Path: "none"}, {Path: "trick", Name: `a "name"`}, {Path: "acr", Name: "idp_acr"},
		}}, nil)
		const trick = "{env.HOME}\r\n\",\"sub\":\"root"
		text, body := f.sign(t, alice(t, jwt.MapClaims{
			"realm": map[string]any{"roles": []string{"a", "b"}}, "https://x.example/t": "acme", "n": json.Number("12345678901234567890"), "yes": true, "null": json.RawMessage("null"), "trick": trick, "acr": "gold", "sub": `a"l\ice Ü`,
		}), "")
		if body["n"] != 12345678901234567890.0 {
			t.Errorf("n is %v", body["n"])
		}
		delete(body, "n")
		wantClaims(t, body, map[string]any{
			"iss": testIssuer, "sub": `a"l\ice Ü`, "aud": upstream, "iat": now, "exp": now + 60, "idp": "https://idp.example.com/", "auth_method": "jwt",
			"roles": []string{"a", "b"}, "tenant": "acme", "yes": true, `a "name"`: trick, "idp_acr": "gold",
		})
		for _, c := range text {
			if c <= ' ' || c >= 0x7f {
				t.Fatalf("the token can't be a header: %q", text)
			}
		}
	})
}

// TestThreat76_WhoVouchedIsInTheToken: the same user id means another person where another
// issuer, or another store, vouched for it.
func TestThreat76_WhoVouchedIsInTheToken(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Settings{}, func(c *Config) { c.StoreNames = map[string]string{} })
	idp := func(f *fixture, id *identity.Identity, apiKey string) any {
		t.Helper()
		_, body := f.sign(t, id, apiKey)
		return body["idp"]
	}
	other := judge(t, func(p *validator.Policy) { p.Issuer = "https://other.example.com/" })
	if got := idp(f, alice(t, jwt.MapClaims{"sub": "42"}), ""); got != "https://idp.example.com/" {
		t.Errorf("one issuer: %v", got)
	}
	if got := idp(f, withToken(t, other, credentialOf(t, jwt.MapClaims{"iss": "https://other.example.com/", "sub": "42"})), ""); got != "https://other.example.com/" {
		t.Errorf("another issuer: %v", got)
	}
	anyone := judge(t, func(p *validator.Policy) { p.Issuer, p.AnyIssuer = "", true })
	atAny := newFixture(t, Settings{}, func(c *Config) { c.AnyIssuer = true })
	for _, iss := range []any{"https://idp.example.com/", nil} {
		if got := idp(atAny, withToken(t, anyone, credentialOf(t, jwt.MapClaims{"iss": iss, "sub": "42"})), ""); got != "*" {
			t.Errorf("any issuer, and a token that says %v: %v", iss, got)
		}
	}

	file := filepath.Join(t.TempDir(), "keys.jsonl")
	line, err := json.Marshal(partner(nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(line, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	keys, err := apikey.NewFile(apikey.FileConfig{Path: file})
	if err != nil {
		t.Fatal(err)
	}
	inFile := found(t, &apikey.Lookup{Files: []*apikey.File{keys}})
	if got := idp(f, inFile, partnersKey); got != "api_keys:"+file {
		t.Errorf("a key file: %v", got)
	}
	named := newFixture(t, Settings{}, func(c *Config) { c.StoreNames, c.Cache = map[string]string{file: "partners"}, f.Cache })
	if got := idp(named, inFile, partnersKey); got != "api_keys:partners" {
		t.Errorf("a named file: %v", got)
	}
	if got := idp(f, withKey(t, partner(nil)), partnersKey); got != "api_key:config" {
		t.Errorf("a key of the config: %v", got)
	}
}

// TestThreat76_ATokenLivesNoLongerThanItsCredential.
func TestThreat76_ATokenLivesNoLongerThanItsCredential(t *testing.T) {
	t.Parallel()
	expiry := func(id *identity.Identity, apiKey string) time.Duration {
		t.Helper()
		_, body := newFixture(t, Settings{}, nil).sign(t, id, apiKey)
		exp, err := body.GetExpirationTime()
		if err != nil {
			t.Fatal(err)
		}
		return exp.Sub(begin)
	}
	until := func(d time.Duration) func(*apikey.Record) {
		return func(r *apikey.Record) { r.Expires = begin.Add(d) }
	}
	lax := judge(t, func(p *validator.Policy) { p.AllowNoExpiry = true })
	for name, c := range map[string]struct{ got, want time.Duration }{
		"a long token":             {expiry(alice(t, nil), ""), time.Minute},
		"a token near its end":     {expiry(alice(t, jwt.MapClaims{"exp": begin.Unix() + 7}), ""), 7 * time.Second},
		"the last part of it":      {expiry(alice(t, jwt.MapClaims{"exp": json.Number("1800000007.9")}), ""), 7 * time.Second},
		"in its leeway":            {expiry(alice(t, jwt.MapClaims{"exp": begin.Unix() - 7}), ""), -7 * time.Second},
		"without an end":           {expiry(withToken(t, lax, credentialOf(t, jwt.MapClaims{"exp": nil})), ""), time.Minute},
		"a key without an end":     {expiry(withKey(t, partner(nil)), partnersKey), time.Minute},
		"a key near its end":       {expiry(withKey(t, partner(until(9*time.Second))), partnersKey), 9 * time.Second},
		"a key's last part of one": {expiry(withKey(t, partner(until(9999*time.Millisecond))), partnersKey), 9 * time.Second},
	} {
		if c.got != c.want {
			t.Errorf("%s: %s, want %s", name, c.got, c.want)
		}
	}
	both := alice(t, jwt.MapClaims{"exp": begin.Unix() + 20})
	k, _ := withKey(t, partner(until(9*time.Second))).Key()
	both.SetKey(k)
	if got := expiry(both, partnersKey); got != 9*time.Second {
		t.Errorf("both, the key near its end: %s", got)
	}
	both = alice(t, jwt.MapClaims{"exp": begin.Unix() + 5})
	both.SetKey(k)
	if got := expiry(both, partnersKey); got != 5*time.Second {
		t.Errorf("both, the token near its end: %s", got)
	}
}

func TestTheClientOfATokenIsNamed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		claims jwt.MapClaims
		want   any
	}{
		"none": {nil, nil}, "client_id": {jwt.MapClaims{"client_id": "a", "azp": "b"}, "a"}, "azp": {jwt.MapClaims{"azp": "b", "appid": "c"}, "b"},
		"appid": {jwt.MapClaims{"appid": "c"}, "c"}, "cid": {jwt.MapClaims{"cid": "d"}, "d"}, "an empty one": {jwt.MapClaims{"client_id": "", "cid": "d"}, "d"},
		"a number": {jwt.MapClaims{"client_id": 7}, nil},
	} {
		if _, body := newFixture(t, Settings{}, nil).sign(t, alice(t, c.claims), ""); body["client_id"] != c.want {
			t.Errorf("%s: %v", name, body["client_id"])
		}
	}
}

func TestEachAlgorithmSigns(t *testing.T) {
	t.Parallel()
	for _, alg := range []key.Algorithm{key.ES256, key.EdDSA, key.RS256} {
		f := newFixture(t, Settings{}, nil)
		f.keys.signer.Store(newSigner(t, alg))
		f.sign(t, alice(t, nil), "") // which verifies it
	}
}
