package routes

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// TestWhatIsSafeServesNothingGuarded runs random error routes for random requests that
// are refused. Where Judge says that all they can reach makes a page, the guarded file
// and the upstream's guarded path must not be reached. JWT_PAGE_LONG=1 runs more,
// JWT_PAGE_SEED the same again.
func TestWhatIsSafeServesNothingGuarded(t *testing.T) {
	seed, lists := uint64(1), 250
	if os.Getenv("JWT_PAGE_LONG") != "" {
		seed, lists = rand.Uint64(), 5000
	}
	if s := os.Getenv("JWT_PAGE_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	const requests, batch = 4, 50
	dir := guardedFiles(t)
	up := newWitness(t)
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 0)), dir: dir, upstream: up.address}
	var safe, leaks, pages, bodies, unsafe int
	for done := 0; done < lists; done += batch {
		configs := map[string]json.RawMessage{}
		for i := range batch {
			configs[strconv.Itoa(i)] = json.RawMessage(g.server(20000 + i))
		}
		servers := serversOf(t, configOf(t, configs))
		for i := range batch {
			server := servers[strconv.Itoa(i)]
			for range requests {
				r := g.request()
				up.expect(r)
				asked := fmt.Sprintf("%s %s host %s %v", r.Method, r.RequestURI, r.Host, r.Header)
				judgement, answer := runRefused(server, r, []int{401, 403, 503}[g.IntN(3)])
				leak := ""
				if strings.Contains(answer, "GUARDED") {
					leak = "the guarded file was served"
				}
				sights := up.sights()
				for _, seen := range sights {
					if bad := seen.guarded(); bad != "" {
						leak = bad
					}
					if seen.body {
						bodies++
					}
				}
				switch {
				case judgement.Safe && leak != "":
					t.Fatalf("seed %d, list %d: %s\n%s\n%s\n%s", seed, done+i, leak, asked, configs[strconv.Itoa(i)], answer)
				case judgement.Safe:
					safe++
					if len(sights) > 0 || strings.Contains(answer, "PAGE") {
						pages++
					}
				case leak != "":
					leaks++
				default:
					unsafe++
				}
			}
		}
	}
	t.Logf("seed %d: safe %d (%d of them with a page), unsafe and served %d, unsafe for other requests %d, bodies sent %d", seed, safe, pages, leaks, unsafe, bodies)
	if pages < lists/50 || leaks < lists/50 {
		t.Error("hardly any page is made, or hardly anything leaks: the test shows nothing")
	}
}

// guardedFiles makes the directory of a site. What is guarded lies below /guarded,
// and where only a root that the request chooses can lead.
func guardedFiles(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"401.html", "403.html", "503.html", "a.html", "b.html", "dir/index.html", "missing_credentials.html"} {
		write(t, filepath.Join(dir, "srv", name), "PAGE")
		write(t, filepath.Join(dir, "a.test", name), "PAGE")
		write(t, filepath.Join(dir, "srv/guarded", name), "GUARDED")
	}
	write(t, filepath.Join(dir, "srv/guarded/secret.txt"), "GUARDED")
	write(t, filepath.Join(dir, "srv/secret"), "GUARDED")
	return dir
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// request is one that is refused.
func (g *generator) request() *http.Request {
	path := g.pick("/guarded/secret.txt", "/secret", "/guarded/secret/")
	r := httptest.NewRequest(g.pick("GET", "POST", "POST", "DELETE"), path+"?a="+g.pick("/guarded/secret.txt", "guarded/secret.txt", "guarded"), strings.NewReader("body"))
	r.Host = g.pick("a.test", "a.test", "b.test")
	if g.chance(80) {
		r.Header.Set("X-P", g.pick("/guarded/401.html", "/guarded/a.html", "a.test", "guarded"))
		r.Header.Set("X-Root", "/guarded")
		r.Header.Set("X-T", `{{readFile "secret"}}`)
		r.Header.Set("X-Up", "127.0.0.1:1")
	}
	return r
}

// runRefused does what Caddy's server does with a request that its routes refuse.
func runRefused(server *caddyhttp.Server, r *http.Request, status int) (j Judgement, answer string) {
	w := httptest.NewRecorder()
	repl := caddy.NewReplacer()
	r = caddyhttp.PrepareRequest(r, repl, w, server)
	repl.Set("http.jwt.reason", "missing_credentials")
	repl.Set("http.jwt.error", errRefused.Error())
	original := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
	refuse := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return caddyhttp.Error(status, errRefused) })
	err := server.Routes.Compile(refuse).ServeHTTP(w, r)
	r.Method, r.RequestURI = original.Method, original.RequestURI
	*r.URL = *original.URL
	r = server.Errors.WithError(r, err)
	j = Judge(server, server.Errors.Routes, r)
	func() {
		defer func() {
			// Caddy's intercept panics where nothing has answered within another one.
			if p := recover(); p != nil && p != http.ErrAbortHandler && fmt.Sprint(p) != "invalid WriteHeader code 0" {
				panic(p)
			}
		}()
		end := caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error { w.WriteHeader(status); return nil })
		_ = server.Errors.Routes.Compile(end).ServeHTTP(w, r)
	}()
	return j, w.Body.String()
}

// witness is an upstream that notes what it gets.
type witness struct {
	address string
	mu      sync.Mutex
	id      int
	seen    []sight // of the request with that id; one that was given up may come late
}

// expect marks a request and forgets those before it.
func (up *witness) expect(r *http.Request) {
	up.mu.Lock()
	defer up.mu.Unlock()
	up.id++
	up.seen = nil
	r.Header.Set("X-Id", strconv.Itoa(up.id))
}

// sights are what came of the request that is expected.
func (up *witness) sights() []sight {
	up.mu.Lock()
	defer up.mu.Unlock()
	return up.seen
}

type sight struct {
	method, uri, set string
	body             bool
}

func newWitness(t *testing.T) *witness {
	up := new(witness)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		up.mu.Lock()
		if r.Header.Get("X-Id") != strconv.Itoa(up.id) {
			up.mu.Unlock()
			return
		}
		up.seen = append(up.seen, sight{r.Method, r.RequestURI, r.Header.Get("X-Set"), len(body) > 0})
		n := len(up.seen)
		up.mu.Unlock()
		w.WriteHeader([]int{200, 404, 500}[n%3])
		_, _ = io.WriteString(w, "upstream")
	}))
	t.Cleanup(server.Close)
	up.address = strings.TrimPrefix(server.URL, "http://")
	return up
}

// guarded tells what of a request has come through to the upstream.
func (s sight) guarded() string {
	switch {
	case s.method != http.MethodGet:
		return "the upstream got the method " + s.method
	case strings.Contains(s.uri, "guarded") || strings.Contains(s.uri, "secret"):
		return "the upstream got " + s.uri
	case strings.Contains(s.set, "secret"): // what else the client has sent it may send in any header
		return "the upstream got the header X-Set: " + s.set
	}
	return ""
}
