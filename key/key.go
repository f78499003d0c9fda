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

// Key verifies signatures. It is a *Public or a *Secret: no other package can
// implement it.
type Key interface {
	// ID returns the key's "kid" (RFC 7517 section 4.5), or "" if it has none.
	ID() string
	// Algorithm returns the key's own "alg" (RFC 7517 section 4.4), or zero.
	Algorithm() Algorithm
	// Fits reports whether the key may verify alg. allowed is the issuer's list
	// of algorithms. A key without an algorithm of its own may verify those in
	// the list or, if the list is empty, the default one of its type. A key with
	// its own may verify only that, and only if a list that is not empty has it.
	Fits(alg Algorithm, allowed Algorithms) bool
	// Thumbprints returns the key's "x5t" and "x5t#S256" (RFC 7517 sections 4.8 and
	// 4.9), or "". They help to choose among keys and prove nothing.
	Thumbprints() (sha1, sha256 string)
	// Issuer returns whose key it says that it is, the member "issuer" of Entra's keys, or
	// "" for any token of the key set's owner.
	Issuer() string
	// Serves reports whether the key may verify tokens with an iss, as far as its "issuer"
	// says. tenant is the token's tenant, where the issuer's name is a template for many,
	// and "" elsewhere.
	Serves(iss, tenant string) bool
	// Verify checks a signature over signed. The error is ErrAlgorithm if the
	// key can't be used with alg, else golang-jwt's.
	Verify(alg Algorithm, signed string, signature []byte) error
	// Fingerprint identifies the key material, regardless of kid and alg.
	Fingerprint() [sha256.Size]byte
	// Family returns the kind of key, such as "RSA" or "P-256".
	Family() string

	sealed()
}

// ErrAlgorithm is the error of a key that is used with an algorithm for another
// type of key.
var ErrAlgorithm = errors.New("the key's type does not fit the algorithm")

// The sizes of RSA keys that are accepted. Smaller ones may be factored (RFC 7518
// section 3.3 requires 2048 bits); with larger ones a check takes milliseconds.
const (
	minRSABits = 2048
	maxRSABits = 16384
)

// base holds what both kinds of key share.
type base struct {
	id          string
	algorithm   Algorithm
	fallback    Algorithm // used if the key has no algorithm of its own
	family      family
	fingerprint [sha256.Size]byte

	x5t, x5tS256 string
	issuer       string
}

func (k *base) ID() string                     { return k.id }
func (k *base) Algorithm() Algorithm           { return k.algorithm }
func (k *base) Fingerprint() [sha256.Size]byte { return k.fingerprint }
func (k *base) Thumbprints() (string, string)  { return k.x5t, k.x5tS256 }
func (k *base) sealed()                        {}

func (k *base) Family() string {
	return [...]string{"", "RSA", "P-256", "P-384", "P-521", "Ed25519", "secret"}[k.family]
}

func (k *base) Fits(alg Algorithm, allowed Algorithms) bool {
	// The family is checked first: a key of one type used with an algorithm of
	// another is the oldest attack on JWTs (RFC 8725 section 2.1).
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
		return alg == k.fallback
	}
}

// Options are the members of a JWK that say how its key may be used.
type Options struct {
	// ID is the "kid".
	ID string
	// Algorithm is the "alg", or zero if absent. It must be for the key's
	// type.
	Algorithm Algorithm
	// X5T and X5TS256 are the "x5t" and "x5t#S256".
	X5T, X5TS256 string
	// Issuer is the "issuer", which Entra writes; see Key.
	Issuer string
}

func (o Options) base(f family, fallback Algorithm) (base, error) {
	if o.Algorithm != 0 && o.Algorithm.family() != f {
		return base{}, fmt.Errorf("the key's alg %s is for another type of key", o.Algorithm)
	}
	return base{id: o.ID, algorithm: o.Algorithm, fallback: fallback, family: f, x5t: o.X5T, x5tS256: o.X5TS256, issuer: o.Issuer}, nil
}

// Public is a public key: RSA, ECDSA on P-256, P-384 or P-521, or Ed25519.
type Public struct {
	base
	material any // *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
}

// NewPublic returns a Public for an *rsa.PublicKey, an *ecdsa.PublicKey or an
// ed25519.PublicKey. The error says why a key is not accepted: its type, its size,
// its curve, or an alg for another type.
func NewPublic(material crypto.PublicKey, o Options) (*Public, error) {
	var (
		f        family
		fallback Algorithm
	)
	switch m := material.(type) {
	case *rsa.PublicKey:
		if m == nil || m.N == nil {
			return nil, errors.New("the RSA key has no modulus")
		}
		if n := m.N.BitLen(); n < minRSABits || n > maxRSABits {
			return nil, fmt.Errorf("the RSA key has %d bits; it needs %d to %d", n, minRSABits, maxRSABits)
		}
		// crypto/rsa would refuse such keys at each token; here it is done once.
		if m.N.Sign() < 0 || m.N.Bit(0) == 0 {
			return nil, errors.New("the RSA key's modulus is not a positive odd number")
		}
		if m.E < 3 || m.E > math.MaxInt32 || m.E&1 == 0 {
			return nil, errors.New("the RSA key's exponent is not an odd number above 1 and below 2^31")
		}
		f, fallback = familyRSA, RS256
	case *ecdsa.PublicKey:
		if m == nil || m.Curve == nil {
			return nil, errors.New("the EC key has no curve")
		}
		switch m.Curve.Params().Name {
		case "P-256":
			f, fallback = familyP256, ES256
		case "P-384":
			f, fallback = familyP384, ES384
		case "P-521":
			f, fallback = familyP521, ES512
		default:
			return nil, fmt.Errorf("the EC key is on curve %s; it must be P-256, P-384 or P-521", m.Curve.Params().Name)
		}
		//lint:ignore SA1019 only compared with nil, as ECDH would panic
		if m.X == nil || m.Y == nil {
			return nil, errors.New("the EC key has no point")
		}
		// The conversion to ECDH checks that the point is on the curve and not
		// at infinity.
		if _, err := m.ECDH(); err != nil {
			return nil, errors.New("the EC key is not a point on its curve")
		}
	case ed25519.PublicKey:
		if len(m) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("the Ed25519 key has %d bytes; it needs %d", len(m), ed25519.PublicKeySize)
		}
		f, fallback = familyEd25519, EdDSA
	default:
		return nil, fmt.Errorf("a %T cannot verify tokens; RSA, EC (P-256, P-384, P-521) and Ed25519 keys can", material)
	}
	b, err := o.base(f, fallback)
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

// Verify implements Key. It refuses HMAC algorithms itself, so that a public key is
// never used as a secret, whatever the caller has checked.
func (k *Public) Verify(alg Algorithm, signed string, signature []byte) error {
	if alg.family() != k.family || alg.Symmetric() {
		return ErrAlgorithm
	}
	return algorithms[alg].method.Verify(signed, signature, k.material)
}

// Material returns the key as golang-jwt's signing methods take it: an
// *rsa.PublicKey, an *ecdsa.PublicKey or an ed25519.PublicKey.
func (k *Public) Material() crypto.PublicKey { return k.material }
