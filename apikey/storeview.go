package apikey

import (
	"math"

	"github.com/caddy-jwt/caddy-jwt/internal/table"
)

// storeView is what requests look into: a base, and a small delta of what has changed
// since it was made. It is immutable. The delta is in shards, so that a change costs the
// making of one of them, whatever the number of keys.
type storeView struct {
	base  *Set
	delta [deltaShards]*Set // by the first byte of the digest; nil for empty
	n     int               // of the keys in the delta
}

const (
	deltaShards = 256
	// minFold is from how many changes on a new base is made of base and delta, unless
	// the base is so large that foldPart is more.
	minFold  = 4096
	foldPart = 8
)

// noKeys is in the place of what is empty, so that a look-up there takes the usual time.
var noKeys = (&builder{keys: table.New[Digest, entry](0)}).set()

func newStoreView(store string) *storeView {
	v := &storeView{base: newStoreSet(store, 0, 0).set()}
	return v
}

// find finds a key by its digest. It always looks into both, so that its time does not
// show in which of them a key is.
func (v *storeView) find(d *Digest) (Key, bool) {
	delta := v.delta[d[0]]
	if delta == nil {
		delta = noKeys
	}
	changed, before := delta.table.Find(d), v.base.table.Find(d)
	if changed != nil {
		return Key{delta, changed}, !changed.gone
	}
	return Key{v.base, before}, before != nil
}

// foldable reports whether it is time for a new base.
func (v *storeView) foldable() bool { return v.n > max(minFold, v.base.Len()/foldPart) }

// storeChange is what is now found with a digest; nothing if it is gone.
type storeChange struct {
	record Record
	gone   bool
}

// with returns a view with changes.
func (v *storeView) with(store string, changes map[Digest]storeChange) *storeView {
	next := *v
	var touched [deltaShards]int
	for d := range changes {
		touched[d[0]]++
	}
	var builders [deltaShards]*storeSet
	for i, n := range touched {
		if n == 0 {
			continue
		}
		old := v.delta[i]
		if old == nil {
			old = noKeys
		}
		builders[i] = newStoreSet(store, old.Len()+n, len(old.texts)+n*64)
		builders[i].copy(old, func(d *Digest, _ *entry) bool { _, ok := changes[*d]; return !ok })
		next.n -= old.Len()
	}
	for d, c := range changes {
		builders[d[0]].add(d, &c.record, c.gone)
	}
	for i, b := range builders {
		if b != nil {
			next.delta[i] = b.set()
			next.n += next.delta[i].Len()
		}
	}
	return &next
}

// fold returns a base that has the changes of the delta in it.
func (v *storeView) fold(store string) *Set {
	text := len(v.base.texts)
	for _, d := range v.delta {
		if d != nil {
			text += len(d.texts)
		}
	}
	b := newStoreSet(store, v.base.Len()+v.n, text)
	b.copy(v.base, func(d *Digest, _ *entry) bool {
		delta := v.delta[d[0]]
		return delta == nil || delta.table.Find(d) == nil
	})
	for _, d := range v.delta {
		if d != nil {
			b.copy(d, func(_ *Digest, e *entry) bool { return !e.gone })
		}
	}
	return b.set()
}

// folded returns the view with the base that was made of an earlier one. What has changed
// since then stays in the delta.
func (v *storeView) folded(before *storeView, base *Set) *storeView {
	next := &storeView{base: base}
	for i, d := range v.delta {
		if d != before.delta[i] {
			next.delta[i] = d
			next.n += d.Len()
		}
	}
	return next
}

// storeSet makes a set of a store: a key may have several secrets, and others may have
// gone.
type storeSet struct {
	builder
	store string
}

func newStoreSet(store string, n, text int) *storeSet {
	return &storeSet{builder{
		keys: table.New[Digest, entry](n), texts: make([]byte, 0, text), scopes: map[string]uint32{},
	}, store}
}

// add adds a digest that is not in the set.
func (b *storeSet) add(d Digest, r *Record, gone bool) {
	e := entry{gone: true}
	// Beyond 4 GiB of texts a key is unknown, rather than found with another's.
	if !gone && len(b.texts) < math.MaxUint32-maxLine {
		e, b.texts = newEntry(r, 0, b.scopeSet(r.Scopes), b.texts)
	}
	b.keys.Add(d, e)
}

// copy adds those keys of a set that are wanted.
func (b *storeSet) copy(from *Set, wanted func(*Digest, *entry) bool) {
	scopes := make([]uint32, len(from.scopes))
	for i, s := range from.scopes {
		scopes[i] = b.scopeSet(s)
	}
	for c := range from.table.All() {
		if !wanted(&c.Digest, &c.Value) {
			continue
		}
		e := c.Value
		if e.gone = e.gone || len(b.texts) >= math.MaxUint32-maxLine; !e.gone {
			e.scopes, e.texts = scopes[e.scopes], uint32(len(b.texts))
			at := int(c.Value.texts)
			b.texts = append(b.texts, from.texts[at:at+int(e.id)+int(e.consumer)+int(e.meta)]...)
		}
		b.keys.Add(c.Digest, e)
	}
}

func (b *storeSet) set() *Set {
	s := b.builder.set()
	s.store = b.store
	return s
}
