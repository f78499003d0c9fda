package integration

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// rule is a requirement, and the credentials for which it holds and fails.
type rule struct {
	name    string
	require string // the lines of the Caddyfile
	// scopes are what the challenge names; empty where the rule is about
	// something else.
	scopes string
	// The claims of tokens, as changes of a good one's.
	holds, fails []map[string]any
	// The members of API keys' records.
	keyHolds, keyFails []map[string]any
}

type member = map[string]any

// scopes is a claim in its usual form.
func scopes(text string) member { return member{"scope": text} }

const rolesClaim = "https://app.example.test/roles"

var ruleTable = []rule{
	{
		name: "one scope", require: "require scope orders:read", scopes: "orders:read",
		holds: []member{
			scopes("orders:read"), scopes("orders:write orders:read"), scopes("  orders:read  x"),
			{"scope": []string{"orders:read"}}, {"scope": []string{"x", "orders:read"}}, {"scope": nil, "scp": "x orders:read"},
			{"scope": nil, "scp": []string{"orders:read"}},
		},
		fails: []member{
			scopes("orders:readx"), scopes("Orders:Read"), scopes("orders:*"), scopes("orders"), scopes(""), scopes("orders:read,x"),
			{"scope": nil}, {"scope": []string{}}, {"scope": []string{"orders:read x"}}, {"scope": member{"orders:read": true}},
			{"scope": 1}, {"scope": true}, {"scope": []any{[]string{"orders:read"}}}, {"scope": "x", "scp": "orders:read"},
			{"scope": nil, "scopes": "orders:read"}, {"scope": "orders:read\n"}, {"scope": "x\torders:read"},
		},
		keyHolds: []member{{"scopes": []string{"orders:read"}}, {"scopes": []string{"x", "orders:read"}}},
		keyFails: []member{{"scopes": []string{"orders:write"}}, {}, {"meta": member{"scope": "orders:read"}}, {"name": "orders:read"}},
	},
	{
		name: "all of two scopes", require: "require scope orders:read orders:write", scopes: "orders:read orders:write",
		holds:    []member{scopes("orders:write orders:read"), {"scope": []string{"a", "orders:read", "orders:write"}}},
		fails:    []member{scopes("orders:read"), scopes("orders:write"), {"scope": nil}},
		keyHolds: []member{{"scopes": []string{"orders:read", "orders:write"}}},
		keyFails: []member{{"scopes": []string{"orders:read"}}},
	},
	{
		name: "one of two scopes", require: "require any_scope orders:read orders:admin", scopes: "orders:read orders:admin",
		holds:    []member{scopes("orders:admin"), scopes("x orders:read"), {"scope": nil, "scp": []string{"orders:admin"}}},
		fails:    []member{scopes("orders:write"), {"scope": nil}},
		keyHolds: []member{{"scopes": []string{"orders:admin"}}},
		keyFails: []member{{"scopes": []string{"orders"}}, {}},
	},
	{
		name: "scopes together", require: "require scope api\nrequire any_scope a b\nrequire any_scope c d", scopes: "api a b c d",
		holds: []member{scopes("api b c"), scopes("api a d")},
		fails: []member{scopes("api a b"), scopes("a c"), scopes("api c d")},
	},
	{
		name: "a claim of text", require: "require claim tenant acme umbrella",
		holds: []member{{"tenant": "acme"}, {"tenant": "umbrella"}, {"tenant": []string{"x", "umbrella"}}},
		fails: []member{{}, {"tenant": nil}, {"tenant": ""}, {"tenant": "ACME"}, {"tenant": "acme umbrella"}, {"tenant": "acme,umbrella"},
			{"tenant": []string{}}, {"tenant": []any{[]string{"acme"}}}, {"tenant": member{"acme": "acme"}}, {"Tenant": "acme"}},
		keyFails: []member{{}, {"meta": member{"tenant": "acme"}}},
	},
	{
		name: "a claim that is a number", require: "require claim level 3 4.50",
		holds: []member{{"level": 3}, {"level": "3"}, {"level": []int{1, 3}}, {"level": digits("4.50")}},
		fails: []member{{"level": 4}, {"level": digits("3.0")}, {"level": digits("3e0")}, {"level": digits("4.5")}, {"level": []int{33}}},
	},
	{
		name: "a claim that is a truth value", require: "require claim email_verified true",
		holds: []member{{"email_verified": true}, {"email_verified": "true"}},
		fails: []member{{"email_verified": false}, {"email_verified": 1}, {"email_verified": "True"}, {}},
	},
	{
		name: "a nested claim", require: "require claim realm_access.roles admin",
		holds: []member{{"realm_access": member{"roles": []string{"user", "admin"}}}, {"realm_access.roles": "admin"}},
		fails: []member{{"realm_access": member{"roles": []string{"user"}}}, {"roles": "admin"}, {"realm_access": "admin"},
			{"realm_access": member{"roles": member{"admin": true}}}, {"realm_access.roles": "user", "realm_access": member{"roles": "admin"}}},
	},
	{
		name: "an element of an array", require: "require claim groups.0.name staff",
		holds: []member{{"groups": []member{{"name": "staff"}, {"name": "x"}}}},
		fails: []member{{"groups": []member{{"name": "x"}, {"name": "staff"}}}, {"groups": []string{"staff"}}, {"groups": nil}},
	},
	{
		name: "a claim named by a URL", require: "require claim " + rolesClaim + " admin",
		holds: []member{{rolesClaim: []string{"admin"}}, {rolesClaim: "admin"}},
		fails: []member{{rolesClaim: "user"}, {"https://app": member{"example": member{"test/roles": "user"}}}, {"roles": "admin"}},
	},
	{
		name: "what a key's record has", require: "require claim meta.plan gold",
		keyHolds: []member{{"meta": member{"plan": "gold"}}},
		keyFails: []member{{"meta": member{"plan": "silver"}}, {}},
		holds:    []member{{"meta": member{"plan": "gold"}}},
		fails:    []member{{}},
	},
	{
		name: "an expression", require: "require expression `claims.age > 17 && \"admin\" in claims.roles`",
		holds: []member{{"age": 18, "roles": []string{"admin"}}, {"age": 17.5, "roles": []string{"x", "admin"}}},
		fails: []member{{"age": 17, "roles": []string{"admin"}}, {"age": 18, "roles": []string{"user"}}, {"age": 18}, {"roles": []string{"admin"}},
			{"age": "18", "roles": []string{"admin"}}, {"age": 18, "roles": 1}, {"age": nil, "roles": nil}},
		keyFails: []member{{}},
	},
	{
		name: "an expression over the scopes", require: "require expression `\"a\" in scopes && !(\"b\" in scopes)`",
		holds:    []member{scopes("a"), {"scope": nil, "scp": []string{"a", "c"}}},
		fails:    []member{scopes("a b"), scopes("ab"), {"scope": nil}},
		keyHolds: []member{{"scopes": []string{"a"}}},
		keyFails: []member{{"scopes": []string{"a", "b"}}},
	},
	{
		name: "an expression over the method", require: "require expression `auth_method == \"jwt\" || claims.meta.plan == \"gold\"`",
		holds:    []member{{}},
		keyHolds: []member{{"meta": member{"plan": "gold"}}},
		keyFails: []member{{"meta": member{"plan": "x"}}, {}},
	},
	{
		name: "an expression over the request", require: "require expression `claims.tenant == {http.request.uri.query.tenant} && method(\"GET\")`",
		holds: []member{{"tenant": "acme"}},
		fails: []member{{"tenant": "umbrella"}, {}, {"tenant": "{http.request.uri.query.tenant}"}},
	},
	{
		name: "all kinds together", require: "require scope a\nrequire claim tenant acme\nrequire expression `claims.age >= 18`",
		holds: []member{{"scope": "a", "tenant": "acme", "age": 18}},
		fails: []member{{"scope": "a", "tenant": "acme", "age": 17}, {"scope": "a", "tenant": "x", "age": 18}, {"tenant": "acme", "scope": "a"}},
	},
}

// digits are a number as it is written.
func digits(text string) any { return rawNumber(text) }

type rawNumber string

// MarshalJSON implements json.Marshaler.
func (n rawNumber) MarshalJSON() ([]byte, error) { return []byte(n), nil }

// Each rule over HTTP: 200 and the upstream, or 403, a challenge that names the
// scopes, and no request to the upstream.
func TestRules(t *testing.T) {
	t.Parallel()
	k := keys(t)
	var sites strings.Builder
	sites.WriteString("https://api.example.test {\n")
	var held []*peers.APIKey
	good, bad := map[string][]*peers.APIKey{}, map[string][]*peers.APIKey{}
	for n, r := range ruleTable {
		fmt.Fprintf(&sites, "handle /%d/* {\njwt {\nimport issuer\napi_keys {$KEYS}\n%s\n}\nimport keyholder\n}\n", n, r.require)
		for into, records := range map[*map[string][]*peers.APIKey][]member{&good: r.keyHolds, &bad: r.keyFails} {
			for _, record := range records {
				key := peers.NewAPIKey(t, fmt.Sprintf("key-%d", len(held)), record)
				held = append(held, key)
				(*into)[r.name] = append((*into)[r.name], key)
			}
		}
	}
	sites.WriteString("import reasons\n}\n")
	s, _ := newAPIKeyFixture(t, sites.String(), options{}, held...)

	for n, r := range ruleTable {
		t.Run(r.name, func(t *testing.T) {
			path := fmt.Sprintf("/%d/?tenant=acme", n)
			token := func(claims member) change { return bearer(k.RS256.Token(t, s.claims(claims), nil)) }
			passes := func(what any, c change) {
				t.Helper()
				if a := s.send(t, s.http, http.MethodGet, site, path, c); a.status != http.StatusOK {
					t.Errorf("%v: status %d, reason %q; want 200", what, a.status, a.header.Get("X-Reason"))
				} else if len(s.upstream.Take()) != 1 {
					t.Errorf("%v: the upstream was not asked once", what)
				}
			}
			fails := func(what any, c change) {
				t.Helper()
				a := s.send(t, s.http, http.MethodGet, site, path, c)
				reason, challenge := "forbidden", `Bearer realm="restricted", error="insufficient_scope", error_description="the credential does not allow this request"`
				if r.scopes != "" {
					reason = "insufficient_scope"
					challenge = `Bearer realm="restricted", error="insufficient_scope", error_description="the credential lacks a required scope", scope="` + r.scopes + `"`
				}
				t.Logf("%v", what)
				s.refused(t, a, http.StatusForbidden, reason)
				if got := a.header.Get("WWW-Authenticate"); got != challenge {
					t.Errorf("%v: the challenge is %s; want %s", what, got, challenge)
				}
			}
			for _, claims := range r.holds {
				passes(claims, token(claims))
			}
			for _, claims := range r.fails {
				fails(claims, token(claims))
			}
			for _, key := range good[r.name] {
				passes(key.Record, apiKey(key.Text))
			}
			for _, key := range bad[r.name] {
				fails(key.Record, apiKey(key.Text))
			}
			// A bad credential is refused for that, not for what it lacks.
			s.refused(t, s.send(t, s.http, http.MethodGet, site, path, bearer(k.Stranger.Token(t, s.claims(nil), nil))), http.StatusUnauthorized, "bad_signature")
			s.refused(t, s.send(t, s.http, http.MethodGet, site, path), http.StatusUnauthorized, "missing_credentials")
		})
	}
}

// Of a token and a key in one request, the rules are about the token.
func TestRulesOfTwoCredentials(t *testing.T) {
	t.Parallel()
	k := keys(t)
	admin := peers.NewAPIKey(t, "admin", member{"scopes": []string{"admin"}, "meta": member{"plan": "gold"}})
	s, _ := newAPIKeyFixture(t, `
https://api.example.test {
	handle /scope {
		jwt {
			import issuer
			api_keys {$KEYS}
			require scope admin
		}
		import keyholder
	}
	handle /claim {
		jwt {
			import issuer
			api_keys {$KEYS}
			require claim meta.plan gold
		}
		import keyholder
	}
	handle /expression {
		jwt {
			import issuer
			api_keys {$KEYS}
			require expression `+"`\"admin\" in scopes || auth_method == \"api_key\" || claims.meta.plan == \"gold\"`"+`
		}
		import keyholder
	}
	import reasons
}
`, options{}, admin)
	plain := bearer(k.RS256.Token(t, s.claims(nil), nil))
	for path, reason := range map[string]string{"/scope": "insufficient_scope", "/claim": "forbidden", "/expression": "forbidden"} {
		t.Run("a key lends a token nothing at "+path, func(t *testing.T) {
			s.passes(t, s.send(t, s.http, http.MethodGet, site, path, apiKey(admin.Text)), admin)
			s.refused(t, s.send(t, s.http, http.MethodGet, site, path, apiKey(admin.Text), plain), http.StatusForbidden, reason)
		})
	}
}
