package caddyjwt

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// otherSite returns a handler with the same key for another issuer, which reads
// tokens from X-Other.
func otherSite(t testing.TB, options string) *site {
	t.Helper()
	return makeSite(t, "issuer https://other.example/ {\npublic_key \""+publicPEM(t, signer().Public())+"\"\naudience inner\n}\ntoken_from header X-Other\n"+options)
}

func otherToken(t testing.TB) string {
	t.Helper()
	return signed(t, map[string]any{"iss": "https://other.example/", "aud": "inner", "sub": "bob", "email": "bob@x"})
}

func TestThreat46_AHandlerBehindAnother(t *testing.T) {
	t.Parallel()
	good := func() *http.Request {
		return bearer(signed(t, map[string]any{"email": "alice@x", "scope": "read"}))
	}
	both := func() *http.Request {
		r := good()
		r.Header.Set("X-Other", otherToken(t))
		return r
	}
	forge := func(r *http.Request) *http.Request {
		for _, name := range []string{"X-User", "X_user", "X-Email", "X-Inner", "X-Issuer"} {
			r.Header[name] = []string{"mallory"}
		}
		return r
	}
	outer := "claim email\nforward user X-User\nforward email X-Email\n"
	const identity = "{http.auth.user.id} {http.jwt.issuer} {http.jwt.auth_method} {http.auth.user.email} {http.jwt.reason}"
	const alice, bob = "alice https://issuer.example/ jwt alice@x ", "bob https://other.example/ jwt  "
	for name, c := range map[string]struct {
		inner    *site
		request  *http.Request
		status   int
		identity string
		headers  map[string]string
	}{
		"inner of the same issuer":       {newSite(t, "claim email\nforward user X-User"), good(), 200, alice, map[string]string{"X-User": "alice", "X-Email": "alice@x"}},
		"inner with headers of its own":  {newSite(t, "forward user X-Inner"), good(), 200, "alice https://issuer.example/ jwt  ", map[string]string{"X-User": "alice", "X-Email": "alice@x", "X-Inner": "alice"}},
		"inner of another issuer":        {otherSite(t, "forward user X-User\nforward issuer X-Issuer"), both(), 200, bob, map[string]string{"X-User": "bob", "X-Issuer": "https://other.example/"}},
		"the same header, absent inside": {otherSite(t, "forward nothing X-User"), both(), 200, bob, map[string]string{}},
		"in another spelling":            {otherSite(t, "forward user x-USER"), both(), 200, bob, map[string]string{"X-User": "bob"}},
		"inner clears an outer header":   {otherSite(t, "clear X-Email"), both(), 200, bob, nil},
		"inner optional, anonymous":      {otherSite(t, "optional\nforward user X-User\nforward issuer X-Inner"), good(), 200, alice, map[string]string{"X-User": "alice", "X-Email": "alice@x"}},
		"inner optional, authenticated":  {otherSite(t, "optional\nforward user X-User"), both(), 200, bob, map[string]string{"X-User": "bob"}},
		"inner report, refused":          {otherSite(t, "mode report\nforward user X-User\nclaim email other"), good(), 200, alice + "missing_credentials", map[string]string{"X-User": "alice", "X-Email": "alice@x"}},
		"inner report, a rule":           {newSite(t, "mode report\nrequire scope admin\nforward user X-User"), good(), 200, alice + "insufficient_scope", map[string]string{"X-User": "alice", "X-Email": "alice@x"}},
		"inner clear alone":              {makeSite(t, "mode clear\nclear X-User X-Inner"), good(), 200, alice, map[string]string{"X-User": "alice", "X-Email": "alice@x"}},
		"inner refuses, no credential":   {otherSite(t, "forward user X-Inner"), good(), 401, "  anonymous  missing_credentials", nil},
		"inner refuses by a rule":        {newSite(t, "require scope admin\nforward user X-User"), good(), 403, "  anonymous  insufficient_scope", nil},
		"inner refuses by an expression": {newSite(t, requiring(`claims.sub == "bob"`)), good(), 403, "  anonymous  forbidden", nil},
		"inner optional, a bad one":      {otherSite(t, "optional"), bearerOf(both(), "x"), 401, "  anonymous  malformed_token", nil},
		"inner refuses by a claim":       {otherSite(t, "forward sub X-User\nrequire claim sub alice"), both(), 403, "  anonymous  forbidden", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := forge(c.request)
			var seen *http.Request
			watch := middleware(func(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
				seen = r
				return next.ServeHTTP(w, r)
			})
			server := errorServer(t, `[{"handle":[{"handler":"static_response","body":"page"}]}]`)
			res := serve(t, r, server, watch, newSite(t, outer).Handler, c.inner.Handler)
			status := 200
			if he, ok := res.err.(caddyhttp.HandlerError); ok {
				status = he.StatusCode
			}
			if status != c.status || (res.next != nil) != (status == 200) {
				t.Fatalf("status %d %s, want %d", status, res.reason(), c.status)
			}
			if got := res.placeholder(identity); got != c.identity {
				t.Errorf("%s, want %s", got, c.identity)
			}
			// Error routes get this request.
			for name, values := range seen.Header {
				folded := foldedName(name)
				forgeable := folded == "x-user" || folded == "x-email" || folded == "x-inner" && strings.Contains(sprint(c.inner.forwarding.Names), "x-inner") || folded == "x-issuer" && strings.Contains(sprint(c.inner.forwarding.Names), "x-issuer")
				if forgeable && (c.headers[name] == "" || len(values) != 1 || values[0] != c.headers[name]) {
					t.Errorf("%s: %q", name, values)
				}
			}
			for name, want := range c.headers {
				if got := seen.Header.Get(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
		})
	}
}

// TestThreat46_NobodyInBetweenCanForge checks that a header that is changed between
// two handlers is not taken for the outer handler's.
func TestThreat46_NobodyInBetweenCanForge(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(http.Header){
		"set":      func(h http.Header) { h["X-User"] = []string{"mallory"} },
		"appended": func(h http.Header) { h["X-User"] = append(h["X-User"], "mallory") },
		"spelled":  func(h http.Header) { h["X_User"] = h["X-User"]; delete(h, "X-User") },
	} {
		between := middleware(func(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
			change(r.Header)
			return next.ServeHTTP(w, r)
		})
		for _, inner := range []*site{makeSite(t, "mode clear\nclear X-User"), otherSite(t, "optional\nforward user X-User")} {
			res := serve(t, bearer(signed(t, nil)), nil, newSite(t, "forward user X-User").Handler, between, inner.Handler)
			if res.next == nil || len(res.next.Header) != 0 {
				t.Errorf("%s: %v", name, res.next)
			}
		}
	}
}

// TestThreat46_HandlersInErrorRoutes checks a jwt in an error route, after another
// has refused the request.
func TestThreat46_HandlersInErrorRoutes(t *testing.T) {
	t.Parallel()
	s := newSite(t, "require scope admin\nforward user X-User")
	tie(errorServer(t, `[{"handle":[{"handler":"static_response","body":"page"}]}]`), s.Handler)
	for name, c := range map[string]struct {
		inError *site
		user    string
		header  string
		reason  string
	}{
		"one without the rule":      {newSite(t, "forward user X-User"), "alice", "alice", ""},
		"one that is optional":      {newSite(t, "optional\nforward user X-Name"), "alice", "", ""},
		"another's, optional":       {otherSite(t, "optional\nforward user X-User"), "", "", "insufficient_scope"},
		"clear alone":               {makeSite(t, "mode clear\nclear X-User"), "", "", "insufficient_scope"},
		"one that refuses it again": {newSite(t, "require claim role admin\nforward user X-User"), "", "", "forbidden"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := errorServer(t, `[{"handle":[{"handler":"static_response","body":"page"}]}]`)
			// As in Caddy's server, the error routes serve the request again.
			handleErrors := middleware(func(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
				err := s.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error {
					t.Error("it passed")
					return nil
				}))
				if err == nil || r.Header.Get("X-User") != "" {
					t.Errorf("%v, %v", err, r.Header)
				}
				return c.inError.ServeHTTP(w, r, next)
			})
			r := bearer(signed(t, nil))
			r.Header.Set("X-User", "forged")
			res := serve(t, r, server, handleErrors)
			if got := res.placeholder("{http.auth.user.id}"); got != c.user || res.reason() != c.reason {
				t.Errorf("%s, reason %s", got, res.reason())
			}
			if res.next != nil && res.next.Header.Get("X-User") != c.header {
				t.Errorf("%v", res.next.Header)
			}
		})
	}
}
