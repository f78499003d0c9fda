package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// modesSite has a site that refuses and one that only reports, with the same rules.
const modesSite = `
(echo) {
	reverse_proxy {$UPSTREAM} {
		header_up X-Id {http.auth.user.id}
		header_up X-Method {http.jwt.auth_method}
		header_up X-Reason {http.jwt.reason}
		header_up X-Error {http.jwt.error}
		header_up X-Description {http.jwt.error_description}
		header_up X-Claim {http.jwt.claims.text}
	}
}
(rules) {
	import issuer
	api_keys {$KEYS}
	require any_scope orders:read read
	require claim tenant acme
	forward user X-User
	forward text X-Text
}
https://api.example.test {
	log
	jwt {
		import rules
	}
	import echo
}
https://pages.example.test {
	log
	jwt {
		import rules
	}
	import echo
	handle_errors {
		header X-Reason {http.jwt.reason}
		header X-Error {http.jwt.error}
		respond "<p>{http.jwt.error_description}</p>" {err.status_code}
	}
}
https://report.example.test {
	log
	jwt {
		import rules
		mode report
	}
	import echo
}
https://optional.example.test {
	log
	jwt {
		import issuer
		api_keys {$KEYS}
		optional
		forward user X-User
		forward text X-Text
	}
	import echo
}
`

// refusal is a request that must be refused, and how.
type refusal struct {
	name, reason, code, text string
	status                   int
	changes                  []change
}

func (s *fixture) refusals(t *testing.T, disabled *peers.APIKey) []refusal {
	t.Helper()
	k := keys(t)
	token := func(claims map[string]any) []change { return []change{bearer(k.RS256.Token(t, s.claims(claims), nil))} }
	return []refusal{
		{"no credential", "missing_credentials", "", "a token or an API key is required: a token in the header Authorization with the scheme Bearer, or an API key in the header X-Api-Key", 401, nil},
		{"a forged token", "bad_signature", "invalid_token", "the token's signature is not valid", 401,
			[]change{bearer(k.Stranger.Token(t, s.claims(map[string]any{"tenant": "acme"}), nil))}},
		{"an old token", "expired", "invalid_token", "the token has expired", 401, token(map[string]any{"tenant": "acme", "exp": 1_000_000_000})},
		{"a disabled key", "api_key_disabled", "invalid_token", "the API key is not valid", 401, []change{apiKey(disabled.Text)}},
		{"a word alone", "malformed_request", "invalid_request", "the request has an empty credential", 400, []change{header("Authorization", "Bearer")}},
		{"two tokens", "multiple_credentials", "invalid_request", "the request has more than one credential", 400,
			append(token(map[string]any{"tenant": "acme"}), token(map[string]any{"tenant": "acme", "sub": "x"})...)},
		{"too few scopes", "insufficient_scope", "insufficient_scope", "the credential lacks a required scope", 403, token(map[string]any{"tenant": "acme", "scope": "x"})},
		{"another tenant", "forbidden", "insufficient_scope", "the credential does not allow this request", 403, token(map[string]any{"tenant": "umbrella"})},
		{"what no header carries", "unforwardable_claim", "", "a claim can not be passed on", 403, token(map[string]any{"tenant": "acme", "text": "a\nb"})},
	}
}

func newModesFixture(t *testing.T) (s *fixture, partner, disabled *peers.APIKey) {
	t.Helper()
	partner = peers.NewAPIKey(t, "partner", map[string]any{"scopes": []string{"orders:read"}})
	disabled = peers.NewAPIKey(t, "disabled", map[string]any{"enabled": false})
	s, _ = newAPIKeyFixture(t, modesSite, options{}, partner, disabled)
	return s, partner, disabled
}

// accessLine is a line of the access log.
type accessLine struct {
	Msg     string `json:"msg"`
	Level   string `json:"level"`
	Status  int    `json:"status"`
	UserID  string `json:"user_id"`
	User    string `json:"jwt_user"`
	Method  string `json:"jwt_auth_method"`
	Reason  string `json:"jwt_reason"`
	Issuer  string `json:"jwt_issuer"`
	Request struct {
		Host string `json:"host"`
	} `json:"request"`
}

// logLines waits for the access log's line of the one request after a mark, and
// returns it with the plugin's own lines, and those above DEBUG of any other logger.
func (s *fixture) logLines(t *testing.T, mark int) (access accessLine, own, others []entry) {
	t.Helper()
	var found []entry
	s.eventually("the access log has a line", longWait, func() bool {
		found = s.logs.since(mark)
		return slices.ContainsFunc(found, func(e entry) bool { return strings.HasPrefix(e.Logger, "http.log.access") })
	}, s.logs.String)
	for _, e := range found {
		switch {
		case strings.HasPrefix(e.Logger, "http.log.access"):
			if access.Msg != "" {
				t.Errorf("a second line of the access log: %s", e.line)
			}
			if err := json.Unmarshal([]byte(e.line), &access); err != nil {
				t.Errorf("%v: %s", err, e.line)
			}
		case strings.HasPrefix(e.Logger, "http.handlers.jwt"):
			own = append(own, e)
		case e.Level != "debug" && e.Logger != "jwt": // which is about the issuer's keys
			others = append(others, e)
		}
	}
	return access, own, others
}

// pluginLine is the plugin's log line about a request.
type pluginLine struct {
	Level, Msg, Reason string
	Status             int
}

// A refusal: its answer with and without an error route, its one line in the log,
// the access log's fields and its count.
func TestRefusalsAreLoggedAndCounted(t *testing.T) {
	t.Parallel()
	s, _, disabled := newModesFixture(t)
	for _, w := range s.refusals(t, disabled) {
		for _, host := range []string{site, "pages.example.test"} {
			t.Run(w.name+" at "+host, func(t *testing.T) {
				counter := []string{`method="none"`, `result="refused"`, fmt.Sprintf("reason=%q", w.reason), fmt.Sprintf("site=%q", host)}
				before, mark := s.requests(t, counter...), s.logs.length()
				a := s.send(t, s.http, http.MethodGet, host, "/", w.changes...)
				s.checkRefusal(t, w, host != site, a)
				access, own, others := s.logLines(t, mark)
				if access.Status != w.status || access.Reason != w.reason || access.Method != "anonymous" || access.UserID != "" || (access.Issuer != "") != (w.status == http.StatusForbidden) || (access.User != "") != (w.status == http.StatusForbidden) {
					t.Errorf("the access log says %+v", access)
				}
				s.checkPluginLine(t, own, pluginLine{"debug", "request refused", w.reason, w.status})
				if len(others) != 0 {
					t.Errorf("there are other lines above DEBUG: %s", others[0].line)
				}
				if after := s.requests(t, counter...); after != before+1 {
					t.Errorf("%s was %v and is %v", counter, before, after)
				}
			})
		}
	}
	if seen := s.upstream.Take(); len(seen) != 0 {
		t.Errorf("the upstream got %d requests; want none", len(seen))
	}
}

// checkRefusal checks the answer to a request that had to be refused.
func (s *fixture) checkRefusal(t *testing.T, w refusal, byErrorRoute bool, a answer) {
	t.Helper()
	challenge := `Bearer realm="restricted"`
	if w.code != "" {
		challenge += fmt.Sprintf(`, error=%q, error_description=%q`, w.code, w.text)
	}
	if w.reason == "insufficient_scope" {
		challenge += `, scope="orders:read read"`
	}
	if w.status == http.StatusBadRequest {
		challenge = ""
	}
	code := w.code
	if code == "" {
		code = w.reason
	}
	wantBody, contentType := fmt.Sprintf(`{"error":%q,"error_description":%q}`, code, w.text), "application/json"
	if byErrorRoute {
		wantBody, contentType = "<p>"+w.text+"</p>", "text/plain; charset=utf-8"
		if a.header.Get("X-Reason") != w.reason || a.header.Get("X-Error") != w.code {
			t.Errorf("the error route got %q and %q; want %q and %q", a.header.Get("X-Reason"), a.header.Get("X-Error"), w.reason, w.code)
		}
	}
	if a.status != w.status || a.body != wantBody {
		t.Errorf("status %d, %q; want %d, %q", a.status, a.body, w.status, wantBody)
	}
	for name, want := range map[string]string{"WWW-Authenticate": challenge, "Cache-Control": "no-store", "Content-Type": contentType} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s is %q; want %q", name, got, want)
		}
	}
}

func (s *fixture) checkPluginLine(t *testing.T, own []entry, want pluginLine) {
	t.Helper()
	if len(own) != 1 {
		t.Fatalf("%d lines of the plugin; want one: %v", len(own), own)
	}
	var got struct {
		Level, Msg, Reason string
		Status             int
	}
	if err := json.Unmarshal([]byte(own[0].line), &got); err != nil || pluginLine(got) != want {
		t.Errorf("the line is %s; want %+v", own[0].line, want)
	}
}
