package key

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
)

// Key verifies signatures. It is a *Public or a *Secret and can be nothing
// else, since only this package can implement it.
type Key interface {
	// ID is the key's "kid" (RFC 7517 section 4.5), or "" if it has none.
	ID() string
	// Algorithm is the key's own "alg" (RFC 7517 section 4.4), or zero.
	Algorithm() Algorithm
	// Fits tells whether the key may verify alg. allowed is the issuer's list
	// of algorithms: where it is empty, a key without an algorithm of its own
	// fits the usual one for its type alone; otherwise the list replaces that
	// default and narrows a key that has its own.
	Fits(alg Algorithm, allowed Algorithms) bool
	// Verify checks a signature over signed. The error is ErrAlgorithm where
	// the key cannot be used with alg at all, else golang-jwt's.
	Verify(alg Algorithm, signed string, signature []byte) error
	// Fingerprint identifies the key material, whatever its kid or alg.
	Fingerprint() [sha256.Size]byte
	// Family names the kind of key (such as "RSA" or "P-256"): keys of one
	// family can stand in for each other, so that two of them under one kid
	// are ambiguous.
	Family() string

	sealed()
}

// ErrAlgorithm tells that a key and an algorithm do not belong together.
var ErrAlgorithm = errors.New("the key is of another type than the algorithm needs")

// RSA keys outside these sizes are not fit. Below, they can be factored (RFC
// 7518 section 3.3 demands 2048 bits); above, a check costs milliseconds.
const (
	minRSABits = 2048
	maxRSABits = 16384
)

// base holds what both kinds of key share.
type base struct {
	id          string
	algorithm   Algorithm
	usual       Algorithm // where the key has no algorithm of its own
	family      family
	fingerprint [sha256.Size]byte
}

func (k *base) ID() string                     { return k.id }
func (k *base) Algorithm() Algorithm           { return k.algorithm }
func (k *base) Fingerprint() [sha256.Size]byte { return k.fingerprint }
func (k *base) sealed()                        {}

func (k *base) Family() string {
	return [...]string{"", "RSA", "P-256", "P-384", "P-521", "Ed25519", "secret"}[k.family]
}

func (k *base) Fits(alg Algorithm, allowed Algorithms) bool {
	// Every branch asks for the family: a key of one type under an algorithm
	// of another is the oldest attack on JWTs (RFC 8725 section 2.1).
	switch {
	case alg == 0 || alg.family() != k.family:
		return false
	case k.algorithm != 0 && k.algorithm != alg:
		return false
	case !allowed.Empty():
		return allowed.Has(alg)
	case k.algorithm != 0:
		return true
	default:
		return alg == k.usual
	}
}

// Options are the members of a JWK that say how its key may be used.
type Options struct {
	// ID is the "kid".
	ID string
	// Algorithm is the "alg", zero where it is absent. It must be of the
	// key's type.
	Algorithm Algorithm
}

func (o Options) base(f family, usual Algorithm) (base, error) {
	if o.Algorithm != 0 && o.Algorithm.family() != f {
		return base{}, fmt.Errorf("the key's alg %s is for another type of key", o.Algorithm)
	}
	return base{id: o.ID, algorithm: o.Algorithm, usual: usual, family: f}, nil
}

// Public is a public key: RSA, ECDSA on P-256, P-384 or P-521, or Ed25519.
type Public struct {
	base
	material any // *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
}

// NewPublic makes a Public of an *rsa.PublicKey, an *ecdsa.PublicKey or an
// ed25519.PublicKey. The error says why a key is not fit: its type, its size,
// its curve, or an alg of another type.
func NewPublic(material crypto.PublicKey, o Options) (*Public, error) {
	var (
		f     family
		usual Algorithm
	)
	switch m := material.(type) {
	case *rsa.PublicKey:
		if m == nil || m.N == nil {
			return nil, errors.New("the RSA key has no modulus")
		}
		if n := m.N.BitLen(); n < minRSABits || n > maxRSABits {
			return nil, fmt.Errorf("the RSA key has %d bits; it needs %d to %d", n, minRSABits, maxRSABits)
		}
		// What crypto/rsa would refuse at each token is refused here, once.
		if m.N.Sign() < 0 || m.N.Bit(0) == 0 {
			return nil, errors.New("the RSA key's modulus is not a positive odd number")
		}
		if m.E < 3 || m.E > math.MaxInt32 || m.E&1 == 0 {
			return nil, errors.New("the RSA key's exponent is not an odd number above 1 and below 2^31")
		}
		f, usual = familyRSA, RS256
	case *ecdsa.PublicKey:
		if m == nil || m.Curve == nil {
			return nil, errors.New("the EC key has no curve")
		}
		switch m.Curve.Params().Name {
		case "P-256":
			f, usual = familyP256, ES256
		case "P-384":
			f, usual = familyP384, ES384
		case "P-521":
			f, usual = familyP521, ES512
		default:
			return nil, fmt.Errorf("the EC key is on curve %s; it must be P-256, P-384 or P-521", m.Curve.Params().Name)
		}
		//lint:ignore SA1019 only to know that they are there: ECDH would panic
		if m.X == nil || m.Y == nil {
			return nil, errors.New("the EC key has no point")
		}
		// ECDH conversion is the standard library's check that the point
		// is on the curve and not at infinity.
		if _, err := m.ECDH(); err != nil {
			return nil, errors.New("the EC key is not a point on its curve")
		}
	case ed25519.PublicKey:
		if len(m) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("the Ed25519 key has %d bytes; it needs %d", len(m), ed25519.PublicKeySize)
		}
		f, usual = familyEd25519, EdDSA
	default:
		return nil, fmt.Errorf("a %T cannot verify tokens; RSA, EC (P-256, P-384, P-521) and Ed25519 keys can", material)
	}
	b, err := o.base(f, usual)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(material)
	if err != nil {
		return nil, fmt.Errorf("the key cannot be encoded: %w", err)
	}
	b.fingerprint = sha256.Sum256(der)
	return &Public{base: b, material: material}, nil
}

// Verify implements Key. HMAC algorithms are refused here whatever the caller
// has checked: no byte of a public key ever serves as a secret.
func (k *Public) Verify(alg Algorithm, signed string, signature []byte) error {
	if alg.family() != k.family || alg.Symmetric() {
		return ErrAlgorithm
	}
	return algorithms[alg].method.Verify(signed, signature, k.material)
}

// Material is the key as golang-jwt's signing methods take it: an
// *rsa.PublicKey, an *ecdsa.PublicKey or an ed25519.PublicKey.
func (k *Public) Material() crypto.PublicKey { return k.material }
