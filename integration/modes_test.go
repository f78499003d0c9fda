package integration

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// Report mode refuses nothing and takes nothing away; log, access log, metric and
// placeholders report what would have been refused, and why.
func TestReportMode(t *testing.T) {
	t.Parallel()
	s, partner, disabled := newModesFixture(t)
	warned := slices.ContainsFunc(s.logs.since(0), func(e entry) bool {
		return e.Level == "warn" && e.Logger == "http.handlers.jwt" && strings.Contains(e.Msg, "mode report")
	})
	if !warned {
		t.Error("the log does not warn of report mode")
	}
	if n := s.gauge(t, "caddy_jwt_report_mode_handlers"); n != "1" {
		t.Errorf("%s handlers in report mode; want 1", n)
	}
	for _, r := range s.refusals(t, disabled) {
		t.Run(r.name, func(t *testing.T) { s.checkReported(t, r) })
	}
	t.Run("a good request is as without report mode", func(t *testing.T) {
		token := keys(t).RS256.Token(t, s.claims(map[string]any{"tenant": "acme", "text": "a"}), nil)
		mark := s.logs.length()
		a := s.send(t, s.http, http.MethodGet, reportHost, "/", bearer(token))
		checkHeaders(t, a.upstream(t).Header, map[string]string{"X-Id": "user-1", "X-Method": "jwt", "X-User": "user-1", "X-Text": "a", "X-Reason": ""})
		access, own, _ := s.logLines(t, mark)
		if access.UserID != "user-1" || access.Method != "jwt" || access.Issuer != s.issuer.URL || access.Reason != "" || len(own) != 0 {
			t.Errorf("the access log says %+v, and there are %d lines of the plugin", access, len(own))
		}
	})
	t.Run("lines are bounded, and the counter counts on", func(t *testing.T) { s.checkReportIsBounded(t) })
	s.passes(t, s.withKeyAt(t, "optional.example.test", partner), partner)
}

// reportHost is the site in report mode.
const reportHost = "report.example.test"

// checkReported sends a request that would be refused. It must come to the upstream as
// it was sent, but for headers of identity, and be reported.
func (s *fixture) checkReported(t *testing.T, r refusal) {
	t.Helper()
	counter := []string{`method="none"`, `result="would_refuse"`, fmt.Sprintf("reason=%q", r.reason), fmt.Sprintf("site=%q", reportHost)}
	before, mark := s.requests(t, counter...), s.logs.length()
	a := s.send(t, s.http, http.MethodGet, reportHost, "/", append(r.changes, exactHeader("X-User", forged), exactHeader("X-Text", forged))...)
	if a.status != http.StatusOK {
		t.Fatalf("status %d; want 200", a.status)
	}
	got := a.upstream(t).Header
	checkHeaders(t, got, map[string]string{
		"X-Id": "", "X-Method": "anonymous", "X-User": "", "X-Text": "", "X-Claim": "",
		"X-Reason": r.reason, "X-Error": r.code, "X-Description": r.text,
	})
	sent, err := http.NewRequest(http.MethodGet, "https://x", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range r.changes {
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
	access, own, others := s.logLines(t, mark)
	if access.Status != http.StatusOK || access.Reason != r.reason || access.Method != "anonymous" || access.UserID != "" {
		t.Errorf("the access log says %+v", access)
	}
	s.checkPluginLine(t, own, pluginLine{"info", "request would be refused", r.reason, r.status})
	if len(others) != 0 {
		t.Errorf("there are other lines above DEBUG: %s", others[0].line)
	}
	if after := s.requests(t, counter...); after != before+1 {
		t.Errorf("%s was %v and is %v", counter, before, after)
	}
}

// checkReportIsBounded sends many requests that would be refused: only some are in the
// log, and all are counted.
func (s *fixture) checkReportIsBounded(t *testing.T) {
	t.Helper()
	counter := []string{`result="would_refuse"`, `reason="missing_credentials"`}
	const requests = 1500
	before, mark, began := s.requests(t, counter...), s.logs.length(), time.Now()
	for range requests {
		if a := s.send(t, s.http, http.MethodGet, reportHost, "/"); a.status != http.StatusOK {
			t.Fatalf("status %d", a.status)
		}
	}
	lines := 0
	for _, e := range s.logs.since(mark) {
		if e.Msg == "request would be refused" {
			lines++
		}
	}
	if after := s.requests(t, counter...); after != before+requests {
		t.Errorf("%v requests were counted; want %d", after-before, requests)
	}
	// A hundred in each second that it took, and each hundredth.
	if most := 100*(int(time.Since(began).Seconds())+2) + requests/100; lines == 0 || lines > most {
		t.Errorf("%d lines for %d requests; want some, and at most %d", lines, requests, most)
	}
}

// With optional, a request without a credential is anonymous; a bad credential is
// still refused.
func TestOptional(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s, partner, disabled := newModesFixture(t)
	const host = "optional.example.test"
	nobody := map[string]string{"X-Id": "", "X-Method": "anonymous", "X-User": "", "X-Text": "", "X-Claim": "", "X-Reason": "", "X-Error": ""}
	for name, changes := range map[string][]change{
		"no credential":                {},
		"headers of identity":          {exactHeader("X-User", forged), exactHeader("x-text", forged)},
		"another scheme":               {header("Authorization", "Basic dXNlcjpwYXNzd29yZA==")},
		"a token where none is read":   {cookie("session", "x.y.z"), rawQuery("access_token=x.y.z")},
		"a header that is not the one": {header("X-Token", "x.y.z")},
	} {
		t.Run("anonymous with "+name, func(t *testing.T) {
			counter := []string{`result="anonymous"`, fmt.Sprintf("site=%q", host)}
			before, mark := s.requests(t, counter...), s.logs.length()
			got := s.send(t, s.http, http.MethodGet, host, "/", changes...).upstream(t).Header
			checkHeaders(t, got, nobody)
			for _, name := range []string{"X-User", "X-Text"} {
				if _, there := got[name]; there {
					t.Errorf("%s is there", name)
				}
			}
			access, own, others := s.logLines(t, mark)
			if access.UserID != "" || access.Method != "anonymous" || access.Reason != "" || len(own)+len(others) != 0 {
				t.Errorf("the access log says %+v, and there are the lines %v %v", access, own, others)
			}
			if after := s.requests(t, counter...); after != before+1 {
				t.Errorf("%s was %v and is %v", counter, before, after)
			}
		})
	}
	s.upstream.Take()
	for _, w := range s.refusals(t, disabled) {
		if w.reason == "missing_credentials" || w.reason == "insufficient_scope" || w.reason == "forbidden" {
			continue
		}
		t.Run(w.name, func(t *testing.T) {
			a := s.send(t, s.http, http.MethodGet, host, "/", w.changes...)
			w.code = strings.Replace(w.code, "insufficient_scope", "", 1)
			s.checkRefusal(t, w, false, a)
			if seen := s.upstream.Take(); len(seen) != 0 {
				t.Errorf("the upstream got %d requests; want none", len(seen))
			}
		})
	}
	t.Run("a good credential is used", func(t *testing.T) {
		token := k.RS256.Token(t, s.claims(map[string]any{"text": "a"}), nil)
		checkHeaders(t, s.send(t, s.http, http.MethodGet, host, "/", bearer(token)).upstream(t).Header,
			map[string]string{"X-Id": "user-1", "X-User": "user-1", "X-Text": "a", "X-Method": "jwt", "Authorization": ""})
		checkHeaders(t, s.passes(t, s.withKeyAt(t, host, partner), partner), map[string]string{"X-Id": "partner", "X-User": "partner", "X-Text": "", "X-Method": "api_key"})
	})
	checkNothingForged(t, s.upstream)
}
