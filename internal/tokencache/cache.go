package tokencache

import (
	"crypto/sha256"
	"math"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/caddy-jwt/caddy-jwt/validator"
)

// DefaultSize is how much memory verified tokens may take where a config does
// not say: some fifteen thousand usual ones.
const DefaultSize = 64 << 20

// Cache holds verified tokens for all sites. It outlives configs: what it
// holds depends on none. What is used least goes when it is full, so that a flood
// of tokens that come once does not push out those in use.
type Cache struct {
	*otter.Cache[[sha256.Size]byte, *CachedToken]
	Front CacheFront

	Hits, Misses, puts atomic.Uint64
	Found              atomic.Uint64          // of the hits, those in the store
	Upkeep             atomic.Pointer[func()] // the store's, when it asks for some
}

// Process is the one of this process, made with the first config that has
// a cache.
var Process = New(DefaultSize)

func New(size uint64) *Cache {
	c := new(Cache)
	c.Cache = otter.Must(&otter.Options[[sha256.Size]byte, *CachedToken]{
		MaximumWeight:    size,
		Weigher:          func(_ [sha256.Size]byte, t *CachedToken) uint32 { return uint32(min(t.Size(), math.MaxUint32)) },
		OnAtomicDeletion: func(e otter.DeletionEvent[[sha256.Size]byte, *CachedToken]) { c.Front.remove(e.Value) },
		Executor:         func(upkeep func()) { c.Upkeep.Store(&upkeep) },
	})
	return c
}

// How many tokens are put into the store and found there between its upkeeps. Each
// time it fetches its bookkeeping into the processor's cache, which costs more than the
// work there; and to wake another thread for it costs more still. A few more tokens
// than the bound allows may be there meanwhile, for a sweepInterval at most.
const (
	PutsPerUpkeep = 16
	HitsPerUpkeep = 64
)

func (c *Cache) keepUp() {
	if upkeep := c.Upkeep.Swap(nil); upkeep != nil {
		(*upkeep)()
	}
}

// A token stays a while behind its exp, only to be refused cheaply. Then it is swept
// out: the store's own expiry would cost every hit.
const (
	cachedPastExpiry = 10 * time.Minute
	sweepInterval    = 5 * time.Minute
)

// Sweep removes the tokens that have long expired.
func (c *Cache) Sweep(now time.Time) {
	for digest, t := range c.All() {
		if expires := t.Verified.Expires(); !expires.IsZero() && now.Sub(expires) > cachedPastExpiry {
			c.Invalidate(digest)
			c.keepUp()
		}
	}
	c.CleanUp() // where tokens are found in the front alone, nobody else does
}

// Sweeper sweeps from time to time until it is stopped.
func (c *Cache) Sweeper() (stop func()) {
	done := make(chan struct{})
	go func() {
		tick := time.NewTicker(sweepInterval)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case now := <-tick.C:
				c.Sweep(now)
			}
		}
	}()
	return func() { close(done) }
}

// Get implements validator.Cache.
func (c *Cache) Get(digest [sha256.Size]byte) (*validator.Verified, bool) {
	place := c.Front.Place(&digest)
	t := place.Load()
	if t == nil || t.Digest != digest || c.puts.Load()-t.told.Load() >= PutsPerUse {
		var ok bool
		if t, ok = c.GetIfPresent(digest); !ok {
			c.Misses.Add(1)
			return nil, false
		}
		t.told.Store(c.puts.Load())
		t.Stand(place)
		if c.Found.Add(1)%HitsPerUpkeep == 0 {
			c.keepUp()
		}
	}
	c.Hits.Add(1)
	return t.Verified, true
}

// Put implements validator.Cache.
func (c *Cache) Put(digest [sha256.Size]byte, verified *validator.Verified) {
	c.Set(digest, &CachedToken{Digest: digest, Verified: verified})
	if c.puts.Add(1)%PutsPerUpkeep == 0 {
		c.keepUp()
	}
}

// Resize sets the bound; 0 empties the cache.
func (c *Cache) Resize(size uint64) {
	if size == 0 {
		c.InvalidateAll()
		return
	}
	c.SetMaximum(size)
}
