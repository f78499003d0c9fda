package integration

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

func TestThreat16_BadKeysOfASetAreNotUsed(t *testing.T) {
	t.Parallel()
	k := keys(t)
	short := shortRSA(t)
	encryption := peers.NewKey(t, "ES256", "encryption")
	signOnly := peers.NewKey(t, "ES256", "sign-only")
	first, second := peers.NewKey(t, "ES256", "twice"), peers.NewKey(t, "ES256", "twice")
	same := peers.NewKey(t, "ES256", "same")
	secret := peers.NewKey(t, "HS256", "secret")
	leaked := peers.NewKey(t, "ES256", "leaked")
	unknown := peers.NewKey(t, "ES256", "unknown-alg")
	mixed := peers.NewKey(t, "ES256", "mixed")
	s := newFixture(t, oneIssuer, options{},
		k.RS256,
		short,
		encryption.With(map[string]any{"use": "enc"}),
		signOnly.With(map[string]any{"key_ops": []string{"sign"}}),
		first, second,
		same, same,
		secret,
		leaked.PrivateJWK(),
		unknown.With(map[string]any{"alg": "ES257"}),
		mixed.With(map[string]any{"alg": "RS256"}),
		map[string]any{"kty": "EC", "crv": "P-256", "kid": "broken", "x": "AA", "y": "AA"},
		map[string]any{"kty": "EC", "crv": "secp256k1", "kid": "other-curve", "x": "AA", "y": "AA"},
		map[string]any{"kty": "AKP", "kid": "future", "alg": "ML-DSA-44", "pub": "AA"},
		map[string]any{"kty": 7},
		map[string]any{},
		k.EdDSA.With(map[string]any{"use": "sig", "key_ops": []string{"verify"}, "x5c": []string{"broken"}, "x5t": 7}),
	)
	for _, good := range []*peers.Key{k.RS256, k.EdDSA, same, first, second} {
		t.Run("the good key "+good.KID+" is used", func(t *testing.T) {
			s.accepts(t, site, good.Token(t, s.claims(nil), nil))
		})
	}
	for _, bad := range []*peers.Key{short, encryption, signOnly, secret, unknown, mixed} {
		t.Run("the bad key "+bad.KID+" is not", func(t *testing.T) {
			reasons := because("unknown_key", "algorithm_not_allowed")
			s.refuses(t, site, bad.Token(t, s.claims(nil), nil), reasons...)
			s.refuses(t, site, bad.Named("").Token(t, s.claims(nil), nil), append(reasons, "bad_signature")...)
		})
	}
	t.Run("a published private key is not used", func(t *testing.T) {
		s.refuses(t, site, leaked.Token(t, s.claims(nil), nil), "unknown_key")
	})
}

// shortRSA is a key small enough to be factored.
func shortRSA(t *testing.T) *peers.Key {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	return &peers.Key{KID: "short", Alg: "RS256", Private: private}
}

// A secret that can be guessed is found before the first request, not after the
// first forgery.
func TestThreat17_WeakSecretsAreRefusedAtLoad(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("short\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	config := func(line, more string) string {
		return fmt.Sprintf(`{
	admin off
	auto_https off
}
http://localhost:8080 {
	jwt {
		issuer https://issuer.example.test {
			secret %s
			%s
		}
		audience https://api.example.test
	}
}
`, line, more)
	}
	good := base64.RawURLEncoding.EncodeToString(peers.NewKey(t, "HS512", "").Secret)
	for _, c := range []struct {
		name, line, more, value string
		fine                    bool
	}{
		{name: "a random secret is accepted", line: "{env.SECRET}", value: good, fine: true},
		{name: "a random secret in base64 is accepted", line: "base64 {env.SECRET}", value: good, fine: true},
		{name: "a random secret as long as SHA-512 is accepted", line: "{env.SECRET}", more: "algorithms HS512", value: good, fine: true},
		{name: "an unset variable", line: "{env.SECRET_THAT_IS_NOT_SET}"},
		{name: "an empty variable", line: "{env.SECRET}", value: ""},
		{name: "a file that is short", line: "{file." + file + "}"},
		{name: "a file that is missing", line: "{file." + file + ".missing}"},
		{name: "31 bytes for HS256", line: "{env.SECRET}", value: good[:31]},
		{name: "47 bytes for HS384", line: "{env.SECRET}", more: "algorithms HS384", value: good[:47]},
		{name: "63 bytes for HS512", line: "{env.SECRET}", more: "algorithms HS512", value: good[:63]},
		{name: "63 bytes for HS256 and HS512", line: "{env.SECRET}", more: "algorithms HS256 HS512", value: good[:63]},
		{name: "base64 of 31 bytes", line: "base64 {env.SECRET}", value: base64.StdEncoding.EncodeToString([]byte(good[:31]))},
		{name: "base64 that is none", line: "base64 {env.SECRET}", value: good + "!"},
		{name: "one byte repeated", line: "{env.SECRET}", value: strings.Repeat("a", 64)},
		{name: "seven different bytes", line: "{env.SECRET}", value: strings.Repeat("abcdefg", 10)},
		{name: "spaces", line: "{env.SECRET}", value: strings.Repeat(" ", 64)},
		{name: "jwt.io's sample", line: "{env.SECRET}", value: "a-string-secret-at-least-256-bits-long"},
		{name: "jwt.io's older sample", line: "{env.SECRET}", value: "your-256-bit-secret"},
		{name: "RFC 7515's sample in base64", line: "base64 {env.SECRET}", value: "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"},
		{name: "plain in the config", line: good},
		{name: "by Caddy's own variable", line: "{$SECRET}", value: good},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			code, output := caddyCommand(t, config(c.line, c.more), map[string]string{"SECRET": c.value}, "validate")
			if (code == 0) != c.fine {
				t.Errorf("exit code %d:\n%s", code, output)
			}
			for _, secret := range []string{c.value, good} {
				if len(secret) >= 16 && strings.Contains(output, secret) {
					t.Errorf("the secret is in what Caddy says:\n%s", output)
				}
			}
			if !c.fine && !strings.Contains(output, "secret") {
				t.Errorf("the error does not speak of the secret:\n%s", output)
			}
		})
	}
}
