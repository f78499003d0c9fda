package apikey

import (
	"hash/maphash"
	"math/bits"
)

// placeIndex finds places by a hash: a table that is probed from one slot to the
// next. It grows as a set is built, and serves in place of a map because it holds
// neither what is looked up nor a pointer. The hash has a secret of its own, so that
// nobody can choose keys that come to lie in one another's way.
type placeIndex struct {
	seed  maphash.Seed
	slots []uint64 // hash in the upper half, place + 1 in the lower; 0 is empty
	shift uint8    // what is left of the hash's 32 bits is the first slot
	used  int
}

const (
	fewestSlotBits = 3
	mostSlotBits   = 32
)

// newPlaceIndex makes an index with room for n places.
func newPlaceIndex(n int) placeIndex {
	x := placeIndex{seed: maphash.MakeSeed()}
	// A quarter of the slots stays empty at least, so that a search ends soon.
	x.resize(min(max(fewestSlotBits, bits.Len(uint(n+n/3))), mostSlotBits))
	return x
}

func (x *placeIndex) resize(bits int) {
	old := x.slots
	x.slots, x.shift = make([]uint64, 1<<bits), uint8(32-bits)
	for _, slot := range old {
		if slot != 0 {
			x.place(slot)
		}
	}
}

// hash is the hash of what a place is found by.
func (x *placeIndex) hash(text []byte) uint32 { return uint32(maphash.Bytes(x.seed, text)) }

// put adds a place under its hash.
func (x *placeIndex) put(hash, at uint32) {
	if x.used++; 4*x.used > 3*len(x.slots) && x.shift > 0 {
		x.resize(32 - int(x.shift) + 1)
	}
	x.place(uint64(hash)<<32 | uint64(at+1))
}

func (x *placeIndex) place(slot uint64) {
	i := int(slot >> 32 >> x.shift)
	for x.slots[i] != 0 {
		i = (i + 1) & (len(x.slots) - 1)
	}
	x.slots[i] = slot
}

// probe is how far a search has come.
type probe struct {
	hash uint32
	slot int
}

// probe begins a search for the places under a hash.
func (x *placeIndex) probe(hash uint32) probe { return probe{hash, int(hash >> x.shift)} }

// next returns the next place under the hash, and whether there is one more.
func (x *placeIndex) next(p *probe) (uint32, bool) {
	for {
		slot := x.slots[p.slot]
		p.slot = (p.slot + 1) & (len(x.slots) - 1)
		switch {
		case slot == 0:
			return 0, false
		case uint32(slot>>32) == p.hash:
			return uint32(slot) - 1, true
		}
	}
}
