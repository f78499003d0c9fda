package validator

import (
	"crypto/sha256"

	"github.com/caddy-jwt/caddy-jwt/claims"
)

// Cache remembers tokens whose signature was verified, so that it need not be
// verified again. It must be safe for concurrent use, and bounds its own size.
type Cache interface {
	// Get returns what was put under a digest.
	Get(digest [sha256.Size]byte) (*Verified, bool)
	// Put remembers a token under the SHA-256 of its text.
	Put(digest [sha256.Size]byte, token *Verified)
}

// fingerprint identifies a key; see key.Key.
type fingerprint = [sha256.Size]byte

// nobody is the fingerprint of no key.
var nobody fingerprint

// Verified is a token that was parsed, with the key that verified its bytes: what
// never changes of it. Whether it is accepted depends on the time, on the keys in
// force and on each policy, and is found out anew at every use.
type Verified struct {
	head      header
	body      claims.Value
	when      times
	issuer    string
	hasIssuer bool
	by        fingerprint
	size      int
}

// Size is about how many bytes it takes in memory.
func (t *Verified) Size() int { return t.size }

// parsed is a token that was taken apart and not verified yet.
type parsed struct {
	Verified
	parts compact
}

// parse takes a token apart.
func parse(token string) (*parsed, error) {
	parts, err := split(token)
	if err != nil {
		return nil, err
	}
	t := &parsed{parts: parts}
	if t.head, err = parseHeader(parts.header); err != nil {
		return nil, err
	}
	if t.body, err = claims.ParseObject(parts.claims); err != nil {
		return nil, MalformedToken
	}
	if t.when, err = parseTimes(t.body); err != nil {
		return nil, err
	}
	t.issuer, t.hasIssuer, err = issuerOf(t.body)
	return t, err
}

// The memory that a token takes besides its text: the entry with its place in the
// cache, and each value.
const (
	entryBytes = 512
	valueBytes = 72
)

func (t *parsed) footprint(token string) int {
	return entryBytes + len(token) + valueBytes*values(t.body)
}

// values counts the values that a value is made of.
func values(v claims.Value) int {
	n := 1
	for i := range v.Len() {
		n += values(v.At(i))
	}
	return n
}
