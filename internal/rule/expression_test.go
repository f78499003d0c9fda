package rule

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-jwt/caddy-jwt/internal/identity"
	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/keystore"
	"github.com/caddy-jwt/caddy-jwt/reason"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

// claimMatcher and scopeMatcher stand in for the root's matchers, of which
// expressions have the functions, and from which the type of Caddy's requests is
// learned.
type (
	claimMatcher struct{}
	scopeMatcher struct{}
)

func init() {
	caddy.RegisterModule(claimMatcher{})
	caddy.RegisterModule(scopeMatcher{})
}

func (claimMatcher) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.matchers.jwt_claim", New: func() caddy.Module { return claimMatcher{} }}
}

func (scopeMatcher) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.matchers.jwt_scope", New: func() caddy.Module { return scopeMatcher{} }}
}

func (claimMatcher) CELLibrary(caddy.Context) (cel.Library, error) {
	return CELMatcher(CELClaimFunction, 2, noMatch), nil
}

func (scopeMatcher) CELLibrary(caddy.Context) (cel.Library, error) {
	return CELMatcher(CELScopeFunction, 1, noMatch), nil
}

func noMatch([]string) caddyhttp.RequestMatcherWithError { return matchNothing{} }

type matchNothing struct{}

func (matchNothing) MatchWithError(*http.Request) (bool, error) { return false, nil }

// newRules returns the rules of one expression.
func newRules(t testing.TB, text string) *Rules {
	t.Helper()
	rules, err := New(compileOnly(), []*Requirement{{Expression: text}}, true)
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// identityOf returns an identity whose token has these claims.
func identityOf(t testing.TB, all jwt.MapClaims) *identity.Identity {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.NewPublic(private.Public(), key.Options{})
	if err != nil {
		t.Fatal(err)
	}
	v, err := validator.New([]validator.Policy{{
		Issuer: "https://issuer.example/", AnyAudience: true, Keys: keystore.NewStatic(keystore.NewSet([]key.Key{public})),
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	all["iss"], all["sub"], all["exp"] = "https://issuer.example/", "alice", time.Now().Add(time.Hour).Unix()
	text, err := jwt.NewWithClaims(jwt.SigningMethodES256, all).SignedString(private)
	if err != nil {
		t.Fatal(err)
	}
	id := &identity.Identity{HasToken: true}
	if err := v.ValidateInto(t.Context(), text, &id.Token); err != nil {
		t.Fatal(err)
	}
	return id
}

// TestExpressionsShareNoClaims checks that each evaluation has its own object, since an
// expression that reads all claims stores a map in it.
func TestExpressionsShareNoClaims(t *testing.T) {
	t.Parallel()
	for name, id := range map[string]*identity.Identity{"anonymous": nil, "known": identityOf(t, jwt.MapClaims{})} {
		if (&evaluation{id: id}).claims() == (&evaluation{id: id}).claims() {
			t.Errorf("%s: two evaluations have the same object", name)
		}
	}
}

// TestExpressionsThatFailDoNotHold checks that an expression that can't be evaluated
// refuses the request, and that a panic of a function in it does not reach the server.
func TestExpressionsThatFailDoNotHold(t *testing.T) {
	t.Parallel()
	env, err := expressionEnv(compileOnly())
	if err != nil {
		t.Fatal(err)
	}
	broken := func(name string, run func(...ref.Val) ref.Val) *expression {
		env, err := env.Extend(cel.Function(name, cel.Overload(name, nil, cel.BoolType, cel.FunctionBinding(run))))
		if err != nil {
			t.Fatal(err)
		}
		checked, issues := env.Compile(name + "()")
		if issues.Err() != nil {
			t.Fatal(issues.Err())
		}
		program, err := env.Program(checked)
		if err != nil {
			t.Fatal(err)
		}
		return &expression{program: program, text: name}
	}
	for name, e := range map[string]*expression{
		"a panic":           broken("panics", func(...ref.Val) ref.Val { panic("boom") }),
		"a nil dereference": broken("dereferences", func(...ref.Val) ref.Val { var r *http.Request; return types.String(r.Method) }),
		"an error":          broken("fails", func(...ref.Val) ref.Val { return types.NewErr("no") }),
		"a text":            broken("texts", func(...ref.Val) ref.Val { return types.String("true") }),
		"null":              broken("nulls", func(...ref.Val) ref.Val { return types.NullValue }),
		"unknown":           broken("unknown", func(...ref.Val) ref.Val { return types.NewUnknown(1, nil) }),
	} {
		t.Run(name, func(t *testing.T) {
			rules, r := &Rules{expressions: []*expression{e}}, httptest.NewRequest("GET", "/", nil)
			if unmet, code := rules.Check(r, identityOf(t, jwt.MapClaims{})); unmet != e.text || code != reason.Forbidden {
				t.Errorf("%q, %q", unmet, code)
			}
			if unmet, code := rules.CheckAnonymous(r); unmet != e.text || code != reason.MissingCredentials {
				t.Errorf("anonymous: %q, %q", unmet, code)
			}
		})
	}
}

// TestExpressionsEnd checks that the cost limit stops an expression that a long claim
// makes expensive.
func TestExpressionsEnd(t *testing.T) {
	t.Parallel()
	long := make([]int, 1900) // about the most that a token may have
	for i := range long {
		long[i] = i
	}
	id := identityOf(t, jwt.MapClaims{"long": long, "text": strings.Repeat("a", 2000)})
	for text, ends := range map[string]bool{
		`claims.long.exists(a, claims.long.exists(b, a + b < 0))`:                     false,
		`!claims.long.all(a, claims.long.all(b, claims.long.all(c, a + b + c >= 0)))`: false,
		`claims.long.map(a, claims.long.map(b, a * b)).size() > 0`:                    false,
		`claims.long.exists(a, a == 1899)`:                                            true,
		`claims.long.exists(a, a == 5) && claims.long.exists(b, b == 1898)`:           true,
		`claims.text.matches("^(a+)+$")`:                                              true,
		`claims.long.filter(a, a > 1000).size() == 899`:                               true,
		`5 in claims.long`: true,
		`claims.long.exists(a, a == 5 && claims.long.exists(b, b == 5)) || claims.long.all(a, true)`: true,
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			e, r := newRules(t, text).expressions[0], httptest.NewRequest("GET", "/", nil)
			out, _, err := e.program.Eval(&evaluation{request: r, id: id})
			if ends && (err != nil || out != types.True) {
				t.Errorf("%v, %v", out, err)
			}
			if !ends && (err == nil || !strings.Contains(err.Error(), "actual cost limit exceeded")) {
				t.Errorf("it was not stopped: %v", err)
			}
			if holds := e.holds(r, id); holds != ends {
				t.Errorf("it holds: %v", holds)
			}
		})
	}
}

func TestPlacesInExpressions(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"nobody":                                      "line 1, column 1:",
		"true &&\n  nobody":                           "line 2, column 3:",
		`{http.request.host} == "a" && nobody`:        "line 1, column 31:",
		`"ü" == {http.request.host} && nobody`:        "line 1, column 31:",
		"{http.request.host} == \"a\" &&\n nobody":    "line 2, column 2:",
		"true &&\n{a.b} == {c.d} || nobody":           "line 2, column 19:",
		"{a.b} == \"\\{x.y}\" || nobody || {a.b}":     "line 1, column 22:",
		"claims.a ==":                                 "line 1, column 12:",
		`{http.request.host} ==`:                      "line 1, column 23:",
		`{http.request.host} + 1 + scopes == nothing`: "line 1, column 25:",
		`jwt_claim("a")`:                              "line 1, column 10:",
	} {
		if err := CheckExpression(text); err == nil || !strings.Contains(err.Error(), "at "+want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// BenchmarkExpression measures a rule of two terms, one that reads the request, and one
// whose cost is counted.
func BenchmarkExpression(b *testing.B) {
	for name, text := range map[string]string{
		"two_terms": `claims.age > 17 && "read" in scopes`, "request": `method("GET") && {http.request.host} == "api.example"`, "list": `claims.roles.exists(r, r == "admin")`,
	} {
		b.Run(name, func(b *testing.B) {
			e := newRules(b, text).expressions[0]
			id := identityOf(b, jwt.MapClaims{"age": 18, "scope": "openid read", "roles": []string{"user", "admin"}})
			r := httptest.NewRequest("GET", "https://api.example/path?a=1", nil)
			r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), httptest.NewRecorder(), new(caddyhttp.Server))
			b.ReportAllocs()
			for b.Loop() {
				if !e.holds(r, id) {
					b.Fatal("it does not hold")
				}
			}
		})
	}
}

func ExampleCheckExpression() {
	fmt.Println(CheckExpression(`claims.age > 17 && nobody`))
	// Output: invalid expression at line 1, column 20: undeclared reference to 'nobody' (in container ''); available are the variables claims, scopes, issuer and auth_method, and Caddy's functions and placeholders
}
