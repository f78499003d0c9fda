package mcpgate

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-jwt/caddy-jwt/internal/identity"
	"github.com/caddy-jwt/caddy-jwt/internal/mcp"
	"github.com/caddy-jwt/caddy-jwt/internal/rule"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

func newGate(t testing.TB, s Settings) *Gate {
	t.Helper()
	g, err := New(caddy.Context{Context: context.Background()}, s, "")
	if err != nil {
		t.Fatal(err)
	}
	g.budget = new(budget)
	return g
}

// nobody is an identity without a name.
func nobody() *identity.Identity { return &identity.Identity{Naming: new(identity.Naming)} }

const list = `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`

// seen is what a server made of a request.
type seen struct {
	Verdict
	body string
	err  error
}

// judging starts a server that judges requests.
func judging(t *testing.T, g *Gate, pass, http2 bool, judged func()) (*httptest.Server, <-chan seen) {
	t.Helper()
	all := make(chan seen, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, held := g.Judge(w, r, nobody(), pass)
		defer held.End()
		judged()
		s := seen{Verdict: v}
		if v.Code == "" || pass {
			body, err := io.ReadAll(r.Body)
			s.body, s.err = string(body), err
		} else if r.ProtoMajor == 1 {
			w.Header().Set("Connection", "close")
		}
		w.WriteHeader(http.StatusTeapot)
		all <- s
	}))
	if server.EnableHTTP2 = http2; http2 {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	return server, all
}

// halfOf starts a request and sends the beginning of its body.
func halfOf(t *testing.T, server *httptest.Server, begin string) (*io.PipeWriter, <-chan error) {
	t.Helper()
	out, in := io.Pipe()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, out)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	answered := make(chan error, 1)
	go func() {
		resp, err := server.Client().Do(r)
		if err == nil {
			err = resp.Body.Close()
			if resp.StatusCode != http.StatusTeapot {
				err = errors.New(resp.Status)
			}
		}
		answered <- err
	}()
	if _, err := io.WriteString(in, begin); err != nil {
		t.Fatal(err)
	}
	return in, answered
}

// TestABodyMustComeInTime sends half of a body and waits for the answer, which must come
// although the other half never does.
func TestABodyMustComeInTime(t *testing.T) {
	t.Parallel()
	for name, http2 := range map[string]bool{"HTTP/1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGate(t, Settings{})
			g.inTime = 50 * time.Millisecond
			server, all := judging(t, g, false, http2, func() {})
			in, answered := halfOf(t, server, list[:10])
			defer in.Close()
			if s := <-all; s.Code != reason.BodyTimeout {
				t.Errorf("%+v", s)
			}
			if err := <-answered; err != nil {
				t.Errorf("the client got %v", err)
			}
			if g.budget.held != 0 || len(g.budget.users) != 0 {
				t.Errorf("%d bytes are held", g.budget.held)
			}
		})
	}
}

// TestASlowBodyIsPassedOnWhole is report mode: what came late is not lost.
func TestASlowBodyIsPassedOnWhole(t *testing.T) {
	t.Parallel()
	for name, http2 := range map[string]bool{"HTTP/1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGate(t, Settings{})
			g.inTime = 50 * time.Millisecond
			late := make(chan struct{})
			server, all := judging(t, g, true, http2, func() { close(late) })
			in, answered := halfOf(t, server, list[:10])
			<-late
			if _, err := io.WriteString(in, list[10:]); err != nil {
				t.Fatal(err)
			}
			in.Close()
			if s := <-all; s.Code != reason.BodyTimeout || s.body != list || s.err != nil {
				t.Errorf("%+v", s)
			}
			if err := <-answered; err != nil {
				t.Error(err)
			}
		})
	}
}

// stuck is a body that no deadline of a connection ends.
type stuck struct{ release chan struct{} }

func (s stuck) Read([]byte) (int, error) { <-s.release; return 0, io.EOF }
func (stuck) Close() error               { return nil }

func TestABodyThatNothingEnds(t *testing.T) {
	t.Parallel()
	g := newGate(t, Settings{})
	g.inTime = time.Millisecond
	r := httptest.NewRequest(http.MethodPost, "/", http.NoBody)
	r.Header.Set("Content-Type", "application/json")
	s := stuck{make(chan struct{})}
	r.Body, r.ContentLength = s, -1
	v, held := g.Judge(httptest.NewRecorder(), r, nobody(), false)
	if v.Code != reason.BodyTimeout || held != nil {
		t.Fatalf("%+v", v)
	}
	g.budget.mu.Lock()
	during := g.budget.held
	g.budget.mu.Unlock()
	if during == 0 {
		t.Error("a buffer that is still in use is not counted")
	}
	close(s.release)
	for {
		g.budget.mu.Lock()
		left := g.budget.held
		g.budget.mu.Unlock()
		if left == 0 {
			return
		}
		if t.Context().Err() != nil {
			t.Fatal("it is counted for ever")
		}
		time.Sleep(time.Millisecond)
	}
}

// bursting is a body whose Read panics, as one that a plugin has put there may.
type bursting struct{}

func (bursting) Read([]byte) (int, error) { panic(http.ErrAbortHandler) }
func (bursting) Close() error             { return nil }

func TestAPanicStaysInTheRequest(t *testing.T) {
	t.Parallel()
	g := newGate(t, Settings{})
	r := httptest.NewRequest(http.MethodPost, "/", http.NoBody)
	r.Header.Set("Content-Type", "application/json")
	r.Body, r.ContentLength = bursting{}, -1
	defer func() {
		if recover() != http.ErrAbortHandler { //nolint:errorlint // as net/http compares it
			t.Error("the panic does not come to the server")
		}
	}()
	g.Judge(nil, r, nobody(), false)
}

func message(body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	return r
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	g := newGate(t, Settings{MaxBody: "32MiB"})
	body := list + strings.Repeat(" ", 8<<20-len(list))
	var all []*Held
	for range share / (8 << 20) {
		v, held := g.Judge(nil, message(body), nobody(), false)
		if v.Code != "" {
			t.Fatalf("%+v", v)
		}
		all = append(all, held)
	}
	if g.budget.held != share {
		t.Errorf("%d bytes are counted", g.budget.held)
	}
	if v, _ := g.Judge(nil, message(body), nobody(), false); v.Code != reason.Overloaded {
		t.Errorf("one user holds more than their share: %+v", v)
	}
	if v, _ := g.Judge(nil, message(list), nobody(), false); v.Code != reason.Overloaded {
		t.Errorf("a small one more: %+v", v)
	}
	// Others get through, up to what all may hold.
	other := user{"https://issuer.example/", "other"}
	if !g.budget.take(other, share) || g.budget.take(user{name: "third"}, 1) {
		t.Error("others do not have what is left, or have more")
	}
	g.budget.give(other, share)
	// In report mode it goes on whole.
	r := message(body)
	v, held := g.Judge(nil, r, nobody(), true)
	if got, err := io.ReadAll(r.Body); v.Code != reason.Overloaded || err != nil || string(got) != body {
		t.Errorf("%s, %d bytes went on, %v", v.Code, len(got), err)
	}
	held.End()
	// What was sent holds nothing, though the request goes on.
	if _, err := io.Copy(io.Discard, all[0]); err != nil {
		t.Fatal(err)
	}
	if err := all[0].Close(); err != nil {
		t.Fatal(err)
	}
	if g.budget.held != share-8<<20 {
		t.Errorf("%d bytes are counted", g.budget.held)
	}
	for _, held := range all {
		held.End()
		held.End()
	}
	if g.budget.held != 0 || len(g.budget.users) != 0 {
		t.Errorf("%d bytes are counted for %d users", g.budget.held, len(g.budget.users))
	}
}

// TestMemoryIsHeldForWhatCame sends a length and no body.
func TestMemoryIsHeldForWhatCame(t *testing.T) {
	t.Parallel()
	b := &reading{length: 1 << 20, limit: 1 << 20}
	if err := b.grow(); err != nil || cap(b.data) != firstBuffer {
		t.Errorf("%d bytes for nothing, %v", cap(b.data), err)
	}
	b = &reading{length: 100, limit: 1 << 20}
	if err := b.grow(); err != nil || cap(b.data) != 100 {
		t.Errorf("%d bytes for 100, %v", cap(b.data), err)
	}
}

func TestLimitsToTheByte(t *testing.T) {
	t.Parallel()
	g := newGate(t, Settings{MaxBody: "2KiB"})
	for _, length := range []bool{true, false} {
		for size, want := range map[int]reason.Code{2048: "", 2049: reason.BodyTooLarge, 2047: ""} {
			r := message(list + strings.Repeat(" ", size-len(list)))
			if !length {
				r.ContentLength = -1
			}
			v, held := g.Judge(nil, r, nobody(), false)
			if v.Code != want || (held != nil) != (want == "") {
				t.Errorf("%d bytes: %+v", size, v)
			}
			held.End()
		}
	}
	// One byte of a body that says that it is shorter.
	r := message(list + strings.Repeat(" ", 100))
	r.ContentLength = int64(len(list))
	v, held := g.Judge(nil, r, nobody(), false)
	if got, _ := io.ReadAll(held); v.Code != "" || len(got) != len(list)+100 || r.ContentLength != int64(len(got)) {
		t.Errorf("%+v, %d bytes went on, %d were said", v, len(got), r.ContentLength)
	}
	held.End()
	if g.budget.held != 0 {
		t.Errorf("%d bytes are counted", g.budget.held)
	}
}

func TestSettingsAreChecked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		settings Settings
		want     string
	}{
		"size":          {Settings{MaxBody: "33MiB"}, "is not a size from 1KiB to 32MiB"},
		"no size":       {Settings{MaxBody: "much"}, "is not a size"},
		"default":       {Settings{Default: "allow"}, "write default deny"},
		"no name":       {Settings{Rules: []Rule{{Kind: mcp.Prompt}}}, "prompt needs a name"},
		"an empty one":  {Settings{Rules: []Rule{{Kind: mcp.Prompt, Names: []string{""}}}}, "prompt has an empty name"},
		"a placeholder": {Settings{Rules: []Rule{{Kind: mcp.Tool, Names: []string{"{env.TOOL}"}}}}, "placeholders are not replaced"},
		"twice":         {Settings{Rules: []Rule{{Kind: mcp.Tool, Names: []string{"a", "a"}}}}, "duplicate \"a\""},
		"control":       {Settings{Rules: []Rule{{Kind: mcp.Tool, Names: []string{"a\x00"}}}}, "control character"},
		"misspelled":    {Settings{Rules: []Rule{{Kind: mcp.Method, Names: []string{"tool/list"}}}}, "write method tools/list"},
		"a tool":        {Settings{Rules: []Rule{{Kind: mcp.Method, Names: []string{"delete_everything_now"}}}}, "tool delete_everything_now if it is the name of a tool"},
		"a scope":       {Settings{Rules: []Rule{{Kind: mcp.Tool, Names: []string{"a"}, Require: []*rule.Requirement{{Scope: []string{"a b"}}}}}}, "tool a: require"},
	} {
		if err := Check(c.settings); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"tools/list", "Tools/List", "*", "notifications/*", "acme/do"} {
		if err := Check(Settings{Rules: []Rule{{Kind: mcp.Method, Names: []string{name}}}}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// panicking is a body that another handler has wrapped, and that panics after some bytes.
type panicking struct{ begin io.Reader }

func (p *panicking) Read(into []byte) (int, error) {
	if n, _ := p.begin.Read(into); n > 0 {
		return n, nil
	}
	panic(http.ErrAbortHandler)
}

// TestAPanicHoldsNoMemory: what is counted for a request that never ends as others do would be
// missing for all others.
func TestAPanicHoldsNoMemory(t *testing.T) {
	t.Parallel()
	for _, method := range []string{http.MethodPost, http.MethodDelete} {
		g := newGate(t, Settings{})
		r := httptest.NewRequest(method, "/mcp", nil)
		r.Body, r.ContentLength = io.NopCloser(&panicking{strings.NewReader(list[:5])}), -1
		r.Header.Set("Content-Type", "application/json")
		if method != http.MethodPost {
			r.Body = io.NopCloser(&panicking{strings.NewReader("")})
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			_, _ = g.Judge(nil, r, nobody(), false)
		}()
		if g.budget.held != 0 || len(g.budget.users) != 0 {
			t.Errorf("%s: %d bytes are counted after a panic", method, g.budget.held)
		}
	}
}

// With HTTP/1 a request says whether it has a body; with HTTP/2 and 3 only its end does.
func TestARequestWithoutABodyIsNotRead(t *testing.T) {
	t.Parallel()
	g := newGate(t, Settings{})
	for major, want := range map[int]reason.Code{1: "", 2: reason.MalformedMessage, 3: reason.MalformedMessage} {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.ProtoMajor, r.ContentLength = major, 0
		r.Body = io.NopCloser(strings.NewReader("x"))
		v, held := g.Judge(httptest.NewRecorder(), r, nobody(), false)
		if v.Code != want || held != nil || want == "" && r.Body != http.NoBody {
			t.Errorf("HTTP/%d: %+v", major, v)
		}
	}
}
