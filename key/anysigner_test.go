package key

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

var (
	pairAlgorithms = []Algorithm{RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA}
	macAlgorithms  = []Algorithm{HS256, HS384, HS512}
)

func TestAnyAlgorithmSigns(t *testing.T) {
	t.Parallel()
	for _, alg := range pairAlgorithms {
		s, err := GenerateSigner(alg, 0)
		if err != nil {
			t.Fatal(err)
		}
		if s.Algorithm() != alg || s.ID() != s.Public().Thumbprint() {
			t.Errorf("%s: %s %s", alg, s.Algorithm(), s.ID())
		}
		signature, err := s.Sign([]byte(signedText))
		if err != nil || s.Public().Verify(alg, signedText, signature) != nil || s.Public().Verify(alg, signedText+"x", signature) == nil {
			t.Errorf("%s: %v", alg, err)
		}
		// The same key in another's hands, for each algorithm.
		for _, other := range append(append([]Algorithm{0}, pairAlgorithms...), macAlgorithms...) {
			again, err := SignerOf(s.private(), other)
			fits := other == 0 || other.family() == alg.family()
			if (err == nil) != fits {
				t.Errorf("%s for %s: %v", alg, other, err)
			}
			if err == nil && other != 0 && again.Algorithm() != other {
				t.Errorf("%s for %s: %s", alg, other, again.Algorithm())
			}
		}
	}
	for _, alg := range append([]Algorithm{0, 99}, macAlgorithms...) {
		if _, err := GenerateSigner(alg, 0); err == nil {
			t.Errorf("a key pair for %q", alg)
		}
	}
	for _, bits := range []int{1024, 2047, 16384, -1} {
		if _, err := GenerateSigner(RS256, bits); err == nil {
			t.Errorf("an RSA key of %d bits", bits)
		}
	}
}

func TestAPrivateKeyHasItsOwnPublicPart(t *testing.T) {
	t.Parallel()
	one, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := SignerOf(half{one, other.Public()}, 0); err == nil || !strings.Contains(err.Error(), "belong together") {
		t.Errorf("%v", err)
	}
}

// half is a private key with the public part of another.
type half struct {
	crypto.Signer
	public crypto.PublicKey
}

func (h half) Public() crypto.PublicKey { return h.public }

func TestAMACSignsWhatItsSecretVerifies(t *testing.T) {
	t.Parallel()
	secret := []byte("3f6b1d0c9a8e7f5d4c3b2a1908f7e6d53f6b1d0c9a8e7f5d4c3b2a1908f7e6d5x")
	for _, alg := range macAlgorithms {
		m, err := NewMAC(secret, alg)
		if err != nil {
			t.Fatal(err)
		}
		verifies, err := NewSecret(secret, Options{}, NewAlgorithms(alg))
		if err != nil {
			t.Fatal(err)
		}
		signature, err := m.Sign([]byte(signedText))
		if err != nil || m.Algorithm() != alg || verifies.Verify(alg, signedText, signature) != nil || verifies.Verify(alg, signedText+"x", signature) == nil {
			t.Errorf("%s: %v", alg, err)
		}
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x", "%w"} {
			for _, v := range []any{m, *m, struct{ M *MAC }{m}, []*MAC{m}} {
				if text := fmt.Sprintf(format, v); strings.Contains(text, "3f6b1d0c") || strings.Contains(text, fmt.Sprintf("%x", secret[:4])) {
					t.Errorf("%s shows the secret: %s", format, text)
				}
			}
		}
		if text, err := json.Marshal(m); err != nil || string(text) != `"key.MAC"` {
			t.Errorf("%s %v", text, err)
		}
	}
	for _, alg := range append([]Algorithm{0}, pairAlgorithms...) {
		if _, err := NewMAC(secret, alg); err == nil {
			t.Errorf("a MAC with %s", alg)
		}
	}
	for _, weak := range []string{"", "short", strings.Repeat("a", 64), "your-256-bit-secret-your-256-bit-secret"} {
		if _, err := NewMAC([]byte(weak), HS256); err == nil || weak != "" && strings.Contains(err.Error(), weak) {
			t.Errorf("%v", err)
		}
	}
}
