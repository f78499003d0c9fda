package revocation

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"time"
)

// Which returns a rule that refuses a token, the first that [Snapshot.Revokes] meets, or false
// if none does. It has what a snapshot keeps of a rule: no texts for people, and an End that is
// not later than 2106. It reads nothing, and is for people who ask why: requests use Revokes.
func (s *Snapshot) Which(t *Token, user string, now time.Time) (Rule, bool) {
	signed := ""
	if t.Signed != "" {
		sum := sha256.Sum256([]byte(t.Signed))
		signed = digestPrefix + hex.EncodeToString(sum[:])
	}
	of := NewSubject(t)
	type candidate struct {
		kind  Kind
		value string
		hash  hash
	}
	candidates := []candidate{
		{KindJTI, t.ID, of.jti}, {KindToken, signed, of.token}, {KindKid, t.KeyID, of.kid}, {KindKid, t.SignedBy, of.signedBy},
		{KindIssuer, t.Issuer, of.issuer}, {KindSub, t.Subject, of.sub}, {KindSub, user, hashOf(KindSub, user)},
	}
	for i, client := range t.Clients {
		candidates = append(candidates, candidate{KindClient, client, of.clients[i]})
	}
	for _, c := range candidates {
		if found := s.kinds[c.kind].which(c.hash, of, now.Unix(), c.kind.holds()); found != nil {
			issuer := ""
			if c.kind.hasIssuer() && found.scope != 0 {
				issuer = t.Issuer
			}
			return found.rule(Rule{Kind: c.kind, Value: c.value, Issuer: issuer}), true
		}
	}
	return Rule{}, false
}

// WhichKey is Which for an API key, with the arguments of [Snapshot.RevokesKey].
func (s *Snapshot) WhichKey(store, id string, now time.Time) (Rule, bool) {
	found := s.kinds[KindKey].which(hashOf(KindKey, id), &Subject{scope: scopeOf(store)}, now.Unix(), KindKey.holds())
	if found == nil {
		return Rule{}, false
	}
	if found.scope == 0 {
		store = ""
	}
	return found.rule(Rule{Kind: KindKey, Value: id, Store: store}), true
}

// which returns the rule for which refuses is true, or nil.
func (x *index) which(h hash, t *Subject, now, margin int64) *cell {
	if h == 0 {
		return nil
	}
	for _, l := range x.layers {
		for at := h; ; at = at.next() {
			c := l.find(at)
			if c == nil {
				break
			}
			if c.refuses(t.scope, t.issued, now, margin) && !x.isRemoved(h, c.id, c.scope) {
				return c
			}
		}
	}
	return nil
}

// rule adds to a rule what the cell has of it.
func (c *cell) rule(r Rule) Rule {
	r.ID = c.id
	if c.notBefore != 0 {
		r.NotBefore = time.Unix(int64(c.notBefore), 0).UTC()
	}
	if c.end != 0 && c.end != math.MaxUint32 {
		r.End = time.Unix(int64(c.end), 0).UTC()
	}
	return r
}
