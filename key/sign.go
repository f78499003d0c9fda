package key

import "errors"

// Signer is a private key, which signs tokens. It is no Key: nothing that verifies a
// signature has one in hand. Printed in any way it shows no key material.
type Signer struct {
	public *Public
}

// NewSigner generates a key for ES256, EdDSA or RS256 (2048 bits). Its id is the JWK
// Thumbprint (RFC 7638) of its public key.
func NewSigner(alg Algorithm) (*Signer, error) { return nil, errOutline }

// ParseSigner reads a private key from PKCS #8 in DER, as PKCS8 writes it. The error never
// shows what was read.
func ParseSigner(der []byte, alg Algorithm) (*Signer, error) { return nil, errOutline }

// PKCS8 returns the private key in DER. It is for the place where keys are stored alone.
func (s *Signer) PKCS8() ([]byte, error) { return nil, errOutline }

// ID returns the JWK Thumbprint with SHA-256 (RFC 7638), in base64url, which is the "kid".
func (s *Signer) ID() string { return "" }

// Algorithm returns the algorithm that the key signs with.
func (s *Signer) Algorithm() Algorithm { return 0 }

// Public returns the key that verifies, with the id and the algorithm.
func (s *Signer) Public() *Public { return s.public }

// Sign returns the signature of a JWS signing input (RFC 7515 section 5.1).
func (s *Signer) Sign(input []byte) ([]byte, error) { return nil, errOutline }

// AppendJWK appends the public key as a JWK (RFC 7517), with kid, alg and use sig.
func (k *Public) AppendJWK(to []byte) []byte { return to }

var errOutline = errors.New("outline")
