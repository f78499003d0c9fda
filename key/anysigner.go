package key

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
)

// The sizes of RSA keys that GenerateSigner makes, in bits. Larger ones take seconds to
// make, and milliseconds to sign.
const (
	DefaultRSABits = signerBits
	MostRSABits    = 8192
)

// errMismatch is the error for a private key whose public half is another key's.
var errMismatch = errors.New("the private key and its public part don't belong together")

// GenerateSigner generates a key for any algorithm but the HMAC ones. bits is the size of
// an RSA key, 0 for DefaultRSABits. Its id is the JWK Thumbprint (RFC 7638) of its public
// key. A token service signs with fewer algorithms: see NewSigner.
func GenerateSigner(alg Algorithm, bits int) (*Signer, error) {
	var private crypto.Signer
	var err error
	switch alg.family() {
	case familyP256:
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case familyP384:
		private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case familyP521:
		private, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case familyEd25519:
		_, private, err = ed25519.GenerateKey(rand.Reader)
	case familyRSA:
		if bits == 0 {
			bits = DefaultRSABits
		}
		if bits < minRSABits || bits > MostRSABits {
			return nil, fmt.Errorf("an RSA key has %d to %d bits, not %d", minRSABits, MostRSABits, bits)
		}
		private, err = rsa.GenerateKey(rand.Reader, bits)
	default:
		return nil, errors.New("no key pair signs with the algorithm")
	}
	if err != nil {
		return nil, fmt.Errorf("a private key can't be generated: %w", err)
	}
	return SignerOf(private, alg)
}

// SignerOf returns a signer with a private key: RSA, ECDSA or Ed25519. alg must be for keys
// of its kind; zero is RS256, EdDSA, or the one of the curve. The error shows nothing of the
// key. A key whose private and public parts don't belong together is refused.
func SignerOf(private crypto.Signer, alg Algorithm) (*Signer, error) {
	public, err := NewPublic(private.Public(), Options{})
	if err != nil {
		return nil, err
	}
	if alg == 0 {
		alg = public.fallback
	}
	if alg.family() != public.family {
		return nil, fmt.Errorf("the private key is for %s, not for %s", public.algorithmsText(), alg)
	}
	public.algorithm = alg
	public.id = public.Thumbprint()
	s := &Signer{public, func() crypto.Signer { return private }}
	// A JWK and PKCS #1 name the public part besides the private one. If it is another
	// key's, nobody could verify what is signed; with RSA it could even tell the private
	// key.
	const probe = "signed to try the key"
	signature, err := s.Sign([]byte(probe))
	if err != nil || public.Verify(alg, probe, signature) != nil {
		return nil, errMismatch
	}
	return s, nil
}

// algorithmsText names the algorithms of the key's kind.
func (k *Public) algorithmsText() string {
	return map[family]string{
		familyRSA: "RS256, RS384, RS512, PS256, PS384 or PS512", familyP256: "ES256", familyP384: "ES384", familyP521: "ES512", familyEd25519: "EdDSA",
	}[k.family]
}

// MAC signs tokens with an HMAC secret. It is no Key: what verifies has a Secret. Printed in
// any way it shows nothing of the secret.
type MAC struct {
	algorithm Algorithm
	secret    func() []byte // in a closure, as that of a Secret
}

// NewMAC returns a MAC with a copy of raw bytes, which must be good enough to verify with:
// the errors are those of NewSecret.
func NewMAC(secret []byte, alg Algorithm) (*MAC, error) {
	if !alg.Symmetric() {
		return nil, fmt.Errorf("a secret is for HS256, HS384 or HS512, not for %s", alg)
	}
	if _, err := NewSecret(secret, Options{}, NewAlgorithms(alg)); err != nil {
		return nil, err
	}
	own := bytes.Clone(secret)
	return &MAC{alg, func() []byte { return own }}, nil
}

// Algorithm returns the algorithm that the secret signs with.
func (m *MAC) Algorithm() Algorithm { return m.algorithm }

// Sign returns the MAC of a JWS signing input (RFC 7515 section 5.1).
func (m *MAC) Sign(input []byte) ([]byte, error) {
	return algorithms[m.algorithm].method.Sign(string(input), m.secret())
}

// String implements fmt.Stringer, and hides the secret.
func (m MAC) String() string { return "key.MAC" }

// GoString implements fmt.GoStringer, and hides the secret from %#v.
func (m MAC) GoString() string { return "key.MAC" }

// Format implements fmt.Formatter, and hides the secret from every other verb.
func (m MAC) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("key.MAC")) }

// MarshalJSON implements json.Marshaler, and hides the secret.
func (m MAC) MarshalJSON() ([]byte, error) { return []byte(`"key.MAC"`), nil }
