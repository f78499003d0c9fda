package integration

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

func TestThreat01_UnsignedTokensAreRefused(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newStand(t, oneIssuer, options{}, k.published()...)
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
	s := newStand(t, oneIssuer+`
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
	s := newStand(t, oneIssuer+`
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
			s.refuses(t, site, curveMixed(t, k.ES256, crypto.SHA384, input),
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

// curveMixed signs with a curve that the hash does not belong to.
func curveMixed(t *testing.T, key *peers.Key, hash crypto.Hash, input string) string {
	t.Helper()
	digest := hash.New()
	digest.Write([]byte(input))
	r, sig, err := ecdsa.Sign(rand.Reader, key.Private.(*ecdsa.PrivateKey), digest.Sum(nil))
	if err != nil {
		t.Fatal(err)
	}
	return peers.WithSignature(input, append(fill(r, 32), fill(sig, 32)...))
}

func TestThreat15_SignaturesHaveOneForm(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newStand(t, oneIssuer, options{}, k.published()...)
	s.accepts(t, site, k.ES256.Token(t, s.claims(nil), nil))
	s.accepts(t, site, k.PS256.Token(t, s.claims(nil), nil))

	input := k.ES256.SigningInput(t, s.claims(nil), nil)
	digest := sha256.Sum256([]byte(input))
	private := k.ES256.Private.(*ecdsa.PrivateKey)
	r, sig, err := ecdsa.Sign(rand.Reader, private, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	n := elliptic.P256().Params().N
	zero, one := new(big.Int), big.NewInt(1)
	rBytes, sBytes := fill(r, 32), fill(sig, 32)
	good := append(rBytes, sBytes...)
	s.accepts(t, site, peers.WithSignature(input, good))
	der, err := asn1.Marshal(struct{ R, S *big.Int }{r, sig})
	if err != nil {
		t.Fatal(err)
	}
	var table []forgery
	for name, signature := range map[string][]byte{
		"r and s zero":       append(fill(zero, 32), fill(zero, 32)...),
		"r zero":             append(fill(zero, 32), sBytes...),
		"s zero":             append(fill(r, 32), fill(zero, 32)...),
		"r and s one":        append(fill(one, 32), fill(one, 32)...),
		"r and s are n":      append(fill(n, 32), fill(n, 32)...),
		"s is n":             append(fill(r, 32), fill(n, 32)...),
		"all ones":           bytesOf(0xff, 64),
		"DER":                der,
		"a byte short":       good[:63],
		"a byte long":        append(append([]byte{}, good...), 0),
		"a leading zero":     append([]byte{0}, good...),
		"r and s of 33":      append(fill(r, 33), fill(sig, 33)...),
		"twice the lengths":  append(fill(r, 64), fill(sig, 64)...),
		"one byte":           {1},
		"s and r exchanged":  append(fill(sig, 32), fill(r, 32)...),
		"one bit turned":     append(append([]byte{}, good[:63]...), good[63]^1),
		"RSA's 256 bytes":    bytesOf(1, 256),
		"the digest's bytes": append(digest[:], digest[:]...),
	} {
		table = append(table, forgery{"ES256 with " + name, peers.WithSignature(input, signature), because("bad_signature", "malformed_token")})
	}

	pssInput := k.PS256.SigningInput(t, s.claims(nil), nil)
	pssDigest := sha256.Sum256([]byte(pssInput))
	for name, salt := range map[string]int{
		"no salt":                 0,
		"a salt of 20 bytes":      20,
		"a salt of 31 bytes":      31,
		"a salt of 33 bytes":      33,
		"the longest salt":        rsa.PSSSaltLengthAuto,
		"a salt of SHA-512's len": 64,
	} {
		signature, err := signPSS(k.PS256, pssDigest[:], salt)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		// Nothing but the salt may be wrong with it.
		if err := rsa.VerifyPSS(k.PS256.Private.Public().(*rsa.PublicKey), crypto.SHA256, pssDigest[:], signature, nil); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		table = append(table, forgery{"PS256 with " + name, peers.WithSignature(pssInput, signature), because("bad_signature")})
	}
	s.refusesEach(t, site, table)
}

// signPSS signs with a salt of any length. The standard library takes zero for
// "as long as possible", so an empty salt is made through its reader.
func signPSS(key *peers.Key, digest []byte, salt int) ([]byte, error) {
	private := key.Private.(*rsa.PrivateKey)
	if salt == 0 {
		return emptySaltPSS(private, digest), nil
	}
	return rsa.SignPSS(rand.Reader, private, crypto.SHA256, digest, &rsa.PSSOptions{SaltLength: salt})
}

// emptySaltPSS is EMSA-PSS (RFC 8017 §9.1.1) with an empty salt, and the RSA
// operation on it.
func emptySaltPSS(private *rsa.PrivateKey, digest []byte) []byte {
	const hashLength = sha256.Size
	bits := private.N.BitLen() - 1
	length := (bits + 7) / 8
	hash := sha256.Sum256(append(make([]byte, 8), digest...))
	block := make([]byte, length-hashLength-1)
	block[len(block)-1] = 1
	for i, counter := 0, byte(0); i < len(block); counter++ { // MGF1
		mask := sha256.Sum256(append(hash[:], 0, 0, 0, counter))
		for j := 0; j < len(mask) && i < len(block); i, j = i+1, j+1 {
			block[i] ^= mask[j]
		}
	}
	block[0] &= 0xff >> (8*length - bits)
	message := append(append(block, hash[:]...), 0xbc)
	signature := new(big.Int).Exp(new(big.Int).SetBytes(message), private.D, private.N)
	return fill(signature, private.Size())
}

func fill(n *big.Int, size int) []byte { return n.FillBytes(make([]byte, size)) }

func bytesOf(value byte, size int) []byte {
	filled := make([]byte, size)
	for i := range filled {
		filled[i] = value
	}
	return filled
}
