package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// clusterIssuer is the issuer of a cluster's tokens. Its key is a file, so that nothing is
// fetched.
const clusterIssuer = "https://corp.example.test"

// clusterSites have no TLS, so that a node starts at once, and with its storage away.
const clusterSites = `
http://api.example.test {
	jwt {
		issuer corp
		api_keys partners
		audience https://api.example.test
	}
	respond "in"
	import reasons
}
http://open.example.test {
	respond "open"
}
`

// syncInterval is that of nodes, unless a test says otherwise.
const syncInterval = time.Second

// clusterOptions are the global options of a node with shared state. more goes into the
// state's block, storage in front of all.
func clusterOptions(t *testing.T, storage, more string) string {
	t.Helper()
	return fmt.Sprintf("%s\n\tjwt {\n\t\tissuer corp %s {\n\t\t\tpublic_key %s\n\t\t}\n\t\tapi_keys partners {\n\t\t\tstorage\n\t\t}\n\t\tstate {\n\t\t\tsync_interval %s\n%s\n\t\t}\n\t}",
		storage, clusterIssuer, keys(t).ES256.PublicFile(t), syncInterval, more)
}

// fileStorage is a folder as the storage.
func fileStorage(dir string) string { return "storage file_system " + dir }

// node is one Caddy of a cluster.
type node struct {
	*caddy
	sites  string
	client *http.Client
}

// startNode runs a Caddy with these global options, and returns when its admin endpoint
// answers. At the end of the test it is stopped.
func startNode(t *testing.T, opts options) *node {
	t.Helper()
	n := newNode(t, opts)
	n.begin()
	n.waitUntilItRuns()
	return n
}

// startStateless runs one whose sites have no API keys in the storage.
func startStateless(t *testing.T, opts options) *node {
	t.Helper()
	n := newNode(t, opts)
	n.sites = statelessSites
	n.begin()
	n.waitUntilItRuns()
	return n
}

// begin runs the process until the end of the test.
func (n *node) begin() {
	n.t.Helper()
	n.write()
	n.run(&logBook{})
	n.t.Cleanup(func() {
		n.stop()
		n.logs.check(n.t, true)
	})
}

func newNode(t *testing.T, opts options) *node {
	t.Helper()
	opts.noTLS = true
	n := &node{sites: clusterSites, caddy: &caddy{
		t: t, opts: opts, dir: t.TempDir(), port: peers.FreePort(t), plain: peers.FreePort(t), admin: peers.FreePort(t),
	}}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, fmt.Sprintf("127.0.0.1:%d", n.plain))
		},
		MaxIdleConnsPerHost: 64,
	}
	n.client = &http.Client{Transport: transport, Timeout: patience}
	t.Cleanup(transport.CloseIdleConnections)
	return n
}

// write writes the config file of the next start.
func (n *node) write() {
	n.t.Helper()
	if err := os.WriteFile(filepath.Join(n.dir, "Caddyfile"), []byte(n.caddyfile(snippets+n.sites)), 0o600); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) waitUntilItRuns() {
	n.t.Helper()
	var last error
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if e := n.send("open.example.test"); e.status == http.StatusOK {
			if _, last = n.adminGet("/config/"); last == nil {
				return
			}
		} else {
			last = e.err
		}
		select {
		case <-n.done:
			n.t.Fatalf("Caddy ended: %v\n%s", n.exit, n.logs)
		default:
		}
		if time.Now().After(deadline) {
			n.t.Fatalf("it does not serve: %v\n%s", last, n.logs)
		}
	}
}

// kill ends the process without any warning.
func (n *node) kill() {
	_ = n.command.Process.Kill() // it may have ended by itself
	<-n.done
	n.client.CloseIdleConnections()
}

// again starts the process after it was killed or stopped.
func (n *node) again() {
	n.t.Helper()
	n.write()
	n.run(n.logs)
	n.waitUntilItRuns()
}

// reload replaces the global options of the running server.
func (n *node) reload(global string) error {
	before := n.opts.global
	n.opts.global = global
	err := n.caddy.reload(snippets + n.sites)
	if err != nil {
		n.opts.global = before
	}
	return err
}

// send sends a request to a site.
func (n *node) send(host string, changes ...change) exchange {
	e := exchange{begun: time.Now()}
	r, err := http.NewRequest(http.MethodGet, "http://"+host+"/", nil)
	if err != nil {
		e.err = err
		return e
	}
	for _, change := range changes {
		change(r)
	}
	res, err := n.client.Do(r)
	if err != nil {
		e.err = err
		return e
	}
	e.status, e.reason = res.StatusCode, res.Header.Get("X-Reason")
	if e.status == http.StatusServiceUnavailable && res.Header.Get("Retry-After") == "" {
		e.reason += " without Retry-After"
	}
	_, e.err = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	e.took = time.Since(e.begun)
	return e
}

func (n *node) withToken(token string) exchange { return n.send(site, bearer(token)) }
func (n *node) withAPIKey(key string) exchange  { return n.send(site, apiKey(key)) }

// The answers of a site to a request, as String of an exchange shows them.
const (
	accepted    = "200"
	isRevoked   = "401 revoked"
	isUnknown   = "401 unknown_api_key"
	isDisabled  = "401 api_key_disabled"
	isExpired   = "401 api_key_expired" // of a secret that another one took the place of, too
	unavailable = "503 revocations_unavailable"
)

func (e exchange) String() string {
	if e.err != nil {
		return e.err.Error()
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", e.status, e.reason))
}

// is requires an answer at once.
func (n *node) is(t *testing.T, what string, got exchange, want ...string) {
	t.Helper()
	if !slices.Contains(want, got.String()) {
		t.Errorf("%s: %s; want %s", what, got, strings.Join(want, " or "))
	}
}

// busy is how much longer than it should something may take on a busy machine. How long it
// took is logged.
const busy = 20 * time.Second

// becomes requires an answer within a time.
func (n *node) becomes(t *testing.T, what string, within time.Duration, get func() exchange, want string) time.Duration {
	t.Helper()
	began := time.Now()
	for {
		got := get()
		if took := time.Since(began); got.String() == want {
			return took
		} else if took > within+busy {
			t.Errorf("%s: %s after %s; want %s", what, got, took.Round(time.Millisecond), want)
			return took
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// changeAnswer is the answer to a change at the admin endpoint.
type changeAnswer struct {
	status int
	ID     string `json:"id"`
	Key    string `json:"key"`
	Stored *bool  `json:"stored"`
	Error  string `json:"error"`
	header http.Header
	took   time.Duration
}

// kept reports whether a change was acknowledged as stored.
func (c changeAnswer) kept() bool { return c.status/100 == 2 && (c.Stored == nil || *c.Stored) }

// adminChanges keeps connections, unlike adminClient: writers are many.
var adminChanges = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 128}, Timeout: 40 * time.Second}

// change sends a change to the admin endpoint. The error is of one that was not answered.
func (n *node) change(method, path string, body any) (changeAnswer, error) {
	var reader io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return changeAnswer{}, err
		}
		reader = bytes.NewReader(text)
	}
	r, err := http.NewRequest(method, "http://"+n.adminAddress()+path, reader)
	if err != nil {
		return changeAnswer{}, err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	began := time.Now()
	res, err := adminChanges.Do(r)
	if err != nil {
		return changeAnswer{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return changeAnswer{}, err
	}
	c := changeAnswer{status: res.StatusCode, header: res.Header, took: time.Since(began)}
	return c, json.Unmarshal(text, &c)
}

// must is change with this status.
func (n *node) must(t *testing.T, status int, method, path string, body any) changeAnswer {
	t.Helper()
	c, err := n.change(method, path, body)
	for range 20 {
		if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.ECONNREFUSED) {
			break
		}
		// A reload has just replaced the endpoint that the connection led to.
		time.Sleep(5 * time.Millisecond)
		c, err = n.change(method, path, body)
	}
	if err != nil || c.status != status {
		t.Fatalf("%s %s: status %d, %q, %v; want %d", method, path, c.status, c.Error, err, status)
	}
	return c
}

func (n *node) revoke(jti string) (changeAnswer, error) {
	return n.change(http.MethodPost, "/jwt/revocations", map[string]any{"kind": "jti", "value": jti, "issuer": clusterIssuer, "reason": "test"})
}

func (n *node) mustRevoke(t *testing.T, status int, jti string) changeAnswer {
	t.Helper()
	return n.must(t, status, http.MethodPost, "/jwt/revocations", map[string]any{"kind": "jti", "value": jti, "issuer": clusterIssuer, "reason": "test"})
}

func (n *node) createKey() (changeAnswer, error) {
	return n.change(http.MethodPost, "/jwt/api-keys", map[string]any{"store": "partners", "consumer": "acme"})
}

func (n *node) mustCreateKey(t *testing.T) changeAnswer {
	t.Helper()
	return n.must(t, http.StatusCreated, http.MethodPost, "/jwt/api-keys", map[string]any{"store": "partners", "consumer": "acme"})
}

// jtiToken is a good token with an id.
func jtiToken(t *testing.T, jti string) string {
	t.Helper()
	return keys(t).ES256.Token(t, peers.Claims(clusterIssuer, audience, map[string]any{"jti": jti}), nil)
}

// sharedStatus is what tests read of the shared state in GET /jwt/status.
type sharedStatus struct {
	Cluster string         `json:"cluster"`
	Nodes   []string       `json:"nodes"`
	Rules   map[string]int `json:"rules"`
	Sets    []setStatus    `json:"sets"`
}

type setStatus struct {
	Name     string `json:"name"`
	Ready    bool   `json:"ready"`
	Loaded   bool   `json:"loaded"`
	Unsigned bool   `json:"unsigned"`
	Objects  int    `json:"objects"`
	Facts    int    `json:"facts"`
	Unstored int    `json:"unstored"`
	Damaged  int    `json:"damaged"`
	Unknown  int    `json:"unknown"`
	Keys     int    `json:"keys"`
	Refuses  bool   `json:"refuses"`
	Error    string `json:"error"`
}

func (n *node) shared(t *testing.T) sharedStatus {
	t.Helper()
	a, err := n.adminDo(http.MethodGet, "/jwt/status", 20*time.Second)
	var page struct {
		State *sharedStatus `json:"state"`
	}
	if err != nil || json.Unmarshal([]byte(a.body), &page) != nil || page.State == nil {
		t.Fatalf("GET /jwt/status: %v %s", err, a.body)
	}
	return *page.State
}

// set is the state of one set.
func (n *node) set(t *testing.T, name string) setStatus {
	t.Helper()
	all := n.shared(t)
	for _, s := range all.Sets {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no set %s: %+v", name, all)
	return setStatus{}
}

// untilSet waits for a state of a set.
func (n *node) untilSet(t *testing.T, what, name string, within time.Duration, ok func(setStatus) bool) setStatus {
	t.Helper()
	var s setStatus
	n.eventually(what, within+busy, func() bool {
		s = n.set(t, name)
		return ok(s)
	}, func() string { return fmt.Sprintf("%+v\n%s", s, n.logs) })
	return s
}

func (n *node) untilReady(t *testing.T, within time.Duration) {
	t.Helper()
	n.untilSet(t, "the keys are ready", "keys-partners", within, func(s setStatus) bool { return s.Ready })
	n.untilSet(t, "the revocations are ready", "revocations", within, func(s setStatus) bool { return s.Ready })
}

// logged counts lines of the log above DEBUG with a text.
func (n *node) logged(mark int, text string) int {
	return len(aboveDebug(n.logs.since(mark), func(e entry) bool { return strings.Contains(e.line, text) }))
}
