package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// watchedSites has a site for each place of a credential, and one in report mode.
const watchedSites = `
https://api.example.test {
	jwt {
		import issuer
		api_keys {$KEYS}
		token_from header Authorization Bearer
		token_from query access_token
		token_from cookie session
		require scope orders:read
	}
	import upstream
}
https://hidden.example.test {
	jwt {
		api_keys {$KEYS}
		api_key_from basic
		api_key_from query api_key
	}
	import upstream
}
https://report.example.test {
	jwt {
		import issuer
		mode report
	}
	import upstream
}
`

// changedSites are the same sites in a config that Caddy does not take for the one of before.
func changedSites(sites string) string {
	return strings.ReplaceAll(sites, "import upstream", "header X-Changed yes\n\timport upstream")
}

// watching is a running caddy jwt watch.
type watching struct {
	*child
	out *logBook
}

// watch starts caddy jwt watch, and returns when it watches.
func (s *fixture) watch(t *testing.T, args ...string) *watching {
	t.Helper()
	w := &watching{out: &logBook{}}
	dir := t.TempDir()
	w.child = startChild(t, w.out, dir, environment(dir, nil), append([]string{"jwt", "watch", "--address", s.adminAddress()}, args...)...)
	w.says(t, "watching the refusals")
	t.Cleanup(func() {
		select {
		case <-w.done:
		default:
			_ = w.command.Process.Kill()
			<-w.done
		}
	})
	return w
}

// says waits until the output has a text.
func (w *watching) says(t *testing.T, text string) {
	t.Helper()
	w.eventually("it says: "+text, patience, func() bool { return strings.Contains(w.out.String(), text) }, w.out.String)
}

// ended waits for the end, and returns the exit code.
func (w *watching) ended(t *testing.T) int {
	t.Helper()
	select {
	case <-w.done:
	case <-time.After(patience):
		t.Fatalf("it did not end:\n%s", w.out)
	}
	return w.command.ProcessState.ExitCode()
}

// Refusals of all kinds appear in their order, over a reload and a restart, and with no
// credential in any byte.
func TestWatch(t *testing.T) {
	t.Parallel()
	k := keys(t)
	disabled := peers.NewAPIKey(t, "disabled", map[string]any{"enabled": false})
	unknown := peers.NewAPIKey(t, "unknown", nil)
	s, _ := newAPIKeyFixture(t, watchedSites, options{}, disabled)
	lines, objects := s.watch(t), s.watch(t, "--json", "--site", "HIDDEN.example.test")

	forged := k.Stranger.Token(t, s.claims(nil), nil)
	narrow := k.RS256.Token(t, s.claims(map[string]any{"scope": "other"}), nil)
	for _, secret := range []string{forged, narrow, disabled.Text, unknown.Text} {
		lines.out.forbid(secret)
		objects.out.forbid(secret)
	}
	sent := 0
	refuse := func(host, reason, shown string, changes ...change) {
		t.Helper()
		sent++
		path := fmt.Sprintf("/n%d", sent)
		status := s.send(t, s.http, http.MethodGet, host, path, changes...).status
		want := fmt.Sprintf("%d %s  GET %s:%d%s%s", status, reason, host, s.port, path, shown)
		if host == "report.example.test" {
			want = fmt.Sprintf("401 %s  GET %s:%d%s%s", reason, host, s.port, path, shown)
		}
		lines.says(t, want)
	}
	round := func() {
		t.Helper()
		refuse(site, "missing_credentials", "\n")
		refuse(site, "bad_signature", "\n", bearer(forged))
		refuse(site, "bad_signature", "\n", inQuery("access_token", forged))
		refuse(site, "bad_signature", "\n", cookie("session", forged))
		refuse(site, "insufficient_scope", "  (requirement: ", bearer(narrow))
		refuse(site, "api_key_disabled", "", apiKey(disabled.Text))
		refuse(site, "missing_credentials", "?jwt=REDACTED\n", inQuery("jwt", forged))
		refuse("hidden.example.test", "api_key_disabled", "", basicAuth(disabled.Text))
		refuse("hidden.example.test", "unknown_api_key", "", inQuery("api_key", unknown.Text))
		refuse("report.example.test", "bad_signature", "  (only reported)\n", bearer(forged))
	}
	round()
	s.mustReload(t, keySnippets+changedSites(watchedSites))
	round()
	s.restart(nil)
	lines.says(t, "answers again")
	objects.says(t, "answers again")
	round()
	objects.says(t, fmt.Sprintf(`"/n%d"`, sent-1))

	// Each refusal is there once, in the order of the requests.
	at := 0
	text := lines.out.String()
	for n := range sent {
		path := fmt.Sprintf(":%d/n%d", s.port, n+1)
		if count := strings.Count(text, path+"\n") + strings.Count(text, path+" ") + strings.Count(text, path+"?"); count != 1 {
			t.Errorf("%s is there %d times:\n%s", path, count, text)
		}
		next := strings.Index(text, path)
		if next < at {
			t.Errorf("%s comes too early:\n%s", path, text)
		}
		at = next
	}
	seen := 0
	for line := range strings.Lines(objects.out.String()) {
		var r struct{ Site, Reason, Method, Host, URI, Time string }
		if json.Unmarshal([]byte(line), &r) != nil {
			continue // what standard error says
		}
		if r.URI == "/" {
			continue // of the fixture, after a reload
		}
		seen++
		if _, err := time.Parse(time.RFC3339Nano, r.Time); err != nil || r.Site != "hidden.example.test" || r.Method != "GET" || !strings.HasPrefix(r.URI, "/n") {
			t.Errorf("%s", line)
		}
	}
	if seen != 6 {
		t.Errorf("%d refusals of the site; want 6:\n%s", seen, objects.out)
	}
	for _, w := range []*watching{lines, objects} {
		if err := w.command.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if code := w.ended(t); code != 0 {
			t.Errorf("after Ctrl-C the exit code is %d", code)
		}
		w.out.check(t, true)
	}
	// The URLs of the endpoint are in Caddy's log.
	if strings.Contains(s.logs.String(), "/jwt/refusals?") {
		for _, line := range strings.Split(s.logs.String(), "\n") {
			if strings.Contains(line, "/jwt/refusals") && s.logs.findSecret(line) >= 0 {
				t.Errorf("a credential is in the log: %s", line)
			}
		}
	}
}

// A reload does not wait for those who watch, and they miss nothing by it.
func TestReloadDoesNotWaitForWatchers(t *testing.T) {
	t.Parallel()
	s := newFixture(t, oneIssuer, options{}, keys(t).RS256)
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			began := time.Now()
			a, err := s.adminDo(http.MethodGet, "/jwt/refusals?wait=60s", 2*patience)
			if err != nil || a.status != http.StatusOK || !strings.Contains(a.body, `"refusals": []`) {
				t.Errorf("status %d, %v: %s", a.status, err, a.body)
			}
			if waited := time.Since(began); waited > 55*time.Second {
				t.Errorf("the answer took %s", waited)
			}
		})
	}
	s.eventually("three wait", patience, func() bool {
		return strings.Count(s.logs.String(), "/jwt/refusals?wait=60s") >= 3
	}, s.logs.String)
	s.mustReload(t, changedSites(oneIssuer))
	all.Wait()
	s.eventually("the old endpoint is closed", patience, func() bool {
		return strings.Contains(s.logs.String(), "stopped previous server")
	}, s.logs.String)
	if strings.Contains(s.logs.String(), "stopping admin server") {
		t.Errorf("the old endpoint was held up:\n%s", s.logs)
	}
}

// Those who ask and never read the answers hold up no request, and cost no memory that grows.
func TestASlowWatcherSlowsNoRequest(t *testing.T) {
	t.Parallel()
	s := newFixture(t, oneIssuer, options{level: "ERROR"}, keys(t).RS256)
	path := "/" + strings.Repeat("x", 900)
	refuse := func(count int) {
		t.Helper()
		var all sync.WaitGroup
		for range 4 {
			client := s.client(http1)
			all.Go(func() {
				for range count / 4 {
					if e := s.exchangeWith(client, site, path); e.status != http.StatusUnauthorized {
						t.Errorf("status %d, %v", e.status, e.err)
						return
					}
				}
			})
		}
		all.Wait()
	}
	// One that reads, so that there is something to read.
	if _, err := s.adminGet("/jwt/refusals"); err != nil {
		t.Fatal(err)
	}
	refuse(1200)
	before := s.heapMiB(t)
	for range 3 {
		c, err := net.Dial("tcp", s.adminAddress())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		request := fmt.Sprintf("GET /jwt/refusals HTTP/1.1\r\nHost: %s\r\n\r\n", s.adminAddress())
		if _, err := io.Copy(c, bytes.NewReader([]byte(strings.Repeat(request, 50)))); err != nil {
			t.Fatal(err)
		}
	}
	refuse(4000)
	if after := s.heapMiB(t); after > before+24 {
		t.Errorf("the heap has grown from %.1f to %.1f MiB", before, after)
	}
	// The ring holds the newest, and says how many are gone.
	text, err := s.adminGet("/jwt/refusals")
	if err != nil {
		t.Fatal(err)
	}
	var page struct {
		Refusals []struct{ Seq, Status uint64 }
		Next     uint64
	}
	if err := json.Unmarshal([]byte(text), &page); err != nil || len(page.Refusals) != 1000 || page.Refusals[999].Seq != page.Next {
		t.Fatalf("%v: %d refusals, next %d", err, len(page.Refusals), page.Next)
	}
	text, err = s.adminGet(fmt.Sprintf("/jwt/refusals?after=%d", page.Next-5000))
	if err != nil || !strings.Contains(text, `"missed": 4000`) {
		t.Errorf("%v: it does not say what is missed: %s", err, text[max(0, len(text)-200):])
	}
}
