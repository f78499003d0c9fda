package integration

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

func TestThreat01_UnsignedTokensAreRefused(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, oneIssuer, options{}, k.published()...)
	good := k.RS256.Token(t, s.claims(nil), nil)
	s.accepts(t, site, good)
	oldSignature := good[strings.LastIndexByte(good, '.')+1:]

	for _, alg := range []string{"none", "None", "NONE", "nOnE", ""} {
		input := k.RS256.SigningInput(t, s.claims(nil), map[string]any{"alg": alg})
		s.refusesEach(t, site, []forgery{
			{"alg " + alg + " with an empty signature", input + ".", because("malformed_token", "algorithm_not_allowed")},
			{"alg " + alg + " with an old signature", input + "." + oldSignature, because("algorithm_not_allowed", "malformed_token")},
		})
	}
}

// An attacker knows every public key. A verifier that hands a key to whatever
// algorithm the token names takes the key's own text for a secret.
func TestThreat02_APublicKeyIsNoSecret(t *testing.T) {
	t.Parallel()
	k := keys(t)
	// The second site accepts HMAC from the same issuer, so that the algorithm
	// alone refuses nothing there.
	s := newFixture(t, oneIssuer+`
https://both.example.test {
	jwt {
		issuer {$ISSUER} {
			ca {$CA}
		}
		issuer {$ISSUER} {
			secret {env.SECRET}
			algorithms HS256 HS384 HS512
		}
		audience https://api.example.test
	}
	import upstream
	import reasons
}
https://file.example.test {
	jwt {
		issuer {$ISSUER} {
			public_key {$PUBLIC}
		}
		audience https://api.example.test
	}
	import upstream
	import reasons
}
`, options{env: map[string]string{
		"SECRET": base64.RawURLEncoding.EncodeToString(peers.NewKey(t, "HS512", "").Secret),
		"PUBLIC": k.RS256.PublicFile(t),
	}}, k.published()...)
	for _, host := range []string{site, "both.example.test", "file.example.test"} {
		s.accepts(t, host, k.RS256.Token(t, s.claims(nil), nil))
	}

	for _, key := range []*peers.Key{k.RS256, k.ES256, k.EdDSA} {
		for name, secret := range publicForms(t, key) {
			t.Run("secret is the "+key.Alg+" key's "+name, func(t *testing.T) {
				for _, kid := range []any{key.KID, nil} {
					for _, alg := range []string{"HS256", "HS384", "HS512"} {
						token := peers.HMAC(t, alg, secret, s.claims(nil), map[string]any{"kid": kid})
						s.refuses(t, site, token, "algorithm_not_allowed")
						s.refuses(t, "file.example.test", token, "algorithm_not_allowed")
						s.refuses(t, "both.example.test", token, "bad_signature", "unknown_key")
					}
				}
			})
		}
	}
}

// publicForms are the texts and bytes that a public key is published as.
func publicForms(t *testing.T, key *peers.Key) map[string][]byte {
	t.Helper()
	jwk, err := json.Marshal(key.JWK())
	if err != nil {
		t.Fatal(err)
	}
	text := key.PublicPEM(t)
	forms := map[string][]byte{
		"PEM":                          text,
		"PEM without the last newline": text[:len(text)-1],
		"DER":                          key.PublicDER(t),
		"JWK text":                     jwk,
		"nothing":                      {},
	}
	switch public := key.Private.Public().(type) {
	case *rsa.PublicKey:
		forms["modulus"] = public.N.Bytes()
		forms["modulus text"] = []byte(base64.RawURLEncoding.EncodeToString(public.N.Bytes()))
		forms["PKCS#1 PEM"] = pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(public)})
	case *ecdsa.PublicKey:
		point, err := public.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		forms["point"], forms["x and y"] = point, point[1:]
	case ed25519.PublicKey:
		forms["raw bytes"] = public
	}
	return forms
}

func TestThreat03_AKeyVerifiesItsOwnAlgorithm(t *testing.T) {
	t.Parallel()
	k := keys(t)
	secret := base64.RawURLEncoding.EncodeToString(peers.NewKey(t, "HS512", "").Secret)
	s := newFixture(t, oneIssuer+`
https://hmac.example.test {
	jwt {
		issuer https://hmac.example.test {
			secret {env.SECRET}
		}
		audience https://api.example.test
	}
	import upstream
	import reasons
}
`, options{env: map[string]string{"SECRET": secret}}, k.published()...)

	for _, key := range []*peers.Key{k.RS256, k.PS256, k.ES256, k.ES384, k.ES512, k.EdDSA, k.Plain} {
		s.accepts(t, site, key.Token(t, s.claims(nil), nil))
	}
	for _, c := range []struct {
		name string
		key  *peers.Key
		algs []string
	}{
		{"a key whose alg is RS256", k.RS256, []string{"RS384", "RS512", "PS256", "PS384", "PS512"}},
		{"a key whose alg is PS256", k.PS256, []string{"RS256", "PS384", "PS512"}},
		{"an RSA key without alg", k.Plain, []string{"RS384", "RS512", "PS256", "PS384", "PS512"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, alg := range c.algs {
				t.Run(alg, func(t *testing.T) {
					named := c.key.SignAs(alg)
					s.refuses(t, site, named.Token(t, s.claims(nil), nil), "algorithm_not_allowed")
					// Without a kid another key of the set may fit the algorithm,
					// but it did not sign.
					s.refuses(t, site, named.Named("").Token(t, s.claims(nil), nil),
						"algorithm_not_allowed", "unknown_key", "bad_signature")
				})
			}
		})
	}
	t.Run("ES384 with a P-256 key", func(t *testing.T) {
		for _, kid := range []any{"es256", "es384", nil} {
			input := k.ES256.SigningInput(t, s.claims(nil), map[string]any{"alg": "ES384", "kid": kid})
			s.refuses(t, site, signWithWrongHash(t, k.ES256, crypto.SHA384, input),
				"algorithm_not_allowed", "bad_signature", "unknown_key")
		}
	})
	t.Run("HS384 where HS256 is allowed", func(t *testing.T) {
		secret := []byte(secret)
		claims := s.claims(map[string]any{"iss": "https://hmac.example.test"})
		s.accepts(t, "hmac.example.test", peers.HMAC(t, "HS256", secret, claims, nil))
		for _, alg := range []string{"HS384", "HS512"} {
			s.refuses(t, "hmac.example.test", peers.HMAC(t, alg, secret, claims, nil), "algorithm_not_allowed", "unknown_key")
		}
		s.refuses(t, "hmac.example.test", k.RS256.Token(t, claims, nil), "algorithm_not_allowed")
	})
}

// signWithWrongHash signs with a curve that the hash does not belong to.
func signWithWrongHash(t *testing.T, key *peers.Key, hash crypto.Hash, input string) string {
	t.Helper()
	digest := hash.New()
	digest.Write([]byte(input))
	r, sig, err := ecdsa.Sign(rand.Reader, key.Private.(*ecdsa.PrivateKey), digest.Sum(nil))
	if err != nil {
		t.Fatal(err)
	}
	return peers.WithSignature(input, append(fill(r, 32), fill(sig, 32)...))
}
