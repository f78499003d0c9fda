package apikey

import (
	"bytes"
	"hash/maphash"
	"math/bits"
)

// keyTable finds a key by its digest. The key's cell lies at the place that a hash
// of the digest gives it, or behind the cells that lie there already. A byte of each
// cell's hash stands apart from the cells: those of a million keys fit into a
// processor's cache, so that a look-up comes to one place in memory that no cache has,
// and the look-up of a key that is unknown to none. A map would come to three. The hash
// has a secret of its own, so that nobody can choose keys that lie in one another's
// way.
type keyTable struct {
	seed    maphash.Seed
	tags    []uint8 // 0 for an empty cell
	records recordCells
}

// newKeyTable makes a table of records in the order of their numbers, whose digests
// differ.
func newKeyTable(from *recordCells) keyTable {
	n := from.len()
	// A fifth stays empty, so that a search ends soon, and one cell at least.
	places := n + n/4 + 1
	t := keyTable{
		seed: maphash.MakeSeed(), tags: make([]uint8, places),
		records: recordCells{cells: make([]byte, places*cellSize), texts: append(make([]byte, 0, len(from.texts)), from.texts...)},
	}
	for i := range uint32(n) {
		d := from.digest(i)
		place, tag := t.begin(&d)
		for t.tags[place] != 0 {
			place = t.next(place)
		}
		t.tags[place] = tag
		copy(t.records.cell(place), from.cell(i))
	}
	return t
}

// begin is where a search for a digest begins, and the byte to look for.
func (t *keyTable) begin(d *Digest) (place uint32, tag uint8) {
	h := maphash.Bytes(t.seed, d[:])
	at, _ := bits.Mul64(h, uint64(len(t.tags)))
	return uint32(at), uint8(h) | 0x80
}

func (t *keyTable) next(place uint32) uint32 {
	if place++; place == uint32(len(t.tags)) {
		return 0
	}
	return place
}

// find returns the place of the cell with that digest.
func (t *keyTable) find(d *Digest) (uint32, bool) {
	place, tag := t.begin(d)
	for ; t.tags[place] != 0; place = t.next(place) {
		if t.tags[place] == tag && t.records.digest(place) == *d {
			return place, true
		}
	}
	return 0, false
}

// first are the places of the first n cells, in the order of their numbers.
func (t *keyTable) first(n int) []uint32 {
	order := make([]uint32, n)
	for place, tag := range t.tags {
		if tag == 0 {
			continue
		}
		if i := t.records.number(uint32(place)); int(i) < n {
			order[i] = uint32(place)
		}
	}
	return order
}

// beginsWith tells whether the first n cells, of a table that has as many, are the
// same as those of another, which has n.
func (t *keyTable) beginsWith(other *keyTable, n int) bool {
	if !bytes.HasPrefix(t.records.texts, other.records.texts) {
		return false
	}
	mine, theirs := t.first(n), other.first(n)
	for i := range mine {
		if !bytes.Equal(t.records.cell(mine[i]), other.records.cell(theirs[i])) {
			return false
		}
	}
	return true
}
