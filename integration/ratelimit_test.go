package integration

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// caddy-ratelimit runs after jwt without an order in the config, and counts
// by the identity: that of the consumer, whichever of its keys it uses.
func TestRateLimitByConsumer(t *testing.T) {
	t.Parallel()
	need(t, rateLimiter)
	k := keys(t)
	one := peers.NewAPIKey(t, "one", map[string]any{"consumer": "partner"})
	two := peers.NewAPIKey(t, "two", map[string]any{"consumer": "partner"})
	other := peers.NewAPIKey(t, "other", nil)
	third := peers.NewAPIKey(t, "third", nil)
	s, _ := newAPIKeyFixture(t, `
https://api.example.test {
	jwt {
		import issuer
		api_keys {$KEYS}
	}
	rate_limit {
		zone consumers {
			key {http.auth.user.id}
			window 1h
			events 2
		}
	}
	import keyholder
	handle_errors 401 429 {
		header X-Reason {http.jwt.reason}
		respond "stop" {err.status_code}
	}
}
`, options{}, one, two, other, third)
	limited := func(t *testing.T, a answer) {
		t.Helper()
		if a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") == "" {
			t.Errorf("status %d, Retry-After %q; want 429", a.status, a.header.Get("Retry-After"))
		}
		if seen := s.upstream.Take(); len(seen) != 0 {
			t.Errorf("the upstream got %d requests; want none", len(seen))
		}
	}
	for range 2 {
		s.passes(t, s.withKey(t, other), other)
	}
	limited(t, s.withKey(t, other))
	s.passes(t, s.withKey(t, one), one)
	s.passes(t, s.withKey(t, two), two)
	limited(t, s.withKey(t, one))
	limited(t, s.withKey(t, two))

	t.Run("what is refused does not count", func(t *testing.T) {
		for range 4 {
			s.refused(t, s.withKey(t, &peers.APIKey{Text: third.Text + "x"}), http.StatusUnauthorized, "unknown_api_key")
			s.refused(t, s.send(t, s.http, http.MethodGet, site, "/"), http.StatusUnauthorized, "missing_credentials")
		}
		s.passes(t, s.withKey(t, third), third)
	})
	t.Run("tokens are counted by their user", func(t *testing.T) {
		for _, sub := range []string{"alice", "alice", "bob"} {
			s.accepts(t, site, k.RS256.Token(t, s.claims(map[string]any{"sub": sub}), nil))
		}
		limited(t, s.get(t, site, k.RS256.Token(t, s.claims(map[string]any{"sub": "alice"}), nil)))
		limited(t, s.send(t, s.http, http.MethodGet, site, "/", apiKey(other.Text)))
	})
}

// The usage plans of the example: a rate for those of one plan, another one for
// the rest, and a quota, with the answers of AWS API Gateway.
func TestRateLimitOfTheExample(t *testing.T) {
	t.Parallel()
	need(t, rateLimiter)
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("..", "examples", "aws-api-gateway"))); err != nil {
		t.Fatal(err)
	}
	awsKeys(t, dir)
	text, err := os.ReadFile(filepath.Join(dir, "ratelimit.Caddyfile"))
	if err != nil {
		t.Fatal(err)
	}
	// As it stands it must load; for the test its seconds are hours and its quota
	// is small, so that no slow machine changes an answer.
	if code, output := caddyCommandIn(t, dir, nil, "validate", "--adapter", "caddyfile", "--config", "ratelimit.Caddyfile"); code != 0 {
		t.Fatalf("caddy validate: exit code %d\n%s", code, output)
	}
	_, sites, ok := strings.Cut(string(text), "\nhttps://localhost:{$HTTPS_PORT:8443} {\n\ttls internal\n")
	if !ok {
		t.Fatal("the example's Caddyfile has no site that this test finds")
	}
	start := func(t *testing.T, quota string) (send func(name string, times, status int, body string)) {
		t.Helper()
		sites := sites
		for from, to := range map[string]string{"keys.jsonl": "{$KEYS}", "window 1s": "window 1h", "events 1000": "events " + quota} {
			if !strings.Contains(sites, from) {
				t.Fatalf("the example's Caddyfile has no %s", from)
			}
			sites = strings.ReplaceAll(sites, from, to)
		}
		s, _ := newAPIKeyFixture(t, "\nhttps://api.example.test {\n"+sites, options{env: map[string]string{"KEYS": filepath.Join(dir, "keys.jsonl")}})
		return func(name string, times, status int, body string) {
			t.Helper()
			k := &peers.APIKey{Text: script(t, dir, "./aws.sh", "key", name)}
			for n := range times {
				if a := s.withKey(t, k); a.status != status || !strings.Contains(a.body, body) {
					t.Fatalf("request %d of %s: status %d, %q; want %d and %q", n+1, name, a.status, a.body, status, body)
				}
			}
		}
	}
	t.Run("the rate", func(t *testing.T) {
		send := start(t, "1000")
		send("shop", 5, http.StatusOK, "hello ")
		send("shop", 1, http.StatusTooManyRequests, `{"message":"Too Many Requests"}`)
		send("partner", 20, http.StatusOK, "hello ")
		send("partner", 1, http.StatusTooManyRequests, `{"message":"Too Many Requests"}`)
		send("former", 1, http.StatusForbidden, `{"message":"Forbidden"}`)
	})
	t.Run("the quota", func(t *testing.T) {
		send := start(t, "3")
		send("shop", 3, http.StatusOK, "hello ")
		send("shop", 1, http.StatusTooManyRequests, `{"message":"Limit Exceeded"}`)
		send("partner", 3, http.StatusOK, "hello ")
		send("partner", 1, http.StatusTooManyRequests, `{"message":"Limit Exceeded"}`)
	})
}
