package admin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/explain"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

func refusedReport() explain.Report {
	return explain.Report{
		Verdict: explain.Refused, Reason: reason.WrongAudience, Status: 401,
		Request:  explain.Request{Method: "GET", Host: "api.example.com", URI: "/"},
		Handlers: []explain.Handler{{Site: "api.example.com", Place: 1, Of: 1, Verdict: explain.Refused, Checks: []explain.Check{}}},
		Certain:  true,
	}
}

func TestExplainAsksTheConfig(t *testing.T) {
	t.Parallel()
	token := jwt(`{"iss":"https://a.example","sub":"alice"}`)
	digest := sha256.Sum256([]byte(token[:strings.LastIndex(token, ".")]))
	for name, c := range map[string]struct {
		body   string
		want   explain.Question
		signed string
	}{
		"nothing":    {`{}`, explain.Question{}, ""},
		"a token":    {`{"token":"` + token + `"}`, explain.Question{Credential: token}, hex.EncodeToString(digest[:])},
		"an API key": {`{"api_key":"some-api-key-of-ours"}`, explain.Question{Credential: "some-api-key-of-ours"}, ""},
		"either":     {`{"credential":"` + token + `"}`, explain.Question{Credential: token}, hex.EncodeToString(digest[:])},
		"dots alone": {`{"token":"a.b.c"}`, explain.Question{Credential: "a.b.c"}, ""},
		"a request": {
			`{"site":"api.example.com","method":"PATCH","uri":"https://api.example.com/orders?id=7","headers":{"origin":"https://app.example","X-A":["1","2"]},"remote":"203.0.113.7:4711"}`,
			explain.Question{
				Site: "api.example.com", Method: "PATCH", URI: "https://api.example.com/orders?id=7", Remote: "203.0.113.7:4711",
				Header: http.Header{"Origin": {"https://app.example"}, "X-A": {"1", "2"}},
			}, "",
		},
		"an address, and IPv6": {`{"site":":8080","remote":"2001:db8::1","uri":"/"}`, explain.Question{Site: ":8080", Remote: "2001:db8::1", URI: "/"}, ""},
		"empty members":        {`{"site":"","method":"","uri":"","remote":"","headers":{}}`, explain.Question{Header: http.Header{}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.app.report = refusedReport()
			got := want[explain.Report](s, 200, "POST", "/jwt/explain", c.body, "X-Jwt-Operator", "bob@desk")
			if !reflect.DeepEqual(got, s.app.report) {
				t.Errorf("%+v", got)
			}
			if len(s.app.asked) != 1 || !reflect.DeepEqual(s.app.asked[0], c.want) {
				t.Errorf("asked %+v", s.app.asked)
			}
			line := s.last()
			if line.Action != "explain" || line.Outcome != "answered" || line.Status != 200 || line.Who != "127.0.0.1" || line.ClaimedBy != "bob@desk" || line.Node != "node-1" ||
				line.Explained == nil || *line.Explained != (ExplainAudit{explain.Refused, c.signed}) {
				t.Errorf("%+v %+v", line, line.Explained)
			}
			if logs := s.logs.String(); strings.Contains(logs, token[:20]) || strings.Contains(logs, "some-api-key") || strings.Contains(logs, "203.0.113.7") || strings.Count(logs, "\n") != 1 {
				t.Errorf("logged: %s", logs)
			}
			s.unchanged()
		})
	}
}

func TestExplainReadsItsBodyStrictly(t *testing.T) {
	t.Parallel()
	const secret = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJzZWNyZXQifQ.c2VjcmV0"
	for name, c := range map[string]struct {
		status int
		body   string
		part   string
	}{
		"no object":                {400, `[]`, "one JSON object"},
		"an unknown member":        {400, `{"url":"/"}`, "unknown member"},
		"a member twice":           {400, `{"uri":"/","uri":"/"}`, "two members"},
		"two credentials":          {400, `{"token":"` + secret + `","api_key":"` + secret + `"}`, "there is another credential"},
		"a token that is a number": {400, `{"token":7}`, "must be a string"},
		"a token that is null":     {400, `{"token":null}`, "must be a string"},
		"an empty token":           {400, `{"token":""}`, "it is empty"},
		"a token with a space":     {400, `{"token":"` + secret + ` x"}`, "white space"},
		"a token with an escape":   {400, `{"credential":"` + secret + `\u001b[2J"}`, "white space or other characters"},
		"a huge token":             {400, `{"token":"` + strings.Repeat("a", maxCredential+1) + `"}`, "longer than any"},
		"too much":                 {413, `{"token":"` + strings.Repeat("a", maxBody) + `"}`, "131072"},
		"a site with a path":       {400, `{"site":"api.example.com/x"}`, "not a host"},
		"a site with a user":       {400, `{"site":"a@b"}`, "not a host"},
		"a long site":              {400, `{"site":"` + strings.Repeat("a", 301) + `"}`, "not a host"},
		"a site in a list":         {400, `{"site":["a"]}`, "must be a string"},
		"no method":                {400, `{"method":"GET /"}`, "not a method"},
		"a long method":            {400, `{"method":"` + strings.Repeat("A", 33) + `"}`, "not a method"},
		"a relative URI":           {400, `{"uri":"orders"}`, "neither a path"},
		"an opaque URI":            {400, `{"uri":"mailto:a@b.example"}`, "neither a path"},
		"another scheme":           {400, `{"uri":"ftp://a.example/"}`, "neither a path"},
		"a space in the URI":       {400, `{"uri":"/a b"}`, "neither a path"},
		"a bad escape":             {400, `{"uri":"/%zz"}`, "neither a path"},
		"a line in the URI":        {400, `{"uri":"/a\r\nX: y"}`, "neither a path"},
		"a long URI":               {400, `{"uri":"/` + strings.Repeat("a", maxURI) + `"}`, "neither a path"},
		"a user in the URI":        {400, `{"uri":"https://u:p@a.example/"}`, "there is a user in it"},
		"headers in a list":        {400, `{"headers":["A: b"]}`, "must be an object"},
		"a header that is none":    {400, `{"headers":{"A b":"c"}}`, "a name in it"},
		"an empty name":            {400, `{"headers":{"":"c"}}`, "a name in it"},
		"a header of a number":     {400, `{"headers":{"A":1}}`, "must be a string or an array"},
		"a list of lists":          {400, `{"headers":{"A":[["b"]]}}`, "must be a string or an array"},
		"a line in a header":       {400, `{"headers":{"Authorization":"Bearer ` + secret + `\r\nX: y"}}`, "no header may have"},
		"many headers":             {400, `{"headers":{"A":[` + strings.Repeat(`"",`, maxHeaderFields) + `""]}}`, "too many"},
		"a name as remote":         {400, `{"remote":"client.example.com"}`, "not an IP address"},
		"a time":                   {400, `{"at":"2026-03-04T12:00:00Z"}`, "unknown member"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.fails(c.status, c.part, "POST", "/jwt/explain", c.body)
			if len(s.app.asked) > 0 {
				t.Error("the config was asked")
			}
			if line := s.last(); line.Action != "explain" || line.Outcome != "refused" || line.Status != c.status || line.Explained != nil {
				t.Errorf("%+v", line)
			}
			if logs := s.logs.String(); strings.Contains(logs, secret) || strings.Contains(logs, "eyJ") || strings.ContainsRune(logs, '\x1b') {
				t.Errorf("logged: %s", logs)
			}
		})
	}
	t.Run("another type", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		s.fails(415, "application/json", "POST", "/jwt/explain", `{}`, "Content-Type", "text/plain")
	})
	t.Run("parameters", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		s.fails(400, "takes no parameters", "POST", "/jwt/explain?uri=/", `{}`)
	})
}

func TestExplainThatFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err     error
		status  int
		outcome string
	}{
		"busy":               {explain.ErrBusy, 503, "failed"},
		"too slow":           {context.DeadlineExceeded, 503, "failed"},
		"an unknown site":    {errors.New("there is no such site"), 422, "refused"},
		"an escape in it":    {errors.New("no site \x1b[2J"), 422, "refused"},
		"a client that left": {context.Canceled, 503, "failed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.app.explainErr = c.err
			w := s.send("POST", "/jwt/explain", `{}`)
			if w.Code != c.status || (c.status == 503) != (w.Header().Get("Retry-After") != "") || strings.ContainsRune(w.Body.String(), '\x1b') {
				t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
			}
			if line := s.last(); line.Outcome != c.outcome || line.Status != c.status || line.Explained != nil {
				t.Errorf("%+v", line)
			}
		})
	}
	t.Run("no config", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		s.running.Remove(s.app)
		s.fails(503, "no config", "POST", "/jwt/explain", `{}`)
	})
}

// TestExplainWithoutSharedState: a config needs none to answer.
func TestExplainWithoutSharedState(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.app.state, s.app.report = nil, refusedReport()
	want[explain.Report](s, 200, "POST", "/jwt/explain", `{}`)
	if line := s.last(); line.Node != "" || line.Explained == nil {
		t.Errorf("%+v", line)
	}
}

// TestExplainEscapesWhatStrangersWrote: the report has claims, and is read on terminals.
func TestExplainEscapesWhatStrangersWrote(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	report := refusedReport()
	report.Handlers[0].Checks = []explain.Check{{Check: reason.Check{Name: reason.CheckAudience, Outcome: reason.Failed, Seen: "\x1b[2J\u202e\u200b"}}}
	s.app.report = report
	w := s.send("POST", "/jwt/explain", `{}`)
	if strings.ContainsAny(w.Body.String(), "\x1b\u202e\u200b") {
		t.Errorf("%q", w.Body)
	}
	var got explain.Report
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.Handlers[0].Checks[0].Seen == "" {
		t.Errorf("%v %+v", err, got)
	}
}

func TestClientExplains(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.app.report = refusedReport()
	c := &Client{Address: "127.0.0.1:1", handler: s.mux}
	q := &explain.Question{
		Credential: jwt(`{}`), Site: "api.example.com", Method: "PUT", URI: "/x", Header: http.Header{"X-A": {"1", "2"}}, Remote: "203.0.113.7",
	}
	report, err := c.Explain(t.Context(), q)
	if err != nil || !reflect.DeepEqual(report, s.app.report) {
		t.Errorf("%+v %v", report, err)
	}
	if len(s.app.asked) != 1 || !reflect.DeepEqual(s.app.asked[0], *q) {
		t.Errorf("asked %+v", s.app.asked)
	}
	q.At = time.Now()
	if _, err := c.Explain(t.Context(), q); !errors.Is(err, explain.ErrAt) || len(s.app.asked) != 1 {
		t.Errorf("another time: %v", err)
	}
	s.app.explainErr = errors.New("there is no such site")
	q.At = time.Time{}
	var failed *StatusError
	if _, err := c.Explain(t.Context(), q); !errors.As(err, &failed) || failed.Code != 422 {
		t.Errorf("%v", err)
	}
}

// FuzzExplainBody sends any body: nothing panics, is changed, or leaks into the log.
func FuzzExplainBody(f *testing.F) {
	for _, body := range []string{
		`{}`, `{"token":"a.b.c","site":":443","method":"GET","uri":"/","headers":{"A":["b"]},"remote":"::1"}`, `{"headers":{"A":"\u0000"}}`,
		`{"uri":"//x"}`, `{"uri":"http://[::1]:80/"}`, `{"credential":"eyJhbGciOiJFUzI1NiJ9.eyJleHAiOjFlOTk5fQ.x"}`, "[]", "\xff",
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		s := newSite(t)
		s.app.report = refusedReport()
		r := httptest.NewRequest("POST", "/jwt/explain", strings.NewReader(string(body)))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		s.mux.ServeHTTP(w, r)
		if w.Code != 200 && (w.Code < 400 || w.Code > 499) {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		s.unchanged()
		logs := s.logs.String()
		if strings.ContainsAny(w.Body.String()+logs, "\x00\x1b\x7f\u202e") || strings.Count(logs, "\n") != 1 {
			t.Errorf("%q %q", w.Body, logs)
		}
		if len(s.app.asked) != 1 {
			return
		}
		if credential := s.app.asked[0].Credential; len(credential) > 20 && strings.Contains(logs, credential) {
			t.Errorf("the credential is in the log: %s", logs)
		}
		if _, err := http.NewRequest("GET", "http://x"+strings.TrimPrefix(s.app.asked[0].URI, "http://x"), nil); err != nil && strings.HasPrefix(s.app.asked[0].URI, "/") {
			t.Errorf("%q: %v", s.app.asked[0].URI, err)
		}
	})
}
