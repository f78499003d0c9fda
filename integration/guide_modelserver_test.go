package integration

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// modelServer is a stand-in for Ollama and vLLM: it streams an answer word by word, each
// when the test asks for it, and refuses host names that it does not know.
type modelServer struct {
	addr  string
	words chan string
	gone  chan struct{} // a client went away before the answer's end
	seen  chan *http.Request
}

func newModelServer(t *testing.T) *modelServer {
	t.Helper()
	m := &modelServer{words: make(chan string), gone: make(chan struct{}, 9), seen: make(chan *http.Request, 99)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.seen <- r
		if r.Host != m.addr {
			http.Error(w, "an unknown host", http.StatusForbidden)
			return
		}
		switch r.URL.Path {
		case "/api/generate":
			w.Header().Set("Content-Type", "application/x-ndjson")
		case "/v1/chat/completions":
			w.Header().Set("Content-Type", "text/event-stream")
		case "/v1/completions": // a stream whose length is known
			w.Header().Set("Content-Length", "9")
		default:
			_, _ = io.WriteString(w, "done")
			return
		}
		for {
			select {
			case word, more := <-m.words:
				if !more {
					return
				}
				_, _ = fmt.Fprintln(w, word)
				_ = http.NewResponseController(w).Flush()
				if word == "end" {
					return
				}
			case <-r.Context().Done():
				m.gone <- struct{}{}
				return
			case <-t.Context().Done():
				return
			}
		}
	}))
	t.Cleanup(server.Close)
	m.addr = strings.TrimPrefix(server.URL, "http://")
	return m
}

// stream asks for an answer and returns its lines as they arrive, and a way to go away
// before its end.
func (s *fixture) stream(t *testing.T, client *http.Client, host, path, key string) (<-chan string, func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url(host, path), strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	bearer(key)(r)
	s.logs.forbid(key)
	lines := make(chan string, 9)
	go func() {
		res, err := client.Do(r)
		if err != nil {
			lines <- err.Error()
			return
		}
		defer res.Body.Close()
		for scanner := bufio.NewScanner(res.Body); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	return lines, cancel
}

// The sites of docs/guides/model-server.md, in front of a stand-in for a model server.
func TestGuides_ModelServer(t *testing.T) {
	t.Parallel()
	const guide, openAI, ollama = "model-server.md", "openai.example.test", "ollama.example.test"
	model := newModelServer(t)
	ann, ben, admin := peers.NewAPIKey(t, "ann", nil), peers.NewAPIKey(t, "ben", nil), peers.NewAPIKey(t, "admin", map[string]any{"scopes": []string{"models:admin"}})
	file := tempFile(t, "keys.jsonl", peers.KeyLines(t, ann, ben, admin))
	site := func(n int, host, printed string) string {
		return guideSite(t, guide, n, "models.example.com", host, "/etc/caddy/keys/keys.jsonl", file, printed, model.addr)
	}
	s := newFixture(t, changed(t, site(0, openAI, "localhost:8000"), "flush_interval -1", "flush_interval -1\n\t\theader_up Host {upstream_hostport}")+
		site(1, ollama, "localhost:11434"), options{})

	for _, host := range []string{openAI, ollama} {
		for _, version := range []protocol{http1, http2} {
			for _, path := range []string{"/api/generate", "/v1/chat/completions", "/v1/completions"} {
				t.Run(fmt.Sprintf("%s%s arrives word by word over %s", host, path, version), func(t *testing.T) {
					words, _ := s.stream(t, s.client(version), host, path, ann.Text)
					for _, word := range []string{"blue", "end"} {
						model.words <- word
						select {
						case got := <-words: // before the server goes on
							if got != word {
								t.Fatalf("got %q; want %q", got, word)
							}
						case <-time.After(5 * time.Second):
							t.Fatalf("%q did not arrive before the rest", word)
						}
					}
				})
			}
		}
	}
	t.Run("a client that goes away stops the server", func(t *testing.T) {
		for _, version := range []protocol{http1, http2} {
			words, hangUp := s.stream(t, s.client(version), ollama, "/api/generate", ann.Text)
			model.words <- "blue"
			<-words
			hangUp()
			select {
			case <-model.gone:
			case <-time.After(5 * time.Second):
				t.Errorf("%s: the server was not told", version)
			}
		}
	})
	for len(model.seen) > 0 {
		if r := <-model.seen; r.Header.Get("Authorization") != "" {
			t.Error("the model server got a key")
		}
	}

	for _, c := range []struct {
		name, host, method, path, key string
		status                        int
	}{
		{"no key", openAI, "GET", "/v1/models", "", 401},
		{"an unknown key", openAI, "GET", "/v1/models", strings.Repeat("x", 40), 401},
		{"a key", openAI, "GET", "/v1/models", ann.Text, 200},
		{"no key, Ollama", ollama, "GET", "/api/tags", "", 401},
		{"a key, Ollama", ollama, "GET", "/api/tags", ann.Text, 200},
		{"no key, administration", ollama, "POST", "/api/pull", "", 401},
		{"a key, deleting", ollama, "DELETE", "/api/delete", ann.Text, 403},
		{"a key, pulling", ollama, "POST", "/api/pull", ann.Text, 403},
		{"a key, what is not on the list", ollama, "POST", "/api/brand-new", ann.Text, 403},
		{"a key, around the list", ollama, "DELETE", "/v1/models/../../api/delete", ann.Text, 403},
		{"a key, around it in code", ollama, "DELETE", "/v1/models/%2e%2e/%2e%2e/api/delete", ann.Text, 403},
		{"a key, around it with an escaped slash", ollama, "DELETE", "/v1/models%2f..%2f..%2fapi/delete", ann.Text, 403},
		{"the administrator's key", ollama, "DELETE", "/api/delete", admin.Text, 200},
	} {
		changes := []change{}
		if c.key != "" {
			changes = append(changes, bearer(c.key))
		}
		if a := s.send(t, s.http, c.method, c.host, c.path, changes...); a.status != c.status {
			t.Errorf("%s: status %d; want %d: %s", c.name, a.status, c.status, a.body)
		}
		if reached := len(model.seen) > 0; reached != (c.status == 200) {
			t.Errorf("%s: reached the server: %t", c.name, reached)
		}
		for len(model.seen) > 0 {
			<-model.seen
		}
	}
	// In another place the key does not count: Caddy's logs would show it.
	checkStatus(t, s.send(t, s.http, http.MethodGet, openAI, "/v1/models", apiKey(ben.Text)), http.StatusUnauthorized)
}
