package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// modesSite has a site that refuses and one that only reports, with the same rules.
const modesSite = `
(told) {
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
	import told
}
https://pages.example.test {
	log
	jwt {
		import rules
	}
	import told
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
	import told
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
	import told
}
`

// wrong is a request that must be refused, and how.
type wrong struct {
	name, reason, code, text string
	status                   int
	changes                  []change
}

func (s *stand) wrongs(t *testing.T, disabled *peers.APIKey) []wrong {
	t.Helper()
	k := keys(t)
	token := func(claims map[string]any) []change { return []change{bearer(k.RS256.Token(t, s.claims(claims), nil))} }
	return []wrong{
		{"no credential", "missing_credentials", "", "a token or an API key is required", 401, nil},
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

func newModesStand(t *testing.T) (s *stand, partner, disabled *peers.APIKey) {
	t.Helper()
	partner = peers.NewAPIKey(t, "partner", map[string]any{"scopes": []string{"orders:read"}})
	disabled = peers.NewAPIKey(t, "disabled", map[string]any{"enabled": false})
	s, _ = newKeyStand(t, modesSite, options{}, partner, disabled)
	return s, partner, disabled
}

// accessLine is what the access log says of a request.
type accessLine struct {
	Msg     string `json:"msg"`
	Level   string `json:"level"`
	Status  int    `json:"status"`
	UserID  string `json:"user_id"`
	Method  string `json:"jwt_auth_method"`
	Reason  string `json:"jwt_reason"`
	Issuer  string `json:"jwt_issuer"`
	Request struct {
		Host string `json:"host"`
	} `json:"request"`
}

// lines waits for the access log's line of the one request after a mark, and
// returns it with the plugin's own lines, and those above DEBUG of anybody else.
func (s *stand) lines(t *testing.T, mark int) (access accessLine, own, others []entry) {
	t.Helper()
	var found []entry
	s.eventually("the access log has a line", inTheEnd, func() bool {
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
		case e.Level != "debug" && e.Logger != "jwt": // which tells of the issuer's keys
			others = append(others, e)
		}
	}
	return access, own, others
}

// ownLine is what a line of the plugin says of a request.
type ownLine struct {
	Level, Msg, Reason string
	Status             int
}

// A refusal: its answer with and without an error route, its one line in the log,
// the access log's fields and its count.
func TestRefusalsAreToldOf(t *testing.T) {
	t.Parallel()
	s, _, disabled := newModesStand(t)
	for _, w := range s.wrongs(t, disabled) {
		for _, host := range []string{site, "pages.example.test"} {
			t.Run(w.name+" at "+host, func(t *testing.T) {
				counter := fmt.Sprintf(`caddy_jwt_requests_total{method="none",reason=%q,result="refused"}`, w.reason)
				before, mark := s.metrics(t)[counter], s.logs.length()
				a := s.send(t, s.http, http.MethodGet, host, "/", w.changes...)
				s.answers(t, w, host != site, a)
				access, own, others := s.lines(t, mark)
				if access.Status != w.status || access.Reason != w.reason || access.Method != "anonymous" || access.UserID != "" || access.Issuer != "" {
					t.Errorf("the access log says %+v", access)
				}
				s.oneLine(t, own, ownLine{"debug", "request refused", w.reason, w.status})
				if len(others) != 0 {
					t.Errorf("there are other lines above DEBUG: %s", others[0].line)
				}
				if after := s.metrics(t)[counter]; after != before+1 {
					t.Errorf("%s was %v and is %v", counter, before, after)
				}
			})
		}
	}
	if seen := s.upstream.Take(); len(seen) != 0 {
		t.Errorf("the upstream got %d requests; want none", len(seen))
	}
}

// answers judges the answer to a request that had to be refused.
func (s *stand) answers(t *testing.T, w wrong, byErrorRoute bool, a answer) {
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
			t.Errorf("the error route was told %q and %q; want %q and %q", a.header.Get("X-Reason"), a.header.Get("X-Error"), w.reason, w.code)
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

func (s *stand) oneLine(t *testing.T, own []entry, want ownLine) {
	t.Helper()
	if len(own) != 1 {
		t.Fatalf("%d lines of the plugin; want one: %v", len(own), own)
	}
	var got struct {
		Level, Msg, Reason string
		Status             int
	}
	if err := json.Unmarshal([]byte(own[0].line), &got); err != nil || ownLine(got) != want {
		t.Errorf("the line is %s; want %+v", own[0].line, want)
	}
}

// Report mode refuses nothing and takes nothing away; log, access log, metric and
// placeholders say what would have been refused, and why.
func TestReportMode(t *testing.T) {
	t.Parallel()
	s, partner, disabled := newModesStand(t)
	const host = "report.example.test"
	warned := slices.ContainsFunc(s.logs.since(0), func(e entry) bool {
		return e.Level == "warn" && e.Logger == "http.handlers.jwt" && strings.Contains(e.Msg, "mode report")
	})
	if !warned {
		t.Error("the log does not warn of report mode")
	}
	if n := s.gauge(t, "caddy_jwt_report_mode_handlers"); n != "1" {
		t.Errorf("%s handlers in report mode; want 1", n)
	}
	for _, w := range s.wrongs(t, disabled) {
		t.Run(w.name, func(t *testing.T) {
			counter := fmt.Sprintf(`caddy_jwt_requests_total{method="none",reason=%q,result="would_refuse"}`, w.reason)
			before, mark := s.metrics(t)[counter], s.logs.length()
			a := s.send(t, s.http, http.MethodGet, host, "/", append(w.changes, as("X-User", forged), as("X-Text", forged))...)
			if a.status != http.StatusOK {
				t.Fatalf("status %d; want 200", a.status)
			}
			got := a.upstream(t).Header
			sees(t, got, map[string]string{
				"X-Id": "", "X-Method": "anonymous", "X-User": "", "X-Text": "", "X-Claim": "",
				"X-Reason": w.reason, "X-Error": w.code, "X-Description": w.text,
			})
			sent, err := http.NewRequest(http.MethodGet, "https://x", nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, change := range w.changes {
				change(sent)
			}
			for _, name := range []string{"Authorization", "X-Api-Key"} {
				if !slices.Equal(got[name], sent.Header[name]) {
					t.Errorf("of %s %d values arrived; want the %d that were sent", name, len(got[name]), len(sent.Header[name]))
				}
			}
			for name := range a.header {
				if name == "Www-Authenticate" || name == "Cache-Control" {
					t.Errorf("the answer has the header %s", name)
				}
			}
			access, own, others := s.lines(t, mark)
			if access.Status != http.StatusOK || access.Reason != w.reason || access.Method != "anonymous" || access.UserID != "" {
				t.Errorf("the access log says %+v", access)
			}
			s.oneLine(t, own, ownLine{"info", "request would be refused", w.reason, w.status})
			if len(others) != 0 {
				t.Errorf("there are other lines above DEBUG: %s", others[0].line)
			}
			if after := s.metrics(t)[counter]; after != before+1 {
				t.Errorf("%s was %v and is %v", counter, before, after)
			}
		})
	}
	t.Run("a good request is what it always is", func(t *testing.T) {
		token := keys(t).RS256.Token(t, s.claims(map[string]any{"tenant": "acme", "text": "a"}), nil)
		mark := s.logs.length()
		a := s.send(t, s.http, http.MethodGet, host, "/", bearer(token))
		sees(t, a.upstream(t).Header, map[string]string{"X-Id": "user-1", "X-Method": "jwt", "X-User": "user-1", "X-Text": "a", "X-Reason": ""})
		access, own, _ := s.lines(t, mark)
		if access.UserID != "user-1" || access.Method != "jwt" || access.Issuer != s.issuer.URL || access.Reason != "" || len(own) != 0 {
			t.Errorf("the access log says %+v, and there are %d lines of the plugin", access, len(own))
		}
	})
	t.Run("lines are bounded, and the counter counts on", func(t *testing.T) {
		const counter = `caddy_jwt_requests_total{method="none",reason="missing_credentials",result="would_refuse"}`
		const requests = 1500
		before, mark, began := s.metrics(t)[counter], s.logs.length(), time.Now()
		for range requests {
			if a := s.send(t, s.http, http.MethodGet, host, "/"); a.status != http.StatusOK {
				t.Fatalf("status %d", a.status)
			}
		}
		lines := 0
		for _, e := range s.logs.since(mark) {
			if e.Msg == "request would be refused" {
				lines++
			}
		}
		if after := s.metrics(t)[counter]; after != before+requests {
			t.Errorf("%v requests were counted; want %d", after-before, requests)
		}
		// A hundred in each second that it took, and each hundredth.
		if most := 100*(int(time.Since(began).Seconds())+2) + requests/100; lines == 0 || lines > most {
			t.Errorf("%d lines for %d requests; want some, and %d at most", lines, requests, most)
		}
	})
	s.passes(t, s.withKeyAt(t, "optional.example.test", partner), partner)
}

func (s *stand) withKeyAt(t *testing.T, host string, k *peers.APIKey) answer {
	t.Helper()
	return s.send(t, s.http, http.MethodGet, host, "/", apiKey(k.Text))
}

// gauge is a metric that has no labels, as it is written.
func (c *caddy) gauge(t *testing.T, name string) string {
	t.Helper()
	text, err := c.adminGet("/metrics")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+" "); ok {
			return value
		}
	}
	return ""
}

// Under optional a request without a credential is nobody's; a bad credential is
// none the better for it.
func TestOptional(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s, partner, disabled := newModesStand(t)
	const host = "optional.example.test"
	nobody := map[string]string{"X-Id": "", "X-Method": "anonymous", "X-User": "", "X-Text": "", "X-Claim": "", "X-Reason": "", "X-Error": ""}
	for name, changes := range map[string][]change{
		"no credential":                {},
		"headers of identity":          {as("X-User", forged), as("x-text", forged)},
		"another scheme":               {header("Authorization", "Basic dXNlcjpwYXNzd29yZA==")},
		"a token where none is read":   {cookie("session", "x.y.z"), rawQuery("access_token=x.y.z")},
		"a header that is not the one": {header("X-Token", "x.y.z")},
	} {
		t.Run("anonymous with "+name, func(t *testing.T) {
			const counter = `caddy_jwt_requests_total{method="none",reason="",result="anonymous"}`
			before, mark := s.metrics(t)[counter], s.logs.length()
			got := s.send(t, s.http, http.MethodGet, host, "/", changes...).upstream(t).Header
			sees(t, got, nobody)
			for _, name := range []string{"X-User", "X-Text"} {
				if _, there := got[name]; there {
					t.Errorf("%s is there", name)
				}
			}
			access, own, others := s.lines(t, mark)
			if access.UserID != "" || access.Method != "anonymous" || access.Reason != "" || len(own)+len(others) != 0 {
				t.Errorf("the access log says %+v, and there are the lines %v %v", access, own, others)
			}
			if after := s.metrics(t)[counter]; after != before+1 {
				t.Errorf("%s was %v and is %v", counter, before, after)
			}
		})
	}
	s.upstream.Take()
	for _, w := range s.wrongs(t, disabled) {
		if w.reason == "missing_credentials" || w.reason == "insufficient_scope" || w.reason == "forbidden" {
			continue
		}
		t.Run(w.name, func(t *testing.T) {
			a := s.send(t, s.http, http.MethodGet, host, "/", w.changes...)
			w.code = strings.Replace(w.code, "insufficient_scope", "", 1)
			s.answers(t, w, false, a)
			if seen := s.upstream.Take(); len(seen) != 0 {
				t.Errorf("the upstream got %d requests; want none", len(seen))
			}
		})
	}
	t.Run("a good credential is used", func(t *testing.T) {
		token := k.RS256.Token(t, s.claims(map[string]any{"text": "a"}), nil)
		sees(t, s.send(t, s.http, http.MethodGet, host, "/", bearer(token)).upstream(t).Header,
			map[string]string{"X-Id": "user-1", "X-User": "user-1", "X-Text": "a", "X-Method": "jwt", "Authorization": ""})
		sees(t, s.passes(t, s.withKeyAt(t, host, partner), partner), map[string]string{"X-Id": "partner", "X-User": "partner", "X-Text": "", "X-Method": "api_key"})
	})
	nothingForged(t, s.upstream)
}
