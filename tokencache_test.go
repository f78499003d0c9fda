package caddyjwt

import (
	"fmt"
	"strings"
	"testing"

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
	cache := newTokenCache(bound)
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
	cache.CleanUp()
	if size := cache.WeightedSize(); size == 0 || size > bound {
		t.Errorf("the cache takes %d bytes, bound %d", size, bound)
	}
	misses := cache.misses.Load()
	if validate(steady); cache.misses.Load() != misses {
		t.Error("the token in steady use is gone")
	}
	cache.resize(0)
	if n := cache.EstimatedSize(); n != 0 {
		t.Errorf("%d tokens are left after the cache was ended", n)
	}
}

// A token is judged by each site's own settings, though both share the cache.
func TestSitesShareTheCacheAndNotTheVerdict(t *testing.T) {
	t.Parallel()
	cache := newTokenCache(defaultCache)
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
	if cache.hits.Load() != 3 {
		t.Errorf("%d hits, want 3", cache.hits.Load())
	}
}

// The time of a token that is in the cache would hide what verifying takes.
func TestTokensInTheCacheAreNotTimed(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	since := counted(t, s)
	s.validator = s.validator.Cached(newTokenCache(defaultCache))
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

var _ validator.Cache = (*tokenCache)(nil)
