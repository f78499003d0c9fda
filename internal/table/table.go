// Package table is an open-addressing hash table of values by digest. Its cells hold no
// pointers, so that the garbage collector does not scan it, however large it is.
package table

import (
	"hash/maphash"
	"iter"
	"math/bits"
	"unsafe"
)

// Digest is the key of a value.
type Digest interface {
	~[8]byte | ~[16]byte | ~[32]byte
}

// Table holds values by their digest. A cell is at the index given by a hash of its
// digest, or at the next empty one. One byte of each cell's hash is in a separate array:
// for a million cells that array fits into a processor's cache. So a look-up that finds a
// cell of at most a cache line misses the cache once, and one that finds nothing does not
// miss it, where a map would miss it three times. The hash is seeded at random, so that an
// attacker can't choose digests that collide.
//
// V must hold no pointers. A table is safe for concurrent use once nothing is added to it
// any more. The zero value is not usable; see New.
type Table[D Digest, V any] struct {
	seed  maphash.Seed
	tags  []uint8 // 0 for an empty cell
	cells []Cell[D, V]
	n     int
	room  int // the number of cells that fit
}

// Cell is a digest and the value that is found by it.
type Cell[D Digest, V any] struct {
	Digest D
	Value  V
}

// New makes a table with room for n cells. It grows when there are more.
func New[D Digest, V any](n int) *Table[D, V] {
	t := empty[D, V](maphash.MakeSeed(), n)
	return &t
}

// Empty makes an empty table with room for n cells that hashes as t does. What All visits is
// in the same order in both, and so copying reads and writes memory sequentially.
func (t *Table[D, V]) Empty(n int) *Table[D, V] {
	other := empty[D, V](t.seed, n)
	return &other
}

// empty makes a table for n cells. A fifth stays empty, so that a search ends soon,
// and one cell at least.
func empty[D Digest, V any](seed maphash.Seed, n int) Table[D, V] {
	places := n + n/4 + 1
	return Table[D, V]{seed: seed, tags: make([]uint8, places), cells: make([]Cell[D, V], places), room: n}
}

// Len returns the number of cells.
func (t *Table[D, V]) Len() int { return t.n }

// Find returns the value with that digest, or nil if there is none. It must not be
// changed once others look it up.
func (t *Table[D, V]) Find(d *D) *V {
	place, tag := t.begin(d)
	for ; t.tags[place] != 0; place = t.next(place) {
		if t.tags[place] == tag && t.cells[place].Digest == *d {
			return &t.cells[place].Value
		}
	}
	return nil
}

// Add adds a value. There must be none with that digest. Pointers that Find returned
// before become invalid.
func (t *Table[D, V]) Add(d D, v V) {
	if t.n == t.room {
		t.resize(t.n + t.n/2 + 8)
	}
	t.put(&Cell[D, V]{d, v})
}

// Compact frees the room that the cells don't need.
func (t *Table[D, V]) Compact() {
	if t.n < t.room {
		t.resize(t.n)
	}
}

// resize makes room for n cells. The seed stays the same, and so the cells stay in order
// and memory is read and written sequentially.
func (t *Table[D, V]) resize(n int) {
	other := empty[D, V](t.seed, n)
	for place, tag := range t.tags {
		if tag != 0 {
			other.put(&t.cells[place])
		}
	}
	*t = other
}

// put puts a cell into the first empty place.
func (t *Table[D, V]) put(c *Cell[D, V]) {
	place, tag := t.begin(&c.Digest)
	for t.tags[place] != 0 {
		place = t.next(place)
	}
	t.tags[place], t.cells[place] = tag, *c
	t.n++
}

// All returns the cells, in no order that means anything.
func (t *Table[D, V]) All() iter.Seq[*Cell[D, V]] {
	return func(yield func(*Cell[D, V]) bool) {
		for place, tag := range t.tags {
			if tag != 0 && !yield(&t.cells[place]) {
				return
			}
		}
	}
}

// Places visits the cells in the order of All, with the place of each. Adding a cell may
// move the others.
func (t *Table[D, V]) Places() iter.Seq2[int, *Cell[D, V]] {
	return func(yield func(int, *Cell[D, V]) bool) {
		for place, tag := range t.tags {
			if tag != 0 && !yield(place, &t.cells[place]) {
				return
			}
		}
	}
}

// At returns the cell at a place that Places gave.
func (t *Table[D, V]) At(place int) *Cell[D, V] { return &t.cells[place] }

// begin returns where a search for a digest begins, and the byte to look for.
func (t *Table[D, V]) begin(d *D) (place int, tag uint8) {
	h := maphash.Bytes(t.seed, unsafe.Slice((*byte)(unsafe.Pointer(d)), unsafe.Sizeof(*d)))
	at, _ := bits.Mul64(h, uint64(len(t.tags)))
	return int(at), uint8(h) | 0x80
}

func (t *Table[D, V]) next(place int) int {
	if place++; place == len(t.tags) {
		return 0
	}
	return place
}
