package tokencache

import (
	"crypto/sha256"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/validator"
)

// checkRecent tells how many tokens stand in the front. All must be in the store.
func checkRecent(t *testing.T, c *Cache) (n int) {
	t.Helper()
	for i := range c.recent {
		token := c.recent[i].Load()
		if token == nil {
			continue
		}
		n++
		if place := c.recent.slot(&token.digest); place != &c.recent[i] {
			t.Errorf("a token stands at another place than %d", i)
		}
		if e, ok := c.store.GetEntryQuietly(token.digest); !ok || e.Value != token || token.removed.Load() {
			t.Errorf("place %d: the token is not that of the store (there is one: %v)", i, ok)
		}
	}
	return n
}

// verifiedTokens are tokens as the cache holds them.
func verifiedTokens(t *testing.T, n int) (all []*validator.Verified, digests [][sha256.Size]byte) {
	t.Helper()
	kept := keeper{}
	v := newValidator(t, kept)
	for i := range n {
		token := signed(t, map[string]any{"sub": fmt.Sprint("user-", i)})
		if _, err := v.Validate(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		digest := sha256.Sum256([]byte(token))
		all, digests = append(all, kept[digest]), append(digests, digest)
	}
	return all, digests
}

// keeper keeps what is put.
type keeper map[[sha256.Size]byte]*validator.Verified

func (k keeper) Get([sha256.Size]byte) (*validator.Verified, bool) { return nil, false }

func (k keeper) Put(digest [sha256.Size]byte, t *validator.Verified) { k[digest] = t }

// A token that is found again and again is found without the store, as long as none
// is put; what goes from the store, for whichever reason, goes from the front.
func TestTheFrontOfTheCache(t *testing.T) {
	t.Parallel()
	tokens, digests := verifiedTokens(t, 30)
	for n := range digests {
		digests[n] = [sha256.Size]byte{byte(n)} // so that none shares a place
	}
	c := New(DefaultSize)
	get := func(n int) *validator.Verified {
		found, _ := c.Get(digests[n])
		return found
	}
	for n := range tokens {
		c.Put(digests[n], tokens[n])
	}
	for range 100 {
		for n := range tokens {
			if get(n) != tokens[n] {
				t.Fatalf("token %d is not there", n)
			}
		}
	}
	if c.hits.Load() != 3000 || c.misses.Load() != 0 || checkRecent(t, c) != 30 {
		t.Errorf("%d hits, %d misses, %d in the front; want 3000, 0, 30", c.hits.Load(), c.misses.Load(), checkRecent(t, c))
	}
	if c.storeHits.Load() != 30 {
		t.Errorf("%d were found in the store; want 30, each once", c.storeHits.Load())
	}

	c.Put(digests[0], tokens[1]) // verified again, by another key
	for range 2 {
		if get(0) != tokens[1] {
			t.Error("the one before is still found")
		}
	}
	c.store.Invalidate(digests[2])
	if get(2) != nil {
		t.Error("one that was taken out is still found")
	}
	if n := checkRecent(t, c); n != 29 {
		t.Errorf("%d in the front; want 29", n)
	}
	// Found in the store just before it went from there.
	late := &entry{digest: digests[2], verified: tokens[2]}
	late.removed.Store(true)
	if late.storeIn(c.recent.slot(&digests[2])); checkRecent(t, c) != 29 {
		t.Error("one stands in the front that has gone from the store")
	}
	c.Resize(0)
	if n := checkRecent(t, c); n != 0 || get(3) != nil {
		t.Errorf("%d in the front of a cache that was ended", n)
	}
}

// The store hears of the use of a token as others are put, however often it is found
// in the front: otherwise it would take it for one that is used no more.
func TestTheStoreHearsOfWhatTheFrontFinds(t *testing.T) {
	t.Parallel()
	tokens, digests := verifiedTokens(t, 2)
	c := New(DefaultSize)
	c.Put(digests[0], tokens[0])
	c.Get(digests[0])
	for n := range 10 * putsPerUse {
		c.Put([sha256.Size]byte{1: 1, 2: byte(n)}, tokens[1])
		c.Get(digests[0])
		c.Get(digests[0])
	}
	if heard := c.storeHits.Load(); heard != 1+10 {
		t.Errorf("the store heard of it %d times; want 11: at first, and for each %d that are put", heard, putsPerUse)
	}
}

// Tokens that share a place put each other out of it, and are all found.
func TestTokensThatShareAPlace(t *testing.T) {
	t.Parallel()
	tokens, _ := verifiedTokens(t, 3)
	c := New(DefaultSize)
	digest := func(n int) [sha256.Size]byte { return [sha256.Size]byte{31: byte(n)} }
	for n := range tokens {
		c.Put(digest(n), tokens[n])
	}
	for range 3 {
		for n := range tokens {
			if found, _ := c.Get(digest(n)); found != tokens[n] || checkRecent(t, c) != 1 {
				t.Errorf("token %d: another was found, or more than one stands there", n)
			}
		}
	}
}

// What the store holds beyond its bound goes with the next sweep, though nothing is
// found there any more that would make it keep up.
func TestASweepKeepsTheStoreUp(t *testing.T) {
	t.Parallel()
	tokens, _ := verifiedTokens(t, 1)
	c := New(1 << 20)
	last := [sha256.Size]byte{}
	for n := range 40*putsPerUpkeep - 1 {
		last = [sha256.Size]byte{byte(n), byte(n >> 8)}
		c.Put(last, tokens[0])
	}
	for range 10 * hitsPerUpkeep {
		c.Get(last)
	}
	if c.upkeep.Load() == nil {
		t.Fatal("no upkeep is waited for: the test is of no use")
	}
	c.sweep(time.Now())
	taken := 0
	for _, token := range c.store.All() {
		taken += token.size()
	}
	if taken == 0 || taken > 1<<20 {
		t.Errorf("the tokens take %d bytes after a sweep, bound %d", taken, 1<<20)
	}
}

// Whatever comes at once, in the end the front has nothing that the store has not.
func TestTheFrontOfTheCacheAtOnce(t *testing.T) {
	t.Parallel()
	tokens, digests := verifiedTokens(t, 400)
	c := New(1 << 20) // too small for all
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			for i := range 20_000 {
				n := (i*7 + i/13 + w*100) % len(tokens)
				if found, ok := c.Get(digests[n]); !ok {
					c.Put(digests[n], tokens[n])
				} else if found != tokens[n] {
					t.Errorf("token %d: another was found", n)
				}
				switch {
				case w == 0 && i%500 == 0:
					c.store.Invalidate(digests[n])
				case w == 1 && i%5000 == 0:
					c.Resize(0)
					c.Resize(1 << 20)
				}
			}
		})
	}
	all.Wait()
	c.store.CleanUp()
	if n := checkRecent(t, c); n == 0 {
		t.Error("nothing stands in the front")
	}
}
