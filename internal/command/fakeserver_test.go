package command_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// fakeServer is an admin endpoint that answers by a table, and keeps what it was asked.
type fakeServer struct {
	address string

	mu      sync.Mutex
	asked   []asked
	answers map[string][]answer // by method and path; the last one stays
}

type asked struct {
	method, path, query, body, operator string
}

type answer struct {
	status int
	body   string
}

// newFakeServer makes a server. Requests are "METHOD /path"; others are answered with 404.
func newFakeServer(t *testing.T, answers map[string][]answer) *fakeServer {
	t.Helper()
	f := &fakeServer{answers: answers}
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	f.address = s.Listener.Addr().String()
	return f
}

// answering makes a server with one answer.
func answering(t *testing.T, request string, status int, body string) *fakeServer {
	t.Helper()
	return newFakeServer(t, map[string][]answer{request: {{status, body}}})
}

func (f *fakeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, asked{r.Method, r.URL.EscapedPath(), r.URL.RawQuery, string(body), r.Header.Get("X-Jwt-Operator")})
	list := f.answers[r.Method+" "+r.URL.EscapedPath()]
	if len(list) == 0 {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"error":"there is nothing at this path"}`)
		return
	}
	if len(list) > 1 {
		f.answers[r.Method+" "+r.URL.EscapedPath()] = list[1:]
	}
	w.WriteHeader(list[0].status)
	fmt.Fprint(w, list[0].body)
}

// requests returns what the server was asked, as "METHOD /path?query body".
func (f *fakeServer) requests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []string
	for _, a := range f.asked {
		line := a.method + " " + a.path
		if a.query != "" {
			line += "?" + a.query
		}
		if a.body != "" {
			line += " " + a.body
		}
		list = append(list, line)
	}
	return list
}

// wantRequests checks what the server was asked.
func (f *fakeServer) wantRequests(t *testing.T, want ...string) {
	t.Helper()
	if got := f.requests(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the server was asked\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// body returns the body of the n-th request.
func (f *fakeServer) body(t *testing.T, n int) map[string]any {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	var body map[string]any
	if n >= len(f.asked) || json.Unmarshal([]byte(f.asked[n].body), &body) != nil {
		t.Fatalf("there is no body %d: %v", n, f.asked)
	}
	return body
}

// closedAddress is an address where nobody listens.
func closedAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}
