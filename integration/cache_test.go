package integration

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// userPages is an upstream that answers each user with their own page, and lets a test
// hold back those below /slow.
type userPages struct {
	addr  string
	asked atomic.Int64
	gate  atomic.Pointer[chan struct{}]
}

func newUserPages(t *testing.T) *userPages {
	t.Helper()
	d := &userPages{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		gate := d.gate.Load()
		d.asked.Add(1)
		if strings.HasPrefix(r.URL.Path, "/slow") {
			select {
			case <-*gate:
			case <-r.Context().Done():
			}
		}
		if control := r.URL.Query().Get("control"); control != "" {
			w.Header().Set("Cache-Control", control)
		}
		_, _ = fmt.Fprintf(w, "the diary of %s", strings.Trim(r.Header.Get("X-User"), `"`))
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

// A cache gives one user's answer to another where it does not know of users, and
// to everybody where it stands in front of jwt: what docs/guides/caching.md warns
// of, and what it advises instead.
func TestThreat49_CachesAndUsers(t *testing.T) {
	t.Parallel()
	need(t, cachePlugin)
	k := keys(t)
	d := newUserPages(t)
	block := func(n int, host string) string { return guideBlock(t, "caching.md", n, "api.example.com", host) }
	s := newFixture(t, block(0, "open.example.test")+
		block(1, "shared.example.test")+
		block(2, "private.example.test")+
		block(3, "beside.example.test")+
		strings.NewReplacer("jwt {$ISSUER}", "jwt {$ISSUER} https://api.example.com {\nforward user X-User\n}\n#").Replace(block(0, "leaky.example.test")),
		// In front of jwt the cache writes whole requests to its log.
		options{trusted: true, shownByCaddy: true, env: map[string]string{"UPSTREAM": d.addr}}, k.RS256)
	user := func(name string) change {
		return bearer(k.RS256.Token(t, s.claims(map[string]any{"aud": guideAudience, "sub": name}), nil))
	}
	read := func(t *testing.T, host, path string, changes ...change) answer {
		t.Helper()
		return s.send(t, s.http, http.MethodGet, host, path, changes...)
	}
	t.Run("in front of jwt it answers those who have no token", func(t *testing.T) {
		if a := read(t, "leaky.example.test", "/me"); a.status != http.StatusUnauthorized {
			t.Fatalf("status %d; want 401 while nothing is stored", a.status)
		}
		for _, changes := range [][]change{{user("alice")}, {user("bob")}, {bearer("garbage")}, nil} {
			if a := read(t, "leaky.example.test", "/me", changes...); a.status != http.StatusOK || a.body != "the diary of alice" {
				t.Errorf("status %d, %q: the guide warns of what does not happen", a.status, a.body)
			}
		}
	})
	t.Run("behind jwt it answers those with a token, all with one answer", func(t *testing.T) {
		const host = "shared.example.test"
		for range 2 {
			if a := read(t, host, "/me", user("alice")); a.status != http.StatusOK {
				t.Errorf("status %d", a.status)
			}
		}
		before := d.asked.Load()
		if a := read(t, host, "/me", user("bob")); a.status != http.StatusOK || d.asked.Load() != before {
			t.Errorf("status %d, and the upstream was asked: the guide warns of what does not happen", a.status)
		}
		for name, changes := range map[string][]change{"no token": nil, "a bad one": {bearer("garbage")}} {
			if a := read(t, host, "/me", changes...); a.status != http.StatusUnauthorized {
				t.Errorf("%s: status %d; want 401", name, a.status)
			}
		}
	})
	t.Run("with the user in its key each gets their own", func(t *testing.T) {
		const host = "private.example.test"
		before := d.asked.Load()
		for range 3 {
			for _, name := range []string{"alice", "bob", "alice-bob", "Alice"} {
				if a := read(t, host, "/me", user(name)); a.status != http.StatusOK || a.body != "the diary of "+name {
					t.Errorf("%s: status %d, %q", name, a.status, a.body)
				}
				if a := read(t, host, "/me", user(name), exactHeader("X-User", "alice")); a.status != http.StatusOK || a.body != "the diary of "+name {
					t.Errorf("%s, with a forged header: status %d, %q", name, a.status, a.body)
				}
			}
		}
		if n := d.asked.Load() - before; n != 4 {
			t.Errorf("the upstream was asked %d times; want once for each user, so that this test is about a cache", n)
		}
		for name, changes := range map[string][]change{
			"no token": nil, "a bad one": {bearer("garbage")}, "a forged header": {exactHeader("X-User", "alice")},
			"an old one": {bearer(k.RS256.Token(t, s.claims(map[string]any{"aud": guideAudience, "sub": "alice", "exp": 1_000_000_000}), nil))},
		} {
			if a := read(t, host, "/me", changes...); a.status != http.StatusUnauthorized || strings.Contains(a.body, "diary") {
				t.Errorf("%s: status %d, %q; want 401", name, a.status, a.body)
			}
		}
	})
	t.Run("a user's name and a path are not mistaken for others", func(t *testing.T) {
		const host = "private.example.test"
		read(t, host, "/me", user("x-2"))
		for path, name := range map[string]string{"/me-x": "2", "/me-": "x-2"} {
			if a := read(t, host, path, user(name)); a.body != "the diary of "+name {
				t.Errorf("%s at %s got %q", name, path, a.body)
			}
		}
	})
	t.Run("a refusal is not stored", func(t *testing.T) {
		for _, host := range []string{"leaky.example.test", "private.example.test", "shared.example.test"} {
			if a := read(t, host, "/refused"); a.status != http.StatusUnauthorized {
				t.Errorf("%s: status %d; want 401", host, a.status)
			}
			if a := read(t, host, "/refused", user("alice")); a.status != http.StatusOK {
				t.Errorf("%s: status %d; want 200", host, a.status)
			}
		}
	})
	t.Run("public and private side by side", func(t *testing.T) {
		const host = "beside.example.test"
		before := d.asked.Load()
		for range 2 {
			if a := read(t, host, "/catalog/x"); a.status != http.StatusOK {
				t.Errorf("status %d; want 200", a.status)
			}
			if a := read(t, host, "/me", user("alice")); a.status != http.StatusOK {
				t.Errorf("status %d; want 200", a.status)
			}
			if a := read(t, host, "/me"); a.status != http.StatusUnauthorized {
				t.Errorf("status %d; want 401", a.status)
			}
		}
		if n := d.asked.Load() - before; n != 3 {
			t.Errorf("the upstream was asked %d times; want 3: once for the catalog, and each time for the user", n)
		}
	})
	const slow, asks = "/slow?control=private", "Request the upstream server"
	lines := func() int { return strings.Count(s.logs.String(), asks) }
	t.Run("requests at the same time, each with its own answer", func(t *testing.T) {
		const host = "private.example.test"
		release, before := d.hold(), d.asked.Load()
		bodies := map[string]chan answer{"alice": make(chan answer, 1), "bob": make(chan answer, 1)}
		for name, body := range bodies {
			go func() { body <- read(t, host, slow, user(name)) }()
		}
		s.eventually("both are asked for", longWait, func() bool { return d.asked.Load() == before+2 }, s.logs.String)
		if a := read(t, host, slow); a.status != http.StatusUnauthorized {
			t.Errorf("status %d; want 401", a.status)
		}
		release()
		for name, body := range bodies {
			if a := <-body; a.body != "the diary of "+name {
				t.Errorf("%s got %q", name, a.body)
			}
		}
	})
	t.Run("in front of jwt requests at the same time share even what is private", func(t *testing.T) {
		const host = "leaky.example.test"
		for range 20 { // the second one must come between two steps of the first
			release, before := d.hold(), d.asked.Load()
			first, second := make(chan answer, 1), make(chan answer, 1)
			go func() { first <- read(t, host, slow, user("alice")) }()
			s.eventually("the first is asked for", longWait, func() bool { return d.asked.Load() > before }, s.logs.String)
			had := lines()
			go func() { second <- read(t, host, slow) }()
			s.eventually("the second comes to the cache", longWait, func() bool { return lines() > had }, s.logs.String)
			release()
			<-first
			if a := <-second; a.status == http.StatusOK && a.body == "the diary of alice" {
				return
			}
		}
		t.Error("it did not: the guide warns of what does not happen")
	})
	t.Run("the cache's own log shows no token of requests that jwt saw first", func(t *testing.T) {
		token := k.RS256.Token(t, s.claims(map[string]any{"aud": guideAudience, "sub": "quiet"}), nil)
		if a := read(t, "private.example.test", "/me", bearer(token)); a.status != http.StatusOK {
			t.Fatalf("status %d", a.status)
		}
		s.logs.mark()
		if text := s.logs.String(); !strings.Contains(text, asks) || strings.Contains(text, token[strings.LastIndexByte(token, '.'):]) {
			t.Error("it does, or has no lines at all")
		}
	})
}
