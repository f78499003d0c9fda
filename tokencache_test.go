package caddyjwt

import (
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/internal/tokencache"
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
	if hits, _ := cache.Lookups(); hits != 3 {
		t.Errorf("%d hits, want 3", hits)
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
