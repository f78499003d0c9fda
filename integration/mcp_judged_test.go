package integration

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// mcpRecorder is a real MCP server that notes which requests arrive, and which tools, prompts
// and resources they really use. A request says which one it is in X-Sibling.
type mcpRecorder struct {
	server  *httptest.Server
	mu      sync.Mutex
	arrived map[string][]string // bodies
	ran     map[string][]string
	twins   map[string]bool // requests with a header that has an underscore
}

func newMCPRecorder(t *testing.T) *mcpRecorder {
	t.Helper()
	m := &mcpRecorder{arrived: map[string][]string{}, ran: map[string][]string{}, twins: map[string]bool{}}
	s := mcp.NewServer(&mcp.Implementation{Name: "recorder", Version: "1"}, &mcp.ServerOptions{
		CompletionHandler: func(_ context.Context, r *mcp.CompleteRequest) (*mcp.CompleteResult, error) {
			if r.Params.Ref.Type == "ref/prompt" {
				m.note(r.Extra, "prompt "+r.Params.Ref.Name)
			} else {
				m.note(r.Extra, "resource "+r.Params.Ref.URI)
			}
			return &mcp.CompleteResult{Completion: mcp.CompletionResultDetails{Values: []string{}}}, nil
		},
	})
	for _, name := range []string{"list", "read", "delete_all"} {
		s.AddTool(&mcp.Tool{Name: name, InputSchema: map[string]any{"type": "object"}}, func(_ context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			m.note(r.Extra, "tool "+name)
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: name}}}, nil
		})
	}
	for _, name := range []string{"greet", "secret"} {
		s.AddPrompt(&mcp.Prompt{Name: name}, func(_ context.Context, r *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
			m.note(r.Extra, "prompt "+name)
			return &mcp.GetPromptResult{}, nil
		})
	}
	s.AddResourceTemplate(&mcp.ResourceTemplate{Name: "files", URITemplate: "file:///{+path}"}, func(_ context.Context, r *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
		m.note(r.Extra, "resource "+r.Params.URI)
		return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: r.Params.URI, Text: "x"}}}, nil
	})
	// As those do that read files, whatever the host.
	s.AddResourceTemplate(&mcp.ResourceTemplate{Name: "anywhere", URITemplate: "file://{host}/{+path}"}, func(_ context.Context, r *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
		m.note(r.Extra, "resource "+r.Params.URI)
		return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: r.Params.URI, Text: "x"}}}, nil
	})
	sdk := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, &mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true, DisableLocalhostProtection: true})
	m.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		label := r.Header.Get("X-Sibling")
		m.mu.Lock()
		m.arrived[label] = append(m.arrived[label], string(body))
		for name := range r.Header {
			if strings.Contains(name, "_") {
				m.twins[label] = true
			}
		}
		m.mu.Unlock()
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		sdk.ServeHTTP(w, r)
	}))
	t.Cleanup(m.server.Close)
	return m
}

func (m *mcpRecorder) address() string { return m.server.Listener.Addr().String() }

func (m *mcpRecorder) note(extra *mcp.RequestExtra, what string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	label := extra.Header.Get("X-Sibling")
	m.ran[label] = append(m.ran[label], what)
}

// look adds what has become of the request with a label.
func (m *mcpRecorder) look(label string, a answer) outcome {
	m.mu.Lock()
	defer m.mu.Unlock()
	ran := m.ran[label]
	slices.Sort(ran)
	return outcome{a, m.arrived[label], ran, m.twins[label]}
}

// exchangeRaw sends a request over a connection, which it closes, and reads the answer. A
// server may answer, and close, before it has read everything.
func exchangeRaw(t *testing.T, conn net.Conn, err error, method, request string) (a answer) {
	t.Helper()
	if err != nil {
		t.Error(err)
		return a
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	go func() { _, _ = io.WriteString(conn, request) }()
	answers := bufio.NewReader(conn)
	res, err := http.ReadResponse(answers, &http.Request{Method: method})
	for err == nil && res.StatusCode == http.StatusContinue {
		res, err = http.ReadResponse(answers, &http.Request{Method: method})
	}
	if err != nil {
		t.Errorf("%.100s: %v", request, err)
		return a
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Errorf("%.100s: %v", request, err)
	}
	return answer{status: res.StatusCode, proto: res.Proto, header: res.Header, body: string(body)}
}

// runsGuarded reports whether something is what the rules of guardedSite keep from most.
func runsGuarded(what string) bool {
	kind, name, _ := strings.Cut(what, " ")
	switch kind {
	case "tool":
		return name == "delete_all"
	case "prompt":
		return name == "secret"
	}
	// As a server resolves it that reads files.
	u, err := url.Parse(strings.ToLower(name))
	return err != nil || strings.HasPrefix(path.Clean(u.Path)+"/", "/secret/")
}

// lenientTool is the tool that a server would call that reads JSON as Go's encoding/json did
// for MCP servers once: members without regard to case, the last of several.
func lenientTool(body string) string {
	var seen struct {
		Method string
		Params struct{ Name string }
	}
	if json.Unmarshal([]byte(body), &seen) != nil || !strings.EqualFold(seen.Method, "tools/call") {
		return ""
	}
	return seen.Params.Name
}

// guardedSite guards one thing of each kind.
const guardedSite = `
https://api.example.test {
	jwt {
		import issuer
		mcp {
			tool delete_all {
				require scope mcp:write
			}
			prompt secret {
				require scope mcp:write
			}
			resource file:///secret/* {
				require scope mcp:write
			}
		}
	}
	reverse_proxy {$UPSTREAM}
}
`

// judged is a Caddy in front of such a server, with two tokens.
type judged struct {
	*fixture
	recorder       *mcpRecorder
	reader, writer string
	sent           int
	mu             sync.Mutex
}

func newJudged(t *testing.T) *judged {
	t.Helper()
	return newJudgedSites(t, guardedSite)
}

func newJudgedSites(t *testing.T, sites string) *judged {
	t.Helper()
	k := keys(t)
	m := newMCPRecorder(t)
	j := &judged{recorder: m}
	j.fixture = newFixture(t, sites, options{env: map[string]string{"UPSTREAM": m.address()}}, k.published()...)
	j.reader = k.RS256.Token(t, j.claims(map[string]any{"scope": "mcp:read"}), nil)
	j.writer = k.RS256.Token(t, j.claims(map[string]any{"scope": "mcp:read mcp:write"}), nil)
	j.logs.forbid(j.reader)
	j.logs.forbid(j.writer)
	return j
}

// label is one that no other request has.
func (j *judged) label() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.sent++
	return strconv.Itoa(j.sent)
}

// outcome is what has become of a request.
type outcome struct {
	answer
	arrived, ran []string
	twin         bool // it arrived with a header that has an underscore
}

func (j *judged) through(t *testing.T, s *sibling, token string) outcome {
	t.Helper()
	label := j.label()
	conn, err := (&tls.Dialer{NetDialer: &net.Dialer{Timeout: patience}, Config: j.tlsConfig(site, "http/1.1")}).Dial("tcp", j.caddy.address())
	return j.recorder.look(label, exchangeRaw(t, conn, err, s.method, s.text(site, label, token)))
}

func (j *judged) past(t *testing.T, s *sibling) outcome {
	t.Helper()
	label := j.label()
	conn, err := net.DialTimeout("tcp", j.recorder.address(), patience)
	return j.recorder.look(label, exchangeRaw(t, conn, err, s.method, s.text("localhost", label, "")))
}

// checkRefused makes sure of a request that it was refused by us, as a client of JSON-RPC
// expects it, and that nothing of it arrived.
func (j *judged) checkRefused(t *testing.T, s *sibling, o outcome) {
	t.Helper()
	if len(o.arrived)+len(o.ran) > 0 {
		t.Errorf("%s: %d arrived, ran %q", s.what, len(o.arrived), o.ran)
	}
	if s.early && o.status >= 400 {
		return
	}
	if o.status < 400 || o.status >= 500 {
		t.Errorf("%s: status %d", s.what, o.status)
	}
	var rpc struct {
		JSONRPC string
		Error   struct{ Code int }
	}
	if s.method == "HEAD" || s.method == "post" {
		return
	}
	if err := json.Unmarshal([]byte(o.body), &rpc); err != nil || rpc.JSONRPC != "2.0" || rpc.Error.Code >= 0 {
		t.Errorf("%s: status %d, the answer is no error of JSON-RPC: %q", s.what, o.status, o.body)
	}
}
