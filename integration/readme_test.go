package integration

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// The README's site for API keys, as it is printed, with the filter of its global block
// as the default log's: a valid key is in no line, not even while the upstream is down,
// when Caddy writes the whole request to its log of errors.
func TestREADME_APIKeysAreNotLogged(t *testing.T) {
	t.Parallel()
	key := peers.NewAPIKey(t, "partner", nil)
	global, site := readmeKeys(t)
	_, format, found := strings.Cut(global, "format ")
	if !found {
		t.Fatalf("the README's global block has no format:\n%s", global)
	}
	format, _, _ = strings.Cut(format, "\n\t}") // the end of log default
	site = strings.Replace(changed(t, site, "/etc/caddy/keys/keys.jsonl", tempFile(t, "keys.jsonl", peers.KeyLines(t, key)),
		"localhost:8080", "127.0.0.1:1"), "api.example.com {", "https://api.example.test {", 1)
	for name, c := range map[string]struct {
		format string
		logged bool
	}{
		"with the README's filter":     {format, false},
		"without, the key is shown":    {"json", true}, // or this test proves nothing
		"with a filter of another one": {strings.Replace(format, "X-Api-Key", "X-Other", 1), true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFixture(t, site, options{format: c.format, shownByCaddy: true, level: "INFO"})
			checkStatus(t, s.send(t, s.http, http.MethodGet, "api.example.test", "/", apiKey(key.Text)), http.StatusBadGateway)
			s.logs.mark()
			text := s.logs.String()
			if !strings.Contains(text, "http.log.error") {
				t.Fatal("Caddy wrote no error")
			}
			if got := strings.Contains(text, key.Text); got != c.logged {
				t.Errorf("the key is in the log: %t", got)
			}
		})
	}
}

// readmeKeys are the two blocks of the README's Caddyfile for API keys.
func readmeKeys(t *testing.T) (global, site string) {
	t.Helper()
	for _, block := range fencedBlock.FindAllStringSubmatch(readFile(t, filepath.Join("..", "README.md")), -1) {
		if block[1] == "caddyfile" && strings.Contains(block[2], "api_keys") {
			global, site, found := strings.Cut(block[2], "\n}\n\n")
			if !found {
				t.Fatalf("the README's Caddyfile has no global block:\n%s", block[2])
			}
			return global, site
		}
	}
	t.Fatal("the README has no Caddyfile with API keys")
	return "", ""
}
