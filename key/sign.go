package key

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
)

// Signer is a private key, which signs tokens. It is no Key: nothing that verifies a
// signature has one in hand. Printed in any way it shows no key material.
type Signer struct {
	public *Public
	// As that of a Secret, the key is in a closure, which nothing can print.
	private func() crypto.Signer
}

// signerBits is the size of RSA keys that are made.
const signerBits = 2048

// Errors of signers. None says anything of what was read.
var (
	errSigner    = errors.New("only ES256, EdDSA and RS256 keys sign tokens")
	errNoPrivate = errors.New("it is not a private key in PKCS #8")
	errOtherKind = errors.New("the private key is not one for its algorithm")
)

// NewSigner generates a key for ES256, EdDSA or RS256 (2048 bits). Its id is the JWK
// Thumbprint (RFC 7638) of its public key.
func NewSigner(alg Algorithm) (*Signer, error) {
	var private crypto.Signer
	var err error
	switch alg {
	case ES256:
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case EdDSA:
		_, private, err = ed25519.GenerateKey(rand.Reader)
	case RS256:
		private, err = rsa.GenerateKey(rand.Reader, signerBits)
	default:
		return nil, errSigner
	}
	if err != nil {
		return nil, fmt.Errorf("a private key can't be generated: %w", err)
	}
	return newSigner(private, alg)
}

// ParseSigner reads a private key from PKCS #8 in DER, as PKCS8 writes it. The error never
// shows what was read.
func ParseSigner(der []byte, alg Algorithm) (*Signer, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errNoPrivate // the cause may have numbers of the key
	}
	private, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, errNoPrivate // for a key exchange
	}
	return newSigner(private, alg)
}

func newSigner(private crypto.Signer, alg Algorithm) (*Signer, error) {
	if alg != ES256 && alg != EdDSA && alg != RS256 {
		return nil, errSigner
	}
	public, err := NewPublic(private.Public(), Options{Algorithm: alg})
	if err != nil {
		return nil, errOtherKind
	}
	public.id = public.Thumbprint()
	return &Signer{public, func() crypto.Signer { return private }}, nil
}

// PKCS8 returns the private key in DER. It is for the place where keys are stored alone.
func (s *Signer) PKCS8() ([]byte, error) { return x509.MarshalPKCS8PrivateKey(s.private()) }

// ID returns the JWK Thumbprint with SHA-256 (RFC 7638), in base64url, which is the "kid".
func (s *Signer) ID() string { return s.public.ID() }

// Algorithm returns the algorithm that the key signs with.
func (s *Signer) Algorithm() Algorithm { return s.public.Algorithm() }

// Public returns the key that verifies, with the id and the algorithm.
func (s *Signer) Public() *Public { return s.public }

// Sign returns the signature of a JWS signing input (RFC 7515 section 5.1).
func (s *Signer) Sign(input []byte) ([]byte, error) {
	return algorithms[s.Algorithm()].method.Sign(string(input), s.private())
}

// String implements fmt.Stringer, and hides the key.
func (s Signer) String() string { return "key.Signer" }

// GoString implements fmt.GoStringer, and hides the key from %#v.
func (s Signer) GoString() string { return "key.Signer" }

// Format implements fmt.Formatter, and hides the key from every other verb.
func (s Signer) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("key.Signer")) }

// MarshalJSON implements json.Marshaler, and hides the key.
func (s Signer) MarshalJSON() ([]byte, error) { return []byte(`"key.Signer"`), nil }

// MarshalText implements encoding.TextMarshaler, and hides the key.
func (s Signer) MarshalText() ([]byte, error) { return []byte("key.Signer"), nil }

// Thumbprint returns the JWK Thumbprint with SHA-256 (RFC 7638), in base64url.
func (k *Public) Thumbprint() string {
	sum := sha256.Sum256(append(k.appendRequired([]byte{'{'}), '}'))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// AppendJWK appends the public key as a JWK (RFC 7517), with kid, alg and use sig.
func (k *Public) AppendJWK(to []byte) []byte {
	to = k.appendRequired(append(to, '{'))
	if k.id != "" {
		id, err := json.Marshal(k.id)
		if err != nil {
			panic(err) // a text always has a form in JSON
		}
		to = append(append(to, `,"kid":`...), id...)
	}
	if k.algorithm != 0 {
		to = append(append(append(to, `,"alg":"`...), k.algorithm.String()...), '"')
	}
	return append(to, `,"use":"sig"}`...)
}

// appendRequired appends the members that make up the key, in the order of RFC 7638 section
// 3.2, which hashes them.
func (k *Public) appendRequired(to []byte) []byte {
	member := func(name string, value []byte) {
		to = append(append(append(to, '"'), name...), `":"`...)
		to = append(base64.RawURLEncoding.AppendEncode(to, value), '"')
	}
	switch m := k.material.(type) {
	case *rsa.PublicKey:
		member("e", big.NewInt(int64(m.E)).Bytes())
		to = append(to, `,"kty":"RSA",`...)
		member("n", m.N.Bytes())
	case *ecdsa.PublicKey:
		to = append(append(append(to, `"crv":"`...), m.Curve.Params().Name...), `","kty":"EC",`...)
		point, err := m.ECDH()
		if err != nil {
			panic(err) // NewPublic has done the same
		}
		xy := point.Bytes()[1:] // after the byte that says that both coordinates follow
		member("x", xy[:len(xy)/2])
		to = append(to, ',')
		member("y", xy[len(xy)/2:])
	case ed25519.PublicKey:
		to = append(to, `"crv":"Ed25519","kty":"OKP",`...)
		member("x", m)
	}
	return to
}
