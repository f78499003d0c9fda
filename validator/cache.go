package validator

import (
	"crypto/sha256"
	"sync/atomic"
	"time"

	"github.com/caddy-jwt/caddy-jwt/claims"
)

// Cache stores tokens with a verified signature, so that it need not be verified again.
// It must be safe for concurrent use and must limit its own size.
type Cache interface {
	// Get returns the token stored under a digest.
	Get(digest [sha256.Size]byte) (*Verified, bool)
	// Put stores a token under the SHA-256 digest of its text.
	Put(digest [sha256.Size]byte, token *Verified)
}

// fingerprint identifies a key; see key.Key.
type fingerprint = [sha256.Size]byte

// signer is the key that verified a signature.
type signer struct {
	fingerprint fingerprint
	id          string // its kid, "" if it has none
}

// noKey is the zero signer, whose fingerprint no key has.
var noKey signer

// Verified is a parsed token with the key that verified its signature: what never changes
// about it. Whether it is accepted depends on the time, on the keys in force and on each
// policy; see verdict.
type Verified struct {
	// verdicts are the last verdicts of validators. The validator's id selects the
	// slot, so that two validators that take turns can both keep theirs.
	verdicts [2]atomic.Pointer[verdict]

	mark atomic.Pointer[any] // of what looks the token up on each request

	parsed
	body       claims.Value
	verifiedBy signer
	answered   bool // whether the claims are an issuer's answer about an opaque token
	size       int
	digest     [sha256.Size]byte // of its text, if there is a cache

	// scopes are those of the default claims, read the first time they are needed.
	scopes atomic.Pointer[[]string]
}

// parsed is what is needed of a token before its signature is verified.
type parsed struct {
	head      header
	when      times
	issuer    string
	tenant    string // "tid", or "" if it is no text
	hasIssuer bool
	bound     bool // whether there is "cnf"
	values    int  // JSON values of the claims
}

// Size returns about how many bytes of memory the token takes in the process.
func (t *Verified) Size() int { return t.size }

// Expires returns the time in "exp", or the zero Time.
func (t *Verified) Expires() time.Time { return t.when.expires }

// defaultScopes returns the scopes of the default claims. They depend on no policy.
func (t *Verified) defaultScopes() []string {
	if list := t.scopes.Load(); list != nil {
		return *list
	}
	list := readScopes(t.body, defaultScopeClaims)
	t.scopes.Store(&list)
	return list
}

// withKey returns the token with another key that verified it.
func (t *Verified) withKey(verifiedBy signer) *Verified {
	return &Verified{parsed: t.parsed, body: t.body, verifiedBy: verifiedBy, size: t.size, digest: t.digest}
}

// parse parses a token into t and body. If there is no error, body must be freed.
func (v *Validator) parse(token string, t *parsed, body *claims.Draft) (compact, error) {
	knownSegment, known := "", v.header.known.Load()
	if known != nil {
		knownSegment = known.segment
	}
	parts, err := split(token, knownSegment)
	if err != nil {
		return parts, err
	}
	if known != nil && parts.headerSegment == known.segment {
		t.head = known.header
	} else if t.head, err = parseHeader(parts.header, v.maxValues()); err != nil {
		return parts, err
	}
	if err := body.Read(parts.claims, v.maxValues()); err != nil {
		return parts, claimsNotJSON.of(err)
	}
	t.values = body.Values()
	if err := t.readClaims(body); err != nil {
		body.Free()
		return parts, err
	}
	return parts, nil
}

// readClaims reads the registered claims that every policy needs (RFC 7519 section 4.1),
// in one pass.
func (t *parsed) readClaims(body *claims.Draft) error {
	for i := range body.Len() {
		if err := t.readClaim(body.Member(i)); err != nil {
			return err
		}
	}
	return nil
}

// readClaim reads a claim, if it is one that every policy needs.
func (t *parsed) readClaim(name string, value claims.Value) error {
	ok, wrong := true, notTime
	switch name {
	case "iss":
		t.issuer, ok = value.Text()
		t.hasIssuer = true
		wrong = notText
	case "exp":
		t.when.expires, ok = numericDate(value)
	case "nbf":
		t.when.notBefore, ok = numericDate(value)
	case "iat":
		t.when.issued, ok = numericDate(value)
	case "tid":
		// Elsewhere than at Entra it may be anything.
		if tenant, isText := value.Text(); isText {
			t.tenant = tenant
		}
	case "cnf":
		t.bound = true
	}
	if !ok {
		return wrong[name]
	}
	return nil
}

// The memory of a cached token besides its text and claims, in bytes: entryBytes for the
// entry and its slot in the cache, scopeBytes for a scope. The sum is multiplied by
// heapGrowth, since Go's garbage collector lets the heap grow to twice the live memory
// and returns memory late. So the limit of a cache is about the memory of the process,
// as measurements confirm.
const (
	entryBytes = 684 // with the mark and the digest
	scopeBytes = 18
	heapGrowth = 3
)

// footprint returns the size of a cached token.
func footprint(t *Verified, token string) int {
	return heapGrowth * (entryBytes + len(token) + t.body.Footprint() + scopeBytes*maxScopes(t.body))
}
