package key

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
)

// Secret is an HMAC secret. Nothing but Verify ever reads its bytes: it has no
// accessor, and prints as a fixed text.
type Secret struct {
	base
	bytes []byte
}

// minDistinct is how many different bytes a secret must have. 32 random bytes
// have 30 on average; fewer than 8 is "aaaa…", a counter or a word repeated.
const minDistinct = 8

// NewSecret makes a Secret of raw bytes, which it copies. forAlgorithms is the
// issuer's list, empty for the default (HS256, or the key's own alg): RFC 7518
// section 3.2 demands a secret at least as long as the hash of each. The
// errors say what is wrong and how to make a good secret, never what it was.
func NewSecret(secret []byte, o Options, forAlgorithms Algorithms) (*Secret, error) {
	b, err := o.base(familySecret, HS256)
	if err != nil {
		return nil, err
	}
	need := 0
	for _, alg := range []Algorithm{HS256, HS384, HS512} {
		if b.Fits(alg, forAlgorithms) {
			need = algorithms[alg].hash.Size()
		}
	}
	if need == 0 {
		return nil, errors.New("the algorithms name no HMAC algorithm that this secret could serve; add HS256, or remove the secret")
	}
	switch {
	case len(secret) == 0:
		return nil, fmt.Errorf("the secret is empty; make one with: openssl rand -hex %d", need)
	case len(secret) < need:
		return nil, fmt.Errorf("the secret has %d bytes; it must have at least the %d of its hash (RFC 7518 section 3.2); make one with: openssl rand -hex %d", len(secret), need, need)
	case distinct(secret) < minDistinct:
		return nil, fmt.Errorf("the secret has fewer than %d different bytes, so it can be guessed; make one with: openssl rand -hex %d", minDistinct, need)
	case isSample(secret):
		return nil, fmt.Errorf("the secret is a published sample that everybody knows; make your own with: openssl rand -hex %d", need)
	}
	b.fingerprint = sha256.Sum256(append([]byte("secret\x00"), secret...))
	return &Secret{base: b, bytes: bytes.Clone(secret)}, nil
}

// Verify implements Key.
func (k *Secret) Verify(alg Algorithm, signed string, signature []byte) error {
	if !alg.Symmetric() {
		return ErrAlgorithm
	}
	return algorithms[alg].method.Verify(signed, signature, k.bytes)
}

// String keeps the secret out of anything that prints a value.
func (k *Secret) String() string { return "key.Secret" }

// GoString keeps the secret out of %#v.
func (k *Secret) GoString() string { return "key.Secret" }

// Format keeps the secret out of every other verb.
func (k *Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("key.Secret")) }

func distinct(b []byte) int {
	var seen [256]bool
	n := 0
	for _, c := range b {
		if !seen[c] {
			seen[c] = true
			n++
		}
	}
	return n
}

// samples are secrets of 32 bytes and more that documentation and starter
// projects print, and that therefore end up in production.
var samples = []string{
	"a-string-secret-at-least-256-bits-long",                                                 // jwt.io, HS256
	"a-valid-string-secret-that-is-at-least-384-bits-long",                                   // jwt.io, HS384
	"a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long",                // jwt.io, HS512
	"super-secret-jwt-token-with-at-least-32-characters-long",                                // Supabase, local development
	"your-super-secret-jwt-token-with-at-least-32-characters-long",                           // Supabase, self-hosting
	"reallyreallyreallyreallyverysafe",                                                       // PostgREST tutorial
	"your-256-bit-secret-your-256-bit-secret",                                                // the old jwt.io secret, doubled to pass length checks
	"your-256-bit-secretyour-256-bit-secret",                                                 // the same
	"404E635266556A586E3272357538782F413F4428472B4B6250645367566B5970",                       // Spring Boot tutorials
	"5367566B59703373367639792F423F4528482B4D6251655468576D5A71347437",                       // Spring Boot tutorials
	"3EK6FD+o0+c7tzBNVfjpMkNDi2yARAAKzQlk8O2IKoxQu4nF7EdAh8s3TwpHwrdWT6R",                    // Hasura
	"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow", // RFC 7515 appendix A.1
	"this-is-a-secret-key-that-is-at-least-32-characters-long",
	"this_is_a_secret_key_of_at_least_32_characters",
	"abcdefghijklmnopqrstuvwxyz123456",
	"abcdefghijklmnopqrstuvwxyz0123456789",
	"0123456789abcdef0123456789abcdef",
	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
	"12345678901234567890123456789012",
}

// sampleDigests holds each sample as text, base64-decoded and hex-like text
// decoded from base64, since tutorials use one text in either form.
var sampleDigests = func() map[[sha256.Size]byte]bool {
	m := make(map[[sha256.Size]byte]bool, 2*len(samples))
	for _, s := range samples {
		m[sha256.Sum256([]byte(s))] = true
		for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			if raw, err := enc.DecodeString(s); err == nil {
				m[sha256.Sum256(raw)] = true
			}
		}
	}
	return m
}()

func isSample(secret []byte) bool {
	return sampleDigests[sha256.Sum256(secret)] || sampleDigests[sha256.Sum256(bytes.TrimSpace(secret))]
}
