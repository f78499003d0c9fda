package revocation

import "time"

// Snapshot is an immutable set of rules, for requests. Looking in it allocates nothing.
//
// The rules of a kind are in layers: nearly all in the oldest, and what came since in a
// few others that are much smaller. In front of each stands a filter, which is all that a
// request sees of a layer in which nothing is about it. Kinds without rules cost nothing.
type Snapshot struct {
	kinds [kinds]index
	some  bool // whether there is a layer with anything in it
}

// index is the rules of one kind.
type index struct {
	layers []*layer // from the oldest to the newest
	live   int      // the rules that are not removed, for people: requests don't rely on a count
	some   bool     // whether there is anything in the layers
}

// Len returns how many rules of a kind there are that were not removed. Those that have
// ended are counted until they are forgotten, about a day later.
func (s *Snapshot) Len(k Kind) int { return s.kinds[k].live }

// Empty reports whether there is no rule at all. It may be false where all are removed.
func (s *Snapshot) Empty() bool { return !s.some }

// Revokes reports whether a token is revoked. user is the user's id as it is published.
func (s *Snapshot) Revokes(t *Subject, user string, now time.Time) bool {
	if !s.some {
		return false
	}
	at := now.Unix()
	if x := &s.kinds[KindJTI]; x.some && x.refuses(t.jti, t, at, marginSeconds) {
		return true
	}
	if x := &s.kinds[KindToken]; x.some && x.refuses(t.token, t, at, marginSeconds) {
		return true
	}
	if x := &s.kinds[KindKid]; x.some && (x.refuses(t.kid, t, at, 0) || x.refuses(t.signedBy, t, at, 0)) {
		return true
	}
	if x := &s.kinds[KindIssuer]; x.some && x.refuses(t.issuer, t, at, 0) {
		return true
	}
	if x := &s.kinds[KindSub]; x.some {
		if x.refuses(t.sub, t, at, 0) {
			return true
		}
		if h := hashOf(KindSub, user); h != t.sub && x.refuses(h, t, at, 0) {
			return true
		}
	}
	if x := &s.kinds[KindClient]; x.some {
		for _, h := range t.clients {
			if x.refuses(h, t, at, 0) {
				return true
			}
		}
	}
	return false
}

// RevokesKey reports whether the API key with this id is revoked. store is the name of its
// store, empty for a key that is in a file or in the config.
func (s *Snapshot) RevokesKey(store, id string, now time.Time) bool {
	x := &s.kinds[KindKey]
	if !x.some {
		return false
	}
	return x.refuses(hashOf(KindKey, id), &Subject{scope: scopeOf(store)}, now.Unix(), 0)
}

// refuses reports whether a rule refuses what has this hash, of a token.
func (x *index) refuses(h hash, t *Subject, now, margin int64) bool {
	if h == 0 {
		return false
	}
	for _, l := range x.layers {
		if l.filter.mayHave(h) && l.refuses(x, h, t.scope, t.issued, now, margin) {
			return true
		}
	}
	return false
}

// isRemoved reports whether the rule for what has this hash was removed.
func (x *index) isRemoved(h hash, id uint32, of scope) bool {
	for _, l := range x.layers {
		if l.isRemoved(h, id, of) {
			return true
		}
	}
	return false
}

// has reports whether a rule is there, removed or not.
func (x *index) has(h hash, id uint32, of scope) bool {
	for _, l := range x.layers {
		if l.rule(h, id, of) != nil {
			return true
		}
	}
	return false
}

// count returns how many rules for what has this hash are in force.
func (x *index) count(h hash, now, margin int64) (n int) {
	for _, l := range x.layers {
		for at := h; ; at = at.next() {
			c := l.find(at)
			if c == nil {
				break
			}
			if c.notBefore != isRemoval && (c.end == 0 || now < int64(c.end)+margin) && !x.isRemoved(h, c.id, c.scope) {
				n++
			}
		}
	}
	return n
}
