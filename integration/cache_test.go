package integration

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// userPages is an upstream that answers each user with their own page, and lets a test
// hold back those below /slow.
type userPages struct {
	addr     string
	requests atomic.Int64
	gate     atomic.Pointer[chan struct{}]
}

func newUserPages(t *testing.T) *userPages {
	t.Helper()
	d := &userPages{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		gate := d.gate.Load()
		d.requests.Add(1)
		if strings.HasPrefix(r.URL.Path, "/slow") {
			select {
			case <-*gate:
			case <-r.Context().Done():
			}
		}
		if control := r.URL.Query().Get("control"); control != "" {
			w.Header().Set("Cache-Control", control)
		}
		_, _ = fmt.Fprintf(w, "the page of %s", strings.Trim(r.Header.Get("X-User"), `"`))
	}))
	t.Cleanup(server.Close)
	d.addr = strings.TrimPrefix(server.URL, "http://")
	return d
}

// hold keeps answers back until what it returns is called.
func (d *userPages) hold() (release func()) {
	gate := make(chan struct{})
	d.gate.Store(&gate)
	return func() { close(gate) }
}

// Sites of docs/guides/caching.md.
const (
	cacheInFront = "front.example.test"   // of jwt
	sharedCache  = "shared.example.test"  // after jwt, with one answer for all users
	privateCache = "private.example.test" // after jwt, with the user in its key
	mixedCache   = "mixed.example.test"   // public and private paths
)

// newCacheFixture starts a fixture with these sites in front of the pages of users.
func newCacheFixture(t *testing.T) (*fixture, *userPages) {
	t.Helper()
	pages := newUserPages(t)
	block := func(n int, host string) string { return guideBlock(t, "caching.md", n, "api.example.com", host) }
	s := newFixture(t, block(0, "open.example.test")+
		block(1, sharedCache)+
		block(2, privateCache)+
		block(3, mixedCache)+
		strings.NewReplacer("jwt {$ISSUER}", "jwt {$ISSUER} https://api.example.com {\nforward user X-User\n}\n#").Replace(block(0, cacheInFront)),
		// In front of jwt the cache writes whole requests to its log.
		options{trusted: true, shownByCaddy: true, env: map[string]string{"UPSTREAM": pages.addr}}, keys(t).RS256)
	return s, pages
}

// guideToken is a credential of a user of the guides' sites.
func (s *fixture) guideToken(t *testing.T, user string, changes map[string]any) string {
	t.Helper()
	claims := s.claims(map[string]any{"aud": guideAudience, "sub": user})
	maps.Copy(claims, changes)
	return keys(t).RS256.Token(t, claims, nil)
}

// asUser is guideToken as a part of a request.
func (s *fixture) asUser(t *testing.T, name string) change { return bearer(s.guideToken(t, name, nil)) }

// page asks for a path.
func (s *fixture) page(t *testing.T, host, path string, changes ...change) answer {
	t.Helper()
	return s.send(t, s.http, http.MethodGet, host, path, changes...)
}

// pageLater asks for a path and returns at once. Its channel is closed without an answer
// where the request fails.
func (s *fixture) pageLater(t *testing.T, host, path string, changes ...change) <-chan answer {
	later := make(chan answer, 1)
	go func() {
		defer close(later)
		later <- s.page(t, host, path, changes...)
	}()
	return later
}

// A cache gives one user's answer to another where it does not know of users, and
// to everybody where it stands in front of jwt: what docs/guides/caching.md warns
// of, and what it advises instead.
func TestThreat49_CachesAndUsers(t *testing.T) {
	t.Parallel()
	need(t, cachePlugin)
	s, pages := newCacheFixture(t)
	t.Run("in front of jwt it answers requests without a token", func(t *testing.T) {
		checkStatus(t, s.page(t, cacheInFront, "/me"), http.StatusUnauthorized) // while nothing is stored
		for _, changes := range [][]change{{s.asUser(t, "alice")}, {s.asUser(t, "bob")}, {bearer("garbage")}, nil} {
			if a := s.page(t, cacheInFront, "/me", changes...); a.status != http.StatusOK || a.body != "the page of alice" {
				t.Errorf("status %d, %q: the guide warns of what does not happen", a.status, a.body)
			}
		}
	})
	t.Run("after jwt it answers those with a token, all with one answer", func(t *testing.T) {
		for range 2 {
			checkStatus(t, s.page(t, sharedCache, "/me", s.asUser(t, "alice")), http.StatusOK)
		}
		before := pages.requests.Load()
		if a := s.page(t, sharedCache, "/me", s.asUser(t, "bob")); a.status != http.StatusOK || pages.requests.Load() != before {
			t.Errorf("status %d, and the upstream was asked: the guide warns of what does not happen", a.status)
		}
		for name, changes := range map[string][]change{"no token": nil, "a bad one": {bearer("garbage")}} {
			if a := s.page(t, sharedCache, "/me", changes...); a.status != http.StatusUnauthorized {
				t.Errorf("%s: status %d; want 401", name, a.status)
			}
		}
	})
	t.Run("with the user in its key each gets their own", func(t *testing.T) { s.checkPrivateCache(t, pages) })
	t.Run("a user's name and a path are not mistaken for others", func(t *testing.T) {
		s.page(t, privateCache, "/me", s.asUser(t, "x-2"))
		for path, name := range map[string]string{"/me-x": "2", "/me-": "x-2"} {
			if a := s.page(t, privateCache, path, s.asUser(t, name)); a.body != "the page of "+name {
				t.Errorf("%s at %s got %q", name, path, a.body)
			}
		}
	})
	t.Run("a refusal is not stored", func(t *testing.T) {
		for _, host := range []string{cacheInFront, privateCache, sharedCache} {
			if a := s.page(t, host, "/refused"); a.status != http.StatusUnauthorized {
				t.Errorf("%s: status %d; want 401", host, a.status)
			}
			if a := s.page(t, host, "/refused", s.asUser(t, "alice")); a.status != http.StatusOK {
				t.Errorf("%s: status %d; want 200", host, a.status)
			}
		}
	})
	t.Run("public and private side by side", func(t *testing.T) {
		before := pages.requests.Load()
		for range 2 {
			checkStatus(t, s.page(t, mixedCache, "/catalog/x"), http.StatusOK)
			checkStatus(t, s.page(t, mixedCache, "/me", s.asUser(t, "alice")), http.StatusOK)
			checkStatus(t, s.page(t, mixedCache, "/me"), http.StatusUnauthorized)
		}
		if n := pages.requests.Load() - before; n != 3 {
			t.Errorf("the upstream was asked %d times; want 3: once for the catalog, and each time for the user", n)
		}
	})
}

// checkPrivateCache requires that a cache with the user in its key stores an answer
// for each user, and gives it to no other.
func (s *fixture) checkPrivateCache(t *testing.T, pages *userPages) {
	t.Helper()
	before := pages.requests.Load()
	for range 3 {
		for _, name := range []string{"alice", "bob", "alice-bob", "Alice"} {
			if a := s.page(t, privateCache, "/me", s.asUser(t, name)); a.status != http.StatusOK || a.body != "the page of "+name {
				t.Errorf("%s: status %d, %q", name, a.status, a.body)
			}
			if a := s.page(t, privateCache, "/me", s.asUser(t, name), exactHeader("X-User", "alice")); a.status != http.StatusOK || a.body != "the page of "+name {
				t.Errorf("%s, with a forged header: status %d, %q", name, a.status, a.body)
			}
		}
	}
	if n := pages.requests.Load() - before; n != 4 {
		t.Errorf("the upstream was asked %d times; want once for each user, so that this test is about a cache", n)
	}
	for name, changes := range map[string][]change{
		"no token": nil, "a bad one": {bearer("garbage")}, "a forged header": {exactHeader("X-User", "alice")},
		"an old one": {bearer(s.guideToken(t, "alice", map[string]any{"exp": 1_000_000_000}))},
	} {
		if a := s.page(t, privateCache, "/me", changes...); a.status != http.StatusUnauthorized || strings.Contains(a.body, "page") {
			t.Errorf("%s: status %d, %q; want 401", name, a.status, a.body)
		}
	}
}

// slowPage is a path that the upstream holds back, and upstreamAsked is in a line of
// the cache's log for each request that it has no answer for.
const slowPage, upstreamAsked = "/slow?control=private", "Request the upstream server"

// A cache gives requests at the same time one answer, before it knows whether that
// is private. After jwt, with the user in its key, each user gets their own.
func TestThreat49_CachesAndRequestsAtTheSameTime(t *testing.T) {
	t.Parallel()
	need(t, cachePlugin)
	s, pages := newCacheFixture(t)
	t.Run("after jwt each gets its own answer", func(t *testing.T) {
		release, before := pages.hold(), pages.requests.Load()
		answers := map[string]<-chan answer{}
		for _, name := range []string{"alice", "bob"} {
			answers[name] = s.pageLater(t, privateCache, slowPage, s.asUser(t, name))
		}
		s.eventually("both are asked for", longWait, func() bool { return pages.requests.Load() == before+2 }, s.logs.String)
		checkStatus(t, s.page(t, privateCache, slowPage), http.StatusUnauthorized)
		release()
		for name, answer := range answers {
			if a := <-answer; a.body != "the page of "+name {
				t.Errorf("%s got %q", name, a.body)
			}
		}
	})
	t.Run("in front of jwt they share even what is private", func(t *testing.T) {
		lines := func() int { return strings.Count(s.logs.String(), upstreamAsked) }
		for range 20 { // the second one must come between two steps of the first
			release, before := pages.hold(), pages.requests.Load()
			first := s.pageLater(t, cacheInFront, slowPage, s.asUser(t, "alice"))
			s.eventually("the first is asked for", longWait, func() bool { return pages.requests.Load() > before }, s.logs.String)
			had := lines()
			second := s.pageLater(t, cacheInFront, slowPage)
			s.eventually("the second comes to the cache", longWait, func() bool { return lines() > had }, s.logs.String)
			release()
			<-first
			if a := <-second; a.status == http.StatusOK && a.body == "the page of alice" {
				return
			}
		}
		t.Error("it did not: the guide warns of what does not happen")
	})
	t.Run("the cache's own log shows no token of requests that jwt saw first", func(t *testing.T) {
		token := s.guideToken(t, "quiet", nil)
		if a := s.page(t, privateCache, "/me", bearer(token)); a.status != http.StatusOK {
			t.Fatalf("status %d", a.status)
		}
		s.logs.mark()
		if text := s.logs.String(); !strings.Contains(text, upstreamAsked) || strings.Contains(text, token[strings.LastIndexByte(token, '.'):]) {
			t.Error("it does, or has no lines at all")
		}
	})
}
