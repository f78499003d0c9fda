// Package tokencache is the cache of verified tokens that all sites share.
package tokencache

import (
	"crypto/sha256"
	"iter"
	"math"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/caddy-jwt/caddy-jwt/validator"
)

// DefaultSize is how much memory verified tokens may take where a config does
// not say: some fifteen thousand usual ones.
const DefaultSize = 64 << 20

// Cache holds verified tokens for all sites. It outlives configs, as its content
// depends on none. When it is full, the least used token goes first, so that a flood
// of tokens that come once does not push out those in use.
type Cache struct {
	store  *otter.Cache[[sha256.Size]byte, *entry]
	recent recentTable

	hits, misses, puts atomic.Uint64
	storeHits          atomic.Uint64          // the hits that were found in the store
	upkeep             atomic.Pointer[func()] // the maintenance that the store has asked for
}

// Process is the cache of this process.
var Process = New(DefaultSize)

// New makes a cache that takes at most size bytes.
func New(size uint64) *Cache {
	c := new(Cache)
	c.store = otter.Must(&otter.Options[[sha256.Size]byte, *entry]{
		MaximumWeight:    size,
		Weigher:          func(_ [sha256.Size]byte, e *entry) uint32 { return uint32(min(e.size(), math.MaxUint32)) },
		OnAtomicDeletion: func(d otter.DeletionEvent[[sha256.Size]byte, *entry]) { c.recent.remove(d.Value) },
		Executor:         func(upkeep func()) { c.upkeep.Store(&upkeep) },
	})
	return c
}

// How many tokens are put into the store and found there between its upkeeps. Each
// upkeep loads the store's bookkeeping into the processor's cache, which costs more
// than the work itself, and waking another thread for it costs more still. Until the
// upkeep the cache may hold a few tokens more than its bound allows, for a
// sweepInterval at most.
const (
	putsPerUpkeep = 16
	hitsPerUpkeep = 64
)

func (c *Cache) keepUp() {
	if upkeep := c.upkeep.Swap(nil); upkeep != nil {
		(*upkeep)()
	}
}

// An expired token stays for a while, so that it can be refused cheaply, and is then
// swept out. The store's own expiry would add to the cost of every hit.
const (
	cachedPastExpiry = 10 * time.Minute
	sweepInterval    = 5 * time.Minute
)

// sweep removes the tokens that expired long ago.
func (c *Cache) sweep(now time.Time) {
	for digest, e := range c.store.All() {
		if expires := e.verified.Expires(); !expires.IsZero() && now.Sub(expires) > cachedPastExpiry {
			c.store.Invalidate(digest)
			c.keepUp()
		}
	}
	// Where all tokens are found in the recent table, nothing else cleans up.
	c.store.CleanUp()
}

// Sweeper sweeps from time to time until it is stopped, and so do others then.
func (c *Cache) Sweeper(others ...func(now time.Time)) (stop func()) {
	done := make(chan struct{})
	go func() {
		tick := time.NewTicker(sweepInterval)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case now := <-tick.C:
				c.sweep(now)
				for _, sweep := range others {
					sweep(now)
				}
			}
		}
	}()
	return func() { close(done) }
}

// Get implements validator.Cache.
func (c *Cache) Get(digest [sha256.Size]byte) (*validator.Verified, bool) {
	slot := c.recent.slot(&digest)
	e := slot.Load()
	if e == nil || e.digest != digest || c.puts.Load()-e.putsAtUse.Load() >= putsPerUse {
		var ok bool
		if e, ok = c.store.GetIfPresent(digest); !ok {
			c.misses.Add(1)
			return nil, false
		}
		e.putsAtUse.Store(c.puts.Load())
		e.storeIn(slot)
		if c.storeHits.Add(1)%hitsPerUpkeep == 0 {
			c.keepUp()
		}
	}
	c.hits.Add(1)
	return e.verified, true
}

// Put implements validator.Cache.
func (c *Cache) Put(digest [sha256.Size]byte, verified *validator.Verified) {
	c.store.Set(digest, &entry{digest: digest, verified: verified})
	if c.puts.Add(1)%putsPerUpkeep == 0 {
		c.keepUp()
	}
}

// Resize sets the bound in bytes; 0 empties the cache.
func (c *Cache) Resize(size uint64) {
	if size == 0 {
		c.store.InvalidateAll()
		return
	}
	c.store.SetMaximum(size)
}

// Tokens returns the tokens that are in the cache.
func (c *Cache) Tokens() iter.Seq[*validator.Verified] {
	return func(yield func(*validator.Verified) bool) {
		for _, e := range c.store.All() {
			if !yield(e.verified) {
				return
			}
		}
	}
}

// Lookups returns how often a token was found, and how often it was not.
func (c *Cache) Lookups() (hits, misses uint64) { return c.hits.Load(), c.misses.Load() }

// Size returns how many bytes the cache takes, approximately.
func (c *Cache) Size() uint64 { return c.store.WeightedSize() }

// Len returns how many tokens the cache holds, approximately.
func (c *Cache) Len() int { return c.store.EstimatedSize() }
