package caddyjwt

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-jwt/caddy-jwt/internal/rule"
)

func requiring(expression string) string { return "require expression `" + expression + "`" }

func TestExpressions(t *testing.T) {
	t.Parallel()
	token := map[string]any{
		"age": 18, "name": "Ann Ümlaut", "admin": true, "nil": json.RawMessage("null"), "list": []any{1, "a", 2.5, true}, "none": []any{},
		"realm": map[string]any{"roles": []string{"admin", "user"}, "level": 3}, "half": json.Number("0.5"), "one": json.Number("1.0"), "exp2": json.Number("1e2"),
		"big": json.Number("9223372036854775807"), "bigger": json.Number("9223372036854775808"), "small": json.Number("-9223372036854775808"),
		"huge": json.Number("1e400"), "digits": "17", "scope": "read write", "https://x.example/t": "acme", "time": "2026-01-02T03:04:05Z",
		"objects": []any{map[string]any{"n": 1}, map[string]any{"n": 2}}, "mail": "ann@corp.example",
	}
	for expression, met := range map[string]bool{
		// JSON types.
		`claims.age == 18`: true, `claims.age > 17`: true, `claims.age > 18`: false, `claims.age == 18.0`: true, `claims.age == "18"`: false,
		`claims.age + 1 == 19`: true, `type(claims.age) == int`: true, `claims.name == "Ann Ümlaut"`: true, `claims.name.size() == 10`: true,
		`claims.admin`: false, `claims.admin == true`: true, `claims.admin == "true"`: false, `claims.admin == 1`: false, `!claims.admin`: false,
		`claims.nil == null`: true, `has(claims.nil)`: true, `claims.nil == ""`: false, `claims.age == null`: false,
		`claims.half == 0.5`: true, `type(claims.half) == double`: true, `claims.one == 1`: true, `type(claims.one) == double`: true, `claims.exp2 == 100.0`: true,
		`claims.big == 9223372036854775807`: true, `type(claims.big) == int`: true, `claims.small < 0`: true, `claims.big + 1 > 0`: false,
		`claims.bigger > 9223372036854775807.0 || type(claims.bigger) == double`: true, `claims.huge > 1.0`: false, `claims.huge == claims.huge`: false,
		`claims.digits == 17`: false, `int(claims.digits) == 17`: true, `timestamp(claims.time) < timestamp("2027-01-01T00:00:00Z")`: true,
		// Members.
		`has(claims.age)`: true, `has(claims.nope)`: false, `!has(claims.nope)`: true, `claims.nope == 1`: false, `claims.nope != 1`: false, `!(claims.nope == 1)`: false,
		`claims.nope == null`: false, `has(claims.nope) && claims.nope == 1`: false, `!has(claims.nope) || claims.nope == 1`: true, `claims.nope.deep == 1`: false,
		`claims.realm.level == 3`: true, `has(claims.realm.level)`: true, `has(claims.realm.nope)`: false, `has(claims.age.nope)`: false, `claims.realm.level.nope == 1`: false,
		`claims["https://x.example/t"] == "acme"`: true, `"https://x.example/t" in claims`: true, `"nope" in claims`: false, `dyn(1) in claims`: false,
		`claims.size() > 15`: true, `claims.realm.size() == 2`: true, `claims.realm == {"roles": ["admin", "user"], "level": 3}`: true, `claims.realm == {"level": 3}`: false,
		`claims.realm == claims.realm`: true, `claims == claims.realm`: false, `{"roles": ["admin", "user"], "level": 3} == claims.realm`: true, `type(claims.realm) == map`: true,
		`dyn(claims)["age"] == 18`: true, `claims.?nope.orValue("x") == "x"`: false,
		// Lists and macros.
		`"admin" in claims.realm.roles`: true, `"owner" in claims.realm.roles`: false, `claims.list[0] == 1`: true, `claims.list[9] == 1`: false, `claims.list.size() == 4`: true,
		`"a" in claims.list && 2.5 in claims.list && true in claims.list`: true, `claims.none.size() == 0`: true, `claims.realm.roles == ["admin", "user"]`: true,
		`claims.realm.roles.exists(r, r.startsWith("adm"))`: true, `claims.realm.roles.all(r, r.size() > 4)`: false, `claims.realm.roles.exists_one(r, r == "user")`: true,
		`claims.objects.map(o, o.n) == [1, 2]`: true, `claims.objects.filter(o, o.n > 1).size() == 1`: true, `claims.objects.exists(o, has(o.m))`: false,
		`claims.exists(name, name == "age")`: true, `claims.realm.all(k, k in ["roles", "level"])`: true, `claims.none.exists(x, true)`: false, `"a" in claims.name`: false,
		`claims.mail.endsWith("@corp.example")`: true, `claims.mail.endsWith("@other.example")`: false, `claims.mail.matches("^[a-z]+@corp\\.example$")`: true,
		`claims.mail.split("@")[1] == "corp.example"`: true, `cel.bind(d, claims.mail.split("@"), d.size() == 2)`: true, `math.greatest(claims.age, 3) == 18`: true,
		// The other variables.
		`"read" in scopes`: true, `"delete" in scopes`: false, `scopes == ["read", "write"]`: true, `scopes.exists(s, s == "write")`: true,
		`issuer == "https://issuer.example/"`: true, `auth_method == "jwt"`: true, `auth_method in ["api_key", "anonymous"]`: false, `claims.sub == "alice"`: true,
		`true`: true, `false`: false, `false || claims.age == 18`: true,
	} {
		t.Run(expression, func(t *testing.T) {
			t.Parallel()
			if expression == `claims.admin` || strings.Contains(expression, ".?") {
				if err := rule.CheckExpression(expression); err == nil {
					t.Error("accepted")
				}
				return
			}
			res := serve(t, bearer(signed(t, token)), nil, newSite(t, requiring(expression)).Handler)
			if met != (res.next != nil) {
				t.Fatalf("passed: %v, want %v", res.next != nil, met)
			}
			if !met && (res.Code != 403 || res.reason() != "forbidden") {
				t.Errorf("%d %s", res.Code, res.reason())
			}
		})
	}
}

// TestExpressionsOfTheRequest tests Caddy's own functions and placeholders.
func TestExpressionsOfTheRequest(t *testing.T) {
	t.Parallel()
	for expression, met := range map[string]bool{
		`path("/orders/*")`: true, `path("/other/*")`: false, `path("/other/*", "/orders/*")`: true, `method("PUT")`: true, `method("GET", "HEAD")`: false,
		`header({"X-Kind": "a*"})`: true, `header({"X-Kind": "b"})`: false, `host("api.example")`: true, `host("other.example")`: false,
		`remote_ip("192.0.2.0/24")`: true, `remote_ip("10.0.0.0/8")`: false, `query({"a": "1"})`: true, `query({"a": "2"})`: false,
		`path_regexp("^/orders/[0-9]+$")`: true, `path_regexp("n", "^/orders/([0-9]+)$") && {http.regexp.n.1} == "17"`: true, `header_regexp("X-Kind", "^ab+c$")`: true, `header_regexp("X-Kind", "^b")`: false, `protocol("https")`: true, `vars({"flavour": "sweet"})`: true, `vars({"flavour": "sour"})`: false,
		`{http.request.method} == "PUT"`: true, `{http.request.host} == claims.host`: true, `{http.request.uri.path}.startsWith("/orders/" + claims.sub)`: false,
		`{http.request.uri.query.a} == "1"`: true, `{http.request.header.X-Kind} == "abc"`: true, `{http.vars.flavour} == "sweet"`: true,
		`{http.request.nope} == ""`: false, `\{http.request.method} == "PUT"`: false, `method("PUT") && claims.age > 17 && "read" in scopes`: true,
		// Matchers and placeholders use the identity that the rule is about.
		`jwt_scope("read")`: true, `jwt_scope("read", "write")`: false, `!jwt_scope("read")`: false, `jwt_claim("age", "17", "18")`: true, `!jwt_claim("age", "18")`: false,
		`jwt_claim("age", "17")`: false, `jwt_claim("sub", claims.sub)`: true, `{http.auth.user.id} == "alice"`: true, `{http.auth.user.id} != "alice"`: false,
		`{http.jwt.claims.age} == "18"`: true, `{http.jwt.auth_method} == "jwt"`: true, `{http.auth.user.years} == "18"`: true, `{http.jwt.issuer} == issuer`: true,
		`vars({"\{http.jwt.scopes}": "read"})`: true,
	} {
		t.Run(expression, func(t *testing.T) {
			t.Parallel()
			if strings.HasPrefix(expression, `\`) {
				if err := rule.CheckExpression(expression); err == nil {
					t.Error("accepted")
				}
				return
			}
			r := httptest.NewRequest("PUT", "https://api.example/orders/17?a=1", nil)
			r.Header.Set("Authorization", "Bearer "+signed(t, map[string]any{"age": 18, "scope": "read", "host": "api.example"}))
			r.Header.Set("X-Kind", "abc")
			vars := middleware(func(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
				caddyhttp.SetVar(r.Context(), "flavour", "sweet")
				r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer).Set("http.auth.user.id", "mallory")
				return next.ServeHTTP(w, r)
			})
			res := serve(t, r, nil, vars, newSite(t, "claim age years\n"+requiring(expression)).Handler)
			if met != (res.next != nil) || !met && res.reason() != "forbidden" {
				t.Errorf("passed: %v, %s", res.next != nil, res.reason())
			}
		})
	}
}

func TestExpressionsOfAnAPIKey(t *testing.T) {
	t.Parallel()
	for expression, met := range map[string]bool{
		`auth_method == "api_key"`: true, `issuer == ""`: true, `scopes == ["a", "b"]`: true, `claims.sub == "corp"`: true, `claims.key_id == "partner"`: true,
		`claims.meta.plan == "gold"`: true, `claims.meta.plan == "silver"`: false, `has(claims.iss)`: false, `has(claims.hash)`: false, `claims.scope == "a b"`: true,
	} {
		s, ask := keySite(t, "scopes a b\nmeta plan gold", requiring(expression))
		if res := serve(t, ask(), nil, s.Handler); met != (res.next != nil) {
			t.Errorf("%s: passed: %v", expression, res.next != nil)
		}
	}
}

// TestThreat45_ExpressionsAreAskedOfAnonymousToo checks that leaving out the credential
// skips no rule.
func TestThreat45_ExpressionsAreAskedOfAnonymousToo(t *testing.T) {
	t.Parallel()
	for expression, met := range map[string]bool{
		`auth_method == "anonymous"`: true, `auth_method == "jwt"`: false, `claims.age > 17`: false, `!(claims.age > 17)`: false, `has(claims.age)`: false, `!has(claims.age)`: true,
		`claims.size() == 0`: true, `scopes.size() == 0`: true, `"read" in scopes`: false, `issuer == ""`: true, `method("GET")`: true, `method("POST")`: false,
		`auth_method == "anonymous" && method("GET") || "read" in scopes`: true, `jwt_scope("read")`: false, `jwt_claim("sub", "alice")`: false, `claims == {}`: true,
		`{http.auth.user.id} == ""`: true, `{http.jwt.auth_method} == "anonymous"`: true, `claims.exists(c, true)`: false,
	} {
		s := newSite(t, "optional\n"+requiring(expression))
		res := serve(t, httptest.NewRequest("GET", "https://api.example/", nil), nil, s.Handler)
		if met != (res.next != nil) {
			t.Errorf("%s: passed: %v", expression, res.next != nil)
		}
		if !met && (res.Code != 401 || res.reason() != "missing_credentials" || res.Header().Get("WWW-Authenticate") != `Bearer realm="restricted"`) {
			t.Errorf("%s: %d %s %s", expression, res.Code, res.reason(), res.Header().Get("WWW-Authenticate"))
		}
	}
}

// TestThreat25_PlaceholdersInExpressionsAreNotExpandedTwice checks that neither a claim
// nor a header becomes part of the expression.
func TestThreat25_PlaceholdersInExpressionsAreNotExpandedTwice(t *testing.T) {
	t.Parallel()
	s := newSite(t, requiring(`{http.request.header.X-Say} == "yes" || claims.say == {http.request.host}`))
	for _, trick := range []string{`" == "" || true || "`, `{http.request.host}`, `yes" || "yes" == "yes`, `{http.request.header.X-Other}`, `\`} {
		r := bearer(signed(t, map[string]any{"say": trick}))
		r.Header.Set("X-Say", trick)
		r.Header.Set("X-Other", "yes")
		if res := serve(t, r, nil, s.Handler); res.reason() != "forbidden" {
			t.Errorf("%s: %q", trick, res.reason())
		}
	}
}
