package integration

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// newAPIKeyFixture starts a fixture whose sites read the API keys from {$KEYS}, and
// returns the file.
func newAPIKeyFixture(t *testing.T, sites string, opts options, held ...*peers.APIKey) (*fixture, keyFile) {
	t.Helper()
	file := replaced(t, "keys.jsonl")
	file.write(t, peers.KeyLines(t, held...))
	env := map[string]string{"KEYS": file.path}
	for name, value := range opts.env {
		env[name] = value
	}
	opts.env = env
	// X-API-Key and the query show in Caddy's own log lines, which are not the plugin's.
	opts.shownByCaddy = true
	return newFixture(t, keySnippets+sites, opts, keys(t).RS256), file
}

// withKey sends a request with an API key in its usual place.
func (s *fixture) withKey(t *testing.T, k *peers.APIKey) answer {
	t.Helper()
	return s.send(t, s.http, http.MethodGet, site, "/", apiKey(k.Text))
}

// passes requires an answer of the upstream, which must not have got the key.
func (s *fixture) passes(t *testing.T, a answer, k *peers.APIKey) http.Header {
	t.Helper()
	if a.status != http.StatusOK {
		t.Fatalf("status %d, reason %q, %s; want 200", a.status, a.header.Get("X-Reason"), a.body)
	}
	s.upstream.Take()
	if strings.Contains(s.upstream.Wire(), k.Text) {
		t.Error("the upstream was sent the key")
	}
	return a.upstream(t).Header
}

func (s *fixture) withKeyAt(t *testing.T, host string, k *peers.APIKey) answer {
	t.Helper()
	return s.send(t, s.http, http.MethodGet, host, "/", apiKey(k.Text))
}
