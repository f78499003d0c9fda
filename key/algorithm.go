// Package key has the two kinds of key that verify a token, public keys and HMAC
// secrets, as types that can't be confused; the algorithms of RFC 7518 section
// 3.1 and RFC 8037; and the rule that says which algorithms a key may verify.
//
// It imports no other package of this project.
package key

import (
	"crypto"
	"crypto/rsa"
	"errors"
	"math/bits"
	"strconv"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// Algorithm is a JWS signature algorithm (the "alg" of RFC 7515 section
// 4.1.1). The zero value is not an algorithm, and there is no value for "none".
type Algorithm uint8

// The supported algorithms.
const (
	RS256 Algorithm = iota + 1
	RS384
	RS512
	PS256
	PS384
	PS512
	ES256
	ES384
	ES512
	HS256
	HS384
	HS512
	// EdDSA is Ed25519 only. RFC 9864 names the same algorithm "Ed25519": both
	// names are parsed, and String returns the older one.
	EdDSA
)

// family is the kind of key that an algorithm needs: its type and, for elliptic
// curves, its curve. A key belongs to exactly one family.
type family uint8

const (
	familyRSA family = iota + 1
	familyP256
	familyP384
	familyP521
	familyEd25519
	familySecret
)

type algorithm struct {
	name   string
	family family
	method jwt.SigningMethod
	hash   crypto.Hash
}

var algorithms = [...]algorithm{
	RS256: {"RS256", familyRSA, jwt.SigningMethodRS256, crypto.SHA256},
	RS384: {"RS384", familyRSA, jwt.SigningMethodRS384, crypto.SHA384},
	RS512: {"RS512", familyRSA, jwt.SigningMethodRS512, crypto.SHA512},
	PS256: {"PS256", familyRSA, strictPSS(jwt.SigningMethodPS256), crypto.SHA256},
	PS384: {"PS384", familyRSA, strictPSS(jwt.SigningMethodPS384), crypto.SHA384},
	PS512: {"PS512", familyRSA, strictPSS(jwt.SigningMethodPS512), crypto.SHA512},
	ES256: {"ES256", familyP256, jwt.SigningMethodES256, crypto.SHA256},
	ES384: {"ES384", familyP384, jwt.SigningMethodES384, crypto.SHA384},
	ES512: {"ES512", familyP521, jwt.SigningMethodES512, crypto.SHA512},
	HS256: {"HS256", familySecret, jwt.SigningMethodHS256, crypto.SHA256},
	HS384: {"HS384", familySecret, jwt.SigningMethodHS384, crypto.SHA384},
	HS512: {"HS512", familySecret, jwt.SigningMethodHS512, crypto.SHA512},
	EdDSA: {"EdDSA", familyEd25519, jwt.SigningMethodEdDSA, 0},
}

// strictPSS returns RSASSA-PSS with a salt as long as the hash, as RFC 7518
// section 3.5 requires. golang-jwt's own methods accept any salt length.
func strictPSS(m *jwt.SigningMethodRSAPSS) *jwt.SigningMethodRSAPSS {
	return &jwt.SigningMethodRSAPSS{
		SigningMethodRSA: m.SigningMethodRSA,
		Options:          m.Options,
		VerifyOptions:    &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: m.Hash},
	}
}

// ParseAlgorithm parses an algorithm's name, which is case-sensitive (RFC 7515
// section 4.1.1). It returns false for every unsupported name, including "none"
// in any spelling.
func ParseAlgorithm(name string) (Algorithm, bool) {
	if name == "Ed25519" {
		return EdDSA, true
	}
	for a := RS256; int(a) < len(algorithms); a++ {
		if algorithms[a].name == name {
			return a, true
		}
	}
	return 0, false
}

// String returns the algorithm's registered name, or "" for the zero value.
func (a Algorithm) String() string {
	if int(a) >= len(algorithms) {
		return ""
	}
	return algorithms[a].name
}

// Symmetric reports whether the algorithm uses a Secret.
func (a Algorithm) Symmetric() bool {
	return a.family() == familySecret
}

func (a Algorithm) family() family {
	if int(a) >= len(algorithms) {
		return 0
	}
	return algorithms[a].family
}

// Algorithms is a set of algorithms. The zero value is the empty set.
type Algorithms uint16

// NewAlgorithms returns the set of the algorithms in list.
func NewAlgorithms(list ...Algorithm) Algorithms {
	var s Algorithms
	for _, a := range list {
		s |= 1 << a
	}
	return s
}

// ParseAlgorithms parses a list of names. The error lists the supported ones.
func ParseAlgorithms(names []string) (Algorithms, error) {
	var s Algorithms
	for _, name := range names {
		a, ok := ParseAlgorithm(name)
		if !ok {
			if strings.EqualFold(name, "none") {
				return 0, errors.New(`"none" means unsigned tokens and is not supported; name the algorithms your issuer signs with, such as RS256 or ES256`)
			}
			return 0, errors.New("unknown algorithm " + quote(name) + "; supported are RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, HS256, HS384, HS512 and EdDSA (also written Ed25519)")
		}
		s |= 1 << a
	}
	return s, nil
}

// Has reports whether a is in the set.
func (s Algorithms) Has(a Algorithm) bool { return a != 0 && s&(1<<a) != 0 }

// Empty reports whether the set is empty.
func (s Algorithms) Empty() bool { return s == 0 }

// HasSymmetric reports whether an HMAC algorithm is in the set.
func (s Algorithms) HasSymmetric() bool {
	return s&NewAlgorithms(HS256, HS384, HS512) != 0
}

// HasPublic reports whether an algorithm for public keys is in the set.
func (s Algorithms) HasPublic() bool {
	return s&^NewAlgorithms(HS256, HS384, HS512) != 0
}

// Names returns the names of the algorithms in a fixed order.
func (s Algorithms) Names() []string {
	names := make([]string, 0, bits.OnesCount16(uint16(s)))
	for a := RS256; int(a) < len(algorithms); a++ {
		if s.Has(a) {
			names = append(names, a.String())
		}
	}
	return names
}

// quote quotes and truncates text for an error message.
func quote(s string) string {
	if len(s) > 40 {
		s = s[:40] + "…"
	}
	return strconv.Quote(s)
}
