package apikey

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// places are all that an index has under a hash.
func (x *placeIndex) places(hash uint32) []uint32 {
	var all []uint32
	for p := x.probe(hash); ; {
		at, more := x.next(&p)
		if !more {
			slices.Sort(all)
			return all
		}
		all = append(all, at)
	}
}

func TestAnIndexFindsWhatIsPutIntoIt(t *testing.T) {
	t.Parallel()
	source := rand.New(rand.NewPCG(1, 2))
	for what, hash := range map[string]func() uint32{
		"any":                  source.Uint32,
		"few":                  func() uint32 { return source.Uint32N(40) * 0x06000000 },
		"all at the beginning": func() uint32 { return source.Uint32N(100) },
		"all at the end":       func() uint32 { return ^source.Uint32N(100) },
		"one":                  func() uint32 { return 0xffffffff },
	} {
		for _, room := range []int{0, 1, 6, 7, 1000, 5000} {
			x, want := newPlaceIndex(room), map[uint32][]uint32{}
			for n := range uint32(2000) {
				h := hash()
				// The greatest place that there can be is one of them.
				at := n
				if n == 1000 {
					at = 1<<32 - 2
				}
				x.put(h, at)
				want[h] = append(want[h], at)
			}
			for h, all := range want {
				slices.Sort(all)
				if got := x.places(h); !slices.Equal(got, all) {
					t.Fatalf("%s hashes, room for %d: %x leads to %d, want %d", what, room, h, got, all)
				}
			}
			for range 2000 {
				if h := source.Uint32(); want[h] == nil && x.places(h) != nil {
					t.Fatalf("%s hashes: %x, which is not there, leads somewhere", what, h)
				}
			}
		}
	}
}

func TestAnEmptyIndexFindsNothing(t *testing.T) {
	t.Parallel()
	x := newPlaceIndex(0)
	for _, h := range []uint32{0, 1, 1 << 31, 1<<32 - 1} {
		if got := x.places(h); got != nil {
			t.Errorf("%x leads to %d", h, got)
		}
	}
}

// Room that is made beforehand lasts, and a search always ends at an empty slot.
func TestTheRoomOfAnIndex(t *testing.T) {
	t.Parallel()
	for n := range 3000 {
		x := newPlaceIndex(n)
		slots := len(x.slots)
		if n > 6 && 8*n < 3*slots {
			t.Errorf("room for %d takes %d slots", n, slots)
		}
		for i := range n {
			x.put(uint32(i)*0x9e3779b1, uint32(i))
		}
		if len(x.slots) != slots {
			t.Errorf("room for %d was too little", n)
		}
		if 4*n > 3*slots {
			t.Errorf("%d places in %d slots", n, slots)
		}
	}
}

// Two indices hash differently: nobody can make keys that meet in ours.
func TestIndicesHashWithTheirOwnSecret(t *testing.T) {
	t.Parallel()
	d := DigestOf("a key")
	first, second := newPlaceIndex(0), newPlaceIndex(0)
	if first.hash(d[:]) == second.hash(d[:]) {
		third := newPlaceIndex(0) // one time in four thousand million
		if first.hash(d[:]) == third.hash(d[:]) {
			t.Error("they hash alike")
		}
	}
}
