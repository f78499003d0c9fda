package apikey

import (
	"encoding/binary"
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/caddy-jwt/caddy-jwt/internal/table"
)

// idHash identifies an id. Among a billion ids no two have the same 128 bits by chance,
// and random seeds keep an attacker from constructing two.
type idHash [16]byte

type idSeeds [2]maphash.Seed

func newIDSeeds() idSeeds { return idSeeds{maphash.MakeSeed(), maphash.MakeSeed()} }

func (s *idSeeds) hash(id string) (h idHash) {
	binary.LittleEndian.PutUint64(h[:8], maphash.String(s[0], id))
	binary.LittleEndian.PutUint64(h[8:], maphash.String(s[1], id))
	return h
}

// idIndex finds the keys of a set by their ids. It takes 26 bytes a key and is made when
// it is asked for the first time, as most sets never are.
type idIndex struct {
	making sync.Mutex
	made   atomic.Pointer[idPlaces]
}

type idPlaces struct {
	seeds  idSeeds
	places *table.Table[idHash, uint32] // in the set's table
}

// FindID returns the key with that id. The first call takes a while: a fifth of a second
// for a million keys.
func (s *Set) FindID(id string) (Key, bool) {
	x := s.ids.made.Load()
	if x == nil {
		x = s.index()
	}
	h := x.seeds.hash(id)
	place := x.places.Find(&h)
	if place == nil {
		return Key{}, false
	}
	return Key{s, &s.table.At(int(*place)).Value}, true
}

func (s *Set) index() *idPlaces {
	s.ids.making.Lock()
	defer s.ids.making.Unlock()
	if x := s.ids.made.Load(); x != nil {
		return x
	}
	x := &idPlaces{newIDSeeds(), table.New[idHash, uint32](s.Len())}
	for place, c := range s.table.Places() {
		x.places.Add(x.seeds.hash(c.Value.idIn(s.texts)), uint32(place))
	}
	s.ids.made.Store(x)
	return x
}

// indexLike makes the index of a set that is about to replace another, if that has one, so
// that no request has to wait for it.
func (s *Set) indexLike(before *Set) {
	if before.ids.made.Load() != nil {
		s.index()
	}
}
