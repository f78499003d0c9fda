package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// followTime is how long another node may take to follow a change: a sync_interval of 1s,
// a second more, and what a machine takes that runs other tests meanwhile.
const followTime = 6 * time.Second

// sharedState is the global option for nodes that follow each other within a second.
const sharedState = `jwt {
		state {
			sync_interval 1s
		}
		api_keys partners {
			storage
		}
	}`

// newSharedFixture starts a fixture with shared state, and a store of API keys named
// partners. opts.global replaces that option.
func newSharedFixture(t *testing.T, sites string, opts options, published ...any) *fixture {
	t.Helper()
	if opts.global == "" {
		opts.global = sharedState
	}
	opts.shownByCaddy = true // X-API-Key shows in Caddy's own log lines
	s := newFixture(t, keySnippets+sites, opts, published...)
	s.whenReady(t)
	return s
}

// whenReady returns once shared state is in step with the storage.
func (c *caddy) whenReady(t *testing.T) {
	t.Helper()
	c.eventually("shared state is ready", longWait, func() bool {
		a, err := c.adminDo(http.MethodGet, "/jwt/status?ready", 5*time.Second)
		return err == nil && a.status == http.StatusOK
	}, c.logs.String)
}

// secondNode starts another Caddy of the same sites on the same storage. It has the issuer
// and the upstream of the first.
func (s *fixture) secondNode(t *testing.T, sites string) *fixture {
	t.Helper()
	c := &caddy{t: t, opts: s.opts, dir: t.TempDir(), port: peers.FreePort(t), plain: peers.FreePort(t), admin: peers.FreePort(t)}
	c.opts.env = maps.Clone(s.opts.env)
	if err := os.Symlink(filepath.Join(s.dir, "data"), filepath.Join(c.dir, "data")); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(c.dir, "Caddyfile"), c.caddyfile(snippets+keySnippets+sites))
	c.run(&logBook{})
	t.Cleanup(func() {
		c.stop()
		c.logs.check(t, false)
	})
	c.waitUntilItServes()
	c.whenReady(t)
	second := &fixture{t: t, caddy: c, issuer: s.issuer, upstream: s.upstream}
	second.http = c.client(http2)
	return second
}

// jwtCommand runs `caddy jwt` on this server, with something on its standard input.
func (c *caddy) jwtCommand(t *testing.T, args ...string) keyCommand {
	t.Helper()
	return jwtCommandIn(t, t.TempDir(), nil, append(args, "--address", c.adminAddress())...)
}

// jwtCommandIn runs `caddy jwt` in a folder.
func jwtCommandIn(t *testing.T, dir string, env map[string]string, args ...string) keyCommand {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	var stdout, stderr bytes.Buffer
	code, err := runCaddy(ctx, dir, environment(dir, env), &stdout, &stderr, append([]string{"jwt"}, args...)...)
	if err != nil {
		t.Error(err)
	}
	return keyCommand{code, stdout.String(), stderr.String()}
}

// mustCommand is jwtCommand where it has to succeed. It returns the one line that the
// command prints.
func (c *caddy) mustCommand(t *testing.T, args ...string) string {
	t.Helper()
	made := c.jwtCommand(t, args...)
	if made.code != 0 || strings.Count(made.stdout, "\n") != 1 {
		t.Fatalf("%q: %s", args, made)
	}
	return strings.TrimSuffix(made.stdout, "\n")
}

// ask is a request to the admin endpoint with a JSON body, if body is not empty.
func (c *caddy) ask(t *testing.T, method, path, body string, changes ...change) answer {
	t.Helper()
	a, err := c.tryAsk(method, path, body, changes...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (c *caddy) tryAsk(method, path, body string, changes ...change) (answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	var content io.Reader // nil, and not an empty one, where there is none
	if body != "" {
		content = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://"+c.adminAddress()+path, content)
	if err != nil {
		return answer{}, err
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, change := range changes {
		change(r)
	}
	res, err := adminClient.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return answer{status: res.StatusCode, header: res.Header, body: string(text)}, err
}

// mustAsk is ask with a status that is wanted; it decodes the answer into to, if that is
// not nil.
func (c *caddy) mustAsk(t *testing.T, method, path string, body any, status int, to any) {
	t.Helper()
	text := ""
	if body != nil {
		text = toJSON(t, body)
	}
	a := c.ask(t, method, path, text)
	if a.status != status {
		t.Fatalf("%s %s: %d, want %d: %s", method, path, a.status, status, a.body)
	}
	if to != nil {
		decode(t, a.body, to)
	}
}

func decode(t *testing.T, text string, to any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), to); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
}

// object is the body of a request, or a part of an answer.
type object = map[string]any

// addRule makes a rule at the admin endpoint and returns its id.
func (c *caddy) addRule(t *testing.T, rule object) string {
	t.Helper()
	var made struct{ ID string }
	c.mustAsk(t, http.MethodPost, "/jwt/revocations", rule, http.StatusCreated, &made)
	return made.ID
}

// removeRule removes a rule at the admin endpoint.
func (c *caddy) removeRule(t *testing.T, id string) {
	t.Helper()
	c.mustAsk(t, http.MethodDelete, "/jwt/revocations/"+id+"?reason=test", nil, http.StatusOK, nil)
}

// storedKey is a key of a store, as the admin endpoint shows it, and its secret where it
// was just made.
type storedKey struct {
	ID       string    `json:"id"`
	Key      string    `json:"key"`
	State    string    `json:"state"`
	Consumer string    `json:"consumer"`
	Scopes   []string  `json:"scopes"`
	Secrets  int       `json:"secrets"`
	OldUntil time.Time `json:"old_until"`
	Stored   bool      `json:"stored"`
	Repeated bool      `json:"repeated"`
	Uses     struct {
		Last   time.Time `json:"last"`
		Today  int       `json:"today"`
		Days30 int       `json:"days_30"`
	} `json:"uses"`
}

// peer is the key as its holder has it.
func (k storedKey) peer() *peers.APIKey { return &peers.APIKey{Text: k.Key} }

// makeKey makes a key in the only store at the admin endpoint.
func (c *caddy) makeKey(t *testing.T, members object) storedKey {
	t.Helper()
	if members == nil {
		members = object{}
	}
	var k storedKey
	c.mustAsk(t, http.MethodPost, "/jwt/api-keys", members, http.StatusCreated, &k)
	if k.Key == "" || !k.Stored {
		t.Fatalf("made %+v", k)
	}
	return k
}

// rollKey gives a key a new secret at the admin endpoint.
func (c *caddy) rollKey(t *testing.T, id, overlap string) storedKey {
	t.Helper()
	var k storedKey
	c.mustAsk(t, http.MethodPut, "/jwt/api-keys/"+id+"/secret", object{"overlap": overlap}, http.StatusOK, &k)
	return k
}

// follows waits until this node answers a key of the site with a status, and a reason.
func (s *fixture) follows(t *testing.T, what string, k *peers.APIKey, status int, reason string) {
	t.Helper()
	var a answer
	s.eventually(what, followTime, func() bool {
		a = s.withKey(t, k)
		return a.status == status && a.header.Get("X-Reason") == reason
	}, func() string { return a.header.Get("X-Reason") + " " + a.body })
}
