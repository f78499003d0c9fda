package caddyjwt

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	logcapture "go.uber.org/zap/zaptest/observer"

	"github.com/caddy-jwt/caddy-jwt/reason"
)

// accessLog returns the fields that handlers have added to the access log.
func accessLog(t testing.TB, r *http.Request, server *caddyhttp.Server, handlers ...caddyhttp.MiddlewareHandler) map[string]any {
	t.Helper()
	var seen *http.Request
	watch := middleware(func(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
		seen = r
		return next.ServeHTTP(w, r)
	})
	serve(t, r, server, append([]caddyhttp.MiddlewareHandler{watch}, handlers...)...)
	core, logs := logcapture.New(zapcore.DebugLevel)
	extra := seen.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields)
	zap.New(core).Info("handled request", extraFields(extra)...)
	return logs.All()[0].ContextMap()
}

// extraFields reads an unexported field of Caddy.
func extraFields(extra *caddyhttp.ExtraLogFields) []zap.Field {
	list := reflect.ValueOf(extra).Elem().FieldByName("fields")
	return *(*[]zap.Field)(list.Addr().UnsafePointer())
}

func TestAccessLogFields(t *testing.T) {
	t.Parallel()
	logging := &caddyhttp.Server{Logs: new(caddyhttp.ServerLogConfig)}
	key, ask := keySite(t, "", "")
	good := func() *http.Request { return bearer(signed(t, nil)) }
	none := func() *http.Request { return httptest.NewRequest("GET", "/", nil) }
	byToken := map[string]any{"jwt_issuer": "https://issuer.example/", "jwt_auth_method": "jwt"}
	with := func(fields map[string]any, more ...string) map[string]any {
		for i := 0; i < len(more); i += 2 {
			fields[more[i]] = more[i+1]
		}
		return fields
	}
	nobody := func(code string) map[string]any {
		if code == "" {
			return map[string]any{"jwt_auth_method": "anonymous"}
		}
		return map[string]any{"jwt_auth_method": "anonymous", "jwt_reason": code}
	}
	for name, c := range map[string]struct {
		request  *http.Request
		want     map[string]any
		handlers []caddyhttp.MiddlewareHandler
	}{
		"a token":                     {good(), byToken, []caddyhttp.MiddlewareHandler{newSite(t, "").Handler}},
		"an API key":                  {ask(), map[string]any{"jwt_auth_method": "api_key"}, []caddyhttp.MiddlewareHandler{key.Handler}},
		"anonymous":                   {none(), nobody(""), []caddyhttp.MiddlewareHandler{newSite(t, "optional").Handler}},
		"no credential":               {none(), nobody("missing_credentials"), []caddyhttp.MiddlewareHandler{newSite(t, "").Handler}},
		"a bad token":                 {bearer("x"), with(nobody("malformed_token"), "jwt_detail", "not a JWT: it does not consist of three parts separated by dots"), []caddyhttp.MiddlewareHandler{newSite(t, "").Handler}},
		"a rule":                      {good(), with(nobody("insufficient_scope"), "jwt_requirement", "require scope a", "jwt_user", "alice", "jwt_issuer", "https://issuer.example/"), []caddyhttp.MiddlewareHandler{newSite(t, "require scope a").Handler}},
		"no user":                     {bearer(signed(t, map[string]any{"sub": nil})), with(nobody("missing_claim"), "jwt_detail", "no user: sub missing or empty; user_claim names the claim"), []caddyhttp.MiddlewareHandler{newSite(t, "").Handler}},
		"no expiry":                   {bearer(signed(t, map[string]any{"exp": nil})), with(nobody("missing_claim"), "jwt_detail", "no exp; allow_no_expiry accepts it"), []caddyhttp.MiddlewareHandler{newSite(t, "").Handler}},
		"another audience":            {bearer(signed(t, map[string]any{"aud": "x"})), nobody("wrong_audience"), []caddyhttp.MiddlewareHandler{newSite(t, "").Handler}},
		"that in report mode":         {bearer(signed(t, map[string]any{"aud": "x"})), with(nobody("wrong_audience"), "jwt_user", "alice", "jwt_issuer", "https://issuer.example/"), []caddyhttp.MiddlewareHandler{newSite(t, "mode report").Handler}},
		"two rules":                   {good(), with(nobody("forbidden"), "jwt_requirement", "require claim a", "jwt_user", "alice", "jwt_issuer", "https://issuer.example/"), []caddyhttp.MiddlewareHandler{newSite(t, "require claim a b\nrequire expression `true`").Handler}},
		"nothing of the reported one": {good(), nobody("missing_credentials"), []caddyhttp.MiddlewareHandler{newSite(t, "require claim a b\nmode report").Handler, otherSite(t, "").Handler}},
		"a rule in report mode":       {good(), with(nobody("insufficient_scope"), "jwt_requirement", "require scope a", "jwt_user", "alice", "jwt_issuer", "https://issuer.example/"), []caddyhttp.MiddlewareHandler{newSite(t, "require scope a\nmode report").Handler}},
		"report behind another":       {good(), map[string]any{"jwt_issuer": "https://issuer.example/", "jwt_auth_method": "jwt", "jwt_reason": "forbidden", "jwt_requirement": "require claim a", "jwt_user": "alice"}, []caddyhttp.MiddlewareHandler{newSite(t, "").Handler, newSite(t, "require claim a b\nmode report").Handler}},
		"optional behind another":     {good(), byToken, []caddyhttp.MiddlewareHandler{newSite(t, "").Handler, otherSite(t, "optional").Handler}},
		"a refusal behind another":    {good(), nobody("missing_credentials"), []caddyhttp.MiddlewareHandler{newSite(t, "").Handler, otherSite(t, "").Handler}},
		"an API key behind a token":   {bearerOf(ask(), signed(t, nil)), map[string]any{"jwt_auth_method": "api_key"}, []caddyhttp.MiddlewareHandler{newSite(t, "").Handler, key.Handler}},
		"clear alone says nothing":    {good(), map[string]any{}, []caddyhttp.MiddlewareHandler{makeSite(t, "mode clear\nclear X-User").Handler}},
		"a matcher that did not fire": {good(), map[string]any{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := accessLog(t, c.request, logging, c.handlers...); fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
			if got := accessLog(t, c.request.Clone(t.Context()), nil, c.handlers...); len(got) != 0 {
				t.Errorf("without an access log: %v", got)
			}
		})
	}
}

func TestRequestsAreCountedByResult(t *testing.T) {
	t.Parallel()
	good := signed(t, nil)
	preflight := request("", "", "", "", "Origin: https://a.example", "Access-Control-Request-Method: PUT")
	preflight.Method = "OPTIONS"
	refused := func(code string) string { return "requests_total method=none reason=" + code + " result=refused" }
	const allowed, anonymous = "requests_total method=jwt reason= result=allowed", "requests_total method=none reason= result=anonymous"
	for name, c := range map[string]struct {
		options string
		request *http.Request
		want    string
		seconds bool
	}{
		"a token":             {"", bearer(good), allowed, true},
		"anonymous":           {"optional", request("", "", "", ""), anonymous, false},
		"a preflight":         {"allow_preflight", preflight, anonymous, false},
		"no credential":       {"", request("", "", "", ""), refused("missing_credentials"), false},
		"a bad token":         {"", bearer("x"), refused("malformed_token"), false},
		"an expired one":      {"", bearer(signed(t, map[string]any{"exp": 1})), refused("expired"), false},
		"a scope":             {"require scope a", bearer(good), refused("insufficient_scope"), true},
		"a claim":             {"require claim a b", bearer(good), refused("forbidden"), true},
		"an expression":       {requiring("false"), bearer(good), refused("forbidden"), true},
		"an unmet expression": {"optional\n" + requiring("false"), request("", "", "", ""), refused("missing_credentials"), false},
		"a header":            {"forward c X-C", bearer(signed(t, map[string]any{"c": "\n"})), refused("unforwardable_claim"), true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, c.options)
			since := counted(t, s)
			for range 3 {
				serve(t, c.request.Clone(t.Context()), nil, s.Handler)
			}
			want := map[string]float64{c.want: 3}
			if c.seconds {
				want["verification_seconds"] = 3
			}
			if got := since(); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%v, want %v", got, want)
			}
			lines := s.logs.All()
			if wantLines := map[bool]int{true: 3}[c.want != allowed && c.want != anonymous]; len(lines) != wantLines {
				t.Errorf("%d lines, want %d", len(lines), wantLines)
			}
			for _, l := range lines {
				if l.Level != zapcore.DebugLevel || l.Message != "request refused" || !onlyWhy(l) {
					t.Errorf("%v", l)
				}
			}
		})
	}
	t.Run("an API key", func(t *testing.T) {
		s, ask := keySite(t, "", "")
		since := counted(t, s)
		serve(t, ask(), nil, s.Handler)
		serve(t, request("test_x_y", "", "", "", "X-API-Key: %G"), nil, s.Handler)
		if got := since(); len(got) != 2 || got["requests_total method=api_key reason= result=allowed"] != 1 || got[refused("unknown_api_key")] != 1 {
			t.Errorf("%v", got)
		}
	})
}

// TestThreat39_RequestMetricsHaveLabelsOfTheirOwnAlone checks that all label values
// are there from the start, and that no request adds one.
func TestThreat39_RequestMetricsHaveLabelsOfTheirOwnAlone(t *testing.T) {
	t.Parallel()
	s := newSite(t, "optional\nforward c X-C\nrequire expression `!has(claims.role) || claims.role == \"a\"`")
	requests := ownMetrics(s)
	series := func() (list []string) {
		registry := prometheus.NewPedanticRegistry()
		if err := requests.Register(registry); err != nil {
			t.Fatal(err)
		}
		if err := requests.Register(registry); err != nil {
			t.Errorf("a second time: %v", err)
		}
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetHelp() == "" {
				t.Errorf("%s has no help", f.GetName())
			}
			for _, m := range f.Metric {
				name := f.GetName()
				for _, l := range m.Label {
					known := map[string][]string{
						"result": {"allowed", "anonymous", "refused", "would_refuse"}, "method": {"jwt", "api_key", "none"}, "reason": {""},
						"site": {""}, "issuer": {"", "https://issuer.example/"}, "consumer": {""},
					}[l.GetName()]
					isReason := slices.Contains(reason.All, reason.Code(l.GetValue()))
					if !slices.Contains(known, l.GetValue()) && !(l.GetName() == "reason" && isReason) {
						t.Errorf("%s has the label %s=%q", f.GetName(), l.GetName(), l.GetValue())
					}
					name += "|" + l.GetValue()
				}
				list = append(list, name)
			}
		}
		return list
	}
	before := series()
	// Those of an issuer are without the reasons for which none is known.
	if want := 1 + 2 + 1 + 2*len(reason.All) - 10; len(before) != want {
		t.Errorf("%d series, want %d", len(before), want)
	}
	for n := range 50 {
		stranger := fmt.Sprint("stranger", n)
		for _, r := range []*http.Request{
			bearer(signed(t, map[string]any{"sub": stranger, "role": stranger})), bearer(signed(t, map[string]any{"iss": stranger})), bearer(stranger),
			bearer(signed(t, map[string]any{"c": stranger + "\n"})), request(stranger, "", "", "", "X-API-Key: %G"), httptest.NewRequest(fmt.Sprint("M", n), "/", nil),
		} {
			serve(t, r, nil, s.Handler)
		}
	}
	if after := series(); !slices.Equal(before, after) {
		t.Errorf("%v, before %v", after, before)
	}
	closed := prometheus.NewRegistry()
	closed.MustRegister(prometheus.NewCounterVec(prometheus.CounterOpts{Name: "caddy_jwt_requests_total", Help: "another"}, []string{"other"}))
	if err := requests.Register(closed); err == nil || errors.As(err, new(prometheus.AlreadyRegisteredError)) {
		t.Errorf("another's metric of this name: %v", err)
	}
}

// onlyWhy reports whether a log line says why a request was refused and which it was, and
// nothing else.
func onlyWhy(l logcapture.LoggedEntry) bool {
	for name := range l.ContextMap() {
		switch name {
		case "reason", "status", "site", "request", "requirement", "detail", "user", "issuer":
		default:
			return false
		}
	}
	return len(l.Context) >= 4
}
