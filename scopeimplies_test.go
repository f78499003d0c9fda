package caddyjwt

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/internal/explain"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// siteUnder makes a handler of options, for the usual issuer, under the options of the global
// option.
func siteUnder(t testing.TB, global, options string) (*Handler, error) {
	t.Helper()
	app, h := testApp(t), new(Handler)
	if global != "" {
		if err := app.UnmarshalCaddyfile(caddyfile.NewTestDispenser("jwt {\n" + global + "\n}")); err != nil {
			return nil, err
		}
	}
	options = "issuer https://issuer.example/ {\npublic_key \"" + publicPEM(t, signer().Public()) + "\"\naudience https://api.example\n}\n" + options
	if err := readDirective(h, &reader{Dispenser: caddyfile.NewTestDispenser("jwt {\n" + options + "\n}"), global: app}); err != nil {
		return nil, err
	}
	h.logger, h.app = zap.NewNop(), app
	return h, h.provision(bareContext())
}

func mustSiteUnder(t testing.TB, global, options string) *Handler {
	t.Helper()
	h, err := siteUnder(t, global, options)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

const (
	orders  = "scope_implies admin orders:write audit\nscope_implies orders:write orders:read\n"
	billing = "scope_implies owner admin bills\n"
)

// TestScopesThatAreImplied checks each kind of rule and matcher, with a token and with an API
// key, at a site whose options are in its own block, in the global option, or in both; and that
// explain says the same.
func TestScopesThatAreImplied(t *testing.T) {
	t.Parallel()
	for name, where := range map[string]struct{ global, site string }{
		"at the site":                  {"", orders + billing},
		"everywhere":                   {orders + billing, ""},
		"in both":                      {orders, billing},
		"in both, with the same twice": {orders + "scope_implies owner bills\n", "scope_implies owner admin bills\n"},
	} {
		for granted, rules := range map[string]map[string]bool{
			"owner": {
				"require scope orders:read": true, "require scope orders:read bills": true, "require scope owner audit": true, "require any_scope nobody audit": true,
				"require scope orders:read delete": false, "require any_scope delete nobody": false, "require scope Orders:read": false, "require scope orders": false,
				"require expression `jwt_scope('orders:read')`": true, "require expression `jwt_scope('audit', 'bills')`": true, "require expression `jwt_scope('delete')`": false,
				"require expression `'orders:read' in scopes`": false, "require expression `scopes == ['owner']`": true,
				"require expression `{http.jwt.scopes} == 'owner'`": true, "require expression `!jwt_scope('orders:read')`": false,
			},
			"admin x": {
				"require scope orders:read audit": true, "require scope bills": false, "require scope owner": false, "require any_scope bills orders:read": true,
			},
			"orders:write":  {"require scope orders:read": true, "require scope audit": false, "require scope admin": false, "require any_scope admin owner": false},
			"orders:read":   {"require scope orders:read": true, "require scope orders:write": false},
			"administrator": {"require any_scope orders:read audit bills orders:write admin": false},
		} {
			for rule, met := range rules {
				t.Run(name+"/"+granted+"/"+rule, func(t *testing.T) {
					t.Parallel()
					token := signed(t, map[string]any{"scope": granted})
					text, hash := newAPIKey()
					h := mustSiteUnder(t, where.global, where.site+"api_key partner "+hash+" {\nscopes "+granted+"\n}\n"+rule)
					for kind, ask := range map[string]func() *http.Request{
						"a token":    func() *http.Request { return bearer(token) },
						"an API key": func() *http.Request { return request(text, "", "", "", "X-API-Key: %G") },
					} {
						agrees(t, ask, h)
						res := serve(t, ask(), nil, h)
						if met != (res.next != nil) || !met && res.Code != 403 {
							t.Errorf("%s: passed %t, %d %s", kind, res.next != nil, res.Code, res.reason())
						}
						if met && res.placeholder("{http.jwt.scopes}") != granted {
							t.Errorf("%s: the scopes are %s", kind, res.placeholder("{http.jwt.scopes}"))
						}
					}
					if scopes, ok := strings.CutPrefix(rule, "require scope "); ok {
						// The matcher is that of no site: what the handler in front of it says counts.
						h := mustSiteUnder(t, where.global, where.site)
						for _, m := range []string{"jwt_scope " + scopes, "expression jwt_scope('" + strings.ReplaceAll(scopes, " ", "', '") + "')"} {
							if got := matchBehind(t, bearer(token), matcherOf(t, m), h); got != met {
								t.Errorf("%s matches: %t", m, got)
							}
						}
					}
				})
			}
		}
	}
}

// TestImpliedByTheHandlerThatVerified checks that a matcher, and a handler further in that lets
// a request pass as it is, go by the handler that verified the credential.
func TestImpliedByTheHandlerThatVerified(t *testing.T) {
	t.Parallel()
	alice := signed(t, map[string]any{"scope": "admin"})
	bob := signed(t, map[string]any{"iss": "https://other.example/", "aud": "inner", "sub": "bob", "scope": "admin"})
	both := func() *http.Request {
		r := bearer(alice)
		r.Header.Set("X-Other", bob)
		return r
	}
	const implies = "scope_implies admin read"
	read, audit := matcherOf(t, "jwt_scope read"), matcherOf(t, "expression jwt_scope('audit')")
	for name, c := range map[string]struct {
		request      *http.Request
		outer, inner string
		read, audit  bool
	}{
		"the outer one":              {bearer(alice), implies, "optional", true, false},
		"the outer one alone says":   {bearer(alice), "", "optional\n" + implies, false, false},
		"the inner one":              {both(), "", implies, true, false},
		"the inner one alone says":   {both(), implies, "", false, false},
		"each has its own":           {both(), implies, "scope_implies admin audit", false, true},
		"each has its own, in front": {bearer(alice), "scope_implies admin audit", "optional\n" + implies, false, true},
	} {
		outer, inner := newSite(t, c.outer).Handler, otherSite(t, c.inner).Handler
		if got := matchBehind(t, c.request.Clone(t.Context()), read, outer, inner); got != c.read {
			t.Errorf("%s: read: %t", name, got)
		}
		if got := matchBehind(t, c.request.Clone(t.Context()), audit, outer, inner); got != c.audit {
			t.Errorf("%s: audit: %t", name, got)
		}
	}
	// A rule is about the credential that its own handler verifies.
	for inner, passes := range map[string]bool{"require scope read": false, implies + "\nrequire scope read": true} {
		if res := serve(t, both(), nil, newSite(t, implies).Handler, otherSite(t, inner).Handler); passes != (res.next != nil) {
			t.Errorf("%s: passed: %t", inner, res.next != nil)
		}
	}
	// Nobody has a scope without a credential that was accepted.
	for name, c := range map[string]struct {
		options string
		request *http.Request
	}{
		"anonymous":         {"optional", request("", "", "", "")},
		"refused, reported": {"mode report\nrequire scope nothing", bearer(alice)},
		"invalid, reported": {"mode report", bearer(alice + "x")},
	} {
		if matchBehind(t, c.request, read, newSite(t, implies+"\n"+c.options).Handler) {
			t.Errorf("%s: it matches", name)
		}
	}
}

// TestGrantedScopesArePassedOn checks that nobody else is told of scopes that only follow.
func TestGrantedScopesArePassedOn(t *testing.T) {
	t.Parallel()
	s := newSite(t, "scope_implies admin read\nrequire scope read\nforward scopes X-Scopes\nforward scopes X-List json\nforward_payload X-Payload\nforward_jwt X-Identity https://orders.internal")
	keys := signsWith(t, s)
	res := serve(t, bearer(signed(t, map[string]any{"scope": "admin audit"})), nil, s.Handler)
	if res.next == nil {
		t.Fatal(res.Code, res.reason())
	}
	if h := res.next.Header; h.Get("X-Scopes") != "admin audit" || h.Get("X-List") != `["admin","audit"]` {
		t.Errorf("%v", h)
	}
	if c := keys.forwarded(t, res.next, "X-Identity", "https://orders.internal"); c["scope"] != "admin audit" {
		t.Errorf("%v", c)
	}
}

// TestExplainSaysWhatImplies checks what is seen of scopes.
func TestExplainSaysWhatImplies(t *testing.T) {
	t.Parallel()
	h := mustSiteUnder(t, orders, "require scope audit orders:read\nrequire any_scope admin bills")
	for scope, want := range map[string][2]string{
		"admin":              {"admin; audit is implied by admin, orders:read is implied by admin", "admin"},
		"admin audit":        {"admin audit; orders:read is implied by admin", "admin audit"},
		"orders:write":       {"orders:write; orders:read is implied by orders:write", "orders:write"},
		"audit orders:write": {"audit orders:write; orders:read is implied by orders:write", "audit orders:write"},
		"other":              {"other", "other"},
		"":                   {"none", "none"},
	} {
		e := agrees(t, func() *http.Request { return bearer(signed(t, map[string]any{"scope": scope})) }, h)
		var seen []string
		for _, c := range e.Checks {
			if c.Name == reason.CheckScope {
				seen = append(seen, c.Seen)
			}
		}
		if len(seen) != 2 || seen[0] != want[0] || seen[1] != want[1] {
			t.Errorf("%q: %q, want %q", scope, seen, want)
		}
		if met := scope == "admin" || scope == "admin audit"; met != (e.Verdict == explain.Accepted) {
			t.Errorf("%q: %s", scope, e.Verdict)
		}
	}
}

// TestInvalidScopeImplies tests what is wrong only together with the global option, and what a
// Caddyfile can't express.
func TestInvalidScopeImplies(t *testing.T) {
	t.Parallel()
	secret, _ := newAPIKey()
	for name, c := range map[string]struct{ global, site, want string }{
		"a ring over both":    {"scope_implies admin write", "scope_implies write read\nscope_implies read admin", "scope_implies: the scopes imply each other in a ring: admin implies write implies read implies admin; remove one"},
		"a ring of the first": {"scope_implies a b\nscope_implies b a", "", "scope_implies: the scopes imply each other in a ring: a implies b implies a"},
		"too deep in both":    {chained(0, 10), chained(10, 17), "scope_implies: what s00 implies follows in more than 16 steps"},
		"deep in both":        {chained(0, 10), chained(10, 16), ""},
		"a secret":            {"", "scope_implies admin " + secret, "a scope looks like an API key"},
		"own API everywhere":  {"scope_implies admin caddy-jwt:revoke", "", "caddy-jwt:revoke is a scope of the token service's own API"},
	} {
		if _, err := siteUnder(t, c.global, c.site); (err != nil) != (c.want != "") || err != nil && (!strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), secret)) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	for text, want := range map[string]string{
		`{"admin":["admin"]}`:             "admin implies itself",
		`{"admin":null}`:                  `"admin" implies no scope`,
		`{"admin":[]}`:                    `"admin" implies no scope`,
		`{"admin":["a","a"]}`:             "admin implies a twice",
		`{"":["a"]}`:                      "is not a valid scope",
		`{"a":["b c"]}`:                   "is not a valid scope",
		`{"a":["b"],"b":["c"],"c":["a"]}`: "a implies b implies c implies a",
		`{"admin":["caddy-jwt:keys"]}`:    "caddy-jwt:keys is a scope of the token service's own API",
	} {
		h := newSite(t, "").Handler
		if err := json.Unmarshal([]byte(`{"scope_implies":`+text+`}`), h); err != nil {
			t.Fatal(err)
		}
		if err := h.provision(bareContext()); err == nil || !strings.HasPrefix(err.Error(), "scope_implies: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: at a site: %v", text, err)
		}
		app := testApp(t)
		if err := json.Unmarshal([]byte(`{"scope_implies":`+text+`}`), app); err != nil {
			t.Fatal(err)
		}
		if err := app.check(nil); err == nil || !strings.HasPrefix(err.Error(), "jwt: scope_implies: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: everywhere: %v", text, err)
		}
	}
}

// chained returns implications that follow from one another.
func chained(from, to int) string {
	var lines strings.Builder
	for n := from; n < to; n++ {
		lines.WriteString("scope_implies s" + twoDigits(n) + " s" + twoDigits(n+1) + "\n")
	}
	return lines.String()
}

func twoDigits(n int) string { return string([]byte{byte('0' + n/10), byte('0' + n%10)}) }
