package caddyjwt

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	logcapture "go.uber.org/zap/zaptest/observer"

	"github.com/caddy-jwt/caddy-jwt/internal/explain"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// mcpRules are the rules of most tests: three scopes, and a claim.
const mcpRules = `require scope mcp
mcp {
	tool delete_* {
		require scope admin
		require any_scope delete purge
	}
	tool list delete_all {
		require scope read
	}
	tool pay {
		require claim tenant acme
		require expression ` + "`claims.level > 3`" + `
	}
	prompt * {
		require scope prompts
	}
	resource file:///reports/* {
		require scope reports
	}
	method tools/list
}`

// call is the body of a call of a tool.
func call(id, tool string) string {
	return `{"jsonrpc":"2.0","id":` + id + `,"method":"tools/call","params":{"name":"` + tool + `","arguments":{}}}`
}

// post is a request with a message and a token.
func post(t testing.TB, body, scopes string, claims map[string]any) *http.Request {
	t.Helper()
	all := map[string]any{"scope": scopes}
	for name, value := range claims {
		all[name] = value
	}
	r := httptest.NewRequest(http.MethodPost, "https://api.example/mcp", strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+signed(t, all))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	return r
}

// rpcError is a JSON-RPC error response, as clients read it.
type rpcError struct {
	JSONRPC string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Error   struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

func readError(t testing.TB, body *bytes.Buffer) rpcError {
	t.Helper()
	var e rpcError
	d := json.NewDecoder(bytes.NewReader(body.Bytes()))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil || e.JSONRPC != "2.0" || e.Error.Message == "" {
		t.Fatalf("no JSON-RPC error: %v %s", err, body)
	}
	return e
}

func TestMCPRulesHoldTogether(t *testing.T) {
	t.Parallel()
	s := newSite(t, mcpRules)
	for name, c := range map[string]struct {
		body, scopes string
		claims       map[string]any
		reason       string // empty if it passes
		requirement  string
		challenge    string // the scopes in it
		id           string
	}{
		"a tool with its scope":            {call("1", "list"), "mcp read", nil, "", "", "", ""},
		"a tool without it":                {call("7", "list"), "mcp", nil, "insufficient_scope", "tool list delete_all require scope read", "mcp read", "7"},
		"a tool that no rule names":        {call("1", "other"), "mcp", nil, "", "", "", ""},
		"a tool in another case":           {call(`"x"`, "LIST"), "mcp", nil, "insufficient_scope", "tool list delete_all require scope read", "mcp read", `"x"`},
		"a pattern":                        {call("1", "delete_one"), "mcp read", nil, "insufficient_scope", "tool delete_* require scope admin", "mcp admin delete purge", "1"},
		"both rules of one tool":           {call("1", "delete_all"), "mcp admin purge", nil, "insufficient_scope", "tool list delete_all require scope read", "mcp admin delete purge read", "1"},
		"both rules met":                   {call("1", "delete_all"), "mcp admin purge read", nil, "", "", "", ""},
		"a claim":                          {call("1", "pay"), "mcp", map[string]any{"tenant": "other", "level": 4}, "forbidden", "tool pay require claim tenant", "", "1"},
		"an expression":                    {call("1", "pay"), "mcp", map[string]any{"tenant": "acme", "level": 3}, "forbidden", "tool pay require expression claims.level > 3", "", "1"},
		"claim and expression met":         {call("1", "pay"), "mcp", map[string]any{"tenant": "acme", "level": 4}, "", "", "", ""},
		"the handler's own rule":           {call("1", "list"), "read", nil, "insufficient_scope", "require scope mcp", "mcp", "null"},
		"a prompt":                         {`{"jsonrpc":"2.0","id":2,"method":"prompts/get","params":{"name":"review"}}`, "mcp", nil, "insufficient_scope", "prompt * require scope prompts", "mcp prompts", "2"},
		"a resource":                       {`{"jsonrpc":"2.0","id":2,"method":"resources/read","params":{"uri":"file:///reports/a/b"}}`, "mcp", nil, "insufficient_scope", "resource file:///reports/* require scope reports", "mcp reports", "2"},
		"another resource":                 {`{"jsonrpc":"2.0","id":2,"method":"resources/read","params":{"uri":"file:///other"}}`, "mcp", nil, "", "", "", ""},
		"a rule without a requirement":     {`{"jsonrpc":"2.0","id":2,"method":"tools/list"}`, "mcp", nil, "", "", "", ""},
		"a notification that calls a tool": {`{"jsonrpc":"2.0","method":"tools/call","params":{"name":"list"}}`, "mcp", nil, "insufficient_scope", "tool list delete_all require scope read", "mcp read", "null"},
		"a batch with one of two":          {"[" + call("1", "other") + "," + call("2", "list") + "]", "mcp", nil, "insufficient_scope", "tool list delete_all require scope read", "mcp read", "null"},
		"a batch, all scopes of all":       {"[" + call("1", "list") + "," + call("2", "delete_x") + "]", "mcp", nil, "insufficient_scope", "tool list delete_all require scope read", "mcp read admin delete purge", "null"},
		"a batch that may pass":            {"[" + call("1", "list") + "," + call("2", "other") + "]", "mcp read", nil, "", "", "", ""},
		"a response":                       {`{"jsonrpc":"2.0","id":1,"result":{}}`, "mcp", nil, "", "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			res := serve(t, post(t, c.body, c.scopes, c.claims), nil, s.Handler)
			if res.err != nil || (res.next != nil) != (c.reason == "") || res.reason() != c.reason {
				t.Fatalf("%v %d %q, passed: %v", res.err, res.Code, res.reason(), res.next != nil)
			}
			if c.reason == "" {
				return
			}
			e := readError(t, res.Body)
			challenge := res.Header().Get("WWW-Authenticate")
			if res.Code != http.StatusForbidden || e.Error.Code != -32000 || string(e.ID) != c.id {
				t.Errorf("%d %s", res.Code, res.Body)
			}
			if got := res.placeholder("{http.jwt.requirement}"); got != c.requirement {
				t.Errorf("the requirement is %q", got)
			}
			if !strings.Contains(challenge, `error="insufficient_scope"`) || strings.Contains(challenge, "scope=") != (c.challenge != "") ||
				c.challenge != "" && !strings.Contains(challenge, ` scope="`+c.challenge+`"`) {
				t.Errorf("the challenge is %s", challenge)
			}
			if h := res.Header(); h.Get("Cache-Control") != "no-store" || h.Get("Content-Type") != "application/json" {
				t.Errorf("headers %v", h)
			}
		})
	}
}

func TestMCPDefaultDeny(t *testing.T) {
	t.Parallel()
	s := newSite(t, "mcp {\ntool list\nmethod initialize tools/list notifications/*\ndefault deny\n}")
	for body, reason := range map[string]string{
		call("1", "list"):  "",
		call("1", "other"): "forbidden",
		`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`:                                 "",
		`{"jsonrpc":"2.0","method":"notifications/initialized"}`:                         "",
		`{"jsonrpc":"2.0","id":1,"method":"resources/list"}`:                             "forbidden",
		`{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"x"}}`:          "forbidden",
		"[" + call("1", "list") + `,{"jsonrpc":"2.0","id":1,"method":"resources/list"}]`: "forbidden",
		`{"jsonrpc":"2.0","id":1,"result":{}}`:                                           "",
	} {
		res := serve(t, post(t, body, "", nil), nil, s.Handler)
		if res.reason() != reason || (res.next != nil) != (reason == "") {
			t.Errorf("%s: %q, passed: %v", body, res.reason(), res.next != nil)
		}
		if reason != "" && (res.Code != 403 || res.placeholder("{http.jwt.requirement}") != "default deny") {
			t.Errorf("%s: %d %s", body, res.Code, res.placeholder("{http.jwt.requirement}"))
		}
	}
}

func TestMCPRefusalsHaveTheirStatusAndCode(t *testing.T) {
	t.Parallel()
	s := newSite(t, "mcp {\nmax_body 1KiB\n}")
	for name, c := range map[string]struct {
		change func(*http.Request)
		body   string
		status int
		rpc    int
		reason string
		id     string
	}{
		"no JSON":         {nil, "{", 400, -32700, "malformed_message", "null"},
		"an empty body":   {nil, "", 400, -32700, "malformed_message", "null"},
		"no message":      {nil, `{"id":4,"method":3}`, 400, -32600, "malformed_message", "4"},
		"a duplicate":     {nil, `{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"a","Name":"b"}}`, 400, -32600, "malformed_message", "4"},
		"a lying header":  {func(r *http.Request) { r.Header.Set("Mcp-Name", "other") }, call("4", "list"), 400, -32020, "header_mismatch", "4"},
		"another type":    {func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, call("4", "list"), 415, -32600, "unsupported_media_type", "null"},
		"gRPC":            {func(r *http.Request) { r.Header.Set("Content-Type", "application/grpc"); r.ProtoMajor = 2 }, call("4", "list"), 415, -32600, "unsupported_media_type", "null"},
		"compressed":      {func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }, call("4", "list"), 415, -32600, "unsupported_media_type", "null"},
		"PUT":             {func(r *http.Request) { r.Method = http.MethodPut }, call("4", "list"), 405, -32600, "method_not_allowed", "null"},
		"an upgrade":      {func(r *http.Request) { r.Method = http.MethodGet; r.Header.Set("Upgrade", "websocket") }, "", 405, -32600, "method_not_allowed", "null"},
		"GET with a body": {func(r *http.Request) { r.Method = http.MethodGet }, call("4", "list"), 400, -32600, "malformed_message", "null"},
		"DELETE, chunked": {func(r *http.Request) {
			r.Method = http.MethodDelete
			r.ContentLength = -1
			r.TransferEncoding = []string{"chunked"}
		}, "x", 400, -32600, "malformed_message", "null"},
		"HEAD over HTTP/2":   {func(r *http.Request) { r.Method = http.MethodHead; r.ContentLength = -1; r.ProtoMajor = 2 }, "x", 400, -32600, "malformed_message", "null"},
		"an override":        {func(r *http.Request) { r.Header.Set("X-HTTP-Method-Override", "PUT") }, call("4", "list"), 400, -32600, "malformed_message", "null"},
		"too large":          {nil, call("4", strings.Repeat("x", 1<<10)), 413, -32600, "body_too_large", "null"},
		"too large, chunked": {func(r *http.Request) { r.ContentLength = -1; r.TransferEncoding = []string{"chunked"} }, call("4", strings.Repeat("x", 1<<10)), 413, -32600, "body_too_large", "null"},
		"broken off":         {func(r *http.Request) { r.Body = io.NopCloser(&failing{strings.NewReader("{"), io.ErrUnexpectedEOF}) }, "12", 400, -32600, "malformed_message", "null"},
		"another's limit": {func(r *http.Request) {
			r.Body = io.NopCloser(&failing{strings.NewReader("{"), &http.MaxBytesError{Limit: 1}})
		}, "12", 413, -32600, "body_too_large", "null"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := post(t, c.body, "", nil)
			if c.change != nil {
				c.change(r)
			}
			res := serve(t, r, nil, s.Handler)
			if res.err != nil || res.next != nil || res.Code != c.status || res.reason() != c.reason {
				t.Fatalf("%v %d %q, passed: %v", res.err, res.Code, res.reason(), res.next != nil)
			}
			e := readError(t, res.Body)
			if e.Error.Code != c.rpc || string(e.ID) != c.id {
				t.Errorf("%s", res.Body)
			}
			h := res.Header()
			if h.Get("Cache-Control") != "no-store" || h.Get("Content-Type") != "application/json" || h.Get("WWW-Authenticate") != "" ||
				(h.Get("Allow") == "POST, GET, DELETE, HEAD, OPTIONS") != (c.status == 405) {
				t.Errorf("headers %v", h)
			}
		})
	}
}

// failing is a body that ends in an error.
type failing struct {
	io.Reader
	err error
}

func (f *failing) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		err = f.err
	}
	return n, err
}

func TestMCPWithoutABodyPasses(t *testing.T) {
	t.Parallel()
	s := newSite(t, "mcp {\ndefault deny\n}")
	for _, method := range []string{http.MethodGet, http.MethodDelete, http.MethodHead, http.MethodOptions} {
		r := post(t, "", "", nil)
		r.Method, r.ContentLength, r.ProtoMajor = method, -1, 2 // as HTTP/2 has it
		res := serve(t, r, nil, s.Handler)
		if res.next == nil || res.next.Body != http.NoBody || res.next.ContentLength != 0 {
			t.Errorf("%s: %d %s", method, res.Code, res.reason())
		}
	}
}

func TestMCPAsksForTheCredentialFirst(t *testing.T) {
	t.Parallel()
	s := newSite(t, "mcp")
	r := post(t, "{", "", nil)
	r.Header.Set("Authorization", "Bearer x.y.z")
	body := &counting{Reader: strings.NewReader("{")}
	r.Body = io.NopCloser(body)
	res := serve(t, r, nil, s.Handler)
	if res.Code != 401 || body.reads != 0 || res.Body.String() != `{"error":"invalid_token","error_description":"the token is malformed"}` {
		t.Errorf("%d, %d reads, %s", res.Code, body.reads, res.Body)
	}
}

func TestMCPRefusesALongBodyUnread(t *testing.T) {
	t.Parallel()
	s := newSite(t, "mcp")
	r := post(t, "{", "", nil)
	body := &counting{Reader: strings.NewReader("{")}
	r.Body, r.ContentLength = io.NopCloser(body), 1<<20+1
	if res := serve(t, r, nil, s.Handler); res.Code != 413 || body.reads != 0 {
		t.Errorf("%d, %d reads", res.Code, body.reads)
	}
}

// counting counts Reads.
type counting struct {
	io.Reader
	reads int
}

func (c *counting) Read(p []byte) (int, error) {
	c.reads++
	return c.Reader.Read(p)
}

func TestMCPPassesOnWhatItHasJudged(t *testing.T) {
	t.Parallel()
	s := newSite(t, "mcp")
	for _, size := range []int{0, 100, 8<<10 - 1, 8 << 10, 100_000} {
		for _, chunked := range []bool{false, true} {
			body := call("1", "list") + strings.Repeat(" ", size)
			r := post(t, body, "", nil)
			r.Header.Set("Expect", "100-continue")
			if chunked {
				r.ContentLength, r.TransferEncoding = -1, []string{"chunked"}
				r.Header.Set("Trailer", "X-User")
				r.Trailer = http.Header{"X-User": {"mallory"}}
			} else {
				r.Header.Set("Content-Length", strconv.Itoa(len(body)))
			}
			var got []byte
			var err error
			inner := caddyhttp.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
				got, err = io.ReadAll(r.Body)
				if r.ContentLength != int64(len(body)) || r.TransferEncoding != nil || r.Header.Get("Content-Length") != strconv.Itoa(len(body)) ||
					r.Header.Get("Expect")+r.Header.Get("Trailer") != "" || len(r.Trailer) > 0 {
					t.Errorf("%d %v %v %v", r.ContentLength, r.TransferEncoding, r.Header, r.Trailer)
				}
				return nil
			})
			w := httptest.NewRecorder()
			r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, new(caddyhttp.Server))
			if e := s.ServeHTTP(w, r, inner); e != nil || err != nil || string(got) != body {
				t.Errorf("%d bytes, chunked %v: %v %v, %d bytes went on, status %d", len(body), chunked, e, err, len(got), w.Code)
			}
			// With the request its memory ends.
			if n, err := r.Body.Read(make([]byte, 1)); n != 0 || err == nil {
				t.Error("the body outlives the request")
			}
		}
	}
}

func TestMCPHandsOnTheErrorOfRequestBody(t *testing.T) {
	t.Parallel()
	s := newSite(t, "mcp")
	r := post(t, "12", "", nil)
	want := caddyhttp.Error(http.StatusRequestEntityTooLarge, errors.New("http: request body too large"))
	r.Body = io.NopCloser(&failing{strings.NewReader("{"), want})
	res := serve(t, r, nil, s.Handler)
	if !errors.Is(res.err, want.Err) || res.next != nil || res.Body.Len() > 0 {
		t.Errorf("%v %d", res.err, res.Code)
	}
}

func TestMCPInReportMode(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body   string
		change func(*http.Request)
		reason string
	}{
		"a rule":             {call("1", "delete_all"), nil, "insufficient_scope"},
		"no JSON":            {"{" + strings.Repeat(" ", 100_000), nil, "malformed_message"},
		"too large":          {strings.Repeat("x", 3<<20), nil, "body_too_large"},
		"too large, chunked": {strings.Repeat("x", 3<<20), func(r *http.Request) { r.ContentLength = -1 }, "body_too_large"},
		"a byte too large":   {strings.Repeat("x", 1<<20+1), func(r *http.Request) { r.ContentLength = -1 }, "body_too_large"},
		"GET with a body":    {"hello", func(r *http.Request) { r.Method, r.ContentLength = http.MethodGet, -1 }, "malformed_message"},
		"another type":       {"hello", func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, "unsupported_media_type"},
		"what may pass":      {call("1", "list"), nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, "mode report\nmcp {\ntool delete_* {\nrequire scope admin\n}\n}")
			since := counted(t, s)
			r := post(t, c.body, "", nil)
			if c.change != nil {
				c.change(r)
			}
			length := r.ContentLength
			var got []byte
			w := httptest.NewRecorder()
			repl := caddy.NewReplacer()
			r = caddyhttp.PrepareRequest(r, repl, w, new(caddyhttp.Server))
			err := s.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
				if c.reason != "" && r.ContentLength != length {
					t.Errorf("the length is %d", r.ContentLength)
				}
				var err error
				got, err = io.ReadAll(r.Body)
				return err
			}))
			if err != nil || string(got) != c.body {
				t.Errorf("%v, %d of %d bytes went on", err, len(got), len(c.body))
			}
			result := "result=would_refuse"
			if c.reason == "" {
				result = "result=allowed"
			}
			counts := since()
			found := false
			for name := range counts {
				found = found || strings.Contains(name, result) && strings.Contains(name, "reason="+c.reason)
			}
			if !found {
				t.Errorf("counted %v", counts)
			}
			for _, line := range s.logs.All() {
				if text, _ := json.Marshal(line.ContextMap()); strings.Contains(string(text), "hello") || strings.Contains(string(text), "delete_all") {
					t.Errorf("logged %s", text)
				}
			}
			if (s.logs.FilterMessage("request would be refused").Len() == 1) != (c.reason != "") {
				t.Errorf("logs %v", s.logs.All())
			}
		})
	}
}

func TestMCPInAChain(t *testing.T) {
	t.Parallel()
	first := newSite(t, "keep_credentials\nmcp {\ntool list {\nrequire scope one\n}\n}")
	second := newSite(t, "mcp {\ntool list {\nrequire scope two\n}\n}")
	for scopes, challenge := range map[string]string{"one two": "", "one": "two", "two": "one"} {
		body := call("1", "list")
		var got []byte
		w := httptest.NewRecorder()
		r := caddyhttp.PrepareRequest(post(t, body, scopes, nil), caddy.NewReplacer(), w, new(caddyhttp.Server))
		err := first.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
			return second.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) (err error) {
				got, err = io.ReadAll(r.Body)
				return err
			}))
		}))
		if err != nil || (string(got) == body) != (challenge == "") || challenge != "" && !strings.Contains(w.Header().Get("WWW-Authenticate"), ` scope="`+challenge+`"`) {
			t.Errorf("%s: %v %d %s %v", scopes, err, w.Code, got, w.Header())
		}
	}
}

// TestMCPLeavesTheBodyToErrorRoutes: a proxy of error routes, for when the server is down, sends
// the message again if nothing of it was sent. Then its memory ends with the request.
func TestMCPLeavesTheBodyToErrorRoutes(t *testing.T) {
	t.Parallel()
	s := newSite(t, "mcp")
	body := call("1", "list")
	for _, begun := range []bool{false, true} {
		ctx, end := context.WithCancel(t.Context())
		defer end()
		w := httptest.NewRecorder()
		r := caddyhttp.PrepareRequest(post(t, body, "", nil).WithContext(ctx), caddy.NewReplacer(), w, new(caddyhttp.Server))
		err := s.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
			if begun {
				_, _ = r.Body.Read(make([]byte, 1))
			}
			return caddyhttp.Error(http.StatusBadGateway, errors.New("connection refused"))
		}))
		if err == nil {
			t.Error("no error")
		}
		later := r.Clone(r.Context())
		if got, err := io.ReadAll(r.Body); (string(got) == body && err == nil) == begun || begun && err == nil {
			t.Errorf("begun %v: error routes read %q, %v", begun, got, err)
		}
		end()
		for { // what ends it runs beside
			if _, err := later.Body.Read(make([]byte, 1)); err != nil && err != io.EOF { //nolint:errorlint // as readers ask
				break
			}
			runtime.Gosched()
		}
	}
}

// TestMCPAnswersItself has error routes that would make a page of every other refusal.
func TestMCPAnswersItself(t *testing.T) {
	t.Parallel()
	page := &caddyhttp.StaticResponse{Body: "a page"}
	s := newSite(t, "error_format aws\nmcp {\ntool list {\nrequire scope read\n}\n}")
	server := &caddyhttp.Server{Errors: &caddyhttp.HTTPErrorConfig{Routes: caddyhttp.RouteList{{Handlers: []caddyhttp.MiddlewareHandler{page}}}}}
	res := serve(t, post(t, call("1", "list"), "", nil), server, s.Handler)
	if res.err != nil || res.Code != 403 || readError(t, res.Body).Error.Code != -32000 {
		t.Errorf("%v %d %s", res.err, res.Code, res.Body)
	}
	r := post(t, call("1", "list"), "", nil)
	r.Header.Del("Authorization")
	if res := serve(t, r, server, s.Handler); res.err == nil {
		t.Errorf("a refusal before the body is read is answered here: %d %s", res.Code, res.Body)
	}
}

func TestMCPWithAPreflight(t *testing.T) {
	t.Parallel()
	s := newSite(t, "allow_preflight\nmcp {\ndefault deny\n}")
	for name, c := range map[string]struct {
		change func(*http.Request)
		status int
	}{
		"without a body": {func(r *http.Request) { r.ContentLength = -1 }, 0},
		"with one":       {func(*http.Request) {}, 400},
		"an override":    {func(r *http.Request) { r.ContentLength = 0; r.Header.Set("X-HTTP-Method", "POST") }, 400},
	} {
		r := httptest.NewRequest(http.MethodOptions, "/mcp", strings.NewReader("x"))
		r.Header.Set("Origin", "https://app.example")
		r.Header.Set("Access-Control-Request-Method", "POST")
		c.change(r)
		res := serve(t, r, nil, s.Handler)
		if (res.next != nil) != (c.status == 0) || c.status != 0 && res.Code != c.status || res.next != nil && res.next.Body != http.NoBody {
			t.Errorf("%s: %d, passed: %v", name, res.Code, res.next != nil)
		}
	}
}

// TestMCPFromJSON provisions configs that no Caddyfile makes.
func TestMCPFromJSON(t *testing.T) {
	t.Parallel()
	for config, want := range map[string]string{
		`{"tool":[null]}`:                            "tool needs a name",
		`{"tool":[{}]}`:                              "tool needs a name",
		`{"default":"allow"}`:                        "default: \"allow\" is not a valid value",
		`{"max_body":"1B"}`:                          "is not a size from 1KiB to 32MiB",
		`{"tool":[{"name":["x"],"require":[null]}]}`: "an entry is null",
		`{"tool":[{"name":["x"],"require":[{"expression":"claims.a +"}]}]}`:   "tool x: require: invalid expression",
		`{"method":[{"name":["tools/lits"]}]}`:                                "write method tools/list",
		`{"resource":[{"name":["file:///a"],"require":[{"scope":["a b"]}]}]}`: "resource file:///a: require",
	} {
		h := newSite(t, "").Handler
		fresh := &Handler{Issuer: h.Issuer, logger: h.logger, app: h.app}
		if err := json.Unmarshal([]byte(config), &fresh.MCP); err != nil {
			t.Fatal(err)
		}
		if err := fresh.provision(bareContext()); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "mcp: ") {
			t.Errorf("%s: %v", config, err)
		}
	}
}

func TestMCPSaysWhatIsOpen(t *testing.T) {
	t.Parallel()
	for options, want := range map[string]string{
		"mcp": "every tool; every prompt; every resource; every method",
		"mcp {\ntool *\nprompt a b\nmethod tools/list\n}": "every prompt but a, b; every resource; every method but tools/list",
		"mcp {\ndefault deny\n}":                          "",
		"mcp {\ndefault deny\nmethod initialize\n}":       "",
	} {
		h := new(Handler)
		if err := h.UnmarshalCaddyfile(caddyfile.NewTestDispenser("jwt https://issuer.example/ https://api.example {\n" + options + "\n}")); err != nil {
			t.Fatal(err)
		}
		core, logs := logcapture.New(zapcore.InfoLevel)
		h.logger, h.app = zap.New(core), testApp(t)
		if err := h.provision(bareContext()); err != nil {
			t.Fatal(err)
		}
		var said []string
		for _, line := range logs.All() {
			if _, text, ok := strings.Cut(line.Message, "mcp: open to everyone who is authenticated, as no rule names it: "); ok {
				said = append(said, strings.TrimSuffix(text, "; default deny refuses it"))
			}
		}
		if strings.Join(said, "|") != want {
			t.Errorf("%s: %q", options, said)
		}
		closed := logs.FilterMessageSnippet("so that no client can begin").Len() == 1
		if closed != (options == "mcp {\ndefault deny\n}") {
			t.Errorf("%s: warned: %v", options, closed)
		}
	}
}

// TestMCPExplainedWithoutABody asks about a POST whose body nobody knows.
func TestMCPExplainedWithoutABody(t *testing.T) {
	t.Parallel()
	h := newSite(t, "mcp {\ntool list\ndefault deny\n}").Handler
	about := func(q explain.Question) *explain.Handler {
		r := bearer(signed(t, nil))
		r.Method, r.Body = http.MethodPost, http.NoBody
		if q.Body != nil {
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(q.Body)), int64(len(q.Body))
			r.Header.Set("Content-Type", "application/json")
		}
		e := explainTo(t, r, q, h)
		return e.last()
	}
	unknown := about(explain.Question{})
	c := check(t, unknown, reason.CheckMessage)
	if unknown.Verdict != explain.Undecided || c.Outcome != reason.Unknown || !strings.Contains(c.Wanted, "tool list; default deny") {
		t.Errorf("%s %+v", unknown.Verdict, c)
	}
	for body, want := range map[string]explain.Verdict{call("1", "list"): explain.Accepted, call("1", "x"): explain.Refused, "": explain.Refused} {
		if got := about(explain.Question{Body: []byte(body)}); got.Verdict != want {
			t.Errorf("%s: %s %v", body, got.Verdict, failed(got))
		}
	}
}
