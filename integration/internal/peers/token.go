package peers

import (
	"crypto"
	"encoding/json"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Claims are those of a good token: every forgery in the tests is this one with
// a single thing changed.
func Claims(issuer, audience string, changes map[string]any) map[string]any {
	now := time.Now()
	return merge(map[string]any{
		"iss":   issuer,
		"aud":   audience,
		"sub":   "user-1",
		"iat":   now.Unix(),
		"exp":   now.Add(time.Hour).Unix(),
		"scope": "read write",
	}, changes)
}

// Token signs claims with the key. Header members are added to alg, kid and
// typ; nil takes one out.
func (k *Key) Token(t testing.TB, claims, header map[string]any) string {
	t.Helper()
	return k.Raw(t, mustJSON(t, k.header(header)), mustJSON(t, claims))
}

// Raw signs two texts as they stand, for members that no encoder would write.
func (k *Key) Raw(t testing.TB, header, claims string) string {
	t.Helper()
	return k.Sign(t, k.Alg, b64([]byte(header))+"."+b64([]byte(claims)))
}

// Sign appends the signature under alg to the signing input; alg need not be
// the one that the header names.
func (k *Key) Sign(t testing.TB, alg, input string) string {
	t.Helper()
	var private any = k.Private
	if k.Private == nil {
		private = k.Secret
	}
	if alg == "Ed25519" { // RFC 9864's name, which the library does not know
		alg = "EdDSA"
	}
	method := jwt.GetSigningMethod(alg)
	if method == nil {
		t.Fatalf("no signing method %q", alg)
	}
	signature, err := method.Sign(input, private)
	if err != nil {
		t.Fatalf("signing with %s: %v", alg, err)
	}
	return input + "." + b64(signature)
}

// SigningInput is the part of the token that a signature covers, for tests that
// make the signature themselves.
func (k *Key) SigningInput(t testing.TB, claims, header map[string]any) string {
	t.Helper()
	return b64([]byte(mustJSON(t, k.header(header)))) + "." + b64([]byte(mustJSON(t, claims)))
}

// WithSignature is the compact token of an input and any bytes at all.
func WithSignature(input string, signature []byte) string {
	return input + "." + b64(signature)
}

// HMAC signs with any bytes as the secret, an empty one included: what a client
// that knows only a public key could do.
func HMAC(t testing.TB, alg string, secret []byte, claims, header map[string]any) string {
	t.Helper()
	key := &Key{Alg: alg, Secret: secret}
	return key.Token(t, claims, header)
}

// SignAs is the key under another algorithm of its type: the header and the
// signature agree, the key does not.
func (k *Key) SignAs(alg string) *Key {
	other := *k
	other.Alg = alg
	return &other
}

// Named is the key under another kid, or under none.
func (k *Key) Named(kid string) *Key {
	other := *k
	other.KID = kid
	return &other
}

// Hash is the one that alg signs with.
func Hash(alg string) crypto.Hash {
	switch alg[2:] {
	case "384":
		return crypto.SHA384
	case "512":
		return crypto.SHA512
	}
	return crypto.SHA256
}

func (k *Key) header(changes map[string]any) map[string]any {
	header := map[string]any{"alg": k.Alg, "typ": "JWT"}
	if k.KID != "" {
		header["kid"] = k.KID
	}
	return merge(header, changes)
}

func mustJSON(t testing.TB, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatalf("encoding %T: %v", value, err)
	}
	return string(text)
}
