package caddyjwt

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// keySite returns a site with one API key and a function that makes requests with it.
func keySite(t testing.TB, key, options string) (s *site, ask func() *http.Request) {
	t.Helper()
	text, hash := newAPIKey()
	s = makeSite(t, "api_key partner "+hash+" {\nconsumer corp\n"+key+"\n}\n"+options)
	return s, func() *http.Request { return request(text, "", "", "", "X-API-Key: %G") }
}

func TestScopeRules(t *testing.T) {
	t.Parallel()
	for name, claims := range map[string]map[string]any{
		"a string":               {"scope": "read write x:y"},
		"an array":               {"scope": []string{"read", "write", "x:y"}},
		"scp as a string":        {"scp": "read write x:y"},
		"scp as an array":        {"scp": []string{"read", "write", "x:y"}},
		"an API key":             nil,
		"no scope":               {},
		"a number":               {"scope": 7},
		"an object":              {"scope": map[string]any{"read": true, "write": true}},
		"scopes in one element":  {"scope": []string{"read write"}},
		"scopes in another case": {"scope": "READ Write"},
		"longer scopes":          {"scope": "reader write:all xread"},
	} {
		has := strings.Contains("a string, an array, scp as a string, scp as an array, an API key", name)
		for rule, c := range map[string]struct {
			met   bool
			scope string // in the challenge
		}{
			"require scope read":                                                      {true, "read"},
			"require scope read write":                                                {true, "read write"},
			"require scope read\nrequire scope write":                                 {true, "read write"},
			"require scope read delete":                                               {false, "read delete"},
			"require scope read\nrequire scope delete":                                {false, "read delete"},
			"require any_scope delete write":                                          {true, "delete write"},
			"require any_scope delete other":                                          {false, "delete other"},
			"require any_scope a read\nrequire any_scope b c":                         {false, "a read b c"},
			"require any_scope a read\nrequire any_scope b write\nrequire scope read": {true, "read a b write"},
		} {
			t.Run(name+"/"+rule, func(t *testing.T) {
				t.Parallel()
				var res result
				if claims == nil {
					s, ask := keySite(t, "scopes read write x:y", rule)
					res = serve(t, ask(), nil, s.Handler)
				} else {
					res = serve(t, bearer(signed(t, claims)), nil, newSite(t, rule).Handler)
				}
				if c.met && has {
					if res.next == nil || res.reason() != "" {
						t.Errorf("refused: %d %s", res.Code, res.reason())
					}
					return
				}
				if res.next != nil || res.Code != 403 || res.reason() != "insufficient_scope" {
					t.Errorf("passed, or %d %s", res.Code, res.reason())
				}
				if got := res.Header().Get("WWW-Authenticate"); !strings.HasSuffix(got, `, error="insufficient_scope", error_description="the credential lacks a required scope", scope="`+c.scope+`"`) {
					t.Errorf("challenge %s", got)
				}
				if got := res.placeholder("{http.auth.user.id}{http.jwt.scopes}"); got != "" {
					t.Errorf("identity %s", got)
				}
			})
		}
	}
}

func TestClaimRules(t *testing.T) {
	t.Parallel()
	token := map[string]any{
		"role": "admin", "n": 17, "big": json.Number("12345678901234567890"), "f": json.Number("1.0"), "yes": true, "no": false, "null": json.RawMessage("null"),
		"list": []any{"a", 17, true, nil, []any{"deep"}, map[string]any{"x": 1}}, "none": []any{}, "empty": "",
		"realm_access":              map[string]any{"roles": []string{"admin", "user"}, "level": 3},
		"https://x.example/tenant":  "acme",
		"https://x.example/a.b/c.d": map[string]any{"e.f": "dots"},
	}
	for rule, met := range map[string]bool{
		"role admin": true, "role user admin": true, "role Admin": false, "role adm": false, "role admin2": false, `role ""`: false,
		"n 17": true, "n 18": false, "n 17.0": false, "n 017": false, "big 12345678901234567890": true, "big 1.2345678901234567e19": false,
		"f 1.0": true, "f 1": false, "yes true": true, "yes TRUE": false, "yes 1": false, "no false": true, "no true": false,
		"null null": false, `null ""`: false, `absent ""`: false, "absent null": false, `empty ""`: true, "empty x": false,
		"list a": true, "list 17": true, "list true": true, "list null": false, "list deep": false, `list ""`: false, "list x": false,
		"list a,17": false, "list z a": true, `none ""`: false, "list.1 17": true, "list.4 deep": true, "list.9 a": false,
		"realm_access.roles user": true, "realm_access.roles owner": false, "realm_access.roles.0 admin": true, "realm_access.level 3": true,
		"realm_access roles": false, "https://x.example/tenant acme": true, "https://x.example/tenant other": false,
		"https://x.example/a.b/c.d.e.f dots": true, "role admin\nrequire claim n 17": true, "role admin\nrequire claim n 18": false,
	} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			res := serve(t, bearer(signed(t, token)), nil, newSite(t, "require claim "+rule).Handler)
			if met != (res.next != nil) {
				t.Fatalf("passed: %v, want %v", res.next != nil, met)
			}
			if met {
				return
			}
			if got := res.Header().Get("WWW-Authenticate"); res.Code != 403 || res.reason() != "forbidden" || strings.Contains(got, "scope=\"") || !strings.Contains(got, `error="insufficient_scope"`) {
				t.Errorf("%d %s %s", res.Code, res.reason(), got)
			}
		})
	}
}

func TestClaimRulesOfAnAPIKey(t *testing.T) {
	t.Parallel()
	for rule, met := range map[string]bool{
		"sub corp": true, "sub partner": false, "key_id partner": true, "meta.plan gold": true, "meta.plan silver": false, "hash x": false,
		`scope "a b"`: true, "scope a": false, "iss x": false,
	} {
		s, ask := keySite(t, "scopes a b\nmeta plan gold", "require claim "+rule)
		if res := serve(t, ask(), nil, s.Handler); met != (res.next != nil) || !met && res.reason() != "forbidden" {
			t.Errorf("%s: passed: %v, %s", rule, res.next != nil, res.reason())
		}
	}
}

// TestRulesCombine checks that all kinds of rules must be met, scopes first.
func TestRulesCombine(t *testing.T) {
	t.Parallel()
	s := newSite(t, "require scope read\nrequire any_scope a b\nrequire claim role admin\nrequire expression `claims.age > 17`")
	for _, c := range []struct {
		claims map[string]any
		reason string
	}{
		{map[string]any{"scope": "read a", "role": "admin", "age": 18}, ""},
		{map[string]any{"scope": "a", "role": "admin", "age": 18}, "insufficient_scope"},
		{map[string]any{"scope": "read", "role": "admin", "age": 18}, "insufficient_scope"},
		{map[string]any{"scope": "read b", "role": "user", "age": 18}, "forbidden"},
		{map[string]any{"scope": "read b", "role": "admin", "age": 17}, "forbidden"},
		{map[string]any{}, "insufficient_scope"},
		{map[string]any{"exp": 1}, "expired"},
	} {
		if res := serve(t, bearer(signed(t, c.claims)), nil, s.Handler); res.reason() != c.reason || (c.reason == "") != (res.next != nil) {
			t.Errorf("%v: %s, want %s", c.claims, res.reason(), c.reason)
		}
	}
	if res := serve(t, bearer(""), nil, s.Handler); res.reason() != "malformed_request" {
		t.Error(res.reason())
	}
}

// TestInvalidRequirementsInJSON tests errors that the Caddyfile can't express.
func TestInvalidRequirementsInJSON(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{}`:                                  "each requirement must have exactly one of scope, any_scope, claim and expression",
		`{"scope":[]}`:                        "each requirement must have exactly one",
		`{"scope":["a"],"any_scope":["b"]}`:   "each requirement must have exactly one",
		`{"scope":["a"],"expression":"true"}`: "each requirement must have exactly one",
		`null`:                                "an entry is null",
		`{"claim":{}}`:                        "a claim path is empty",
		`{"claim":{"path":"a"}}`:              "claim a: missing value",
		`{"claim":{"path":"a","values":["{http.request.host}"]}}`: "placeholders are not replaced in ",
		`{"scope":["a b"]}`:                      "is not a valid scope",
		`{"expression":"1"}`:                     "must be a bool",
		`{"expression":"claims.a &&\n\nnobody"}`: "line 3, column 1",
	} {
		h := newSite(t, "").Handler
		if err := json.Unmarshal([]byte(`{"require":[`+text+`]}`), h); err != nil {
			t.Fatal(err)
		}
		if err := h.provision(bareContext()); err == nil || !strings.HasPrefix(err.Error(), "require: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func ExampleRequirement() {
	text, _ := json.Marshal([]*Requirement{{Scope: []string{"orders:read"}}, {Claim: &ClaimRequirement{Path: "roles", Values: []string{"admin"}}}})
	fmt.Println(string(text))
	// Output: [{"scope":["orders:read"]},{"claim":{"path":"roles","values":["admin"]}}]
}
