package command_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// refused is an answer with refusals of these URIs.
func refused(next, missed int, uris ...string) answer {
	list := []map[string]any{}
	for i, uri := range uris {
		list = append(list, map[string]any{
			"seq": next - len(uris) + 1 + i, "time": "2026-03-04T12:00:00.5Z", "site": "api.example.com", "reason": "expired", "status": 401,
			"method": "GET", "host": "api.example.com", "uri": uri, "remote_ip": "192.0.2.7",
		})
	}
	body, _ := json.Marshal(map[string]any{"refusals": list, "next": next, "missed": missed})
	return answer{http.StatusOK, string(body)}
}

// watchable is a server with these answers to the questions of watch, one after the other.
func watchable(t *testing.T, answers ...answer) *fakeServer {
	t.Helper()
	return newFakeServer(t, map[string][]answer{
		"GET /jwt/refusals": answers,
		"GET /jwt/status":   {{http.StatusOK, `{"sites": ["a.example", "api.example.com, b.example"], "issuers": [], "api_keys": []}`}},
	})
}

func TestWatchPrintsRefusals(t *testing.T) {
	t.Parallel()
	f := watchable(t, refused(100, 0, "/old"), refused(102, 0, "/1", "/2?a=b"), refused(105, 2, "/3"), refused(106, 0, "/4"))
	r := runJWT(t, "", "watch", "--address", f.address, "-n", "3").want(t, 0,
		"watching the refusals of the server at "+f.address, "while nothing is refused, nothing is printed", "2 refusals were missed")
	want := "2026-03-04T12:00:00Z  api.example.com  401 expired  GET api.example.com/1\n" +
		"2026-03-04T12:00:00Z  api.example.com  401 expired  GET api.example.com/2?a=b\n" +
		"2026-03-04T12:00:00Z  api.example.com  401 expired  GET api.example.com/3\n"
	if r.out != want {
		t.Errorf("%s\nwant\n%s", r.out, want)
	}
	f.wantRequests(t, "GET /jwt/refusals", "GET /jwt/refusals?after=100&wait=30s", "GET /jwt/refusals?after=102&wait=30s")
}

func TestWatchSaysWhatWasWrong(t *testing.T) {
	t.Parallel()
	f := watchable(t, refused(1, 0), answer{http.StatusOK, `{"next": 2, "missed": 0, "refusals": [{"seq": 2, "time": "2026-03-04T12:00:00Z", "site": "s",
		"reason": "forbidden", "status": 403, "requirement": "claim tenant acme", "detail": "a detail", "user": "alice", "issuer": "https://i.example",
		"method": "GET", "host": "h.example", "uri": "https://other.example/x", "remote_ip": "192.0.2.7", "reported": true}]}`})
	r := runJWT(t, "", "watch", "--address", f.address, "--count", "1").want(t, 0)
	want := "2026-03-04T12:00:00Z  s  403 forbidden  GET https://other.example/x  (only reported; requirement: claim tenant acme; detail: a detail; user: alice; issuer: https://i.example)\n"
	if r.out != want {
		t.Errorf("%s\nwant\n%s", r.out, want)
	}
}

func TestWatchAsJSONLines(t *testing.T) {
	t.Parallel()
	f := watchable(t, refused(100, 0), refused(102, 0, "/1?a=<b>&c", "/2"))
	r := runJWT(t, "", "watch", "--address", f.address, "-n", "2", "--json", "--site", "B.example", "--reason", "expired").want(t, 0)
	lines := strings.Split(strings.TrimSuffix(r.out, "\n"), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines: %s", len(lines), r.out)
	}
	for i, uri := range []string{"/1?a=<b>&c", "/2"} {
		got := parseJSON[map[string]any](t, lines[i])
		if got["uri"] != uri || got["reason"] != "expired" || got["seq"] != float64(101+i) || got["time"] != "2026-03-04T12:00:00.5Z" {
			t.Errorf("%v", got)
		}
	}
	f.wantRequests(t, "GET /jwt/refusals?reason=expired&site=B.example", "GET /jwt/status?ready", "GET /jwt/refusals?after=100&reason=expired&site=B.example&wait=30s")
}

func TestWatchEndsInTime(t *testing.T) {
	t.Parallel()
	// The server holds the question until the client is gone.
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("wait") {
			<-r.Context().Done()
			return
		}
		fmt.Fprint(w, `{"refusals": [], "next": 7, "missed": 0}`)
	}))
	t.Cleanup(s.Close)
	if r := runJWT(t, "", "watch", "--address", s.Listener.Addr().String(), "--for", "100ms").want(t, 0); r.out != "" {
		t.Errorf("%s", r.out)
	}
}

// A server that is being restarted answers nothing for a while, then begins again.
func TestWatchGoesOnOverARestart(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	var asked atomic.Int32
	steps := []func(w http.ResponseWriter, r *http.Request){
		func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, refused(100, 0).body) },
		func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, refused(101, 0, "/before").body) },
		func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, `{"error": "no config with a jwt handler is running"}`)
		},
		func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, refused(5, 0, "/after").body) },
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		steps[min(int(asked.Add(1)), len(steps))-1](w, r)
	})}
	go func() { _ = s.Serve(listener) }()
	t.Cleanup(func() { _ = s.Close() })
	r := runJWT(t, "", "watch", "--address", address, "-n", "2").want(t, 0, "does not answer; asking again", "answers again")
	if n := strings.Count(r.err, "asking again"); n != 1 {
		t.Errorf("it says %d times that the server does not answer:\n%s", n, r.err)
	}
	if !strings.Contains(r.out, "/before\n") || !strings.Contains(r.out, "/after\n") {
		t.Errorf("%s", r.out)
	}
}

func TestWatchIsNotMisled(t *testing.T) {
	t.Parallel()
	f := watchable(t, refused(100, 0))
	at := []string{"--address", f.address}
	for name, c := range map[string]struct {
		args []string
		code int
		text string
	}{
		"a site that there is not":     {append(at, "--site", "c.example"), 2, "the sites are a.example, api.example.com, b.example"},
		"a reason that there is not":   {append(at, "--reason", "expird"), 2, "is expired meant?"},
		"a reason like no other":       {append(at, "--reason", "zzzzzzzzzzzz"), 2, "the reasons are "},
		"a token as a site":            {append(at, "--site", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0."), 2, "there is a token in it"},
		"no refusals":                  {append(at, "-n", "0"), 2, "--count: it must be a number above 0"},
		"no time":                      {append(at, "--for", "0s"), 2, "--for: "},
		"a time in words":              {append(at, "--for", "soon"), 2, "--for: "},
		"an argument":                  {append(at, "now"), 2, "usage: "},
		"an address that is none":      {[]string{"--address", "a b"}, 2, "--address: "},
		"nobody listens":               {[]string{"--address", closedAddress(t)}, 1, "name it with --address or --config"},
		"an older server":              {[]string{"--address", newFakeServer(t, nil).address}, 1, "there is nothing at this path"},
		"a server that is not ours":    {[]string{"--address", answering(t, "GET /jwt/refusals", 200, "hello").address}, 1, "not a status page"},
		"a server without a handler":   {[]string{"--address", answering(t, "GET /jwt/refusals", 503, `{"error": "no config with a jwt handler is running"}`).address}, 1, "no config"},
		"a server that refuses to say": {[]string{"--address", answering(t, "GET /jwt/refusals", 403, `{"error": "client is not allowed"}`).address}, 1, "not allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			runJWT(t, "", append([]string{"watch"}, c.args...)...).want(t, c.code, c.text)
		})
	}
}

func TestWatchEscapesWhatStrangersWrote(t *testing.T) {
	t.Parallel()
	for _, member := range []string{"site", "reason", "detail", "requirement", "user", "issuer", "method", "host", "uri"} {
		seen := map[string]any{"seq": 2, "time": time.Now(), "site": "s", "status": 401, "uri": "/"}
		seen[member] = hostile
		body, err := json.Marshal(map[string]any{"next": 2, "missed": 0, "refusals": []any{seen}})
		if err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{nil, {"--json"}} {
			f := watchable(t, refused(1, 0), answer{http.StatusOK, string(body)})
			r := runJWT(t, "", append([]string{"watch", "-n", "1", "--address", f.address}, args...)...).want(t, 0)
			if len(args) == 0 {
				checkSafe(t, member, r.out)
				if strings.Count(r.out, "\n") != 1 {
					t.Errorf("%s: more than a line: %q", member, r.out)
				}
			} else if got := parseJSON[map[string]any](t, r.out)[member]; got != hostile || strings.Contains(r.out, "\x1b") {
				t.Errorf("%s: %q", member, r.out)
			}
		}
	}
}
