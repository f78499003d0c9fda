package peers

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Key is what a test signs with: a private key, or a secret.
type Key struct {
	KID string
	// Alg signs; JWK states it as the key's `alg` too unless NoAlg is set.
	Alg     string
	NoAlg   bool
	Private crypto.Signer
	Secret  []byte
}

// NewKey makes a key fit for alg: RSA of 2048 bits, the curve that ES names, or
// a secret as long as the hash.
func NewKey(t testing.TB, alg, kid string) *Key {
	t.Helper()
	key := &Key{KID: kid, Alg: alg}
	var err error
	switch {
	case strings.HasPrefix(alg, "RS"), strings.HasPrefix(alg, "PS"):
		key.Private, err = rsa.GenerateKey(rand.Reader, 2048)
	case alg == "ES256":
		key.Private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case alg == "ES384":
		key.Private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case alg == "ES512":
		key.Private, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case alg == "EdDSA", alg == "Ed25519":
		_, key.Private, err = ed25519.GenerateKey(rand.Reader)
	case strings.HasPrefix(alg, "HS"):
		key.Secret = make([]byte, map[string]int{"HS256": 32, "HS384": 48, "HS512": 64}[alg])
		_, err = rand.Read(key.Secret)
	default:
		t.Fatalf("no key for the algorithm %q", alg)
	}
	if err != nil {
		t.Fatalf("making a %s key: %v", alg, err)
	}
	return key
}

// JWK is the public key as a JSON Web Key (RFC 7517); a secret comes out as a
// key of type oct, which no remote set may hold.
func (k *Key) JWK() map[string]any {
	jwk := k.members()
	if k.KID != "" {
		jwk["kid"] = k.KID
	}
	if !k.NoAlg {
		jwk["alg"] = k.Alg
	}
	return jwk
}

// PrivateJWK is the key with its private part, for signers in other languages.
func (k *Key) PrivateJWK() map[string]any {
	jwk := k.JWK()
	switch private := k.Private.(type) {
	case *rsa.PrivateKey:
		p, q := private.Primes[0], private.Primes[1]
		jwk["d"] = b64(private.D.Bytes())
		jwk["p"], jwk["q"] = b64(p.Bytes()), b64(q.Bytes())
		jwk["dp"], jwk["dq"] = b64(private.Precomputed.Dp.Bytes()), b64(private.Precomputed.Dq.Bytes())
		jwk["qi"] = b64(private.Precomputed.Qinv.Bytes())
	case *ecdsa.PrivateKey:
		d, err := private.Bytes()
		if err != nil {
			panic(err) // keys are made by NewKey, on a named curve
		}
		jwk["d"] = b64(d)
	case ed25519.PrivateKey:
		jwk["d"] = b64(private.Seed())
	}
	return jwk
}

func (k *Key) members() map[string]any {
	if k.Private == nil {
		return map[string]any{"kty": "oct", "k": b64(k.Secret)}
	}
	switch public := k.Private.Public().(type) {
	case *rsa.PublicKey:
		return map[string]any{
			"kty": "RSA",
			"n":   b64(public.N.Bytes()),
			"e":   b64(big.NewInt(int64(public.E)).Bytes()),
		}
	case *ecdsa.PublicKey:
		point, err := public.Bytes()
		if err != nil {
			panic(err) // as above
		}
		size := (len(point) - 1) / 2
		return map[string]any{
			"kty": "EC",
			"crv": public.Curve.Params().Name,
			"x":   b64(point[1 : 1+size]),
			"y":   b64(point[1+size:]),
		}
	case ed25519.PublicKey:
		return map[string]any{"kty": "OKP", "crv": "Ed25519", "x": b64(public)}
	}
	return nil
}

// PublicDER is the key in PKIX form.
func (k *Key) PublicDER(t testing.TB) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(k.Private.Public())
	if err != nil {
		t.Fatalf("encoding a public key: %v", err)
	}
	return der
}

// PublicPEM is the key as the PEM text that `public_key` takes.
func (k *Key) PublicPEM(t testing.TB) []byte {
	t.Helper()
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: k.PublicDER(t)})
}

// PublicFile writes PublicPEM into the test's own folder.
func (k *Key) PublicFile(t testing.TB) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "public.pem")
	if err := os.WriteFile(file, k.PublicPEM(t), 0o600); err != nil {
		t.Fatalf("writing a public key: %v", err)
	}
	return file
}

// JWKS is a key set as JSON: keys, or maps for what no real key would say.
func JWKS(t testing.TB, keys ...any) string {
	t.Helper()
	members := make([]any, 0, len(keys))
	for _, key := range keys {
		if k, ok := key.(*Key); ok {
			key = k.JWK()
		}
		members = append(members, key)
	}
	text, err := json.Marshal(map[string]any{"keys": members})
	if err != nil {
		t.Fatalf("encoding a key set: %v", err)
	}
	return string(text)
}

// With returns the JWK with members added or, where the value is nil, removed.
func (k *Key) With(members map[string]any) map[string]any {
	return merge(k.JWK(), members)
}

func merge(into, from map[string]any) map[string]any {
	for name, value := range from {
		if value == nil {
			delete(into, name)
			continue
		}
		into[name] = value
	}
	return into
}

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

// PrivateDER is the private key as PKCS #8.
func (k *Key) PrivateDER(t testing.TB) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(k.Private)
	if err != nil {
		t.Fatalf("encoding a private key: %v", err)
	}
	return der
}
