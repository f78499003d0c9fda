package validator

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// now is the time at which these tests validate tokens.
var now = time.Unix(1_800_000_000, 0)

// pair is a private key and its public key.
type pair struct {
	private crypto.Signer
	public  *key.Public
}

// keys makes one pair of each kind; RSA keys are slow to make.
var keys = sync.OnceValue(func() map[string]pair {
	must := func(private crypto.Signer, err error) crypto.Signer {
		if err != nil {
			panic(err)
		}
		return private
	}
	m := map[string]pair{}
	add := func(name string, private crypto.Signer) {
		public, err := key.NewPublic(private.Public(), key.Options{ID: name})
		if err != nil {
			panic(err)
		}
		m[name] = pair{private, public}
	}
	add("rsa", must(rsa.GenerateKey(rand.Reader, 2048)))
	add("rsa2", must(rsa.GenerateKey(rand.Reader, 2048)))
	add("p256", must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)))
	add("p384", must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)))
	add("p521", must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)))
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	add("ed25519", must(ed, err))
	return m
})

// secretBytes is a random secret.
var secretBytes = sync.OnceValue(func() []byte {
	b := make([]byte, 64)
	if _, err := rand.Read(b); err != nil {
		panic(err)
	}
	return b
})

// keySet is a minimal KeySet that behaves like a Static of the keystore.
type keySet []key.Key

func (s keySet) Keys(_ context.Context, kid string) ([]key.Key, error) {
	if kid == "" {
		return s, nil
	}
	var named, unnamed []key.Key
	for _, k := range s {
		switch k.ID() {
		case kid:
			named = append(named, k)
		case "":
			unnamed = append(unnamed, k)
		}
	}
	if named == nil {
		named = unnamed
	}
	if named == nil {
		return nil, key.ErrUnknown
	}
	return named, nil
}

// Version implements KeySet: a keySet never changes.
func (keySet) Version(string, time.Time) uint64 { return 1 }

const (
	testIssuer   = "https://issuer.example/"
	testAudience = "https://api.example"
)

// basePolicy trusts testIssuer with the P-256 key.
func basePolicy() Policy {
	return Policy{
		Issuer:   testIssuer,
		Keys:     keySet{keys()["p256"].public},
		Audience: []string{testAudience},
		Leeway:   DefaultLeeway,
	}
}

func newValidator(t testing.TB, policies ...Policy) *Validator {
	t.Helper()
	v, err := New(policies, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// The parts of a valid token, to be changed by tests.
const (
	goodHeader = `{"alg":"ES256","typ":"JWT","kid":"p256"}`
	goodClaims = `{"iss":"https://issuer.example/","sub":"alice","aud":"https://api.example","exp":1800000600,"iat":1800000000,"scope":"read write"}`
)

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// sign returns a signed token with any header and claims.
func sign(t testing.TB, method jwt.SigningMethod, private any, header, claims string) string {
	t.Helper()
	signed := b64(header) + "." + b64(claims)
	signature, err := method.Sign(signed, private)
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + b64(string(signature))
}

// es256 signs with the key that basePolicy trusts.
func es256(t testing.TB, header, claims string) string {
	t.Helper()
	return sign(t, jwt.SigningMethodES256, keys()["p256"].private, header, claims)
}

// check validates and compares the reason; "" means accepted.
func check(t testing.TB, v *Validator, token string, want reason.Code) *Token {
	t.Helper()
	got, err := v.Validate(context.Background(), token)
	// The result with a cache is the same, both the first and the second time.
	cached := v.Cached(newMemory())
	for time := range 2 {
		if _, cachedErr := cached.Validate(context.Background(), token); cachedErr != err {
			t.Fatalf("with a cache, time %d: %v; without: %v", time+1, cachedErr, err)
		}
	}
	switch {
	case want == "" && err != nil:
		t.Fatalf("refused with %v, must be accepted", err)
	case want != "" && err == nil:
		t.Fatalf("accepted, must be refused with %v", want)
	case want != "" && !errors.Is(err, want):
		t.Fatalf("refused with %v, must be %v", err, want)
	case (err == nil) != (got != nil):
		t.Fatalf("token %v and error %v", got, err)
	}
	return got
}
