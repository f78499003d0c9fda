package integration

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// snapshot is all that changes at the admin endpoint could change.
func (c *caddy) snapshot(t *testing.T) string {
	t.Helper()
	var keys []storedKey
	for k := range eachItem[storedKey](t, c, "/jwt/api-keys?limit=1000") {
		keys = append(keys, k)
	}
	var rules []object
	for r := range eachItem[object](t, c, "/jwt/revocations?limit=1000") {
		rules = append(rules, r)
	}
	return toJSON(t, keys) + toJSON(t, rules)
}

// eachItem walks the pages of a list.
func eachItem[T any](t *testing.T, c *caddy, path string) func(yield func(T) bool) {
	t.Helper()
	return func(yield func(T) bool) {
		for after := ""; ; {
			var page struct {
				Items []T
				Next  string
			}
			if c.mustAsk(t, http.MethodGet, path+after, nil, http.StatusOK, &page); len(page.Items) == 0 && page.Next != "" {
				t.Fatalf("%s%s: an empty page, and there is another: %s", path, after, page.Next)
			}
			for _, item := range page.Items {
				if !yield(item) {
					return
				}
			}
			if page.Next == "" {
				return
			}
			after = "&after=" + url.QueryEscape(page.Next)
		}
	}
}

// Requests that are not exactly what an endpoint takes are refused with a 4xx that says
// what is wrong, and change nothing.
func TestThreat42_TheAdminEndpointIsStrict(t *testing.T) {
	t.Parallel()
	s := newSharedFixture(t, strings.Replace(storeSite, "api_keys partners", "import issuer\n\t\tapi_keys partners", 1), options{}, keys(t).RS256)
	key := s.makeKey(t, object{"scopes": []string{"a"}})
	rule := s.addRule(t, object{"kind": "jti", "value": "first"})
	before := s.snapshot(t)
	type endpoint struct{ method, path, body string }
	endpoints := []endpoint{
		{http.MethodPost, "/jwt/revocations", `{"kind":"jti","value":"x"}`},
		{http.MethodPost, "/jwt/api-keys", `{"consumer":"x"}`},
		{http.MethodPost, "/jwt/api-keys", `{"store":"partners","import":[{"id":"imported","hash":"sha256:` + strings.Repeat("0", 64) + `"}]}`},
		{http.MethodPatch, "/jwt/api-keys/" + key.ID, `{"enabled":false}`},
		{http.MethodPatch, "/jwt/api-keys/" + key.ID, `{"scopes":["b"]}`},
		{http.MethodPut, "/jwt/api-keys/" + key.ID + "/secret", `{"overlap":"1h"}`},
	}
	refuse := func(t *testing.T, what string, a answer, want ...int) {
		t.Helper()
		var body struct{ Error string }
		if !slices.Contains(want, a.status) || json.Unmarshal([]byte(a.body), &body) != nil || len(body.Error) < 10 {
			t.Errorf("%s: %d %s; want %v and what is wrong", what, a.status, a.body, want)
		}
	}
	// The server answers before it has read all, and ends the connection: a client that is
	// still writing may not see the answer.
	refuseLarge := func(t *testing.T, method, path, body string) {
		t.Helper()
		if a, err := s.tryAsk(method, path, body); err == nil && a.status != http.StatusRequestEntityTooLarge {
			t.Errorf("10 MB: %d %s", a.status, a.body)
		}
	}
	for _, e := range endpoints {
		what := e.method + " " + e.path + " " + e.body[:12]
		t.Run(what, func(t *testing.T) {
			for _, contentType := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json; charset=iso-8859-1", "application/jsonx", "text/json", "application/json, text/plain"} {
				refuse(t, "Content-Type "+contentType, s.ask(t, e.method, e.path, e.body, func(r *http.Request) {
					if r.Header.Del("Content-Type"); contentType != "" {
						r.Header.Set("Content-Type", contentType)
					}
				}), http.StatusUnsupportedMediaType)
			}
			refuse(t, "two types", s.ask(t, e.method, e.path, e.body, header("Content-Type", "text/plain")), http.StatusUnsupportedMediaType)
			refuse(t, "gzip", s.ask(t, e.method, e.path, e.body, header("Content-Encoding", "gzip")), http.StatusUnsupportedMediaType)
			inner := strings.TrimSuffix(strings.TrimPrefix(e.body, "{"), "}")
			for name, body := range map[string]string{
				"an unknown member": "{" + inner + `,"surprise":1}`, "a member twice": "{" + inner + "," + inner + "}",
				"a member in another case": "{" + strings.ToUpper(inner[:3]) + inner[3:] + "}", "two objects": e.body + e.body, "an array": "[" + e.body + "]",
				"what is behind it": e.body + " x", "nothing": " ", "null": "null", "an empty object": "{}", "cut": e.body[:len(e.body)-1], "a BOM": "\ufeff" + e.body,
				"no UTF-8": "{" + inner + ",\"reason\":\"\xff\"}", "a comment": "/* */" + e.body, "depth": strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000),
			} {
				if name == "an empty object" && e.path == "/jwt/api-keys" {
					continue // a key needs nothing
				}
				refuse(t, name, s.ask(t, e.method, e.path, body), http.StatusBadRequest)
			}
			refuse(t, "128 KiB and more", s.ask(t, e.method, e.path, "{"+inner+strings.Repeat(" ", 128<<10)+"}"), http.StatusRequestEntityTooLarge)
			refuseLarge(t, e.method, e.path, "{"+inner+strings.Repeat(" ", 10<<20)+"}")
			refuse(t, "a parameter", s.ask(t, e.method, e.path+"?surprise=1", e.body), http.StatusBadRequest)
			for name, change := range map[string]change{
				"another origin": header("Origin", "https://evil.example.test"), "the origin null": header("Origin", "null"),
				"another host": func(r *http.Request) { r.Host = "evil.example.test" },
				"a page that asks without CORS": func(r *http.Request) {
					r.Header.Set("Sec-Fetch-Mode", "no-cors")
				},
			} {
				if a := s.ask(t, e.method, e.path, e.body, change); a.status != http.StatusForbidden && a.status != http.StatusBadRequest {
					t.Errorf("%s: %d %s", name, a.status, a.body)
				}
			}
		})
	}
	t.Run("what has no body", func(t *testing.T) {
		for _, path := range []string{"/jwt/revocations/" + rule + "?reason=x", "/jwt/api-keys/" + key.ID} {
			refuse(t, "a DELETE with a body", s.ask(t, http.MethodDelete, path, `{"reason":"x"}`), http.StatusBadRequest)
			refuse(t, "128 KiB", s.ask(t, http.MethodDelete, path, strings.Repeat(" ", 128<<10)), http.StatusBadRequest, http.StatusRequestEntityTooLarge)
			refuseLarge(t, http.MethodDelete, path, strings.Repeat(" ", 10<<20))
			refuse(t, "a parameter", s.ask(t, http.MethodDelete, path+map[bool]string{true: "&", false: "?"}[strings.Contains(path, "?")]+"surprise=1", ""), http.StatusBadRequest)
		}
	})
	t.Run("methods", func(t *testing.T) {
		for path, allowed := range map[string][]string{
			"/jwt/revocations": {"GET", "POST"}, "/jwt/revocations/" + rule: {"DELETE"}, "/jwt/api-keys": {"GET", "POST"},
			"/jwt/api-keys/" + key.ID: {"DELETE", "GET", "PATCH"}, "/jwt/api-keys/" + key.ID + "/secret": {"PUT"}, "/jwt/audit": {"GET"}, "/jwt/state/accept": {"POST"},
		} {
			for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "get"} {
				if slices.Contains(allowed, method) {
					continue
				}
				a := s.ask(t, method, path, `{"reason":"x"}`, header("X-HTTP-Method-Override", allowed[0]))
				if refuse(t, method+" "+path, a, http.StatusMethodNotAllowed); a.header.Get("Allow") != strings.Join(allowed, ", ") {
					t.Errorf("%s %s: Allow: %s; want %v", method, path, a.header.Get("Allow"), allowed)
				}
			}
		}
	})
	t.Run("paths", func(t *testing.T) {
		for _, path := range []string{
			"/jwt/api-keys/" + key.ID + "/", "/jwt/api-keys/" + key.ID + "/secret/", "/jwt/api-keys/" + key.ID + "/hash", "/jwt/api-keys/", "/jwt/revocations/",
			"/jwt/revocations/" + rule + "/secret", "/jwt/api-keys/none-such-key", "/jwt/revocations/jti-" + strings.Repeat("0", 24) + "?reason=x", "/jwt/nothing", "/jwt/",
		} {
			for _, method := range []string{"GET", "PUT", "DELETE", "PATCH"} {
				body := ""
				if method == "PUT" || method == "PATCH" {
					body = `{"overlap":"1h"}`
				}
				if a := s.ask(t, method, path, body); a.status < 400 || a.status > 499 {
					t.Errorf("%s %s: %d %s", method, path, a.status, a.body)
				}
			}
		}
	})
	t.Run("parameters of lists", func(t *testing.T) {
		for _, path := range []string{
			"/jwt/api-keys?limit=0", "/jwt/api-keys?limit=1001", "/jwt/api-keys?limit=-1", "/jwt/api-keys?limit=1&limit=2", "/jwt/api-keys?after=x", "/jwt/api-keys?surprise=",
			"/jwt/api-keys?unused=soon", "/jwt/revocations?kind=user", "/jwt/revocations?limit=x", "/jwt/revocations?after=../x", "/jwt/audit?after=x", "/jwt/audit?limit=0",
		} {
			refuse(t, path, s.ask(t, http.MethodGet, path, ""), http.StatusBadRequest)
		}
	})
	if after := s.snapshot(t); after != before {
		t.Errorf("something has changed:\n%s\n%s", before, after)
	}
	s.passes(t, s.withKey(t, key.peer()), key.peer())
	if at := strings.Index(s.logs.String(), "panic"); at >= 0 {
		t.Error("the log has a panic")
	}
}

// auditLine is a line of the audit log, as far as its chain goes.
type auditLine struct {
	Seq      int    `json:"seq"`
	Process  string `json:"process"`
	Action   string `json:"action"`
	Outcome  string `json:"outcome"`
	Status   int    `json:"status"`
	Who      string `json:"who"`
	ID       string `json:"id"`
	Reason   string `json:"reason"`
	Previous string `json:"previous"`
}

// auditLog are the lines that the log has, and each as it is written there.
func (c *caddy) auditLog(t *testing.T) (lines []auditLine, texts []string) {
	t.Helper()
	c.logs.mark()
	for _, e := range c.logs.since(0) {
		if !strings.HasPrefix(e.Logger, "jwt.audit") {
			continue
		}
		var line struct{ Audit json.RawMessage }
		decode(t, e.line, &line)
		var audit auditLine
		decode(t, string(line.Audit), &audit)
		lines, texts = append(lines, audit), append(texts, string(line.Audit))
	}
	return lines, texts
}

// firstGap returns where a chain of lines is broken, or -1.
func firstGap(lines []auditLine, texts []string) int {
	for n := range lines {
		if n == 0 {
			continue
		}
		digest := sha256.Sum256([]byte(texts[n-1]))
		if lines[n].Seq != lines[n-1].Seq+1 || lines[n].Previous != hex.EncodeToString(digest[:]) {
			return n
		}
	}
	return -1
}

// A removal says why; what was repeated is not done twice, and its secret is not shown
// again; lists have all, with pages to the end; and the audit log has each change, in a
// chain that shows gaps.
func TestThreat65_ChangesAreRecorded(t *testing.T) {
	t.Parallel()
	s := newSharedFixture(t, strings.Replace(storeSite, "api_keys partners", "import issuer\n\t\tapi_keys partners", 1), options{level: "INFO"}, keys(t).RS256)
	token := keys(t).RS256.Token(t, s.claims(map[string]any{"jti": "revoked"}), nil)
	t.Run("a removal without a reason", func(t *testing.T) {
		id := s.addRule(t, object{"kind": "jti", "value": "revoked"})
		leaked := keys(t).ES256.Token(t, s.claims(nil), nil) // Caddy logs the URL
		for _, query := range []string{"", "?reason=", "?reason=" + strings.Repeat("x", 2000), "?reason=" + url.QueryEscape(leaked)} {
			if a := s.ask(t, http.MethodDelete, "/jwt/revocations/"+id+query, ""); a.status != http.StatusBadRequest {
				t.Errorf("%.30q: %d %s", query, a.status, a.body)
			}
		}
		if c := s.jwtCommand(t, "revocations", "delete", id); c.code != 2 || !strings.Contains(c.stderr, "--reason") {
			t.Error(c)
		}
		s.refuses(t, site, token, "revoked")
		lines, _ := s.auditLog(t)
		last := lines[len(lines)-1]
		if last.Action != "unrevoke" || last.Outcome != "refused" || last.ID != id {
			t.Errorf("the audit log ends with %+v", last)
		}
	})
	t.Run("repeats", func(t *testing.T) { testRepeats(t, s) })
	t.Run("lists and the chain", func(t *testing.T) { testLongLists(t, s) })
}

func testRepeats(t *testing.T, s *fixture) {
	key := header("Idempotency-Key", "once")
	var first, again storedKey
	a := s.ask(t, http.MethodPost, "/jwt/api-keys", `{"consumer":"a"}`, key)
	decode(t, a.body, &first)
	b := s.ask(t, http.MethodPost, "/jwt/api-keys", `{"consumer":"a"}`, key)
	decode(t, b.body, &again)
	if a.status != http.StatusCreated || b.status != http.StatusCreated || first.Key == "" || again.ID != first.ID || again.Key != "" || !again.Repeated || strings.Contains(b.body, first.Key) {
		t.Errorf("made %d %+v, then %d %+v", a.status, first, b.status, again)
	}
	if c := s.ask(t, http.MethodPost, "/jwt/api-keys", `{"consumer":"b"}`, key); c.status != http.StatusUnprocessableEntity || strings.Contains(c.body, first.Key) {
		t.Errorf("another body: %d %s", c.status, c.body)
	}
	s.passes(t, s.withKey(t, first.peer()), first.peer())

	rolled := s.ask(t, http.MethodPut, "/jwt/api-keys/"+first.ID+"/secret", `{"overlap":"1h"}`, key) // another request, so no repeat
	var next, nextAgain storedKey
	decode(t, rolled.body, &next)
	decode(t, s.ask(t, http.MethodPut, "/jwt/api-keys/"+first.ID+"/secret", `{"overlap":"1h"}`, key).body, &nextAgain)
	if next.Key == "" || next.Key == first.Key || nextAgain.Key != "" || !nextAgain.Repeated || nextAgain.Secrets != 2 {
		t.Errorf("rolled %+v, then %+v", next, nextAgain)
	}
	for _, k := range []storedKey{first, next} { // the repeat has not rolled again
		s.passes(t, s.withKey(t, k.peer()), k.peer())
	}
	for name, value := range map[string]string{"empty": "", "long": strings.Repeat("x", 256), "a space": "a b"} {
		if c := s.ask(t, http.MethodPost, "/jwt/api-keys", `{"consumer":"a"}`, header("Idempotency-Key", value)); c.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, c.status, c.body)
		}
	}
	var group sync.WaitGroup
	ids := make([]string, 8)
	for n := range ids { // at once
		group.Go(func() {
			a, err := s.tryAsk(http.MethodPost, "/jwt/revocations", `{"kind":"jti","value":"at once"}`, header("Idempotency-Key", "at-once"))
			var made struct{ ID string }
			if err == nil {
				err = json.Unmarshal([]byte(a.body), &made)
			}
			if err != nil || made.ID == "" {
				t.Errorf("%v: %s", err, a.body)
			}
			ids[n] = made.ID
		})
	}
	if group.Wait(); len(slices.Compact(ids)) != 1 {
		t.Errorf("a request that was sent 8 times at once made the rules %v", ids)
	}
}

// testLongLists makes 1,500 keys and as many rules, and reads lists and the audit log.
func testLongLists(t *testing.T, s *fixture) {
	const many, batch = 1500, 100
	want := map[string]bool{}
	for n := 0; n < many; n += batch {
		var lines []object
		for i := n; i < n+batch; i++ {
			k := peers.NewAPIKey(t, fmt.Sprintf("listed-%04d", i), nil)
			s.logs.forbid(k.Hash())
			want[k.Record["id"].(string)] = true
			lines = append(lines, k.Record)
		}
		s.mustAsk(t, http.MethodPost, "/jwt/api-keys", object{"store": "partners", "import": lines}, http.StatusCreated, nil)
	}
	var group sync.WaitGroup
	for worker := range 16 {
		group.Go(func() {
			for n := worker; n < many; n += 16 {
				a, err := s.tryAsk(http.MethodPost, "/jwt/revocations", fmt.Sprintf(`{"kind":"jti","value":"listed-%04d","reason":"list"}`, n))
				if err != nil || a.status != http.StatusCreated {
					t.Errorf("rule %d: %v %d %s", n, err, a.status, a.body)
				}
			}
		})
	}
	group.Wait()
	for _, limit := range []int{1000, 77} {
		seen := map[string]int{}
		for k := range eachItem[storedKey](t, s.caddy, fmt.Sprintf("/jwt/api-keys?limit=%d", limit)) {
			seen[k.ID]++
		}
		for id := range want {
			if seen[id] != 1 {
				t.Fatalf("with limit=%d, %s is %d times in the list", limit, id, seen[id])
			}
		}
		// A rule that a merge moves to another object between two pages is on none of them, or
		// on both, so the pages are read again until no merge came between.
		var values map[string]int
		s.eventually(fmt.Sprintf("with limit=%d, each rule is once in the list", limit), patience, func() bool {
			values = map[string]int{}
			for r := range eachItem[object](t, s.caddy, fmt.Sprintf("/jwt/revocations?kind=jti&limit=%d", limit)) {
				values[r["value"].(string)]++
			}
			for id := range want {
				if values[id] != 1 {
					return false
				}
			}
			return true
		}, func() string { return fmt.Sprint(len(values), " values") })
	}
	t.Run("the command lists all too", func(t *testing.T) {
		c := s.jwtCommand(t, "revocations", "--limit", "100000", "--json")
		var rules []object
		if decode(t, c.stdout, &rules); len(rules) < many {
			t.Errorf("%d rules", len(rules))
		}
		c = s.jwtCommand(t, "api-key", "list", "--store", "partners", "--json")
		var keys []storedKey
		if decode(t, c.stdout, &keys); len(keys) < many {
			t.Errorf("%d keys", len(keys))
		}
	})
	t.Run("the audit log", func(t *testing.T) {
		var page struct {
			Items   []json.RawMessage
			Missing int
		}
		s.mustAsk(t, http.MethodGet, "/jwt/audit?limit=1000", nil, http.StatusOK, &page)
		lines, texts := s.auditLog(t)
		if lines[0].Seq != 1 || len(lines) < many {
			t.Fatalf("the log has %d lines, the first is %+v", len(lines), lines[0])
		}
		if at := firstGap(lines, texts); at >= 0 {
			t.Errorf("the chain is broken at %s", texts[at])
		}
		if len(page.Items) != 1000 || page.Missing != len(lines)-1000 {
			t.Errorf("the endpoint has %d lines and says that %d are missing; the log has %d", len(page.Items), page.Missing, len(lines))
		}
		for n, item := range page.Items {
			var compact bytes.Buffer
			if err := json.Compact(&compact, item); err != nil || compact.String() != texts[page.Missing+n] {
				t.Fatalf("line %d is\n%s\n%s", page.Missing+n, compact.String(), texts[page.Missing+n])
			}
		}
		// A line that was taken away, or changed, is noticed.
		middle := len(lines) / 2
		if at := firstGap(slices.Delete(slices.Clone(lines), middle, middle+1), slices.Delete(slices.Clone(texts), middle, middle+1)); at != middle {
			t.Errorf("a line is missing at %d, and the gap shows at %d", middle, at)
		}
		changed := slices.Clone(texts)
		changed[middle] = strings.Replace(changed[middle], `"outcome":"stored"`, `"outcome":"failed"`, 1)
		if at := firstGap(lines, changed); at != middle+1 {
			t.Errorf("line %d was changed, and the gap shows at %d", middle, at)
		}
	})
	t.Run("no hash is in any answer", func(t *testing.T) {
		for _, path := range []string{"/jwt/api-keys?limit=1000", "/jwt/audit?limit=1000", "/jwt/status", "/jwt/api-keys/listed-0000", "/metrics", "/config/"} {
			s.checkNoCredential(t, path, s.ask(t, http.MethodGet, path, "").body)
		}
		s.checkNoCredential(t, "the log", s.logs.String())
	})
	t.Run("another process counts from 1", func(t *testing.T) {
		lines, _ := s.auditLog(t)
		process := lines[0].Process
		s.restart(nil)
		s.whenReady(t)
		s.addRule(t, object{"kind": "jti", "value": "after the restart"})
		again, _ := s.auditLog(t)
		if last := again[len(again)-1]; last.Seq != 1 || last.Process == process || last.Previous != "" {
			t.Errorf("the first line after the restart is %+v", last)
		}
		began := time.Now()
		if n := strings.Count(s.snapshot(t), `"listed-`); n < 2*many {
			t.Errorf("after the restart there are %d of the keys and rules", n)
		}
		t.Logf("all was read in %s", time.Since(began))
	})
}
