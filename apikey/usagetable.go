package apikey

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
)

// usageTable holds the counters of keys. Requests find and add to a counter without any
// lock; only the first use of a key takes that of a shard.
type usageTable struct {
	seed   maphash.Seed
	shards [usageShards]usageShard
}

const usageShards = 64

// usageShard is an open-addressing table. It grows by being replaced: who still looks into
// the old one finds the same counters, or none, and looks again under the lock.
type usageShard struct {
	counters atomic.Pointer[[]atomic.Pointer[usageCounter]] // a power of two of places
	total    atomic.Uint64
	mu       sync.Mutex
	n        int
	_        [64]byte // so that no two shards share a cache line
}

// usageCounter counts the uses of a key since they were last collected. Days take turns, so
// that what was counted before midnight is not taken for today's.
type usageCounter struct {
	hash uint64
	n    [2]atomic.Uint64
	last atomic.Int64 // the time of the last use, in seconds since 1970
	id   string

	places [2]usagePlace // in the days' tallies; for who collects alone
}

// usagePlace is where a key is in the tally of a day.
type usagePlace struct {
	in    *usageDay
	index int
}

func newUsageTable() *usageTable {
	t := &usageTable{seed: maphash.MakeSeed()}
	for i := range t.shards {
		t.shards[i].counters.Store(new(make([]atomic.Pointer[usageCounter], 8)))
	}
	return t
}

// add counts a use of a key.
func (t *usageTable) add(id string, seconds int64) {
	hash := maphash.String(t.seed, id)
	shard := &t.shards[hash%usageShards]
	c := lookup(*shard.counters.Load(), hash)
	if c == nil {
		c = shard.insert(hash, id)
	}
	c.n[day(seconds)&1].Add(1)
	// Of uses at the same time either may win: they differ by less than what is promised.
	if c.last.Load() < seconds {
		c.last.Store(seconds)
	}
	shard.total.Add(1)
}

// lookup finds the counter of a key. Of a million keys, no two have the same 64 bits of a
// hash that is seeded at random; if they had, they would be counted as one.
func lookup(counters []atomic.Pointer[usageCounter], hash uint64) *usageCounter {
	for at := hash / usageShards; ; at++ {
		c := counters[at%uint64(len(counters))].Load()
		if c == nil || c.hash == hash {
			return c
		}
	}
}

func (s *usageShard) insert(hash uint64, id string) *usageCounter {
	s.mu.Lock()
	defer s.mu.Unlock()
	counters := *s.counters.Load()
	if c := lookup(counters, hash); c != nil {
		return c
	}
	if s.n++; s.n > len(counters)/2 {
		larger := make([]atomic.Pointer[usageCounter], 2*len(counters))
		for i := range counters {
			if c := counters[i].Load(); c != nil {
				place(larger, c)
			}
		}
		counters = larger
	}
	// Copied, as the id is of the texts of all keys, which would be kept.
	c := &usageCounter{hash: hash, id: strings.Clone(id)}
	place(counters, c)
	s.counters.Store(&counters)
	return c
}

// place puts a counter into the first empty place.
func place(counters []atomic.Pointer[usageCounter], c *usageCounter) {
	at := c.hash / usageShards
	for counters[at%uint64(len(counters))].Load() != nil {
		at++
	}
	counters[at%uint64(len(counters))].Store(c)
}

func (t *usageTable) total() (n uint64) {
	for i := range t.shards {
		n += t.shards[i].total.Load()
	}
	return n
}

// collect visits what was counted since the last time, with the day's number modulo 2.
func (t *usageTable) collect(visit func(c *usageCounter, odd int, n uint64)) {
	for i := range t.shards {
		counters := *t.shards[i].counters.Load()
		for i := range counters {
			c := counters[i].Load()
			if c == nil {
				continue
			}
			for odd := range c.n {
				// Looked at first, as most were not used, and writing costs more.
				if c.n[odd].Load() > 0 {
					visit(c, odd, c.n[odd].Swap(0))
				}
			}
		}
	}
}
