package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// newKongAdmin is a stand-in for Kong's Admin API, which answers two entries of a
// collection at a time, however many are asked for, and says where the next ones are.
func newKongAdmin(t *testing.T, collections map[string][]map[string]any) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		all, found := collections[r.URL.Path]
		if !found {
			http.NotFound(w, r)
			return
		}
		from, _ := strconv.Atoi(r.URL.Query().Get("offset"))
		to := min(from+2, len(all))
		answer := map[string]any{"data": all[from:to], "next": nil}
		if to < len(all) {
			answer["next"] = fmt.Sprintf("%s?offset=%d", r.URL.Path, to)
		}
		_ = json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// The commands of docs/guides/from-kong.md that export keys and import them: all pages,
// under the consumers' names, and no key that ends.
func TestGuides_KongExport(t *testing.T) {
	t.Parallel()
	need(t, curl)
	need(t, jq)
	issued := map[string]*peers.APIKey{}
	credential := func(name, consumer string, ttl any) map[string]any {
		issued[name] = peers.NewAPIKey(t, name, nil)
		return map[string]any{"id": "credential-" + name, "key": issued[name].Text, "ttl": ttl, "consumer": map[string]string{"id": consumer}}
	}
	admin := newKongAdmin(t, map[string][]map[string]any{
		"/consumers": {
			{"id": "11", "username": "partner-b", "custom_id": "0815"}, {"id": "22", "username": "partner-c"},
			{"id": "33", "username": nil, "custom_id": "only-custom"},
		},
		"/key-auths": {
			credential("b1", "11", nil), credential("b2", "11", nil), credential("c", "22", nil),
			credential("ending", "22", 3600), credential("custom", "33", nil),
		},
	})
	dir := t.TempDir()
	if err := os.Symlink(caddyBinary, filepath.Join(dir, "caddy")); err != nil {
		t.Fatal(err)
	}
	run := func(script string) string {
		t.Helper()
		command := exec.CommandContext(t.Context(), "sh", "-c", script)
		command.Dir = dir
		command.Env = append(environment(dir, nil), "PATH="+dir+":"+os.Getenv("PATH"))
		text, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		return string(text)
	}
	if text := run(changed(t, guideCode(t, "from-kong.md", "sh", 0), "http://localhost:8001", admin)); !strings.Contains(text, "credential-ending") {
		t.Errorf("nothing is said of the key that ends: %q", text)
	}
	for _, file := range []string{"keys.csv", "credentials.json", "page.json"} {
		if info, err := os.Stat(filepath.Join(dir, file)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file, info, err)
		}
	}
	commands, _, found := strings.Cut(guideCode(t, "from-kong.md", "sh", 1), "sudo install")
	if !found {
		t.Fatal("the guide does not install the file")
	}
	run("set -eu\n" + commands)

	s := newFixture(t, guideSiteWith(t, "from-kong.md", "partner-a", "api.example.com", "kong.example.test", "/etc/caddy/partner-a.pem", keys(t).RS256.PublicFile(t),
		"/etc/caddy/keys/keys.jsonl", filepath.Join(dir, "keys.new"), "localhost:8080", "{$UPSTREAM}"), options{shownByCaddy: true})
	for name, consumer := range map[string]string{"b1": "partner-b", "b2": "partner-b", "c": "partner-c", "custom": "only-custom", "ending": ""} {
		a := s.send(t, s.http, http.MethodGet, "kong.example.test", "/", header("apikey", issued[name].Text))
		if consumer == "" {
			checkStatus(t, a, http.StatusUnauthorized)
			continue
		}
		if a.status != http.StatusOK {
			t.Errorf("the key %s: status %d", name, a.status)
		} else if got := a.upstream(t).Header.Get("X-Consumer-Username"); got != consumer {
			t.Errorf("the key %s is that of %q; want %q", name, got, consumer)
		}
	}
}
