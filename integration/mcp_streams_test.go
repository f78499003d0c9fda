package integration

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// steadyServer is an MCP server with sessions. Its tool `work` reports progress each time
// the test asks for it, and ends when the test says so.
type steadyServer struct {
	*httptest.Server
	mcp  *mcp.Server
	step chan float64
	gone chan struct{}
	auth chan string // Authorization of each request, which must be empty
}

func newSteadyServer(t *testing.T) *steadyServer {
	t.Helper()
	s := &steadyServer{
		mcp:  mcp.NewServer(&mcp.Implementation{Name: "steady", Version: "1.0.0"}, nil),
		step: make(chan float64), gone: make(chan struct{}, 99), auth: make(chan string, 999),
	}
	addTool(s.mcp, "work", noArguments, func(ctx context.Context, r *mcp.CallToolRequest) ([]mcp.Content, error) {
		token := r.Params.GetProgressToken()
		for {
			select {
			case at, more := <-s.step:
				if !more || at == 100 {
					return words("done"), nil
				}
				if err := r.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{ProgressToken: token, Progress: at, Total: 100}); err != nil {
					return nil, err
				}
			case <-ctx.Done():
				s.gone <- struct{}{}
				return nil, ctx.Err()
			}
		}
	})
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s.mcp }, &mcp.StreamableHTTPOptions{DisableLocalhostProtection: true})
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.auth <- r.Header.Get("Authorization")
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

// address is where reverse_proxy sends requests.
func (s *steadyServer) address() string { return strings.TrimPrefix(s.URL, "http://") }

// mcpMessage is a message to an MCP server with the headers that it has with it.
func mcpMessage(token, session, text string) []change {
	changes := []change{
		bearer(token), header("Content-Type", "application/json"), header("Accept", "application/json, text/event-stream"),
		header("MCP-Protocol-Version", "2025-11-25"), body(text),
	}
	if session != "" {
		changes = append(changes, header("Mcp-Session-Id", session))
	}
	return changes
}

const mcpInitialize = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"raw","version":"1"}}}`

// mcpSession begins one, as the first two messages of a client do.
func (s *fixture) mcpSession(t *testing.T, client *http.Client, host, token string) string {
	t.Helper()
	a := s.send(t, client, http.MethodPost, host, "/mcp", mcpMessage(token, "", mcpInitialize)...)
	session := a.header.Get("Mcp-Session-Id")
	if a.status != http.StatusOK || session == "" {
		t.Fatalf("initialize: status %d, session %q: %s", a.status, session, a.body)
	}
	a = s.send(t, client, http.MethodPost, host, "/mcp", mcpMessage(token, session, `{"jsonrpc":"2.0","method":"notifications/initialized"}`)...)
	checkStatus(t, a, http.StatusAccepted)
	return session
}

// mcpEvents opens a request whose answer is a stream, and returns the data of its events as
// they arrive, and a way to hang up.
func (s *fixture) mcpEvents(t *testing.T, client *http.Client, method, host string, changes ...change) (<-chan string, func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, method, s.url(host, "/mcp"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range changes {
		change(r)
	}
	list := make(chan string, 99)
	go func() {
		defer close(list)
		res, err := client.Do(r)
		if err != nil {
			list <- "error: " + err.Error()
			return
		}
		defer res.Body.Close()
		list <- fmt.Sprint(res.StatusCode, " ", strings.TrimSuffix(res.Header.Get("Content-Type"), "; charset=utf-8"))
		for scanner := bufio.NewScanner(res.Body); scanner.Scan(); {
			if data, ok := strings.CutPrefix(scanner.Text(), "data: "); ok && data != "" {
				list <- data
			}
		}
	}()
	return list, cancel
}

// next is the next event, which must contain a text.
func next(t *testing.T, events <-chan string, want string) {
	t.Helper()
	select {
	case got, more := <-events:
		if !more || !strings.Contains(got, want) {
			t.Fatalf("the next event is %q, more: %t; want %s", got, more, want)
		}
	case <-time.After(patience):
		t.Fatalf("no event within %s; want %s", patience, want)
	}
}

const mcpWork = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"work","arguments":{},"_meta":{"progressToken":"p"}}}`

// Streams of an MCP server reach its clients event by event over every version of HTTP:
// answers of tools, and the stream that a client opens by GET. DELETE ends a session.
func TestMCP_Streams(t *testing.T) {
	t.Parallel()
	server := newSteadyServer(t)
	k := keys(t)
	const host = "mcp.example.test"
	s := newFixture(t, mcpSite(host), options{trusted: true, env: map[string]string{"MCP": server.address()}}, k.RS256)
	token := k.RS256.Token(t, s.mcpClaims(host, "mcp:read"), nil)
	s.logs.forbid(token)

	for _, version := range []protocol{http1, http2, h3} {
		t.Run(string(version), func(t *testing.T) {
			client := s.client(version)
			client.Timeout = 0 // streams last
			session := s.mcpSession(t, client, host, token)

			stream, hangUp := s.mcpEvents(t, client, http.MethodGet, host, bearer(token), header("Accept", "text/event-stream"),
				header("Mcp-Session-Id", session), header("MCP-Protocol-Version", "2025-11-25"))
			next(t, stream, "200 text/event-stream")
			addTool(server.mcp, "new over "+strings.NewReplacer("/", "-", " ", "").Replace(string(version)), noArguments, func(context.Context, *mcp.CallToolRequest) ([]mcp.Content, error) { return nil, nil })
			next(t, stream, "notifications/tools/list_changed")

			answer, _ := s.mcpEvents(t, client, http.MethodPost, host, mcpMessage(token, session, mcpWork)...)
			server.step <- 20
			next(t, answer, "200 text/event-stream")
			next(t, answer, `"progress":20`) // before the server goes on
			server.step <- 60
			next(t, answer, `"progress":60`)
			server.step <- 100
			next(t, answer, `"done"`)

			hangUp()
			ended := s.send(t, client, http.MethodDelete, host, "/mcp", bearer(token), header("Mcp-Session-Id", session), header("MCP-Protocol-Version", "2025-11-25"))
			checkStatus(t, ended, http.StatusNoContent)
			a := s.send(t, client, http.MethodPost, host, "/mcp", mcpMessage(token, session, mcpWork)...)
			checkStatus(t, a, http.StatusNotFound)
			for _, method := range []string{http.MethodGet, http.MethodDelete} {
				checkStatus(t, s.send(t, client, method, host, "/mcp", header("Mcp-Session-Id", session)), http.StatusUnauthorized)
			}
		})
	}
	// The channel is not closed: nothing orders that after what the server's requests put there,
	// since they came by another process.
	for range len(server.auth) {
		if value := <-server.auth; value != "" {
			t.Fatal("the MCP server got Authorization")
		}
	}
}

// A stream goes on over a reload, under the rules that it began with; what comes next is
// judged by the new ones.
func TestMCP_ReloadWhileAStreamIsOpen(t *testing.T) {
	t.Parallel()
	server := newSteadyServer(t)
	k := keys(t)
	const host = "mcp.example.test"
	s := newFixture(t, mcpSite(host), options{trusted: true, env: map[string]string{"MCP": server.address()}}, k.RS256)
	token := k.RS256.Token(t, s.mcpClaims(host, "mcp:read"), nil)
	s.logs.forbid(token)
	client := s.client(http1)
	client.Timeout = 0
	session := s.mcpSession(t, client, host, token)
	answer, _ := s.mcpEvents(t, client, http.MethodPost, host, mcpMessage(token, session, mcpWork)...)
	server.step <- 20
	next(t, answer, "200 text/event-stream")
	next(t, answer, `"progress":20`)

	s.mustReload(t, strings.Replace(mcpSite(host), "tool work_*", "tool work", 1))
	a := s.send(t, s.http, http.MethodPost, host, "/mcp", mcpMessage(token, session, mcpWork)...)
	if a.status != http.StatusForbidden || !strings.Contains(a.header.Get("WWW-Authenticate"), `scope="mcp:read mcp:write"`) {
		t.Errorf("after the reload: status %d, %q; want 403 and both scopes", a.status, a.header.Get("WWW-Authenticate"))
	}
	server.step <- 60
	next(t, answer, `"progress":60`)
	server.step <- 100
	next(t, answer, `"done"`)
}

// mcpSite is a site in front of {$MCP}, whose resource is /mcp there.
func mcpSite(host string) string {
	return `https://` + host + ` {
	jwt {$ISSUER} {
		resource https://` + host + `/mcp
		require scope mcp:read
		mcp {
			tool work_* {
				require scope mcp:write
			}
		}
	}
	reverse_proxy {$MCP}
}
`
}

// mcpClaims are those of a token for such a site.
func (s *fixture) mcpClaims(host, scope string) map[string]any {
	return s.claims(map[string]any{"aud": "https://" + host + "/mcp", "scope": scope, "exp": time.Now().Add(time.Hour).Unix()})
}

// A token that is revoked while its client works: the next request is 401, over the
// session that it began.
func TestMCP_RevokedMeanwhile(t *testing.T) {
	t.Parallel()
	e := startMCPExample(t)
	client := &http.Client{Timeout: patience}
	t.Cleanup(client.CloseIdleConnections)
	secret := e.file("viewer.key")
	post := func(path string, form url.Values) string {
		t.Helper()
		r, err := http.NewRequest(http.MethodPost, e.issuer+path, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth("viewer", secret)
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		a := read(t, res)
		checkStatus(t, a, http.StatusOK)
		return a.body
	}
	var minted struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(post("/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "resource": {e.url}})), &minted); err != nil {
		t.Fatal(err)
	}
	e.logs.forbid(minted.Token)
	send := func(session, text string) answer {
		t.Helper()
		r, err := http.NewRequest(http.MethodPost, e.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, change := range mcpMessage(minted.Token, session, text) {
			change(r)
		}
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		return read(t, res)
	}
	a := send("", mcpInitialize)
	checkStatus(t, a, http.StatusOK)
	session := a.header.Get("Mcp-Session-Id")
	const list = `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
	checkStatus(t, send(session, `{"jsonrpc":"2.0","method":"notifications/initialized"}`), http.StatusAccepted)
	checkStatus(t, send(session, list), http.StatusOK)
	post("/oauth2/revoke", url.Values{"token": {minted.Token}})
	e.upstream.take()
	a = send(session, list)
	challenge := a.header.Get("WWW-Authenticate")
	if a.status != http.StatusUnauthorized || !strings.HasPrefix(challenge, "Bearer ") || !strings.Contains(challenge, `error="invalid_token"`) ||
		!strings.Contains(challenge, `resource_metadata="`+strings.TrimSuffix(e.url, "/mcp")+`/.well-known/oauth-protected-resource/mcp"`) {
		t.Errorf("status %d, %q; want 401, invalid_token and the metadata's URL", a.status, challenge)
	}
	if sent := e.upstream.take(); sent != "" {
		t.Error("the MCP server got something of a request with a revoked token")
	}
}
