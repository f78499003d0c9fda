package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// mcpSites are one with mcp and one without, for the same tokens.
const mcpSites = `
https://api.example.test {
	jwt {
		import issuer
		mcp {
			tool delete_* {
				require scope admin
			}
		}
	}
	import upstream
}
https://plain.example.test {
	jwt {
		import issuer
	}
	import upstream
}
`

// toolCall is a call of a tool in a body of a size, or as short as it is.
func toolCall(tool string, size int) string {
	text := fmt.Sprintf(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":%q,"arguments":{}}}`, tool)
	return text + strings.Repeat(" ", max(0, size-len(text)))
}

// asMCP makes a request one with a message.
func asMCP(text string) change {
	return func(r *http.Request) {
		body(text)(r)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "application/json, text/event-stream")
	}
}

// chunked takes the length away from a body.
func chunked(r *http.Request) { r.ContentLength = -1 }

// held is a body that begins and then waits until it is let go, or the client gives up: a
// client of HTTP/2 waits for that even with the answer in hand.
type held struct {
	io.Reader
	wait   <-chan struct{}
	closed chan struct{}
	once   sync.Once
}

func (h *held) Read(p []byte) (int, error) {
	n, err := h.Reader.Read(p)
	if err == io.EOF { //nolint:errorlint // of a reader of ours
		select {
		case <-h.wait:
		case <-h.closed:
		}
	}
	return n, err
}

func (h *held) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

// holding gives a request a body that ends only when wait is closed, with the beginning of
// a text.
func holding(text string, sent int, wait <-chan struct{}) change {
	return func(r *http.Request) {
		asMCP(text)(r)
		r.Body = &held{Reader: strings.NewReader(text[:sent]), wait: wait, closed: make(chan struct{})}
	}
}

// endlessBody is a body without an end.
type endlessBody struct{}

func (endlessBody) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func (endlessBody) Close() error { return nil }

// checkRPC checks that an answer is a JSON-RPC error.
func checkRPC(t *testing.T, what string, a answer, status, code int) {
	t.Helper()
	var e struct {
		JSONRPC string          `json:"jsonrpc"`
		ID      json.RawMessage `json:"id"`
		Error   struct{ Code int }
	}
	if err := json.Unmarshal([]byte(a.body), &e); err != nil || e.JSONRPC != "2.0" || e.ID == nil || e.Error.Code != code || a.status != status ||
		a.header.Get("Content-Type") != "application/json" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: %d %v %s", what, a.status, a.header, a.body)
	}
}

// TestThreat82_BodiesHaveLimits sends bodies of max_body, of a byte more, without an end and
// without a pace, over every protocol.
func TestThreat82_BodiesHaveLimits(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, mcpSites, options{}, k.RS256)
	token := k.RS256.Token(t, s.claims(nil), nil)
	const most = 1 << 20
	for _, version := range []protocol{http1, http2, h3} {
		t.Run(string(version), func(t *testing.T) {
			t.Parallel()
			client := s.client(version)
			full := toolCall("list", most)
			for what, how := range map[string]change{"known": func(*http.Request) {}, "chunked": chunked} {
				seen := s.send(t, client, http.MethodPost, site, "/", bearer(token), asMCP(full), how).upstream(t)
				if seen.Body != full || seen.Header.Get("Content-Length") != fmt.Sprint(most) && seen.Header.Get("Content-Length") != "" || seen.Header.Get("Transfer-Encoding") != "" || len(seen.Trailer) > 0 {
					t.Errorf("%s: %d bytes went on, with %v", what, len(seen.Body), seen.Header)
				}
				checkRPC(t, what, s.send(t, client, http.MethodPost, site, "/", bearer(token), asMCP(full+" "), how), http.StatusRequestEntityTooLarge, -32600)
			}
			a := s.send(t, client, http.MethodPost, site, "/", bearer(token), asMCP(""), func(r *http.Request) { r.Body, r.ContentLength = endlessBody{}, -1 })
			checkRPC(t, "endless", a, http.StatusRequestEntityTooLarge, -32600)

			wait := make(chan struct{})
			defer close(wait)
			a = s.send(t, client, http.MethodPost, site, "/", bearer(token), holding(toolCall("list", 1000), 500, wait))
			checkRPC(t, "slow", a, http.StatusRequestTimeout, -32600)
			a = s.send(t, client, http.MethodPost, site, "/", bearer(token), holding(toolCall("list", 1000), 0, wait))
			checkRPC(t, "nothing at all", a, http.StatusRequestTimeout, -32600)
		})
	}
}

// TestThreat82_OneHolderOfManyBodies begins more bodies than fit into the memory for them, all
// but their last byte, by one user. Others are served all the while.
func TestThreat82_OneHolderOfManyBodies(t *testing.T) {
	t.Parallel()
	needProc(t)
	k := keys(t)
	s := newFixture(t, mcpSites, options{}, k.RS256)
	greedy := k.RS256.Token(t, s.claims(map[string]any{"sub": "greedy"}), nil)
	other := k.RS256.Token(t, s.claims(map[string]any{"sub": "other"}), nil)
	call := toolCall("list", 1<<20)
	s.send(t, s.http, http.MethodPost, site, "/", bearer(greedy), asMCP(call)).upstream(t)
	before := s.heapMiB(t)

	const many = 100
	client := s.client(http1)
	wait, refused := make(chan struct{}), make(chan struct{}, many)
	var all sync.WaitGroup
	for range many {
		all.Go(func() {
			a, err := s.trySend(client, http.MethodPost, site, "/", bearer(greedy), holding(call, len(call)-1, wait))
			switch {
			case err != nil:
				// The server is done with the connection before the client has sent all.
			case a.status == http.StatusServiceUnavailable:
				checkRPC(t, "too many", a, http.StatusServiceUnavailable, -32000)
				if a.header.Get("Retry-After") == "" {
					t.Error("no Retry-After")
				}
				refused <- struct{}{}
			default:
				checkRPC(t, "held", a, http.StatusRequestTimeout, -32600)
			}
		})
	}
	<-refused
	for _, host := range []string{site, "plain.example.test"} {
		if seen := s.send(t, s.http, http.MethodPost, host, "/", bearer(other), asMCP(call)).upstream(t); seen.Body != call {
			t.Errorf("%s: %d bytes went on", host, len(seen.Body))
		}
	}
	if held := s.heapMiB(t) - before; held > 100 {
		t.Errorf("%.0f MiB are held", held)
	}
	all.Wait()
	close(wait)
	if seen := s.send(t, s.http, http.MethodPost, site, "/", bearer(greedy), asMCP(call)).upstream(t); seen.Body != call {
		t.Errorf("%d bytes went on", len(seen.Body))
	}
}

// trySend is send for requests that may fail.
func (c *caddy) trySend(client *http.Client, method, host, path string, changes ...change) (answer, error) {
	r, err := http.NewRequest(method, c.url(host, path), nil)
	if err != nil {
		return answer{}, err
	}
	for _, change := range changes {
		change(r)
	}
	res, err := client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return answer{status: res.StatusCode, proto: res.Proto, header: res.Header, body: string(text)}, err
}
