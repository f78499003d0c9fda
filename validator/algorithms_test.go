package validator

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

var methods = []struct {
	method jwt.SigningMethod
	key    string // of keys(), "" for the secret
}{
	{jwt.SigningMethodRS256, "rsa"}, {jwt.SigningMethodRS384, "rsa"}, {jwt.SigningMethodRS512, "rsa"},
	{jwt.SigningMethodPS256, "rsa"}, {jwt.SigningMethodPS384, "rsa"}, {jwt.SigningMethodPS512, "rsa"},
	{jwt.SigningMethodES256, "p256"}, {jwt.SigningMethodES384, "p384"}, {jwt.SigningMethodES512, "p521"},
	{jwt.SigningMethodEdDSA, "ed25519"},
	{jwt.SigningMethodHS256, ""}, {jwt.SigningMethodHS384, ""}, {jwt.SigningMethodHS512, ""},
}

func TestEachAlgorithmVerifiesItsOwnSignatureAndNoOther(t *testing.T) {
	t.Parallel()
	for _, m := range methods {
		alg, _ := key.ParseAlgorithm(m.method.Alg())
		p := basePolicy()
		p.Algorithms = key.NewAlgorithms(alg)
		var private any = secretBytes()
		if m.key == "" {
			secret, err := key.NewSecret(secretBytes(), key.Options{}, p.Algorithms)
			if err != nil {
				t.Fatal(err)
			}
			p.Keys, p.Symmetric = keySet{secret}, true
		} else {
			p.Keys, private = keySet{keys()[m.key].public}, keys()[m.key].private
		}
		v := newValidator(t, p)
		header := fmt.Sprintf(`{"alg":%q}`, m.method.Alg())
		good := sign(t, m.method, private, header, goodClaims)
		t.Run(m.method.Alg()+" accepted", func(t *testing.T) { check(t, v, good, "") })
		t.Run(m.method.Alg()+" with one bit of the signature changed", func(t *testing.T) {
			cut := strings.LastIndexByte(good, '.') + 1
			flipped := byte('A')
			if good[cut] == 'A' {
				flipped = 'B'
			}
			check(t, v, good[:cut]+string(flipped)+good[cut+1:], reason.BadSignature)
		})
		t.Run(m.method.Alg()+" with other claims under the signature", func(t *testing.T) {
			parts := strings.Split(good, ".")
			check(t, v, parts[0]+"."+b64(strings.Replace(goodClaims, "alice", "mallory", 1))+"."+parts[2], reason.BadSignature)
		})
		for _, other := range methods {
			if other.method.Alg() == m.method.Alg() {
				continue
			}
			t.Run(m.method.Alg()+" key under "+other.method.Alg(), func(t *testing.T) {
				forged := good[strings.IndexByte(good, '.'):]
				check(t, v, b64(fmt.Sprintf(`{"alg":%q}`, other.method.Alg()))+forged, reason.AlgorithmNotAllowed)
			})
		}
	}
	t.Run("Ed25519 is another name of EdDSA", func(t *testing.T) {
		p := basePolicy()
		p.Keys = keySet{keys()["ed25519"].public}
		check(t, newValidator(t, p), sign(t, jwt.SigningMethodEdDSA, keys()["ed25519"].private, `{"alg":"Ed25519"}`, goodClaims), "")
	})
}

func TestThreat01_AlgNoneInEverySpelling(t *testing.T) {
	t.Parallel()
	v := newValidator(t, basePolicy())
	old := strings.Split(es256(t, goodHeader, goodClaims), ".")[2]
	for _, alg := range []string{"none", "None", "NONE", "nOnE", ""} {
		for _, kid := range []string{"", `,"kid":"p256"`} {
			header := b64(fmt.Sprintf(`{"alg":%q%s}`, alg, kid))
			t.Run(alg+kid+" with an empty signature", func(t *testing.T) {
				check(t, v, header+"."+b64(goodClaims)+".", reason.MalformedToken)
			})
			t.Run(alg+kid+" with an old signature", func(t *testing.T) {
				check(t, v, header+"."+b64(goodClaims)+"."+old, reason.AlgorithmNotAllowed)
			})
		}
	}
	t.Run("no alg at all", func(t *testing.T) {
		check(t, v, b64(`{"typ":"JWT"}`)+"."+b64(goodClaims)+"."+old, reason.MalformedToken)
	})
}

func TestThreat02_AnHMACMadeWithAPublicKey(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"rsa", "p256", "ed25519"} {
		public := keys()[name].private.Public()
		der, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		secrets := map[string][]byte{
			"PEM": text, "PEM without its last newline": text[:len(text)-1], "DER": der,
		}
		var raw []byte
		switch k := public.(type) {
		case *rsa.PublicKey:
			raw = k.N.Bytes()
			secrets["PKCS #1"] = x509.MarshalPKCS1PublicKey(k)
		case *ecdsa.PublicKey:
			if raw, err = k.Bytes(); err != nil {
				t.Fatal(err)
			}
		default:
			raw = der[len(der)-32:]
		}
		secrets["raw"] = raw
		jwk, err := json.Marshal(map[string]string{"kty": "RSA", "kid": name, "n": b64(string(raw)), "e": "AQAB"})
		if err != nil {
			t.Fatal(err)
		}
		secrets["JWK"] = jwk
		secrets["base64 of it"] = []byte(b64(string(raw)))

		for _, algorithms := range []key.Algorithms{0, key.NewAlgorithms(key.RS256, key.ES256, key.EdDSA, key.HS256, key.HS384, key.HS512)} {
			p := basePolicy()
			p.Keys, p.Algorithms = keySet{keys()[name].public}, algorithms
			v := newValidator(t, p)
			for form, secret := range secrets {
				for _, m := range []jwt.SigningMethod{jwt.SigningMethodHS256, jwt.SigningMethodHS384, jwt.SigningMethodHS512} {
					for _, kid := range []string{"", `,"kid":"` + name + `"`, `,"kid":"other"`} {
						token := sign(t, m, secret, `{"alg":"`+m.Alg()+`"`+kid+`}`, goodClaims)
						if got, err := v.Validate(context.Background(), token); err == nil || got != nil {
							t.Errorf("%s of %s as a secret of %s (%s): accepted", form, name, m.Alg(), kid)
						}
					}
				}
			}
		}
	}
	t.Run("and the key itself never computes an HMAC", func(t *testing.T) {
		for name, p := range keys() {
			if err := p.public.Verify(key.HS256, "x", []byte("y")); err != key.ErrAlgorithm {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestThreat03_AnotherAlgorithmThanTheKeysOwn(t *testing.T) {
	t.Parallel()
	rsaKey := keys()["rsa"]
	withAlg, err := key.NewPublic(rsaKey.private.Public(), key.Options{ID: "rsa", Algorithm: key.RS256})
	if err != nil {
		t.Fatal(err)
	}
	hs256, err := key.NewSecret(secretBytes(), key.Options{ID: "secret"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		key     key.Key
		allowed key.Algorithms
		method  jwt.SigningMethod
		private any
		alg     string
	}{
		{"PS256 under a key whose alg is RS256", withAlg, 0, jwt.SigningMethodPS256, rsaKey.private, "PS256"},
		{"PS256 under a key whose alg is RS256, though the issuer may", withAlg, key.NewAlgorithms(key.RS256, key.PS256), jwt.SigningMethodPS256, rsaKey.private, "PS256"},
		{"RS512 under a key whose alg is RS256", withAlg, 0, jwt.SigningMethodRS512, rsaKey.private, "RS512"},
		{"PS256 under an RSA key without alg", rsaKey.public, 0, jwt.SigningMethodPS256, rsaKey.private, "PS256"},
		{"RS256 where the issuer has PS256 alone", rsaKey.public, key.NewAlgorithms(key.PS256), jwt.SigningMethodRS256, rsaKey.private, "RS256"},
		{"ES384 with a P-256 key", keys()["p256"].public, key.NewAlgorithms(key.ES256, key.ES384), jwt.SigningMethodES256, keys()["p256"].private, "ES384"},
		{"HS384 where HS256 is the default", hs256, 0, jwt.SigningMethodHS384, secretBytes(), "HS384"},
		{"HS512 where HS256 is the default", hs256, 0, jwt.SigningMethodHS512, secretBytes(), "HS512"},
	} {
		for _, kid := range []string{"", `,"kid":"` + c.key.ID() + `"`} {
			t.Run(c.name+kid, func(t *testing.T) {
				p := basePolicy()
				p.Keys, p.Algorithms = keySet{c.key}, c.allowed
				_, p.Symmetric = c.key.(*key.Secret)
				token := sign(t, c.method, c.private, `{"alg":"`+c.alg+`"`+kid+`}`, goodClaims)
				check(t, newValidator(t, p), token, reason.AlgorithmNotAllowed)
			})
		}
	}
}

func TestThreat15_MalformedSignatureValues(t *testing.T) {
	t.Parallel()
	v := newValidator(t, basePolicy())
	good := es256(t, goodHeader, goodClaims)
	signed := good[:strings.LastIndexByte(good, '.')]
	private := keys()["p256"].private.(*ecdsa.PrivateKey)
	n := private.Params().N
	fixed := func(r, s *big.Int) string {
		buffer := make([]byte, 64)
		r.FillBytes(buffer[:32])
		s.FillBytes(buffer[32:])
		return string(buffer)
	}
	digest := jwt.SigningMethodES256.Hash.New()
	digest.Write([]byte(signed))
	der, err := ecdsa.SignASN1(rand.Reader, private, digest.Sum(nil))
	if err != nil {
		t.Fatal(err)
	}
	one := big.NewInt(1)
	for name, signature := range map[string]string{
		"both zero": fixed(new(big.Int), new(big.Int)), "r zero": fixed(new(big.Int), one), "s zero": fixed(one, new(big.Int)),
		"r = n": fixed(n, one), "s = n": fixed(one, n), "r above n": fixed(new(big.Int).Add(n, one), one),
		"DER": string(der), "too short": strings.Repeat("x", 63), "too long": strings.Repeat("x", 65), "one byte": "x",
	} {
		t.Run(name, func(t *testing.T) { check(t, v, signed+"."+b64(signature), reason.BadSignature) })
	}
	t.Run("PSS with another salt length", func(t *testing.T) {
		p := basePolicy()
		p.Keys, p.Algorithms = keySet{keys()["rsa"].public}, key.NewAlgorithms(key.PS256)
		v := newValidator(t, p)
		// To Go's signer PSSSaltLengthAuto is as long as the key allows.
		for _, salt := range []int{1, 20, 31, 33, 48, rsa.PSSSaltLengthAuto} {
			m := &jwt.SigningMethodRSAPSS{SigningMethodRSA: jwt.SigningMethodPS256.SigningMethodRSA, Options: &rsa.PSSOptions{SaltLength: salt}}
			check(t, v, sign(t, m, keys()["rsa"].private, `{"alg":"PS256"}`, goodClaims), reason.BadSignature)
		}
		check(t, v, sign(t, jwt.SigningMethodPS256, keys()["rsa"].private, `{"alg":"PS256"}`, goodClaims), "")
	})
}
