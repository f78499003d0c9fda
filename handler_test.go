package caddyjwt

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	logcapture "go.uber.org/zap/zaptest/observer"

	"github.com/caddy-jwt/caddy-jwt/internal/shared"
	"github.com/caddy-jwt/caddy-jwt/internal/tokencache"
	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/keystore"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

// signer is the private key of the issuer that these tests trust.
var signer = sync.OnceValue(func() *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
})

func publicPEM(t testing.TB, public crypto.PublicKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// site is a provisioned handler with what it logs.
type site struct {
	*Handler
	logs *logcapture.ObservedLogs
}

// newSite makes a handler of options, with one issuer whose key is signer's.
func newSite(t testing.TB, options string) *site {
	t.Helper()
	return makeSite(t, "issuer https://issuer.example/ {\npublic_key \""+publicPEM(t, signer().Public())+"\"\naudience https://api.example\n}\n"+options)
}

// makeSite makes a handler of options alone.
func makeSite(t testing.TB, options string) *site {
	t.Helper()
	h := new(Handler)
	if err := h.UnmarshalCaddyfile(caddyfile.NewTestDispenser("jwt {\n" + options + "\n}")); err != nil {
		t.Fatal(err)
	}
	core, logs := logcapture.New(zapcore.DebugLevel)
	h.logger, h.app = zap.New(core), testApp(t)
	if err := h.provision(bareContext()); err != nil {
		t.Fatal(err)
	}
	logs.TakeAll() // warnings at load are another test's business
	return &site{h, logs}
}

// bareContext returns a context for provisioning without an app.
func bareContext() caddy.Context { return caddy.Context{Context: context.Background()} }

// testApp is an app without a config, a storage or events. It has a cache of
// verified tokens, unless TEST_CACHE=off is in the environment: all tests must pass
// the same.
func testApp(t testing.TB) *App {
	t.Helper()
	a := &App{logger: zap.NewNop(), sources: shared.New(zap.NewNop(), nil, nil)}
	if os.Getenv("TEST_CACHE") != "off" {
		a.cache = tokencache.DefaultSize
	}
	t.Cleanup(func() {
		if err := a.Cleanup(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// signed makes a token of claims over the usual ones; a nil value removes a claim.
func signed(t testing.TB, claims map[string]any) string {
	t.Helper()
	all := jwt.MapClaims{"iss": "https://issuer.example/", "aud": "https://api.example", "sub": "alice", "exp": time.Now().Add(time.Hour).Unix()}
	maps.Copy(all, claims)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	text, err := jwt.NewWithClaims(jwt.SigningMethodES256, all).SignedString(signer())
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// bearer is a request with a token.
func bearer(token string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "https://api.example/path?a=1", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

// result is what came of a request.
type result struct {
	*httptest.ResponseRecorder
	err  error
	next *http.Request // as the next handler got it; nil if none did
	repl *caddy.Replacer
}

// tie makes handlers those of a server with error routes, as provisioning does.
func tie(server *caddyhttp.Server, handlers ...caddyhttp.MiddlewareHandler) {
	server.Routes = append(server.Routes, caddyhttp.Route{Handlers: handlers})
	for _, h := range handlers {
		if h, ok := h.(*Handler); ok {
			h.guard.server = server
		}
	}
}

// serve sends a request through handlers in their order.
func serve(t testing.TB, r *http.Request, server *caddyhttp.Server, handlers ...caddyhttp.MiddlewareHandler) result {
	t.Helper()
	if server == nil {
		server = new(caddyhttp.Server)
	}
	if server.Errors != nil {
		tie(server, handlers...)
	}
	res := result{ResponseRecorder: httptest.NewRecorder(), repl: caddy.NewReplacer()}
	r = caddyhttp.PrepareRequest(r, res.repl, res, server)
	var next caddyhttp.Handler = caddyhttp.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
		res.next = r
		return nil
	})
	for i := len(handlers) - 1; i >= 0; i-- {
		h, inner := handlers[i], next
		next = caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error { return h.ServeHTTP(w, r, inner) })
	}
	res.err = next.ServeHTTP(res, r)
	return res
}

func (r result) placeholder(text string) string { return r.repl.ReplaceKnown(text, "") }

func (r result) reason() string { return r.placeholder("{http.jwt.reason}") }

func TestAValidTokenPassesWithItsIdentity(t *testing.T) {
	t.Parallel()
	s := newSite(t, "claim realm.roles roles\nclaim email")
	res := serve(t, bearer(signed(t, map[string]any{
		"scope": "read write", "realm": map[string]any{"roles": []string{"a", "b"}}, "n": json.Number("12345678901234567890"),
		"https://x.example/roles": []any{true, nil, 1.5}, "trick": "{env.HOME}{http.request.host}{file./etc/passwd}",
	})), nil, s.Handler)
	if res.err != nil || res.next == nil {
		t.Fatalf("refused: %v %d", res.err, res.Code)
	}
	for placeholder, want := range map[string]string{
		"{http.auth.user.id}": "alice", "{http.auth.user.roles}": "a,b", "{http.auth.user.email}": "",
		"{http.jwt.auth_method}": "jwt", "{http.jwt.issuer}": "https://issuer.example/", "{http.jwt.kid}": "",
		"{http.jwt.scopes}": "read write", "{http.jwt.key_id}": "", "{http.jwt.reason}": "", "{http.jwt.error}": "",
		"{http.jwt.claims.n}": "12345678901234567890", "{http.jwt.claims.https://x.example/roles}": "true,,1.5",
		"{http.jwt.claims.realm}": `{"roles":["a","b"]}`, "{http.jwt.claims.realm.roles.1}": "b", "{http.jwt.claims.nope}": "",
	} {
		if got := res.placeholder(placeholder); got != want {
			t.Errorf("%s is %q, want %q", placeholder, got, want)
		}
	}
	for _, unknown := range []string{"{http.auth.user.other}", "{http.jwt.typo}", "{http.jwt}"} {
		if got := res.placeholder(unknown); got != unknown {
			t.Errorf("%s is known: %q", unknown, got)
		}
	}
	if res.next.Header.Get("Authorization") != "" {
		t.Error("the token was passed on")
	}
	if s.logs.Len() != 0 {
		t.Errorf("a good request was logged: %v", s.logs.All())
	}
}

func TestThreat25_ClaimsAreNotExpandedAgain(t *testing.T) {
	t.Parallel()
	t.Run("in placeholders", func(t *testing.T) {
		const trick = "{env.HOME}{file./etc/passwd}{http.request.host}"
		s := newSite(t, "claim trick")
		res := serve(t, bearer(signed(t, map[string]any{"trick": trick, "sub": trick})), nil, s.Handler)
		for _, p := range []string{"{http.auth.user.id}", "{http.auth.user.trick}", "{http.jwt.claims.trick}"} {
			if got := res.placeholder(p); got != trick {
				t.Errorf("%s became %q", p, got)
			}
		}
	})
}

func TestRefusalsHaveTheirAnswer(t *testing.T) {
	t.Parallel()
	s := newSite(t, "realm \"my \\\"api\\\"\"")
	for name, c := range map[string]struct {
		request *http.Request
		status  int
		reason  string
		header  string // of WWW-Authenticate, behind the realm
		body    string
	}{
		"no token": {httptest.NewRequest("GET", "/", nil), 401, "missing_credentials", ``,
			`{"error":"missing_credentials","error_description":"a token is required, in the header Authorization with the scheme Bearer"}`},
		"garbage": {bearer("x"), 401, "malformed_token", `, error="invalid_token", error_description="the token is not a JWT"`,
			`{"error":"invalid_token","error_description":"the token is not a JWT"}`},
		"damaged": {bearer("x.y.z"), 401, "malformed_token", `, error="invalid_token", error_description="the token is malformed"`,
			`{"error":"invalid_token","error_description":"the token is malformed"}`},
		"no issuer": {bearer(signed(t, map[string]any{"iss": nil})), 401, "unknown_issuer", `, error="invalid_token", error_description="the token has no issuer"`,
			`{"error":"invalid_token","error_description":"the token has no issuer"}`},
		"another issuer": {bearer(signed(t, map[string]any{"iss": "x"})), 401, "unknown_issuer", `, error="invalid_token", error_description="the token's issuer is not trusted"`,
			`{"error":"invalid_token","error_description":"the token's issuer is not trusted"}`},
		"no audience": {bearer(signed(t, map[string]any{"aud": nil})), 401, "wrong_audience", `, error="invalid_token", error_description="the token has no audience"`,
			`{"error":"invalid_token","error_description":"the token has no audience"}`},
		"expired": {bearer(signed(t, map[string]any{"exp": 1})), 401, "expired", `, error="invalid_token", error_description="the token has expired"`,
			`{"error":"invalid_token","error_description":"the token has expired"}`},
		"nothing behind Bearer": {bearer(""), 400, "malformed_request", "-",
			`{"error":"invalid_request","error_description":"the request has an empty credential"}`},
	} {
		t.Run(name, func(t *testing.T) {
			res := serve(t, c.request, nil, s.Handler)
			if res.err != nil || res.next != nil {
				t.Fatal("passed or failed", res.err)
			}
			want := `Bearer realm="my \"api\""` + c.header
			if c.header == "-" {
				want = ""
			}
			if res.Code != c.status || res.reason() != c.reason || res.Body.String() != c.body || res.Header().Get("WWW-Authenticate") != want {
				t.Errorf("%d %s %s %s", res.Code, res.reason(), res.Header().Get("WWW-Authenticate"), res.Body)
			}
			if res.Header().Get("Cache-Control") != "no-store" || res.Header().Get("Content-Type") != "application/json" {
				t.Errorf("headers %v", res.Header())
			}
			if got := res.placeholder("{http.auth.user.id}|{http.jwt.auth_method}|{http.jwt.claims.sub}"); got != "|anonymous|" {
				t.Errorf("identity after a refusal: %s", got)
			}
		})
	}
}

func TestErrorFormats(t *testing.T) {
	t.Parallel()
	for format, bodies := range map[string]map[string]string{
		"aws":  {"": `{"message":"Unauthorized"}`, "bad": `{"message":"Unauthorized"}`, "empty": `{"message":"Bad Request"}`},
		"none": {"": "", "bad": "", "empty": ""},
	} {
		s := newSite(t, "error_format "+format)
		for credential, want := range bodies {
			r := bearer(strings.TrimPrefix(credential, "empty"))
			if credential == "" {
				r.Header.Del("Authorization")
			}
			res := serve(t, r, nil, s.Handler)
			if res.Body.String() != want {
				t.Errorf("%s %s: %s", format, credential, res.Body)
			}
			if (want == "") != (res.Header().Get("Content-Type") == "") {
				t.Errorf("%s %s: content type %q", format, credential, res.Header().Get("Content-Type"))
			}
		}
	}
}

func TestARefusalIsOneDebugLineWithoutTheToken(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	bad := signed(t, map[string]any{"aud": "other", "secret": "hidden"})
	serve(t, bearer(bad), nil, s.Handler)
	lines := s.logs.All()
	if len(lines) != 1 || lines[0].Level != zapcore.DebugLevel || lines[0].ContextMap()["reason"] != "wrong_audience" {
		t.Fatalf("%v", lines)
	}
	for _, part := range strings.Split(bad, ".") {
		if text, err := json.Marshal(lines[0].ContextMap()); err != nil || strings.Contains(string(text), part) {
			t.Errorf("the log has a part of the token: %s %v", text, err)
		}
	}
}

func TestAnIdentityThatAnotherHandlerSetIsNotTakenForOurs(t *testing.T) {
	t.Parallel()
	s := newSite(t, "claim role")
	outer := middleware(func(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
		repl := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
		repl.Set("http.auth.user.id", "mallory")
		repl.Set("http.auth.user.role", "admin")
		return next.ServeHTTP(w, r)
	})
	res := serve(t, bearer(signed(t, nil)), nil, outer, s.Handler)
	if got := res.placeholder("{http.auth.user.id}/{http.auth.user.role}"); got != "alice/" {
		t.Errorf("identity %s", got)
	}
	t.Run("nor after a refusal", func(t *testing.T) {
		res := serve(t, bearer("x"), nil, outer, s.Handler)
		if got := res.placeholder("{http.auth.user.id}/{http.auth.user.role}"); got != "/" {
			t.Errorf("identity %s", got)
		}
	})
	t.Run("nor after a refusal further in", func(t *testing.T) {
		inner := newSite(t, "claim other")
		inner.validator = nobody(t)
		res := serve(t, bearer(signed(t, map[string]any{"role": "boss"})), nil, outer, s.Handler, inner.Handler)
		if got := res.placeholder("{http.auth.user.id}/{http.auth.user.role}/{http.auth.user.other}"); got != "//" || res.Code != 401 {
			t.Errorf("identity %s", got)
		}
	})
}

// nobody is a validator that trusts no token of these tests.
func nobody(t *testing.T) *validator.Validator {
	t.Helper()
	public, err := key.NewPublic(signer().Public(), key.Options{})
	if err != nil {
		t.Fatal(err)
	}
	v, err := validator.New([]validator.Policy{{
		Issuer: "https://nobody.example/", AnyAudience: true, Keys: keystore.NewStatic(keystore.NewSet([]key.Key{public})),
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

type middleware func(http.ResponseWriter, *http.Request, caddyhttp.Handler) error

func (m middleware) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	return m(w, r, next)
}

func TestAHandlerFurtherInFindsTheCredential(t *testing.T) {
	t.Parallel()
	outer := newSite(t, "token_from header Authorization\ntoken_from query t\ntoken_from cookie c\nclaim a")
	inner := newSite(t, "token_from header Authorization\ntoken_from query t\ntoken_from cookie c\nclaim b")
	good := signed(t, map[string]any{"a": "A", "b": "B"})
	for name, r := range map[string]*http.Request{
		"header": bearer(good), "query": httptest.NewRequest("GET", "/?t="+good, nil), "cookie": withCookie("c=" + good),
	} {
		t.Run(name, func(t *testing.T) {
			res := serve(t, r, nil, outer.Handler, inner.Handler)
			if res.next == nil {
				t.Fatalf("refused: %s", res.reason())
			}
			if got := res.placeholder("{http.auth.user.id} {http.auth.user.b}"); got != "alice B" {
				t.Error(got)
			}
		})
	}
	t.Run("and refuses it by its own rules", func(t *testing.T) {
		other := new(Handler)
		text := "jwt {\nissuer https://issuer.example/ {\npublic_key \"" + publicPEM(t, signer().Public()) + "\"\naudience https://other.example\n}\n}"
		if err := other.UnmarshalCaddyfile(caddyfile.NewTestDispenser(text)); err != nil {
			t.Fatal(err)
		}
		other.logger, other.app = zap.NewNop(), testApp(t)
		if err := other.provision(bareContext()); err != nil {
			t.Fatal(err)
		}
		res := serve(t, bearer(good), nil, outer.Handler, other)
		if res.next != nil || res.reason() != "wrong_audience" {
			t.Errorf("reason %q", res.reason())
		}
		if got := res.placeholder("{http.auth.user.id}"); got != "" {
			t.Errorf("identity %q", got)
		}
	})
}

func withCookie(line string) *http.Request {
	r := httptest.NewRequest("GET", "https://api.example/", nil)
	r.Header.Set("Cookie", line)
	return r
}

func b64JSON(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(text)
}
