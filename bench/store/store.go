// Package store holds the stores that a cache of verified tokens could be made
// of, each behind the two functions that the cache needs, to be measured beside
// each other.
package store

import (
	"encoding/binary"
	"math"
	"sync"

	"github.com/elastic/go-freelru"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/maypok86/otter/v2"
)

// Digest is the SHA-256 of a token, by which it is found.
type Digest = [32]byte

// Entry stands for a verified token.
type Entry struct {
	// Size is the memory that it takes, in bytes.
	Size uint32
	_    [236]byte
}

// Store is what the cache asks of a store.
type Store interface {
	Get(Digest) (*Entry, bool)
	Put(Digest, *Entry)
}

// Kind makes stores of one kind, bounded by bytes where the kind can do that and
// by as many entries of this size where it can't.
type Kind struct {
	// Name is that of the module.
	Name string
	// Bound says what it is bounded by.
	Bound string
	// New makes one.
	New func(bytes, entrySize int) Store
}

// Kinds are all that are compared.
var Kinds = []Kind{
	{"otter v2", "bytes", newOtter},
	{"go-freelru", "entries", newFreeLRU},
	{"golang-lru", "entries", newLRU},
	{"golang-lru 2Q", "entries", new2Q},
	{"sharded map", "bytes", newSharded},
}

type otterStore struct{ *otter.Cache[Digest, *Entry] }

func newOtter(bytes, _ int) Store {
	return otterStore{otter.Must(&otter.Options[Digest, *Entry]{
		MaximumWeight: uint64(bytes),
		Weigher:       func(_ Digest, e *Entry) uint32 { return e.Size },
	})}
}

func (s otterStore) Get(d Digest) (*Entry, bool) { return s.GetIfPresent(d) }
func (s otterStore) Put(d Digest, e *Entry)      { s.Set(d, e) }

type freeStore struct {
	*freelru.ShardedLRU[Digest, *Entry]
}

func newFreeLRU(bytes, entrySize int) Store {
	s, err := freelru.NewSharded[Digest, *Entry](uint32(bytes/entrySize), func(d Digest) uint32 {
		return binary.LittleEndian.Uint32(d[:]) // a digest is as even as a hash
	})
	if err != nil {
		panic(err)
	}
	return freeStore{s}
}

func (s freeStore) Put(d Digest, e *Entry) { s.Add(d, e) }

type lruStore struct{ *lru.Cache[Digest, *Entry] }

func newLRU(bytes, entrySize int) Store {
	s, err := lru.New[Digest, *Entry](bytes / entrySize)
	if err != nil {
		panic(err)
	}
	return lruStore{s}
}

func (s lruStore) Put(d Digest, e *Entry) { s.Add(d, e) }

type twoQueueStore struct {
	*lru.TwoQueueCache[Digest, *Entry]
}

func new2Q(bytes, entrySize int) Store {
	s, err := lru.New2Q[Digest, *Entry](bytes / entrySize)
	if err != nil {
		panic(err)
	}
	return twoQueueStore{s}
}

func (s twoQueueStore) Put(d Digest, e *Entry) { s.Add(d, e) }

// sharded is what one writes in an hour: maps behind locks, and any entry goes
// where room is needed.
type sharded struct {
	shards [64]shard
	bound  int // of each
}

type shard struct {
	mu      sync.RWMutex
	entries map[Digest]*Entry
	size    int
	_       [64]byte // a cache line of its own
}

func newSharded(bytes, _ int) Store {
	s := &sharded{}
	s.bound = bytes / len(s.shards)
	for i := range s.shards {
		s.shards[i].entries = map[Digest]*Entry{}
	}
	return s
}

func (s *sharded) shard(d Digest) *shard { return &s.shards[d[0]%byte(len(s.shards))] }

func (s *sharded) Get(d Digest) (*Entry, bool) {
	h := s.shard(d)
	h.mu.RLock()
	e, ok := h.entries[d]
	h.mu.RUnlock()
	return e, ok
}

func (s *sharded) Put(d Digest, e *Entry) {
	h := s.shard(d)
	h.mu.Lock()
	defer h.mu.Unlock()
	if old, ok := h.entries[d]; ok {
		h.size -= int(old.Size)
	}
	h.entries[d] = e
	h.size += int(e.Size)
	for victim, old := range h.entries { // in no order
		if h.size <= s.bound {
			break
		}
		delete(h.entries, victim)
		h.size -= int(old.Size)
	}
}

// NumberOf is the digest of the nth token of a kind.
func NumberOf(kind byte, n int) (d Digest) {
	// As even as a real one: the multiplier is that of a linear congruential
	// generator with full period.
	x := uint64(n)*6364136223846793005 + uint64(kind)*1442695040888963407 + 1
	for i := range 4 {
		x ^= x >> 29
		x *= 0xbf58476d1ce4e5b9
		x ^= x >> 32
		binary.LittleEndian.PutUint64(d[8*i:], x+uint64(i)*math.MaxUint32)
	}
	return d
}
