package key

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"strings"
	"sync"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

var (
	_ Key = (*Public)(nil)
	_ Key = (*Secret)(nil)
)

// every lists the algorithms again, with the kind of key of each, so that the tests
// do not rely on the table that they test.
var every = []struct {
	alg    Algorithm
	name   string
	family string
	method jwt.SigningMethod
}{
	{RS256, "RS256", "RSA", jwt.SigningMethodRS256},
	{RS384, "RS384", "RSA", jwt.SigningMethodRS384},
	{RS512, "RS512", "RSA", jwt.SigningMethodRS512},
	{PS256, "PS256", "RSA", jwt.SigningMethodPS256},
	{PS384, "PS384", "RSA", jwt.SigningMethodPS384},
	{PS512, "PS512", "RSA", jwt.SigningMethodPS512},
	{ES256, "ES256", "P-256", jwt.SigningMethodES256},
	{ES384, "ES384", "P-384", jwt.SigningMethodES384},
	{ES512, "ES512", "P-521", jwt.SigningMethodES512},
	{HS256, "HS256", "secret", jwt.SigningMethodHS256},
	{HS384, "HS384", "secret", jwt.SigningMethodHS384},
	{HS512, "HS512", "secret", jwt.SigningMethodHS512},
	{EdDSA, "EdDSA", "Ed25519", jwt.SigningMethodEdDSA},
}

// families lists the kinds of key, each with the default algorithm of a key
// without an alg of its own.
var families = []struct {
	name  string
	usual string
}{
	{"RSA", "RS256"}, {"P-256", "ES256"}, {"P-384", "ES384"}, {"P-521", "ES512"}, {"Ed25519", "EdDSA"}, {"secret", "HS256"},
}

// privates returns two private keys of each kind, made once as RSA keys are slow.
var privates = sync.OnceValue(func() map[string][2]crypto.Signer {
	must := func(k crypto.Signer, err error) crypto.Signer {
		if err != nil {
			panic(err)
		}
		return k
	}
	m := map[string][2]crypto.Signer{}
	for name, make1 := range map[string]func() (crypto.Signer, error){
		"RSA":   func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) },
		"P-256": func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) },
		"P-384": func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P384(), rand.Reader) },
		"P-521": func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P521(), rand.Reader) },
		"Ed25519": func() (crypto.Signer, error) {
			_, k, err := ed25519.GenerateKey(rand.Reader)
			return k, err
		},
	} {
		m[name] = [2]crypto.Signer{must(make1()), must(make1())}
	}
	return m
})

// secretBytes returns two random secrets, made once.
var secretBytes = sync.OnceValue(func() [2][]byte {
	var pair [2][]byte
	for i := range pair {
		pair[i] = make([]byte, 64)
		if _, err := rand.Read(pair[i]); err != nil {
			panic(err)
		}
	}
	return pair
})

// newKey returns the key of a family, number 0 or 1.
func newKey(t testing.TB, family string, number int, o Options) Key {
	t.Helper()
	if family == "secret" {
		k, err := NewSecret(secretBytes()[number], o, 0)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	return newPublic(t, privates()[family][number].Public(), o)
}

func newPublic(t testing.TB, material crypto.PublicKey, o Options) *Public {
	t.Helper()
	k, err := NewPublic(material, o)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// named returns the algorithm of a name.
func named(t testing.TB, name string) Algorithm {
	t.Helper()
	a, ok := ParseAlgorithm(name)
	if !ok {
		t.Fatal(name)
	}
	return a
}

// signedText is what the tests sign, in the form of a token.
const signedText = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9"

// sign signs with a family's key, number 0 or 1.
func sign(t testing.TB, method jwt.SigningMethod, family string, number int) []byte {
	t.Helper()
	var private any = secretBytes()[number]
	if family != "secret" {
		private = privates()[family][number]
	}
	signature, err := method.Sign(signedText, private)
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

// rsaOf returns an RSA public key with a modulus of the given size. Its factors are
// unknown, and not needed to check a key.
func rsaOf(bits uint, exponent int) *rsa.PublicKey {
	n := new(big.Int).Lsh(big.NewInt(1), bits-1)
	return &rsa.PublicKey{N: n.SetBit(n, 0, 1), E: exponent}
}

// publicPEM returns a public key in PEM.
func publicPEM(t testing.TB, material crypto.PublicKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(material)
	if err != nil {
		t.Fatal(err)
	}
	return pemBlock("PUBLIC KEY", der)
}

func pemBlock(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// refused checks that err contains want.
func refused(t testing.TB, err error, want string) {
	t.Helper()
	switch {
	case err == nil:
		t.Errorf("accepted, must be refused with %q", want)
	case !strings.Contains(err.Error(), want):
		t.Errorf("refused with %q, must say %q", err, want)
	}
}
