package integration

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// askAdmin asks the admin endpoint and requires a status.
func (c *caddy) askAdmin(t *testing.T, method, path string, status int) answer {
	t.Helper()
	a, err := c.adminDo(method, path, 20*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if a.status != status {
		t.Errorf("%s %.60s: status %d; want %d: %s", method, path, a.status, status, a.body)
	}
	return a
}

// checkNoHandler requires the answers of a server without a jwt handler.
func (c *caddy) checkNoHandler(t *testing.T) {
	t.Helper()
	c.askAdmin(t, http.MethodGet, "/jwt/status", http.StatusServiceUnavailable)
	c.askAdmin(t, http.MethodPost, "/jwt/issuers/0123456789abcdef/refresh", http.StatusServiceUnavailable)
	if samples := c.metrics(t); len(samples) != 0 {
		t.Errorf("there are metrics: %v", samples)
	}
}

// The endpoints of the admin API follow the config: a server without a jwt handler
// has nothing to show.
func TestAdminEndpointsFollowTheConfig(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, noIssuer, options{}, k.RS256, k.ES256)
	good := k.RS256.Token(t, s.claims(nil), nil)
	t.Run("without a jwt handler there is nothing to show", func(t *testing.T) { s.checkNoHandler(t) })
	s.mustReload(t, oneIssuer)
	s.accepts(t, site, good)
	id := s.statusOf(t, s.issuer.URL).ID
	t.Run("the status shows the source", func(t *testing.T) {
		a := s.askAdmin(t, http.MethodGet, "/jwt/status", http.StatusOK)
		if got := a.header.Get("Content-Type"); got != "application/json" {
			t.Errorf("Content-Type %q", got)
		}
		s.askAdmin(t, http.MethodHead, "/jwt/status", http.StatusOK)
		status := s.statusOf(t, s.issuer.URL)
		var kids []string
		for _, key := range status.Keys {
			kids = append(kids, key.KID)
		}
		if status.Kind != "remote" || status.State != "fresh" || status.Fetches != 1 || status.Succeeded != 1 || !slices.Equal(kids, []string{k.RS256.KID, k.ES256.KID}) {
			t.Errorf("the status is %+v", status)
		}
	})
	t.Run("a config that is refused leaves the status as it was", func(t *testing.T) {
		err := s.reload(oneIssuer + "\nhttps://broken.example.test {\n\tjwt {\n\t\tissuer https://x.example.test {\n\t\t\tjwks_file /no/such/file\n\t\t}\n\t\taudience x\n\t}\n}\n")
		if err == nil {
			t.Fatal("the config was loaded")
		}
		if all := s.status(t); len(all) != 1 || all[0].ID != id {
			t.Errorf("the status is %+v", all)
		}
	})
	t.Run("once the handler is gone there is nothing to show again", func(t *testing.T) {
		s.mustReload(t, noIssuer)
		s.checkNoHandler(t)
		before := s.issuer.Hits(peers.KeySetPath)
		s.mustReload(t, oneIssuer)
		s.accepts(t, site, good)
		if n := s.issuer.Hits(peers.KeySetPath) - before; n == 0 {
			t.Error("nothing was fetched for the issuer that came back")
		}
	})
}

// Requests to the admin endpoints that are wrong are answered so and change nothing.
func TestWrongAdminRequests(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, oneIssuer, options{}, k.RS256)
	s.accepts(t, site, k.RS256.Token(t, s.claims(nil), nil))
	id := s.statusOf(t, s.issuer.URL).ID
	t.Run("wrong methods", func(t *testing.T) {
		for _, c := range []struct{ path, allowed string }{{"/jwt/status", "GET"}, {"/jwt/issuers/" + id + "/refresh", "POST"}} {
			for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "BREW"} {
				if method == c.allowed {
					continue
				}
				a := s.askAdmin(t, method, c.path, http.StatusMethodNotAllowed)
				if got := a.header.Get("Allow"); got != c.allowed {
					t.Errorf("%s %s: Allow %q; want %s", method, c.path, got, c.allowed)
				}
			}
		}
		if n := s.statusOf(t, s.issuer.URL).Fetches; n != 1 {
			t.Errorf("there were %d fetches; want 1 as before", n)
		}
	})
	t.Run("wrong paths", func(t *testing.T) {
		for _, path := range []string{
			"/jwt", "/jwt/", "/jwt/status/", "/jwt/status/x", "/jwt/issuers", "/jwt/issuers/", "/jwt/issuers/" + id,
			"/jwt/issuers/" + id + "/", "/jwt/issuers/" + id + "/refresh/", "/jwt/issuers/" + id + "/x", "/jwt/issuers/refresh",
			"/jwt/issuers//refresh", "/jwt/issuers/" + id + "/x/refresh", "/jwt/issuers/unknown/refresh",
			"/jwt/issuers/%2e%2e/refresh", "/jwt/issuers/" + strings.Repeat("a", 10_000) + "/refresh",
		} {
			a, err := s.adminDo(http.MethodPost, path, 20*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if a.status != http.StatusNotFound && a.status != http.StatusMovedPermanently && a.status != http.StatusTemporaryRedirect {
				t.Errorf("POST %.60s: status %d; want 404: %s", path, a.status, a.body)
			}
		}
	})
	t.Run("other hosts are kept out, as from all of Caddy's endpoint", func(t *testing.T) {
		r, err := http.NewRequest(http.MethodGet, "http://"+s.adminAddress()+"/jwt/status", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "evil.example.test"
		res, err := adminClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusForbidden {
			t.Errorf("status %d; want 403", res.StatusCode)
		}
	})
}

// POST /jwt/issuers/<id>/refresh fetches now and answers with what came of it.
func TestRefreshEndpoint(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, oneIssuer, options{}, k.RS256)
	s.accepts(t, site, k.RS256.Token(t, s.claims(nil), nil))
	id := s.statusOf(t, s.issuer.URL).ID
	path := "/jwt/issuers/" + id + "/refresh"
	t.Run("it answers with the new state", func(t *testing.T) {
		a := s.askAdmin(t, http.MethodPost, path, http.StatusOK)
		var status issuerStatus
		if err := json.Unmarshal([]byte(a.body), &status); err != nil || status.ID != id || status.Fetches != 2 {
			t.Errorf("%v: %s", err, a.body)
		}
	})
	t.Run("many at once share their fetches", func(t *testing.T) {
		s.issuer.Answer(peers.KeySetPath, &peers.Answer{Body: peers.JWKS(t, k.RS256), Delay: 500 * time.Millisecond})
		before := s.issuer.Hits(peers.KeySetPath)
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() {
				if a, err := s.adminDo(http.MethodPost, path, 20*time.Second); err != nil || a.status != http.StatusOK {
					t.Errorf("status %d, %v; want 200", a.status, err)
				}
			})
		}
		group.Wait()
		if n := s.issuer.Hits(peers.KeySetPath) - before; n > 4 {
			t.Errorf("20 refreshes made %d fetches", n)
		}
		s.issuer.Answer(peers.KeySetPath, nil)
	})
	t.Run("one that fails says why", func(t *testing.T) {
		s.issuer.Answer(peers.KeySetPath, &peers.Answer{Status: http.StatusInternalServerError})
		a := s.askAdmin(t, http.MethodPost, path, http.StatusBadGateway)
		if !strings.Contains(a.body, "500") || !strings.Contains(a.body, s.issuer.URL) {
			t.Errorf("the answer does not say what is wrong: %s", a.body)
		}
		s.issuer.Answer(peers.KeySetPath, nil)
	})
}

// A URL's query may hold an API key: it is in no status, no metric and no log.
func TestQueriesOfURLsAreNotShown(t *testing.T) {
	t.Parallel()
	k := keys(t)
	const secret = "apikey-6f1d0c2b9a8e7f60"
	s := newFixture(t, `
https://api.example.test {
	jwt {
		issuer {$ISSUER} {
			ca {$CA}
			jwks_url {$ISSUER}/jwks.json?key=`+secret+`
		}
		audience https://api.example.test
	}
	import upstream
	import reasons
}
`, options{level: "INFO"}, k.RS256) // Caddy's own adapter logs the config at DEBUG
	s.accepts(t, site, k.RS256.Token(t, s.claims(nil), nil))
	s.issuer.Answer(peers.KeySetPath, &peers.Answer{Status: http.StatusForbidden})
	texts := []string{s.refresh(t, s.issuer.URL).body}
	s.issuer.Down()
	texts = append(texts, s.refresh(t, s.issuer.URL).body)
	for _, path := range []string{"/jwt/status", "/metrics"} {
		text, err := s.adminGet(path)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, text)
	}
	texts = append(texts, s.logs.String())
	for _, text := range texts {
		if at := strings.Index(text, secret); at >= 0 {
			t.Errorf("the query is shown: …%s…", text[max(0, at-300):min(len(text), at+100)])
		}
	}
}
