package caddyjwt

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// matchBehind runs a matcher after the handlers.
func matchBehind(t testing.TB, r *http.Request, m caddyhttp.RequestMatcherWithError, handlers ...caddyhttp.MiddlewareHandler) bool {
	t.Helper()
	matches := false
	asked := middleware(func(_ http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) (err error) {
		matches, err = m.MatchWithError(r)
		return err
	})
	if res := serve(t, r, nil, append(handlers, asked)...); res.err != nil {
		t.Fatal(res.err)
	}
	return matches
}

// matcherOf parses a matcher of a Caddyfile.
func matcherOf(t testing.TB, text string) caddyhttp.RequestMatcherWithError {
	t.Helper()
	if expression, ok := strings.CutPrefix(text, "expression "); ok {
		ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
		t.Cleanup(cancel)
		m := &caddyhttp.MatchExpression{Expr: expression}
		if err := m.Provision(ctx); err != nil {
			t.Fatal(err)
		}
		return m
	}
	var m interface {
		caddyfile.Unmarshaler
		caddyhttp.RequestMatcherWithError
	} = new(MatchScope)
	if strings.HasPrefix(text, "jwt_claim") {
		m = new(MatchClaim)
	}
	if err := m.UnmarshalCaddyfile(caddyfile.NewTestDispenser(text)); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMatchers(t *testing.T) {
	t.Parallel()
	key, ask := keySite(t, "scopes read write\nmeta plan gold", "")
	token := signed(t, map[string]any{"scope": "read write", "role": "admin", "roles": []string{"a", "b"}, "n": 17, "yes": true, "null": json.RawMessage("null"), "object": map[string]any{"x": 1}, "https://x.example/t": "acme"})
	for text, want := range map[string]struct{ token, key bool }{
		"jwt_scope read": {true, true}, "jwt_scope read write": {true, true}, "jwt_scope read delete": {}, "jwt_scope Read": {}, "jwt_scope rea": {},
		"jwt_scope read\njwt_scope write": {true, true}, "jwt_scope read\njwt_scope delete": {},
		"jwt_claim role admin": {true, false}, "jwt_claim role user admin": {true, false}, "jwt_claim role user": {}, "jwt_claim roles b": {true, false},
		"jwt_claim roles c": {}, "jwt_claim roles a,b": {}, "jwt_claim n 17": {true, false}, "jwt_claim n 17.0": {}, "jwt_claim yes true": {true, false},
		`jwt_claim null ""`: {}, "jwt_claim null null": {}, "jwt_claim absent x": {}, `jwt_claim absent ""`: {}, "jwt_claim object.x 1": {true, false}, "jwt_claim object x": {},
		"jwt_claim https://x.example/t acme": {true, false}, "jwt_claim role admin\njwt_claim n 17": {true, false}, "jwt_claim role admin\njwt_claim n 18": {},
		"jwt_claim sub alice corp": {true, true}, "jwt_claim meta.plan gold": {false, true}, "jwt_claim key_id partner": {false, true},
		`expression jwt_scope("read")`: {true, true}, `expression jwt_scope("read", "delete")`: {}, `expression !jwt_scope("read")`: {},
		`expression jwt_claim("role", "user", "admin")`: {true, false}, `expression jwt_claim("role", "user") || jwt_scope("write")`: {true, true},
		`expression jwt_claim("roles", "b") && method("GET")`: {true, false}, `expression jwt_claim("sub", {http.auth.user.id})`: {true, true},
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			m := matcherOf(t, text)
			if got := matchBehind(t, bearer(token), m, newSite(t, "").Handler); got != want.token {
				t.Errorf("with a token: %v", got)
			}
			if got := matchBehind(t, ask(), m, key.Handler); got != want.key {
				t.Errorf("with an API key: %v", got)
			}
			if strings.Contains(text, "!") {
				return
			}
			// Without an identity nothing matches.
			none := func() *http.Request { return httptest.NewRequest("GET", "/", nil) }
			preflight := request("", "", "", "", "Origin: https://a.example", "Access-Control-Request-Method: PUT")
			preflight.Method = "OPTIONS"
			for name, matched := range map[string]bool{
				"optional":    matchBehind(t, none(), m, newSite(t, "optional").Handler),
				"report":      matchBehind(t, none(), m, newSite(t, "mode report").Handler),
				"a bad token": matchBehind(t, bearer("x"), m, newSite(t, "mode report").Handler),
				"a rule":      matchBehind(t, bearer(token), m, newSite(t, "mode report\nrequire scope nothing").Handler),
				"preflight":   matchBehind(t, preflight, m, newSite(t, "allow_preflight").Handler),
				"clear alone": matchBehind(t, bearer(token), m, makeSite(t, "mode clear\nclear X-User").Handler),
			} {
				if matched {
					t.Errorf("%s matches", name)
				}
			}
			// An inner handler that lets the request pass as anonymous keeps the
			// identity of the outer one.
			if got := matchBehind(t, bearer(token), m, newSite(t, "").Handler, otherSite(t, "optional").Handler); got != want.token {
				t.Errorf("behind two handlers: %v", got)
			}
		})
	}
}

// TestMatchersThatWouldMatchAnything checks that an empty or invalid matcher is refused
// and matches nothing.
func TestMatchersThatWouldMatchAnything(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]interface {
		caddy.Validator
		caddyhttp.RequestMatcherWithError
	}{
		"no claim": &MatchClaim{}, "no value": &MatchClaim{"role": nil}, "no path": &MatchClaim{"": {"x"}}, "a placeholder": &MatchClaim{"a": {"{http.request.host}"}},
		"no scope": &MatchScope{}, "an empty scope": &MatchScope{""}, "two in one": &MatchScope{"a b"}, "nil": new(MatchScope),
	} {
		if err := m.Validate(); err == nil {
			t.Errorf("%s is accepted", name)
		}
		if matchBehind(t, bearer(signed(t, nil)), m, newSite(t, "").Handler) {
			t.Errorf("%s matches", name)
		}
	}
}

// TestMatchersBeforeTheHandler is not parallel, as Caddy's log and what has been logged are
// global.
func TestMatchersBeforeTheHandler(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	name, err := json.Marshal(path)
	if err != nil {
		t.Fatal(err)
	}
	root, err := json.Marshal(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	config := `{"admin":{"disabled":true,"config":{"persist":false}},"storage":{"module":"file_system","root":` + string(root) + `},"logging":{"logs":{"default":{"writer":{"output":"file","filename":` + string(name) + `}}}}}`
	if err := caddy.Load([]byte(config), true); err != nil {
		t.Fatal(err)
	}
	misplaced.logged = nil
	r := bearer(signed(t, map[string]any{"scope": "read"}))
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), httptest.NewRecorder(), &caddyhttp.Server{Listen: []string{":8443"}})
	for range 3 {
		for _, text := range []string{"jwt_scope read", "jwt_claim sub alice", `expression jwt_scope("read")`} {
			if ok, err := matcherOf(t, text).MatchWithError(r); ok || err != nil {
				t.Errorf("%s: %v, %v", text, ok, err)
			}
		}
	}
	// Expressions of a jwt handler are in the right place.
	newSite(t, "require expression `jwt_scope(\"read\") && jwt_claim(\"sub\", \"alice\")`")
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(log), "where no jwt handler has run"); n != 2 || strings.Count(string(log), "jwt at :8443: ") != 2 || !strings.Contains(string(log), `"logger":"http.matchers.jwt_scope"`) || !strings.Contains(string(log), `"logger":"http.matchers.jwt_claim"`) {
		t.Errorf("%d lines:\n%s", n, log)
	}
}
