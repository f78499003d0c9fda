package integration

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/auth/extauth"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

// mcpRequest is what an MCP client is asked to do. It knows the MCP server's URL and its
// own credentials.
type mcpRequest struct {
	URL       string    `json:"url"`
	ID        string    `json:"client_id"`
	Secret    string    `json:"client_secret,omitempty"`
	Key       string    `json:"key,omitempty"` // PEM
	Algorithm string    `json:"alg,omitempty"`
	Scope     string    `json:"scope,omitempty"`   // that the program asks for, whatever the server says
	StepUp    bool      `json:"step_up,omitempty"` // TypeScript: with the lines that the guide adds
	Issuer    string    `json:"expected_issuer,omitempty"`
	Calls     []mcpCall `json:"calls"`
}

type mcpCall struct {
	Name      string         `json:"name"`
	Arguments map[string]any `json:"arguments"`
}

// mcpAnswer is what came of it.
type mcpAnswer struct {
	Tools []string     `json:"tools"`
	Calls []mcpOutcome `json:"calls"`
	mcpOutcome
}

type mcpOutcome struct {
	Text  string    `json:"text"`
	Error *mcpError `json:"error"`
}

// mcpError is an error as the client's library shows it to its program.
type mcpError struct {
	Type string `json:"type"`
	Code any    `json:"code"`
	Text string `json:"text"`
}

// callTools has a client list the tools, read a note and delete all.
var callTools = []mcpCall{
	{"read", map[string]any{"name": "monday"}},
	{"delete_all", map[string]any{}},
}

// signing is an http.Client's transport that authenticates a client by its signature
// (private_key_jwt): the Go SDK knows secrets alone, and lets a program choose how its
// requests are sent. What stands in the secret's place is dropped.
type signing struct {
	t      *testing.T
	issuer func() string
	as     clientRequest
	to     http.RoundTripper
}

func (s *signing) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPost && r.Header.Get("Content-Type") == "application/x-www-form-urlencoded" {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		form, err := url.ParseQuery(string(text))
		if err != nil {
			return nil, err
		}
		form.Del("client_secret")
		form.Del("client_id")
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", signedAssertion(s.t, s.issuer(), s.as))
		body := form.Encode()
		r = r.Clone(r.Context())
		r.Header.Del("Authorization")
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		r.GetBody = nil
	}
	return s.to.RoundTrip(r)
}

// askGoSDK is a client with the Go SDK.
func askGoSDK(t *testing.T, r mcpRequest, issuer string) (answer mcpAnswer) {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	credentials := &oauthex.ClientCredentials{ClientID: r.ID, Issuer: r.Issuer, ClientSecretAuth: &oauthex.ClientSecretAuth{ClientSecret: r.Secret}}
	client := &http.Client{Timeout: patience, Transport: transport}
	if r.Key != "" {
		credentials.ClientSecretAuth.ClientSecret = "none"
		client.Transport = &signing{t, func() string { return issuer }, clientRequest{ID: r.ID, Key: r.Key, Algorithm: r.Algorithm}, transport}
	}
	handler, err := extauth.NewClientCredentialsHandler(&extauth.ClientCredentialsHandlerConfig{Credentials: credentials, HTTPClient: client})
	if err != nil {
		t.Fatal(err)
	}
	failed := func(err error) *mcpError {
		var rpc *jsonrpc.Error
		if errors.As(err, &rpc) {
			return &mcpError{Type: "jsonrpc.Error", Code: float64(rpc.Code), Text: err.Error()}
		}
		return &mcpError{Text: err.Error()}
	}
	session, err := mcp.NewClient(&mcp.Implementation{Name: "client", Version: "1.0.0"}, nil).Connect(t.Context(),
		&mcp.StreamableClientTransport{Endpoint: r.URL, OAuthHandler: handler, HTTPClient: &http.Client{Timeout: patience, Transport: transport}, DisableStandaloneSSE: true}, nil)
	if err != nil {
		answer.Error = failed(err)
		return answer
	}
	defer session.Close()
	tools, err := session.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatalf("tools/list: %v", err)
	}
	for _, tool := range tools.Tools {
		answer.Tools = append(answer.Tools, tool.Name)
	}
	for _, call := range r.Calls {
		result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: call.Name, Arguments: call.Arguments})
		if err != nil {
			answer.Calls = append(answer.Calls, mcpOutcome{Error: failed(err)})
			continue
		}
		var text string
		for _, part := range result.Content {
			if content, ok := part.(*mcp.TextContent); ok {
				text += content.Text
			}
		}
		answer.Calls = append(answer.Calls, mcpOutcome{Text: text})
	}
	return answer
}

// askTypeScriptSDK is a client with the TypeScript SDK.
func askTypeScriptSDK(t *testing.T, r mcpRequest, _ string) (answer mcpAnswer) {
	t.Helper()
	askJSON(t, nil, r, &answer, "node", filepath.Join("npm", "mcp-client.mjs"))
	return answer
}

var mcpClients = []struct {
	name string
	part dependency
	ask  func(*testing.T, mcpRequest, string) mcpAnswer
	// resource is whether it says at the token endpoint whom the token is for (RFC 8707),
	// as MCP has it. The Go SDK does not: it gets the service's only audience.
	resource bool
}{
	{"Go SDK", curl, askGoSDK, false},
	{"TypeScript SDK", mcpTypeScript, askTypeScriptSDK, true},
}

// Each client, by secret and by signature, from the MCP server's URL alone: metadata, a
// token, the tools, a call, 403, another scope, the call. On the wire the MCP server's
// host gets tokens alone, and the MCP server itself not even these.
func TestMCP_Clients(t *testing.T) {
	t.Parallel()
	for _, c := range mcpClients {
		for _, signs := range []bool{false, true} {
			name := c.name + " with a secret"
			if signs {
				name = c.name + " with a signature"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				need(t, c.part)
				e := startMCPExample(t)
				as := mcpRequest{URL: e.url, ID: "agent", StepUp: true, Calls: callTools}
				if signs {
					as.ID, as.Key, as.Algorithm = "robot", e.file("robot.key"), "ES256"
				} else {
					as.Secret = e.file("agent.key")
				}
				got := c.ask(t, as, e.issuer)
				if got.Error != nil {
					t.Fatalf("it does not get in: %+v", *got.Error)
				}
				if want := []string{"delete_all", "list", "read"}; !slices.Equal(slices.Sorted(slices.Values(got.Tools)), want) {
					t.Errorf("the tools are %q; want %q", got.Tools, want)
				}
				for i, want := range []string{"Buy milk.", as.ID + " has deleted 3 notes"} {
					if call := got.Calls[i]; call.Error != nil || call.Text != want {
						t.Errorf("%s: %q, %+v; want %q", callTools[i].Name, call.Text, call.Error, want)
					}
				}
				requests := e.tokenRequests(t)
				if scopes := scopesOf(requests); !slices.Equal(scopes, []string{"mcp:read", "mcp:read mcp:write"}) {
					t.Errorf("it asks for the scopes %q; want read, then both", scopes)
				}
				for _, r := range requests {
					want := ""
					if c.resource {
						want = e.url
					}
					if got := r.form.Get("resource"); got != want {
						t.Errorf("it asks for a token for %q; want %q", got, want)
					}
				}
				e.checkWire(t, as, requests)
			})
		}
	}
}

// tokenRequest is a request to the token endpoint, as it was on the wire.
type tokenRequest struct {
	authorization string
	form          url.Values
}

// tokenRequests are those that went to the token service.
func (e *mcpExample) tokenRequests(t *testing.T) (list []tokenRequest) {
	t.Helper()
	for _, part := range strings.Split(e.auth.take(), "POST /oauth2/token HTTP/1.1\r\n")[1:] {
		head, rest, found := strings.Cut(part, "\r\n\r\n")
		if !found {
			t.Fatalf("no whole request: %q", part)
		}
		var length int
		r := tokenRequest{}
		for line := range strings.SplitSeq(head, "\r\n") {
			name, value, _ := strings.Cut(line, ": ")
			switch strings.ToLower(name) {
			case "content-length":
				if err := json.Unmarshal([]byte(value), &length); err != nil || length > len(rest) {
					t.Fatalf("Content-Length %q of %d bytes", value, len(rest))
				}
			case "authorization":
				r.authorization = value
			}
		}
		form, err := url.ParseQuery(rest[:length])
		if err != nil {
			t.Fatal(err)
		}
		r.form = form
		list = append(list, r)
	}
	return list
}

func scopesOf(requests []tokenRequest) (scopes []string) {
	for _, r := range requests {
		words := strings.Fields(r.form.Get("scope"))
		slices.Sort(words)
		scopes = append(scopes, strings.Join(words, " "))
	}
	return scopes
}

// checkWire requires that the credentials of a client went to the token service alone.
func (e *mcpExample) checkWire(t *testing.T, as mcpRequest, requests []tokenRequest) {
	t.Helper()
	secrets := [][]byte{[]byte("client_secret"), []byte("client_assertion"), []byte("Basic ")}
	if as.Secret != "" {
		secrets = append(secrets, []byte(as.Secret), []byte(base64.StdEncoding.EncodeToString([]byte(as.ID+":"+as.Secret))))
	}
	shown := false
	for _, r := range requests {
		assertion := r.form.Get("client_assertion")
		if assertion != "" {
			secrets = append(secrets, []byte(assertion), []byte(strings.Split(assertion, ".")[2]))
			e.logs.forbid(assertion)
		}
		password := ""
		if text, basic := strings.CutPrefix(r.authorization, "Basic "); basic {
			decoded, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				t.Fatal(err)
			}
			_, password, _ = strings.Cut(string(decoded), ":")
		}
		switch {
		case as.Secret != "":
			shown = shown || password == as.Secret || r.form.Get("client_secret") == as.Secret
		default:
			shown = shown || assertion != ""
			if r.authorization != "" || r.form.Get("client_secret") != "" {
				t.Error("a client that signs has sent a secret too")
			}
		}
	}
	if !shown {
		t.Error("the token service has not seen the client's credential: nothing is proven by its absence elsewhere")
	}
	api, upstream := []byte(e.api.take()), []byte(e.upstream.take())
	for _, secret := range secrets {
		if bytes.Contains(api, secret) {
			t.Errorf("the MCP server's host got %d bytes of a credential: %.12s…", len(secret), secret)
		}
	}
	tokens := 0
	for line := range bytes.SplitSeq(api, []byte("\r\n")) {
		if _, token, found := bytes.Cut(line, []byte("Bearer ")); found {
			tokens++
			e.logs.forbid(string(token))
			if bytes.Contains(upstream, token) || bytes.Contains(upstream, bytes.Split(token, []byte("."))[2]) {
				t.Error("the MCP server got a token")
			}
		}
	}
	if tokens == 0 {
		t.Error("no token was seen on its way")
	}
	if bytes.Contains(bytes.ToLower(upstream), []byte("\r\nauthorization:")) || !bytes.Contains(upstream, []byte("X-User-Id: "+as.ID)) {
		t.Error("the MCP server got Authorization, or not the client's name")
	}
}
