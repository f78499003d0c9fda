package validator

import (
	"crypto/sha256"
	"sync/atomic"
	"time"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/reason"
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
// force and on each policy; see verdict.
type Verified struct {
	// verdicts are what validators have found last, each in the place that its
	// number gives it, so that two that take turns keep theirs.
	verdicts [2]atomic.Pointer[verdict]

	parsed
	body claims.Value
	by   fingerprint
	size int

	// scopes are those of the usual claims, read when they are asked for first.
	scopes atomic.Pointer[[]string]
}

// parsed is what is asked of every token before its signature is looked at.
type parsed struct {
	head      header
	when      times
	issuer    string
	hasIssuer bool
	bound     bool // whether there is "cnf"
}

// Size is about how many bytes of memory the process takes for it.
func (t *Verified) Size() int { return t.size }

// Expires is the time in "exp", or the zero Time.
func (t *Verified) Expires() time.Time { return t.when.expires }

// usualScopes are the scopes of the claims that a policy reads by default. They
// are part of the parsed claims: nothing of a policy is in them.
func (t *Verified) usualScopes() []string {
	if list := t.scopes.Load(); list != nil {
		return *list
	}
	list := readScopes(t.body, defaultScopeClaims)
	t.scopes.Store(&list)
	return list
}

// verifiedBy is the token with the key that verified it.
func (t *Verified) verifiedBy(by fingerprint, size int) *Verified {
	return &Verified{parsed: t.parsed, body: t.body, by: by, size: size}
}

// parse takes a token apart. Without an error the claims must be freed.
func (v *Validator) parse(token string, t *parsed, body *claims.Draft) (compact, error) {
	segment, known := "", v.header.known.Load()
	if known != nil {
		segment = known.segment
	}
	parts, err := split(token, segment)
	if err != nil {
		return parts, err
	}
	if known != nil && parts.segment == known.segment {
		t.head = known.header
	} else if t.head, err = parseHeader(parts.header); err != nil {
		return parts, err
	}
	if err := body.Read(parts.claims); err != nil {
		return parts, reason.MalformedToken
	}
	if err := t.register(body); err != nil {
		body.Free()
		return parts, err
	}
	return parts, nil
}

// register reads the registered claims that every token is asked for (RFC 7519
// section 4.1), all in one pass.
func (t *parsed) register(body *claims.Draft) error {
	for i := range body.Len() {
		ok := true
		switch name, value := body.Member(i); name {
		case "iss":
			t.issuer, ok = value.Text()
			t.hasIssuer = true
		case "exp":
			t.when.expires, ok = numericDate(value)
		case "nbf":
			t.when.notBefore, ok = numericDate(value)
		case "iat":
			t.when.issued, ok = numericDate(value)
		case "cnf":
			t.bound = true
		}
		if !ok {
			return reason.MalformedToken
		}
	}
	return nil
}

// The memory that a token takes besides its text and claims: the entry with its
// place in the cache. All of it counts three times: Go's garbage collector lets
// the heap grow to twice what lives in it, and gives memory back late. So a cache's
// bound is one of the process's memory, as measuring shows.
const (
	entryBytes = 500
	scopeBytes = 18
	heapGrowth = 3
)

func footprint(t *Verified, token string) int {
	return heapGrowth * (entryBytes + len(token) + t.body.Footprint() + scopeBytes*mostScopes(t.body))
}
