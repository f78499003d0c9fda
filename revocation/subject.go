package revocation

import (
	"crypto/sha256"
	"encoding/hex"
	"hash/maphash"
	"math"
	"strings"
	"time"
	"unsafe"
)

// Token is what rules are about of one token.
type Token struct {
	Issuer  string    // "iss", empty for none
	ID      string    // "jti", empty for none
	Subject string    // "sub", empty for none
	Clients [4]string // client_id, azp, appid and cid, empty for none
	KeyID   string    // "kid" of the header
	// SignedBy is the kid of the key that verified the signature, empty for none. Anyone who has
	// a stolen key may write another kid into the header, or leave it out.
	SignedBy string
	Signed   string    // what SignedPart returns
	Issued   time.Time // "iat", zero for none
}

// Subject is a Token in the form in which snapshots look for it: 88 bytes without a pointer.
// It is made once for a token and can be used with each snapshot of this process. It keeps
// nothing of the token's text.
type Subject struct {
	jti, sub, kid, issuer, token hash
	signedBy                     hash // 0 if it is kid
	clients                      [4]hash
	scope                        scope
	issued                       seconds
}

// hash is a hash of a kind and a value, 0 for no value. It is seeded at random, so that
// nobody can make values that collide.
//
// There are 2^64 hashes. That one of a token's eleven is found by chance among ten million rules,
// all of its kind, has a probability of 11 * 10^7 / 2^64 = 6e-12, and then the token is refused.
type hash uint64

// scope is a hash of what a rule is limited to, an issuer or a store, 0 for nothing. It is
// compared where the value of a rule was found. So it is enough that it has 32 bits: what
// is mistaken for another is one of two issuers that both have the same subject, say, and
// only by the chance of 1 in 4,294,967,296 that the two issuers have the same hash until
// the process ends. If one look-up in a hundred finds the value of another issuer's rule,
// that is 2e-12 a look-up, and then too the token is refused.
type scope uint32

// seconds is a time in seconds since 1970: 0 for none, and the last times for what is later
// than the year 2106.
type seconds uint32

// The greatest seconds. A time at which a token was issued is before each not-before that can't
// be written, and one is never the mark of a removal.
const (
	isRemoval     seconds = math.MaxUint32
	lastNotBefore seconds = math.MaxUint32 - 1
	lastIssued    seconds = math.MaxUint32 - 2
)

var (
	seeds     = makeSeeds()
	scopeSeed = maphash.MakeSeed()
)

func makeSeeds() (seeds [kinds]maphash.Seed) {
	for k := range seeds {
		seeds[k] = maphash.MakeSeed()
	}
	return seeds
}

func hashOf(k Kind, value string) hash {
	if value == "" {
		return 0
	}
	return max(hash(maphash.String(seeds[k], value)), 1)
}

func scopeOf(text string) scope {
	if text == "" {
		return 0
	}
	return max(scope(maphash.String(scopeSeed, text)), 1)
}

// hashOfDigest is the hash of a value of KindToken.
func hashOfDigest(digest [sha256.Size]byte) hash {
	return max(hash(maphash.Bytes(seeds[KindToken], digest[:])), 1)
}

// secondsOf rounds down. A time before 1970 is 0, as is none.
func secondsOf(t time.Time, most seconds) seconds {
	return seconds(min(max(t.Unix(), 0), int64(most)))
}

// NewSubject makes the subject of a token.
func NewSubject(t *Token) *Subject {
	s := &Subject{
		jti: hashOf(KindJTI, t.ID), sub: hashOf(KindSub, t.Subject), kid: hashOf(KindKid, t.KeyID), issuer: hashOf(KindIssuer, t.Issuer),
		scope: scopeOf(t.Issuer), issued: secondsOf(t.Issued, lastIssued),
	}
	if t.SignedBy != t.KeyID {
		s.signedBy = hashOf(KindKid, t.SignedBy)
	}
	for i, client := range t.Clients {
		s.clients[i] = hashOf(KindClient, client)
	}
	// A token may say the same in several claims.
	for i := range s.clients {
		for j := range i {
			if s.clients[i] == s.clients[j] {
				s.clients[i] = 0
			}
		}
	}
	if t.Signed != "" {
		// Without a copy of what may be several kilobytes.
		s.token = hashOfDigest(sha256.Sum256(unsafe.Slice(unsafe.StringData(t.Signed), len(t.Signed))))
	}
	return s
}

// hash returns the hash of a rule's value.
func (r *Rule) hash() hash {
	if r.Kind != KindToken {
		return hashOf(r.Kind, r.Value)
	}
	var digest [sha256.Size]byte
	// New and Parse let nothing else through.
	hex.Decode(digest[:], []byte(strings.TrimPrefix(r.Value, digestPrefix)))
	return hashOfDigest(digest)
}

// scope returns what a rule is limited to.
func (r *Rule) scope() scope { return scopeOf(r.Issuer + r.Store) }

// cell returns what a snapshot keeps of a rule.
func (r *Rule) cell() cell {
	c := cell{id: r.ID, scope: r.scope()}
	if !r.End.IsZero() {
		// What lasts beyond what can be written lasts for ever.
		if r.End.Unix() < math.MaxUint32 {
			c.end = max(secondsOf(r.End, math.MaxUint32), inert+1)
		}
		if r.Own {
			// So that it is over at its end with the margin that look-ups give its kind.
			c.end = max(c.end, marginSeconds+inert+1) - marginSeconds
		}
	}
	if !r.NotBefore.IsZero() {
		c.notBefore = secondsOf(r.NotBefore, lastNotBefore) // after 1970, and so not 0
	}
	return c
}

// holds is the margin for which a rule holds beyond its end, in seconds.
func (k Kind) holds() int64 {
	if k == KindJTI || k == KindToken {
		return marginSeconds
	}
	return 0
}

// holds is the margin of the rule's kind, unless it needs none.
func (r *Rule) holds() int64 {
	if r.Own {
		return 0
	}
	return r.Kind.holds()
}

// marginSeconds is how long after its end a rule is forgotten: a day, as for all facts.
const marginSeconds = 24 * 60 * 60

// refuses reports whether the rule of a cell refuses what has the scope and was issued at
// that time. It is small, as it stands in the loop of a look-up.
func (c *cell) refuses(of scope, issued seconds, now, margin int64) bool {
	return (c.scope == 0 || c.scope == of) &&
		(c.notBefore == 0 || issued < c.notBefore && c.notBefore != isRemoval) &&
		(c.end == 0 || now < int64(c.end)+margin)
}

// Matches reports whether the rule alone refuses a token. user is the user's id as it is
// published. A removal matches nothing.
func (r *Rule) Matches(s *Subject, user string, now time.Time) bool {
	if r.Gone {
		return false
	}
	h, found := r.hash(), false
	switch r.Kind {
	case KindJTI:
		found = s.jti == h
	case KindSub:
		found = s.sub == h || user == r.Value
	case KindClient:
		found = s.clients[0] == h || s.clients[1] == h || s.clients[2] == h || s.clients[3] == h
	case KindKid:
		found = s.kid == h || s.signedBy == h
	case KindIssuer:
		found = s.issuer == h
	case KindToken:
		found = s.token == h
	}
	c := r.cell()
	return found && c.refuses(s.scope, s.issued, now.Unix(), r.Kind.holds())
}

// MatchesKey reports whether the rule alone refuses an API key, with the arguments of
// Snapshot.RevokesKey.
func (r *Rule) MatchesKey(store, id string, now time.Time) bool {
	c := r.cell()
	return !r.Gone && r.Kind == KindKey && r.Value == id && c.refuses(scopeOf(store), 0, now.Unix(), r.Kind.holds())
}
