package caddyjwt

import (
	"crypto/sha256"
	"math"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/maypok86/otter/v2"

	"github.com/caddy-jwt/caddy-jwt/internal/setting"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

// defaultCache is how much memory verified tokens may take where a config does
// not say: some fifteen thousand usual ones.
const defaultCache = 64 << 20

// The bounds of the setting: below the least a cache would be of no use.
const (
	minCache = 1 << 20
	maxCache = 64 << 30
	cacheOff = "off"
)

// cacheSize reads the setting; 0 is for no cache.
func cacheSize(written string) (uint64, error) {
	switch written {
	case "":
		return defaultCache, nil
	case cacheOff:
		return 0, nil
	}
	size, err := humanize.ParseBytes(written)
	if err != nil || size < minCache || size > maxCache || strings.ContainsAny(written, " \t") {
		return 0, setting.InOption("cache", "%q is no size of a cache; write one from 1MiB to 64GiB, such as 64MiB, or off", written)
	}
	return size, nil
}

// tokenCache holds verified tokens for all sites. It outlives configs: what it
// holds depends on none. What is used least goes when it is full, so that a flood
// of tokens that come once does not push out those in use.
type tokenCache struct {
	*otter.Cache[[sha256.Size]byte, *cachedToken]
	front cacheFront

	hits, misses, puts atomic.Uint64
	found              atomic.Uint64          // of the hits, those in the store
	upkeep             atomic.Pointer[func()] // the store's, when it asks for some
}

// theTokenCache is the one of this process, made with the first config that has
// a cache.
var theTokenCache = newTokenCache(defaultCache)

func newTokenCache(size uint64) *tokenCache {
	c := new(tokenCache)
	c.Cache = otter.Must(&otter.Options[[sha256.Size]byte, *cachedToken]{
		MaximumWeight:    size,
		Weigher:          func(_ [sha256.Size]byte, t *cachedToken) uint32 { return uint32(min(t.size(), math.MaxUint32)) },
		OnAtomicDeletion: func(e otter.DeletionEvent[[sha256.Size]byte, *cachedToken]) { c.front.remove(e.Value) },
		Executor:         func(upkeep func()) { c.upkeep.Store(&upkeep) },
	})
	return c
}

// How many tokens are put into the store and found there between its upkeeps. Each
// time it fetches its bookkeeping into the processor's cache, which costs more than the
// work there; and to wake another thread for it costs more still. A few more tokens
// than the bound allows may be there meanwhile, for a sweepInterval at most.
const (
	putsPerUpkeep = 16
	hitsPerUpkeep = 64
)

func (c *tokenCache) keepUp() {
	if upkeep := c.upkeep.Swap(nil); upkeep != nil {
		(*upkeep)()
	}
}

// A token stays a while behind its exp, only to be refused cheaply. Then it is swept
// out: the store's own expiry would cost every hit.
const (
	cachedPastExpiry = 10 * time.Minute
	sweepInterval    = 5 * time.Minute
)

// sweep removes the tokens that have long expired.
func (c *tokenCache) sweep(now time.Time) {
	for digest, t := range c.All() {
		if expires := t.verified.Expires(); !expires.IsZero() && now.Sub(expires) > cachedPastExpiry {
			c.Invalidate(digest)
			c.keepUp()
		}
	}
	c.CleanUp() // where tokens are found in the front alone, nobody else does
}

// sweeper sweeps from time to time until it is stopped.
func (c *tokenCache) sweeper() (stop func()) {
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
			}
		}
	}()
	return func() { close(done) }
}

// Get implements validator.Cache.
func (c *tokenCache) Get(digest [sha256.Size]byte) (*validator.Verified, bool) {
	place := c.front.place(&digest)
	t := place.Load()
	if t == nil || t.digest != digest || c.puts.Load()-t.told.Load() >= putsPerUse {
		var ok bool
		if t, ok = c.GetIfPresent(digest); !ok {
			c.misses.Add(1)
			return nil, false
		}
		t.told.Store(c.puts.Load())
		t.stand(place)
		if c.found.Add(1)%hitsPerUpkeep == 0 {
			c.keepUp()
		}
	}
	c.hits.Add(1)
	return t.verified, true
}

// Put implements validator.Cache.
func (c *tokenCache) Put(digest [sha256.Size]byte, verified *validator.Verified) {
	c.Set(digest, &cachedToken{digest: digest, verified: verified})
	if c.puts.Add(1)%putsPerUpkeep == 0 {
		c.keepUp()
	}
}

// resize sets the bound; 0 empties the cache.
func (c *tokenCache) resize(size uint64) {
	if size == 0 {
		c.InvalidateAll()
		return
	}
	c.SetMaximum(size)
}
