package caddyjwt

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	logcapture "go.uber.org/zap/zaptest/observer"

	"github.com/caddy-jwt/caddy-jwt/internal/metrics"
	"github.com/caddy-jwt/caddy-jwt/internal/refusal"
)

// ownMetrics gives a handler its own request metrics.
func ownMetrics(s *site) *metrics.Requests {
	requests := metrics.NewRequests()
	if s.metrics != nil { // as it is where nobody is authenticated
		s.metrics = requests.Handler(s.metrics.Labels)
	}
	return requests
}

// counted gives a handler its own request metrics. since returns what was counted since
// the last call, without the labels of the config.
func counted(t testing.TB, s *site) (since func() map[string]float64) {
	t.Helper()
	if s.validator != nil {
		s.validator = s.validator.Cached(nil) // so that each token is verified
	}
	requests := ownMetrics(s)
	registry := prometheus.NewPedanticRegistry()
	if err := requests.Register(registry); err != nil {
		t.Fatal(err)
	}
	last := map[string]float64{}
	return func() map[string]float64 {
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		now, news := map[string]float64{}, map[string]float64{}
		for _, f := range families {
			for _, m := range f.Metric {
				name := strings.TrimPrefix(f.GetName(), "caddy_jwt_")
				for _, l := range m.Label {
					if slices.Contains([]string{"site", "issuer", "consumer"}, l.GetName()) {
						continue
					}
					name += " " + l.GetName() + "=" + l.GetValue()
				}
				now[name] += m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
		for name, value := range now {
			if value != last[name] {
				news[name] = value - last[name]
			}
		}
		last = now
		return news
	}
}

func TestOptional(t *testing.T) {
	t.Parallel()
	s := newSite(t, "optional\nforward user X-User\ntoken_from header Authorization Bearer\ntoken_from cookie session\ntoken_from query t")
	good := signed(t, nil)
	for name, c := range map[string]struct {
		request *http.Request
		reason  string
		user    string
	}{
		"no credential":             {request("", "", "", ""), "", ""},
		"an empty cookie":           {withCookie("session="), "", ""},
		"another scheme":            {request("x", "", "", "", "Authorization: Basic %G"), "", ""},
		"a good token":              {bearer(good), "", "alice"},
		"garbage":                   {bearer("x"), "malformed_token", ""},
		"an expired token":          {bearer(signed(t, map[string]any{"exp": 1})), "expired", ""},
		"another audience":          {bearer(signed(t, map[string]any{"aud": "other"})), "wrong_audience", ""},
		"a forged token":            {bearer(good[:len(good)-8] + "AAAAAAAA"), "bad_signature", ""},
		"26: Bearer alone":          {request("", "", "", "", "Authorization: Bearer"), "malformed_request", ""},
		"26: Bearer and spaces":     {request("", "", "", "", "Authorization: bearer   "), "malformed_request", ""},
		"an empty parameter":        {request("", "", "?t=", ""), "malformed_request", ""},
		"two tokens":                {request(good, signed(t, map[string]any{"sub": "bob"}), "?t=%B", "", "Authorization: Bearer %G"), "multiple_credentials", ""},
		"45: a bad one in a cookie": {withCookie("session=x"), "malformed_token", ""},
		"43: from another site":     {crossSite(withCookie("session=" + good)), "cross_origin", ""},
	} {
		t.Run(name, func(t *testing.T) {
			res := serve(t, c.request, nil, s.Handler)
			if res.reason() != c.reason || (c.reason == "") != (res.next != nil) {
				t.Fatalf("%s, want %s", res.reason(), c.reason)
			}
			method := map[bool]string{true: "jwt", false: "anonymous"}[c.user != ""]
			if got := res.placeholder("{http.auth.user.id}/{http.jwt.auth_method}"); got != c.user+"/"+method {
				t.Error(got)
			}
			if c.reason == "" && res.next.Header.Get("X-User") != c.user {
				t.Errorf("%v", res.next.Header)
			}
		})
	}
}

func crossSite(r *http.Request) *http.Request {
	r.Method = http.MethodPost
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	return r
}

// TestThreat45_OptionalAndRules checks that rules that no anonymous request could meet are
// a config error, in JSON too.
func TestThreat45_OptionalAndRules(t *testing.T) {
	t.Parallel()
	for _, r := range []*Requirement{
		{Scope: []string{"a"}}, {AnyScope: []string{"a"}}, {Claim: &ClaimRequirement{Path: "role", Values: []string{"admin"}}},
	} {
		h := newSite(t, "").Handler
		h.Require = []*Requirement{{Expression: "true"}, r}
		if err := h.provision(bareContext()); err != nil {
			t.Fatal(err)
		}
		h.Optional = true
		if err := h.provision(bareContext()); err == nil || !strings.HasPrefix(err.Error(), "optional: a request without a credential has no scopes") {
			t.Errorf("%+v: %v", r, err)
		}
	}
	s := newSite(t, "optional\n"+requiring(`"admin" in scopes`))
	for _, r := range []*http.Request{request("", "", "", ""), bearer(signed(t, nil)), bearer(signed(t, map[string]any{"scope": "user"})), bearer(signed(t, map[string]any{"scope": "admin", "exp": 1})), bearer("")} {
		if res := serve(t, r, nil, s.Handler); res.next != nil || res.Code < 400 {
			t.Errorf("passed: %v", r.Header)
		}
	}
}

func TestThreat28_Preflights(t *testing.T) {
	t.Parallel()
	s := newSite(t, "allow_preflight\nforward user X-User")
	plain := newSite(t, "")
	good := signed(t, nil)
	for name, c := range map[string]struct {
		method  string
		headers []string
		passes  bool
	}{
		"a preflight":                      {"OPTIONS", []string{"Origin: https://a.example", "Access-Control-Request-Method: PUT"}, true},
		"with headers that it asks for":    {"OPTIONS", []string{"Origin: null", "Access-Control-Request-Method: GET", "Access-Control-Request-Headers: authorization"}, true},
		"OPTIONS alone":                    {"OPTIONS", nil, false},
		"OPTIONS with Origin":              {"OPTIONS", []string{"Origin: https://a.example"}, false},
		"OPTIONS with a method":            {"OPTIONS", []string{"Access-Control-Request-Method: PUT"}, false},
		"OPTIONS with an empty Origin":     {"OPTIONS", []string{"Origin: ", "Access-Control-Request-Method: PUT"}, false},
		"OPTIONS with an empty method":     {"OPTIONS", []string{"Origin: https://a.example", "Access-Control-Request-Method: "}, false},
		"GET with a preflight's headers":   {"GET", []string{"Origin: https://a.example", "Access-Control-Request-Method: PUT"}, false},
		"POST with them":                   {"POST", []string{"Origin: https://a.example", "Access-Control-Request-Method: PUT"}, false},
		"options in small letters":         {"options", []string{"Origin: https://a.example", "Access-Control-Request-Method: PUT"}, false},
		"GET with another method's header": {"GET", []string{"Origin: https://a.example", "Access-Control-Request-Method: PUT", "X-HTTP-Method-Override: OPTIONS"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			ask := func(s *site, token string) result {
				r := request(token, "", "", "", c.headers...)
				r.Method = c.method
				if token != "" {
					bearerOf(r, token)
				}
				return serve(t, r, nil, s.Handler)
			}
			if res := ask(s, ""); (res.next != nil) != c.passes || !c.passes && (res.Code != 401 || res.reason() != "missing_credentials") {
				t.Errorf("passed: %v, %s", res.next != nil, res.reason())
			}
			if res := ask(plain, ""); res.next != nil || res.reason() != "missing_credentials" {
				t.Errorf("passed where allow_preflight is not set, or %s", res.reason())
			}
			// A token in a preflight is ignored and not passed on.
			for _, token := range []string{good, "x"} {
				res := ask(s, token)
				if c.passes && (res.next == nil || res.next.Header.Get("Authorization") != "" || res.placeholder("{http.auth.user.id}{http.jwt.auth_method}") != "anonymous" || res.next.Header["X-User"] != nil) {
					t.Errorf("%s: %s %s", token, res.reason(), res.placeholder("{http.jwt.auth_method}"))
				}
				if !c.passes && (res.next != nil) != (token == good) {
					t.Errorf("passed: %v, %s", res.next != nil, res.reason())
				}
			}
		})
	}
	t.Run("that has a rule", func(t *testing.T) {
		s := newSite(t, "allow_preflight\nrequire scope admin")
		r := request("", "", "", "", "Origin: https://a.example", "Access-Control-Request-Method: PUT")
		r.Method = "OPTIONS"
		if res := serve(t, r, nil, s.Handler); res.next == nil {
			t.Error(res.reason())
		}
	})
}

func TestReportMode(t *testing.T) {
	t.Parallel()
	s := newSite(t, "mode report\nforward user X-User\nrequire scope read\nclaim email\ntoken_from header Authorization Bearer\ntoken_from query t\ntoken_from cookie session")
	since := counted(t, s)
	good := signed(t, map[string]any{"scope": "read", "email": "a@b"})
	for name, c := range map[string]struct {
		request *http.Request
		reason  string
		status  int64
		seconds bool // a signature was verified
	}{
		"good":          {bearer(good), "", 0, true},
		"no credential": {request("", "", "?a=1", ""), "missing_credentials", 401, false},
		"garbage":       {bearer("garbage"), "malformed_token", 401, false},
		"expired":       {bearer(signed(t, map[string]any{"exp": 1, "scope": "read"})), "expired", 401, false},
		"a rule":        {bearer(signed(t, nil)), "insufficient_scope", 403, true},
		"in the query":  {request("bad", "", "?a=1&t=%G", ""), "malformed_token", 401, false},
		"two":           {request(good, "bad", "?t=%B", "", "Authorization: Bearer %G"), "multiple_credentials", 400, false},
		"empty":         {request("", "", "", "", "Authorization: Bearer"), "malformed_request", 400, false},
	} {
		t.Run(name, func(t *testing.T) {
			header, uri, requestURI := c.request.Header.Clone(), c.request.URL.String(), c.request.RequestURI
			c.request.Header.Set("X-User", "forged")
			res := serve(t, c.request, nil, s.Handler)
			if res.next == nil || res.err != nil || res.Code != 200 || res.Body.Len() != 0 || len(res.Header()) != 0 {
				t.Fatalf("refused: %v %d %v", res.err, res.Code, res.Header())
			}
			user := map[bool]string{true: "alice"}[c.reason == ""]
			// Nothing is removed from the request, not even a valid token.
			if res.next.Header.Get("X-User") != user || res.next.URL.String() != uri || res.next.RequestURI != requestURI {
				t.Errorf("%v %s", res.next.Header, res.next.URL)
			}
			res.next.Header.Del("X-User")
			if !equalHeaders(res.next.Header, header) {
				t.Errorf("%v, was %v", res.next.Header, header)
			}
			if got := res.placeholder("{http.jwt.reason}/{http.auth.user.id}/{http.jwt.claims.scope}{http.auth.user.email}"); got != c.reason+"/"+user+"/"+map[bool]string{true: "reada@b"}[c.reason == ""] {
				t.Error(got)
			}
			want := map[string]float64{"requests_total method=none reason=" + c.reason + " result=would_refuse": 1}
			if c.reason == "" {
				want = map[string]float64{"requests_total method=jwt reason= result=allowed": 1}
			}
			if c.seconds {
				want["verification_seconds"] = 1
			}
			if got := since(); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%v, want %v", got, want)
			}
			lines := s.logs.TakeAll()
			if c.reason == "" {
				if len(lines) != 0 {
					t.Errorf("%v", lines)
				}
				return
			}
			if len(lines) != 1 || lines[0].Level != zapcore.InfoLevel || lines[0].Message != "request would be refused" || !onlyWhy(lines[0]) ||
				lines[0].ContextMap()["reason"] != c.reason || lines[0].ContextMap()["status"] != c.status {
				t.Errorf("%v", lines)
			}
		})
	}
}

// TestReportModeSamplesItsLog checks that a client can't fill the log, while the metric
// counts all requests.
func TestReportModeSamplesItsLog(t *testing.T) {
	t.Parallel()
	core, logs := logcapture.New(zapcore.DebugLevel)
	s := newSite(t, "mode report")
	since := counted(t, s)
	s.reportLog = refusal.NewReportLogger(zap.New(core, zap.WithClock(stopped{})))
	for range 1000 {
		serve(t, bearer("x"), nil, s.Handler)
	}
	if got := logs.Len(); got != 109 {
		t.Errorf("%d lines", got)
	}
	if got := since()["requests_total method=none reason=malformed_token result=would_refuse"]; got != 1000 {
		t.Errorf("%v counted", got)
	}
}

func TestReportModeWarnsAtLoad(t *testing.T) {
	t.Parallel()
	for options, want := range map[string]int{"": 0, "mode enforce": 0, "mode report": 1} {
		h := newSite(t, options).Handler
		core, logs := logcapture.New(zapcore.DebugLevel)
		h.logger, h.app = zap.New(core), testApp(t)
		if err := h.provision(bareContext()); err != nil {
			t.Fatal(err)
		}
		if got := logs.FilterLevelExact(zapcore.WarnLevel).FilterMessageSnippet("mode report: no request is refused here").Len(); got != want || int(h.app.reporting.Load()) != want {
			t.Errorf("%s: %d lines, gauge %d", options, got, h.app.reporting.Load())
		}
	}
}

func TestClearAlone(t *testing.T) {
	t.Parallel()
	s := makeSite(t, "mode clear\nclear X-User")
	since := counted(t, s)
	r := bearer("x")
	r.Header.Set("X-User", "forged")
	r.Header.Set("X-Api-Key", "k")
	res := serve(t, r, nil, s.Handler)
	if res.next == nil || !equalHeaders(res.next.Header, http.Header{"Authorization": {"Bearer x"}, "X-Api-Key": {"k"}}) {
		t.Errorf("%v", res.next)
	}
	if got := res.placeholder("{http.jwt.auth_method}{http.auth.user.id}{http.jwt.reason}"); got != "anonymous" {
		t.Error(got)
	}
	if s.logs.Len() != 0 || len(since()) != 0 {
		t.Error("it is counted or logged")
	}
}

// TestClearWithAnIssuerAuthenticates checks that a handler with clear and an issuer
// authenticates requests.
func TestClearWithAnIssuerAuthenticates(t *testing.T) {
	t.Parallel()
	if res := serve(t, httptest.NewRequest("GET", "/", nil), nil, newSite(t, "clear X-User").Handler); res.Code != 401 || res.next != nil {
		t.Error(res.Code)
	}
	s, _ := keySite(t, "", "clear X-User")
	if res := serve(t, httptest.NewRequest("GET", "/", nil), nil, s.Handler); res.Code != 401 || res.next != nil {
		t.Error(res.Code)
	}
}

// stopped is a clock that never advances.
type stopped struct{}

func (stopped) Now() time.Time { return time.Unix(1_800_000_000, 0) }

func (stopped) NewTicker(time.Duration) *time.Ticker { return time.NewTicker(time.Hour) }
