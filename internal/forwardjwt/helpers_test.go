package forwardjwt

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/internal/identity"
	"github.com/caddy-jwt/caddy-jwt/internal/tokencache"
	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/keystore"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

const (
	testIssuer = "https://auth.example.com/forward"
	upstream   = "https://orders.internal"
)

// begin is a time at which tests begin.
var begin = time.Unix(1_800_000_000, 0).UTC()

// keyring are the signing keys of a test. It counts how often they are asked for.
type keyring struct {
	signer atomic.Pointer[key.Signer] // nil for not loaded
	asked  atomic.Int64
}

func (k *keyring) Issuer() string { return testIssuer }

func (k *keyring) Signer(context.Context, time.Time) (*key.Signer, error) {
	k.asked.Add(1)
	if s := k.signer.Load(); s != nil {
		return s, nil
	}
	return nil, errors.New("not loaded")
}

func newSigner(t testing.TB, alg key.Algorithm) *key.Signer {
	t.Helper()
	s, err := key.NewSigner(alg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fixture is a Maker with its keys and its time.
type fixture struct {
	*Maker
	keys  *keyring
	clock *clock.Fake
}

func newFixture(t testing.TB, s Settings, change func(*Config)) *fixture {
	t.Helper()
	if s.Audience == "" {
		s.Audience = upstream
	}
	s, err := s.Check(func(text string) (string, error) { return text, nil })
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{keys: new(keyring), clock: clock.NewFake(begin)}
	f.keys.signer.Store(newSigner(t, key.ES256))
	c := Config{Settings: s, Keys: f.keys, Cache: NewCache(1 << 20), Clock: f.clock}
	if change != nil {
		change(&c)
	}
	f.Maker = New(c)
	return f
}

// sign returns a token, which the fixture's key must have signed, and its claims.
func (f *fixture) sign(t testing.TB, id *identity.Identity, apiKey string) (text string, body jwt.MapClaims) {
	t.Helper()
	text, err := f.Sign(t.Context(), id, apiKey)
	if err != nil {
		t.Fatal(err)
	}
	s := f.keys.signer.Load()
	token, err := jwt.Parse(text, func(*jwt.Token) (any, error) { return s.Public().Material(), nil }, jwt.WithoutClaimsValidation())
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if token.Header["kid"] != s.ID() || token.Header["alg"] != s.Algorithm().String() || token.Header["typ"] != Type || len(token.Header) != 3 {
		t.Errorf("header %v", token.Header)
	}
	return text, token.Claims.(jwt.MapClaims)
}

// issuer is the key of the issuer whose tokens are credentials.
var issuer = sync.OnceValue(func() *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
})

// credentialOf is the text of a token with claims over the usual ones.
func credentialOf(t testing.TB, more jwt.MapClaims) string {
	t.Helper()
	all := jwt.MapClaims{"iss": "https://idp.example.com/", "aud": "https://api.example.com", "sub": "alice", "exp": begin.Add(time.Hour).Unix()}
	maps.Copy(all, more)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	text, err := jwt.NewWithClaims(jwt.SigningMethodES256, all).SignedString(issuer())
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// judge verifies credentials at begin, with a policy that change changes.
func judge(t testing.TB, change func(*validator.Policy)) *validator.Validator {
	t.Helper()
	public, err := key.NewPublic(issuer().Public(), key.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := validator.Policy{Issuer: "https://idp.example.com/", Audience: []string{"https://api.example.com"}, Keys: keystore.NewStatic(keystore.NewSet([]key.Key{public})), Leeway: time.Minute}
	if change != nil {
		change(&p)
	}
	v, err := validator.New([]validator.Policy{p}, func() time.Time { return begin })
	if err != nil {
		t.Fatal(err)
	}
	return v.Cached(tokencache.New(1 << 20))
}

// withToken is the identity of a token.
func withToken(t testing.TB, v *validator.Validator, text string) *identity.Identity {
	t.Helper()
	id := &identity.Identity{Naming: new(identity.Naming), HasToken: true}
	if err := v.ValidateInto(t.Context(), text, &id.Token); err != nil {
		t.Fatal(err)
	}
	return id
}

// alice is the identity of a usual token with more claims.
func alice(t testing.TB, more jwt.MapClaims) *identity.Identity {
	t.Helper()
	return withToken(t, judge(t, nil), credentialOf(t, more))
}

const partnersKey = "test_partners-key-0123456789"

// partner is a record of partnersKey.
func partner(change func(*apikey.Record)) apikey.Record {
	r := apikey.Record{ID: "partner-2026", Consumer: "partner", Hash: apikey.DigestOf(partnersKey), Scopes: []string{"orders:read", "orders:write"}}
	r.Meta = claims.ObjectValue(claims.Member{Name: "plan", Value: claims.TextValue("gold")})
	if change != nil {
		change(&r)
	}
	return r
}

// withKey is the identity of partnersKey, whose record is written in the config.
func withKey(t testing.TB, r apikey.Record) *identity.Identity {
	t.Helper()
	set, err := apikey.NewSet([]apikey.Record{r})
	if err != nil {
		t.Fatal(err)
	}
	return found(t, &apikey.Lookup{Written: set, Clock: clock.NewFake(begin)})
}

// found is the identity of partnersKey.
func found(t testing.TB, in *apikey.Lookup) *identity.Identity {
	t.Helper()
	k, code := in.Find(t.Context(), partnersKey)
	if code != "" {
		t.Fatal(code)
	}
	id := &identity.Identity{Naming: new(identity.Naming)}
	id.SetKey(k)
	return id
}
