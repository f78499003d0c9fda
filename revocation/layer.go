package revocation

import (
	"encoding/binary"
	"math/bits"

	"github.com/caddy-jwt/caddy-jwt/internal/table"
)

// cell is what is kept of a rule, in 16 bytes, beside the 8 of the digest that finds it.
type cell struct {
	end       seconds // 0 for never, inert for a rule that is forgotten
	notBefore seconds // 0 for all tokens; isRemoval for the removal of a rule
	id        uint32
	scope     scope
}

// inert is the end of rules that only continue a chain, a time long past.
const inert seconds = 1

// isOver reports whether a rule or a removal can be forgotten.
func (c *cell) isOver(now int64) bool { return c.end != 0 && now >= int64(c.end)+marginSeconds }

type digest = [8]byte

func (h hash) digest() (d digest) {
	binary.NativeEndian.PutUint64(d[:], uint64(h))
	return d
}

func hashOfCell(d digest) hash { return hash(binary.NativeEndian.Uint64(d[:])) }

// next returns the digest of the next rule for the same thing. So the rules of a layer for
// one thing are a chain: the first has the thing's hash as its digest, each other one the
// digest after that of the one before, and the chain ends where there is no cell.
func (h hash) next() hash { return h + 0x9e3779b97f4a7c15 }

// removal returns the digest of the removal of a rule for what has this hash.
func (h hash) removal(id uint32, of scope) hash {
	a, b := bits.Mul64(uint64(h)^0x9e3779b97f4a7c15, (uint64(id)<<32|uint64(of))^0xd1b54a32d192ed03)
	return hash(a ^ b ^ uint64(h)>>1)
}

// layer holds rules of one kind, and removals of such. It does not change once it is in a
// snapshot.
type layer struct {
	cells    *table.Table[digest, cell]
	filter   filter
	removals int // the cells that are removals
}

// newLayer makes a layer with room for n cells, which hashes as the layer like does, if
// there is one.
func newLayer(n int, like *layer) *layer {
	if like == nil {
		return &layer{cells: table.New[digest, cell](n), filter: newFilter(n)}
	}
	return &layer{cells: like.cells.Empty(n), filter: newFilter(n)}
}

func (l *layer) find(h hash) *cell {
	d := h.digest()
	return l.cells.Find(&d)
}

// refuses reports whether a rule refuses what has this hash and scope.
func (l *layer) refuses(x *index, h hash, of scope, issued seconds, now, margin int64) bool {
	for at := h; ; at = at.next() {
		c := l.find(at)
		if c == nil {
			return false
		}
		if c.refuses(of, issued, now, margin) && !x.isRemoved(h, c.id, c.scope) {
			return true
		}
	}
}

// rule returns the cell of a rule, or nil.
func (l *layer) rule(h hash, id uint32, of scope) *cell {
	if !l.filter.mayHave(h) {
		return nil
	}
	for at := h; ; at = at.next() {
		if c := l.find(at); c == nil || c.id == id && c.scope == of && c.notBefore != isRemoval && c.end != inert {
			return c
		}
	}
}

// isRemoved reports whether the removal of a rule is there.
func (l *layer) isRemoved(h hash, id uint32, of scope) bool {
	if l.removals == 0 {
		return false
	}
	c := l.find(h.removal(id, of))
	return c != nil && c.notBefore == isRemoval && c.id == id && c.scope == of
}

// put adds a cell with its digest, or with the first behind it in its chain that is free or
// that can be used again.
func (l *layer) put(h hash, c cell) {
	for ; ; h = h.next() {
		switch old := l.find(h); {
		case old == nil:
			l.place(h, c)
			return
		case old.end == inert && c.notBefore != isRemoval:
			*old = c
			return
		}
	}
}

// place adds a cell with a digest that no cell has.
func (l *layer) place(h hash, c cell) {
	l.cells.Add(h.digest(), c)
	if c.notBefore == isRemoval {
		l.removals++
	} else {
		l.filter.add(h)
	}
}

// add adds the cells of another layer but those that are forgotten. No rule may be in both
// layers.
func (l *layer) add(other *layer, forget func(*cell) bool) {
	put := l.put
	if l.cells.Len() == 0 {
		put = l.place // the digests of one layer differ
	}
	for c := range other.cells.All() {
		h, value := hashOfCell(c.Digest), c.Value
		if !other.keeps(h, &c.Value, forget) {
			continue
		}
		if forget(&c.Value) {
			value.end = inert
		}
		put(h, value)
	}
}

// keeps reports whether a cell stays in its chain. A rule that is forgotten does, without
// effect, if one behind it is not, as the chain would end there.
func (l *layer) keeps(h hash, c *cell, forget func(*cell) bool) bool {
	for forget(c) {
		if c.notBefore == isRemoval {
			return false
		}
		h = h.next()
		if c = l.find(h); c == nil {
			return false
		}
	}
	return true
}

// filter is a Bloom filter whose bits of one hash are all in one word, so that it costs one
// access to the memory. It has 10.7 bits a rule, of which 4 are set.
type filter []uint64

func newFilter(n int) filter { return make(filter, n/6+1) }

func (f filter) at(h hash) (word *uint64, mask uint64) {
	at, _ := bits.Mul64(uint64(h), uint64(len(f)))
	return &f[at], 1<<(h&63) | 1<<(h>>6&63) | 1<<(h>>12&63) | 1<<(h>>18&63)
}

func (f filter) add(h hash) {
	word, mask := f.at(h)
	*word |= mask
}

// mayHave reports whether a hash may have been added. If it was not, that is so for one in
// forty.
func (f filter) mayHave(h hash) bool {
	word, mask := f.at(h)
	return *word&mask == mask
}
