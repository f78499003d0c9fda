package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// page is what the browser opens: it tries what its origin may do, has a page of
// each other origin do the same in a frame, and reports all that they met.
const page = `<!DOCTYPE html>
<script>
const tokens = %s
const call = async (name, options) => {
	try {
		const answer = await fetch("https://api.example.com/orders", options)
		return {status: answer.status, body: await answer.text(), challenge: answer.headers.get("WWW-Authenticate") || ""}
	} catch (e) {
		return {failed: e.name}
	}
}
const socket = () => new Promise(done => {
	const s = new WebSocket("wss://app.example.com/ws")
	s.onopen = () => { done("open"); s.close() }
	s.onclose = e => done("closed " + e.code)
})
const json = {"Content-Type": "application/json"}
const attempts = async () => ({
	get: await call("get", {headers: {Authorization: "Bearer " + tokens.good}}),
	put: await call("put", {method: "PUT", headers: {Authorization: "Bearer " + tokens.good, ...json}, body: "{}"}),
	expired: await call("expired", {headers: {Authorization: "Bearer " + tokens.expired}}),
	none: await call("none", {}),
	socket: await socket(),
})
const framed = origin => new Promise(done => {
	addEventListener("message", e => { if (e.origin === origin) done(e.data) })
	const frame = document.createElement("iframe")
	frame.src = origin + "/"
	document.documentElement.append(frame)
})
const main = async () => {
	if (top !== window) {
		parent.postMessage(await attempts(), "*")
		return
	}
	const refused = await socket()
	document.cookie = "session=" + tokens.session + "; Secure; SameSite=Lax"
	const met = {
		"without a cookie": {socket: refused},
		"https://app.example.com": await attempts(),
		"https://admin.example.com": await framed("https://admin.example.com"),
		"https://evil.example.com": await framed("https://evil.example.com"),
	}
	await fetch("https://report.example.com/", {method: "POST", mode: "no-cors", body: JSON.stringify(met)})
}
main()
</script>
`

// pageResult is what a page met with each of its attempts.
type pageResult struct {
	Get, Put, Expired, None struct {
		Status                  int
		Body, Challenge, Failed string
	}
	Socket string
}

// newReporter starts a server that passes on the first report of a page, and returns
// its address.
func newReporter(t *testing.T) (addr string, reports <-chan string) {
	t.Helper()
	first := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		select {
		case first <- string(text):
		default:
		}
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://"), first
}

// newBrowserFixture starts a fixture with the sites of docs/guides/spa-cors.md and
// docs/guides/websockets.md, and others that the page below root tries them from.
func newBrowserFixture(t *testing.T, root, reporter string) *fixture {
	t.Helper()
	return newFixture(t, guideBlock(t, "spa-cors.md", 0, "api.example.com", "api.example.com")+
		strings.Replace(guideBlock(t, "websockets.md", 0, "app.example.com", "app.example.com"), "/srv/app", "{$ROOT}", 1)+`
https://admin.example.com, https://evil.example.com {
	root {$ROOT}
	file_server
}
https://report.example.com {
	reverse_proxy {$REPORTER}
}
`, options{trusted: true, env: map[string]string{"ROOT": root, "REPORTER": reporter}}, keys(t).RS256)
}

// A browser's pages call the API of docs/guides/spa-cors.md, which is on another
// origin, and open the WebSocket of docs/guides/websockets.md.
func TestBrowser(t *testing.T) {
	t.Parallel()
	need(t, chromium)
	k := keys(t)
	root := t.TempDir()
	reporter, reports := newReporter(t)
	s := newBrowserFixture(t, root, reporter)
	tokens := toJSON(t, map[string]string{
		"good":    k.RS256.Token(t, s.claims(map[string]any{"aud": guideAudience}), nil),
		"expired": k.RS256.Token(t, s.claims(map[string]any{"aud": guideAudience, "exp": 1_000_000_000}), nil),
		"session": k.RS256.Token(t, s.claims(map[string]any{"aud": "https://app.example.com"}), nil),
	})
	writeFile(t, filepath.Join(root, "index.html"), fmt.Sprintf(page, tokens))
	results := map[string]pageResult{}
	if err := json.Unmarshal([]byte(s.browse(t, "https://app.example.com/", reports)), &results); err != nil {
		t.Fatal(err)
	}
	checkPages(t, results)
	s.checkAfterPages(t)
}

// checkPages requires what the pages of each origin must have met.
func checkPages(t *testing.T, results map[string]pageResult) {
	t.Helper()
	app := results["https://app.example.com"]
	if app.Get.Status != http.StatusOK || app.Put.Status != http.StatusOK || !strings.Contains(app.Put.Body, `"Method":"PUT"`) {
		t.Errorf("with a token the page of the app met %+v and %+v", app.Get, app.Put)
	}
	if app.Expired.Status != http.StatusUnauthorized || !strings.Contains(app.Expired.Body, "the token has expired") || !strings.Contains(app.Expired.Challenge, `error="invalid_token"`) {
		t.Errorf("with an expired token it met %+v", app.Expired)
	}
	if app.None.Status != http.StatusUnauthorized || app.None.Challenge == "" {
		t.Errorf("without a token it met %+v", app.None)
	}
	for _, origin := range []string{"https://admin.example.com", "https://evil.example.com"} {
		if m := results[origin]; m.Get.Failed == "" || m.Put.Failed == "" || m.Expired.Failed == "" || m.None.Failed == "" {
			t.Errorf("the page of %s could read an answer: %+v", origin, m)
		}
	}
	for who, want := range map[string]string{
		"without a cookie": "closed 1006", "https://app.example.com": "open",
		"https://admin.example.com": "open", "https://evil.example.com": "closed 1006",
	} {
		if got := results[who].Socket; got != want {
			t.Errorf("the WebSocket of %s: %q; want %q", who, got, want)
		}
	}
}

// checkAfterPages requires what Caddy must have counted, and what the upstream must have
// got, once the pages are done.
func (s *fixture) checkAfterPages(t *testing.T) {
	t.Helper()
	// Refused by the origin, with the cookie, and not for want of it.
	for reason, want := range map[string]float64{"cross_origin": 1, "missing_credentials": 1 + 3} {
		if n := s.requests(t, `result="refused"`, fmt.Sprintf("reason=%q", reason)); n != want {
			t.Errorf("%v requests were refused for %s; want %v", n, reason, want)
		}
	}
	if s.requests(t, `result="anonymous"`) == 0 {
		t.Error("there was no preflight")
	}
	sockets := 0
	for _, seen := range s.upstream.Take() {
		if seen.Method == http.MethodOptions {
			t.Error("a preflight reached the upstream")
		}
		if seen.Header.Get("Upgrade") != "" {
			sockets++
			if seen.Header.Get("X-User") != "user-1" || seen.Header.Get("Cookie") != "" {
				t.Errorf("the upstream of the WebSocket got %v", seen.Header)
			}
		}
	}
	if sockets != 2 {
		t.Errorf("%d WebSockets reached the upstream; want 2", sockets)
	}
}

// browse opens a page in Chromium, which finds this Caddy behind every name of
// example.com and nothing else, until there is a report.
func (c *caddy) browse(t *testing.T, address string, reports <-chan string) string {
	t.Helper()
	var log logBook
	browser := exec.Command("chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic",
		"--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
		"--ignore-certificate-errors", "--user-data-dir="+filepath.Join(c.dir, "chromium"),
		fmt.Sprintf("--host-resolver-rules=MAP *.example.com 127.0.0.1:%d, MAP * ~NOTFOUND", c.port), address)
	browser.Env = environment(c.dir, nil)
	browser.Stdout, browser.Stderr = &log, &log
	browser.SysProcAttr = childAttributes()
	browser.WaitDelay = 5 * time.Second
	if err := browser.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = browser.Wait()
		close(ended)
	}()
	defer func() {
		_ = browser.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			_ = browser.Process.Kill()
			<-ended
		}
	}()
	select {
	case report := <-reports:
		return report
	case <-ended:
		t.Fatalf("Chromium ended: %s", &log)
	case <-time.After(60 * time.Second):
		t.Fatalf("no report within 60 s: %s", &log)
	}
	return ""
}
