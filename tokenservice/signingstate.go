package tokenservice

import (
	"cmp"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/caddy-jwt/caddy-jwt/key"
)

// signingState is what the facts of the signing keys that a node knows come to.
type signingState struct {
	keys map[string]*signingKeyState
	gone int64 // keys of this generation, and of those before, are retired
}

func newSigningState() signingState { return signingState{keys: map[string]*signingKeyState{}} }

// signingKeyState is what the facts of one key come to. It may be known that a key is retired
// before it is known itself.
type signingKeyState struct {
	kid     string
	public  *key.Public // nil if it is not known
	gen     int64       // its generation
	made    int64       // since when it is published
	starts  []start
	life    int64 // the longest life of its tokens, in seconds
	end     int64 // from when on its facts can be forgotten, 0 if that was not said
	retired bool
	at      int64 // when it was retired
}

// start is a time from which on a key signs, and the time at which that was decided: who does
// not know of it yet goes on with the key before.
type start struct{ from, decided int64 }

// add adds a fact, and reports what that changed, "" if nothing that a log should show, and
// whether it changed anything.
func (s *signingState) add(f *signingFact) (change string, fresh bool) {
	k := s.keys[f.kid]
	if k == nil {
		k = &signingKeyState{kid: strings.Clone(f.kid)}
		s.keys[k.kid] = k
	}
	fresh = f.end > k.end
	k.end = max(k.end, f.end)
	switch f.kind {
	case factRetire:
		if f.gen > s.gone {
			s.gone, fresh = f.gen, true
		}
		if k.retired {
			k.at = min(k.at, f.at)
			return "", fresh
		}
		k.retired, k.at = true, f.at
		return "retired", true
	case factKey:
		if k.public == nil {
			change, k.public, k.gen, k.made = "made", f.public, f.gen, f.at
		}
		k.gen, k.made = min(k.gen, f.gen), min(k.made, f.at)
		fallthrough
	case factSooner:
		if st := (start{f.from, f.at}); !slices.Contains(k.starts, st) {
			k.starts = append(k.starts, st)
			fresh = true
		}
	}
	if f.life > k.life {
		k.life, fresh = f.life, true
	}
	return change, fresh
}

// isRetired reports whether nothing is accepted that a key has signed.
func (s *signingState) isRetired(k *signingKeyState) bool {
	return k.retired || k.public != nil && k.gen <= s.gone
}

// from returns when the key begins to sign.
func (k *signingKeyState) from() int64 {
	first := latest + int64(1)
	for _, s := range k.starts {
		first = min(first, s.from)
	}
	return first
}

// Of the keys that may sign, the one that began last does; of those that began at the same
// time, the one that was made last; of these, the one with the smaller id.
func (k *signingKeyState) compare(other *signingKeyState) int {
	return cmp.Or(cmp.Compare(k.from(), other.from()), cmp.Compare(k.made, other.made), cmp.Compare(other.kid, k.kid))
}

// Times of signing keys, in seconds.
const (
	// never is the time of what has no end yet.
	never = int64(1)<<62 - 1
	// slack is how long it may take until a fact that was made is stored.
	slack = 10 * 60
	// publishFor is how long a key is published before it signs.
	publishFor = int64(PublishBefore/1e9) + slack
	// clockLeeway is how much clocks may differ.
	clockLeeway = 60
)

// signingView is what a node's requests see of the keys. It is immutable.
type signingView struct {
	// version is that while all keys are accepted; with each that is not any more there is
	// one more.
	version uint64
	// keys are those that are accepted, the last to be so first: those that are now are at
	// the front.
	keys []viewedKey
	all  []key.Key // the same
	byID map[string]int
	// order are the indexes of keys in the order in which they sign.
	order []int
	// retired are the keys of which nothing is accepted.
	retired   map[string]bool
	published atomic.Pointer[publishedKeys] // as they were asked for last
}

// viewedKey is a key that is accepted.
type viewedKey struct {
	signingKeyState             // a copy
	begins          int64       // from
	stops           int64       // when it signs no more, as far as all facts are known
	last            int64       // when it signs no more on a node that has not heard of the key behind it
	until           int64       // when its last token has expired
	private         *key.Signer // nil if this node does not have it
	one             []key.Key   // it alone
	carried         bool        // it is of the storage before, and signs no more
}

// atOnce reports whether it was made to sign at once.
func (k *viewedKey) atOnce() bool { return k.begins-k.made < int64(PublishBefore/1e9) }

// view returns what follows from the facts, to be completed by index. A node that can't read the storage signs for the
// time stale, in seconds.
func (s *signingState) view(stale int64, held map[string]*key.Signer) *signingView {
	v := &signingView{byID: map[string]int{}, retired: map[string]bool{}}
	var order []*signingKeyState
	for _, k := range s.keys {
		if s.isRetired(k) {
			v.retired[k.kid] = true
		} else if k.public != nil {
			order = append(order, k)
		}
	}
	slices.SortFunc(order, (*signingKeyState).compare)
	for i, k := range order {
		next := viewedKey{signingKeyState: *k, begins: k.from(), stops: never, last: never, until: never, private: held[k.kid], one: []key.Key{k.public}}
		for _, after := range order[i+1:] {
			next.stops = min(next.stops, max(next.begins, after.from()))
			for _, begin := range after.starts {
				next.last = min(next.last, max(begin.from, begin.decided+max(publishFor, stale+slack)))
			}
		}
		if next.last != never {
			next.last = max(next.last, next.stops)
			next.until = next.last + k.life + clockLeeway
		}
		v.keys = append(v.keys, next)
	}
	return v
}

// index fills in what follows from the keys.
func (v *signingView) index() {
	slices.SortFunc(v.keys, func(a, b viewedKey) int { return cmp.Or(cmp.Compare(b.until, a.until), a.compare(&b.signingKeyState)) })
	for i := range v.keys {
		v.all = append(v.all, v.keys[i].public)
		v.byID[v.keys[i].kid] = i
		if !v.keys[i].carried {
			v.order = append(v.order, i)
		}
	}
	slices.SortFunc(v.order, func(i, j int) int { return v.keys[i].compare(&v.keys[j].signingKeyState) })
}

// accepted returns how many of the keys are accepted: the first ones.
func (v *signingView) accepted(now int64) int {
	n := len(v.keys)
	for n > 0 && v.keys[n-1].until <= now {
		n--
	}
	return n
}

// sameKeys reports whether two views accept the same keys for the same time.
func (v *signingView) sameKeys(other *signingView) bool {
	return slices.EqualFunc(v.keys, other.keys, func(a, b viewedKey) bool { return a.kid == b.kid && a.until == b.until })
}

// turn returns the key whose turn it is to sign, nil for none: it is what all nodes agree on
// that know the same.
func (v *signingView) turn(now int64) *viewedKey {
	for n := len(v.order) - 1; n >= 0; n-- {
		if k := &v.keys[v.order[n]]; k.begins <= now {
			return k
		}
	}
	// Another node's clock is ahead, and made the first key.
	for n := len(v.order) - 1; n >= 0; n-- {
		if k := &v.keys[v.order[n]]; k.atOnce() {
			return k
		}
	}
	return nil
}

// signer returns the key that this node signs with: that whose turn it is. If this node can't
// read that, it is another one that may be used as well: one that is not known everywhere to
// have ended, or the next.
func (v *signingView) signer(now int64) *key.Signer {
	turn := v.turn(now)
	if turn == nil {
		return nil
	}
	if turn.private != nil {
		return turn.private
	}
	for n := len(v.order) - 1; n >= 0; n-- {
		if k := &v.keys[v.order[n]]; k.private != nil && k.begins <= now && now < k.last {
			return k.private
		}
	}
	for _, i := range v.order {
		if k := &v.keys[i]; k.private != nil && k.begins > now && k.made+int64(PublishBefore/1e9) <= now {
			return k.private
		}
	}
	return nil
}
