package caddyjwt

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/tokencache"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

func TestCacheSize(t *testing.T) {
	t.Parallel()
	for setting, want := range map[string]uint64{"": 64 << 20, "off": 0, "1MiB": 1 << 20, "64MiB": 64 << 20, "1GB": 1e9} {
		if got, err := cacheSize(setting); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", setting, got, err, want)
		}
	}
	for _, setting := range []string{"0", "10", "1023KiB", "-1MiB", "large", "OFF", "1 MiB", "1000TiB", "on"} {
		if got, err := cacheSize(setting); err == nil || !strings.Contains(err.Error(), "64MiB") {
			t.Errorf("%q: %d, %v; want an error that shows a size", setting, got, err)
		}
	}
}

// A token in use stays, whatever comes past once; and the size holds.
func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	const bound = 1 << 20
	cache := tokencache.New(bound)
	s := newSite(t, "")
	v := s.validator.Cached(cache)
	steady := signed(t, map[string]any{"sub": "steady"})
	validate := func(token string) {
		t.Helper()
		if _, err := v.Validate(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		validate(steady)
	}
	for i := range 4000 {
		validate(signed(t, map[string]any{"sub": fmt.Sprint("once-", i)}))
		if i%10 == 0 {
			validate(steady)
		}
	}
	// Nobody has to clean up for it: the upkeep is put off for a few tokens alone.
	taken, largest := 0, 0
	for _, token := range cache.All() {
		taken += token.Size()
		largest = max(largest, token.Size())
	}
	if over := taken - bound; taken == 0 || over > 2*tokencache.PutsPerUpkeep*largest {
		t.Errorf("the tokens in the cache take %d bytes, bound %d", taken, bound)
	}
	cache.CleanUp()
	if size := cache.WeightedSize(); size == 0 || size > bound {
		t.Errorf("the cache takes %d bytes, bound %d", size, bound)
	}
	misses := cache.Misses.Load()
	if validate(steady); cache.Misses.Load() != misses {
		t.Error("the token in steady use is gone")
	}
	cache.Resize(0)
	if n := cache.EstimatedSize(); n != 0 {
		t.Errorf("%d tokens are left after the cache was ended", n)
	}
}

// A token is judged by each site's own settings, though both share the cache.
func TestSitesShareTheCacheAndNotTheVerdict(t *testing.T) {
	t.Parallel()
	cache := tokencache.New(tokencache.DefaultSize)
	open, narrow := newSite(t, ""), newSite(t, "require scope admin")
	open.validator, narrow.validator = open.validator.Cached(cache), narrow.validator.Cached(cache)
	token := signed(t, map[string]any{"scope": "reader"})
	for range 2 {
		if res := serve(t, bearer(token), nil, open.Handler); res.next == nil {
			t.Error(res.reason())
		}
		if res := serve(t, bearer(token), nil, narrow.Handler); res.next != nil || res.reason() != "insufficient_scope" {
			t.Errorf("%d %s", res.Code, res.reason())
		}
	}
	if cache.Hits.Load() != 3 {
		t.Errorf("%d hits, want 3", cache.Hits.Load())
	}
}

// The time of a token that is in the cache would hide what verifying takes.
func TestTokensInTheCacheAreNotTimed(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	since := counted(t, s)
	s.validator = s.validator.Cached(tokencache.New(tokencache.DefaultSize))
	token := signed(t, nil)
	for n, want := range []float64{1, 0, 0} {
		if res := serve(t, bearer(token), nil, s.Handler); res.next == nil {
			t.Fatal(res.reason())
		}
		if got := since()["verification_seconds"]; got != want {
			t.Errorf("request %d: %v were timed, want %v", n+1, got, want)
		}
	}
}

// An entry outlives its token by minutes and no more.
func TestTokensLeaveTheCacheBehindTheirExpiry(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := makeSite(t, "issuer https://issuer.example/ {\npublic_key \""+publicPEM(t, signer().Public())+"\"\naudience https://api.example\nleeway 1h\nallow_no_expiry\n}")
	cache := tokencache.New(tokencache.DefaultSize)
	tokens := map[string]string{}
	for name, exp := range map[string]any{
		"an hour to come": now.Add(time.Hour).Unix(), "over for a minute": now.Add(-time.Minute).Unix(), "over for 11 minutes": now.Add(-11 * time.Minute).Unix(),
		"the year 9999": 253402300799, "none": nil,
	} {
		tokens[name] = signed(t, map[string]any{"exp": exp, "sub": name})
		if _, err := s.validator.Cached(cache).Validate(t.Context(), tokens[name]); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	there := func() string {
		var names []string
		for name, token := range tokens {
			if _, ok := cache.GetEntryQuietly(sha256.Sum256([]byte(token))); ok {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		return strings.Join(names, ", ")
	}
	for _, c := range []struct {
		after time.Duration
		want  string
	}{
		{0, "an hour to come, none, over for a minute, the year 9999"},
		{15 * time.Minute, "an hour to come, none, the year 9999"},
		{69 * time.Minute, "an hour to come, none, the year 9999"},
		{71 * time.Minute, "none, the year 9999"},
	} {
		if cache.Sweep(now.Add(c.after)); there() != c.want {
			t.Errorf("after %s there are %s; want %s", c.after, there(), c.want)
		}
	}
}

var _ validator.Cache = (*tokencache.Cache)(nil)

// The upkeep of the store is put off, but not for ever: not where tokens are only
// found, and not where several processors put tokens in at once.
func TestTheStoreIsKeptUp(t *testing.T) {
	t.Parallel()
	const bound = 1 << 20
	cache := tokencache.New(bound)
	s := newSite(t, "")
	v := s.validator.Cached(cache)
	tokens := make([]string, 1200)
	for i := range tokens {
		tokens[i] = signed(t, map[string]any{"sub": fmt.Sprint("user-", i)})
	}
	var wait sync.WaitGroup
	for n := range 4 {
		wait.Go(func() {
			for i := range tokens {
				if _, err := v.Validate(t.Context(), tokens[(i*7+n*300)%len(tokens)]); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wait.Wait()
	taken := 0
	for _, token := range cache.All() {
		taken += token.Size()
	}
	if taken > bound+bound/4 {
		t.Errorf("the tokens in the cache take %d bytes, bound %d", taken, bound)
	}
	// Tokens that are found in the store, as more are in use than the front has
	// places for them.
	waited := false
	for n := 0; n < 40*tokencache.HitsPerUpkeep || cache.Found.Load()%tokencache.HitsPerUpkeep != 0; n++ {
		cache.Front = tokencache.CacheFront{}
		if _, err := v.Validate(t.Context(), tokens[len(tokens)-1-n%10]); err != nil {
			t.Fatal(err)
		}
		waited = waited || cache.Upkeep.Load() != nil
	}
	if !waited || cache.Upkeep.Load() != nil {
		t.Errorf("the store asked for upkeep: %v; it waits for it still: %v", waited, cache.Upkeep.Load() != nil)
	}
}
