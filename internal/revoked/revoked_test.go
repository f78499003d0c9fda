package revoked

import (
	"context"
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/shared"
	"github.com/caddy-jwt/caddy-jwt/internal/storagetest"
	"github.com/caddy-jwt/caddy-jwt/internal/tokencache"
	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/keystore"
	"github.com/caddy-jwt/caddy-jwt/reason"
	"github.com/caddy-jwt/caddy-jwt/revocation"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

const issuer = "https://issuer.example/"

// site is a validator that asks a state, as a handler has it.
type site struct {
	*validator.Validator
	state  *shared.State
	secret []byte
}

func newSite(t testing.TB, cluster string, start bool) *site {
	t.Helper()
	sources := shared.New(zap.NewNop(), storagetest.Files(t), nil)
	st, err := sources.NewState(shared.StateSettings{Cluster: cluster, Interval: time.Second, MaxStale: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		sources.StopState(false)
		if err := sources.Close(); err != nil {
			t.Error(err)
		}
	})
	if start {
		sources.StartState(false)
		<-st.Revocations().Ready()
	}
	secret := sha256.Sum256([]byte(cluster))
	k, err := key.NewSecret(secret[:], key.Options{ID: "key one"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	v, err := validator.New([]validator.Policy{{
		Issuer: issuer, Keys: keystore.NewStatic(keystore.NewSet([]key.Key{k})), Symmetric: true, AnyAudience: true, UserPrefix: "corp:",
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &site{v.Cached(tokencache.Process).Revoking(Tokens{State: func() *shared.State { return st }}), st, secret[:]}
}

func (s *site) sign(t testing.TB, claims jwt.MapClaims) string {
	t.Helper()
	claims["iss"], claims["exp"] = issuer, time.Now().Add(time.Hour).Unix()
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(s.secret)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (s *site) revoke(t testing.TB, r revocation.Rule) revocation.Rule {
	t.Helper()
	r, err := revocation.New(r)
	if err == nil {
		_, err = s.state.Revocations().Add(t.Context(), []revocation.Rule{r})
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestTokens checks what of a token each kind of rule is about, on a token that is cached.
func TestTokens(t *testing.T) {
	t.Parallel()
	s := newSite(t, "tokens", true)
	claims := func() jwt.MapClaims {
		return jwt.MapClaims{"sub": "alice", "jti": "one", "client_id": "a", "azp": "b", "appid": "c", "cid": "d", "iat": time.Now().Unix()}
	}
	good := s.sign(t, jwt.MapClaims{"sub": "bob", "jti": "two", "client_id": "other", "iat": time.Now().Unix()})
	for name, r := range map[string]revocation.Rule{
		"jti":                {Kind: revocation.KindJTI, Value: "one"},
		"jti of the issuer":  {Kind: revocation.KindJTI, Value: "one", Issuer: issuer},
		"sub":                {Kind: revocation.KindSub, Value: "alice"},
		"the published user": {Kind: revocation.KindSub, Value: "corp:alice"},
		"client_id":          {Kind: revocation.KindClient, Value: "a"},
		"azp":                {Kind: revocation.KindClient, Value: "b"},
		"appid":              {Kind: revocation.KindClient, Value: "c"},
		"cid":                {Kind: revocation.KindClient, Value: "d"},
		"sub, issued before": {Kind: revocation.KindSub, Value: "alice", NotBefore: time.Now().Add(time.Minute)},
		"the key that signed it, which it does not name": {Kind: revocation.KindKid, Value: "key one", Issuer: issuer},
		"jti of another issuer":                          {Kind: revocation.KindJTI, Value: "one", Issuer: "https://other.example/"},
		"sub, issued later":                              {Kind: revocation.KindSub, Value: "alice", NotBefore: time.Now().Add(-time.Hour)},
	} {
		c := claims()
		c["test"] = name // another token each time
		text := s.sign(t, c)
		if _, err := s.Validate(t.Context(), text); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		passes := name == "jti of another issuer" || name == "sub, issued later"
		r = s.revoke(t, r)
		if n := Cached(&r, "", time.Now()); (n > 0) == passes {
			t.Errorf("%s: %d cached tokens", name, n)
		}
		_, err := s.Validate(t.Context(), text)
		if passes != (err == nil) || !passes && !errors.Is(err, reason.Revoked) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := s.Validate(t.Context(), good); r.Kind != revocation.KindKid && err != nil {
			t.Errorf("%s: another token: %v", name, err)
		}
		if _, err := s.state.Revocations().Remove(t.Context(), r.PublicID(), "", "", "test"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Validate(t.Context(), text); err != nil {
			t.Errorf("%s: after the removal: %v", name, err)
		}
	}
}

// A rule about one token is about what is signed of it, and counts it by its text.
func TestOneToken(t *testing.T) {
	t.Parallel()
	s := newSite(t, "one", true)
	text, other := s.sign(t, jwt.MapClaims{"sub": "a"}), s.sign(t, jwt.MapClaims{"sub": "b"})
	for _, token := range []string{text, other} {
		if _, err := s.Validate(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
	r := s.revoke(t, revocation.Rule{Kind: revocation.KindToken, Value: revocation.TokenValue(text)})
	if n := Cached(&r, text, time.Now()); n != 1 {
		t.Errorf("%d cached tokens", n)
	}
	if _, err := s.Validate(t.Context(), text); !errors.Is(err, reason.Revoked) {
		t.Errorf("%v", err)
	}
	if _, err := s.Validate(t.Context(), other); err != nil {
		t.Error(err)
	}
	unseen := s.sign(t, jwt.MapClaims{"sub": "c"})
	r = s.revoke(t, revocation.Rule{Kind: revocation.KindToken, Value: revocation.TokenValue(unseen)})
	if n := Cached(&r, unseen, time.Now()); n != 0 {
		t.Errorf("%d cached tokens for one that was never seen", n)
	}
}

// Numbers are the texts that they are written as; what is neither is nothing.
func TestOddClaims(t *testing.T) {
	t.Parallel()
	s := newSite(t, "odd", true)
	number := s.sign(t, jwt.MapClaims{"sub": "a", "jti": 7, "client_id": []string{"app"}})
	for _, r := range []revocation.Rule{{Kind: revocation.KindClient, Value: "app"}, {Kind: revocation.KindClient, Value: `["app"]`}, {Kind: revocation.KindJTI, Value: "07"}} {
		s.revoke(t, r)
	}
	if _, err := s.Validate(t.Context(), number); err != nil {
		t.Error(err)
	}
	s.revoke(t, revocation.Rule{Kind: revocation.KindJTI, Value: "7"})
	if _, err := s.Validate(t.Context(), number); !errors.Is(err, reason.Revoked) {
		t.Errorf("%v", err)
	}
}

// As long as it is not known what is revoked, nothing passes.
func TestBeforeTheStart(t *testing.T) {
	t.Parallel()
	s := newSite(t, "before", false)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := s.Validate(ctx, s.sign(t, jwt.MapClaims{"sub": "a"})); !errors.Is(err, reason.RevocationsUnavailable) {
		t.Errorf("a token: %v", err)
	}
	if err := Key(ctx, s.state, oneKey(t), time.Now()); !errors.Is(err, reason.RevocationsUnavailable) {
		t.Errorf("an API key: %v", err)
	}
}

func oneKey(t *testing.T) apikey.Key {
	t.Helper()
	text, _ := apikey.New("t")
	set, err := apikey.NewSet([]apikey.Record{{ID: "partner", Hash: apikey.DigestOf(text)}})
	if err != nil {
		t.Fatal(err)
	}
	k, ok := set.Find(apikey.DigestOf(text))
	if !ok {
		t.Fatal("no key")
	}
	return k
}

func TestKey(t *testing.T) {
	t.Parallel()
	s, k := newSite(t, "keys", true), oneKey(t)
	s.revoke(t, revocation.Rule{Kind: revocation.KindKey, Value: "partner", Store: "others"})
	s.revoke(t, revocation.Rule{Kind: revocation.KindSub, Value: "partner"})
	if err := Key(t.Context(), s.state, k, time.Now()); err != nil {
		t.Errorf("rules for another store and for tokens: %v", err)
	}
	s.revoke(t, revocation.Rule{Kind: revocation.KindKey, Value: "partner"})
	if err := Key(t.Context(), s.state, k, time.Now()); err != error(reason.RevokedAPIKey) {
		t.Errorf("%v", err)
	}
}
