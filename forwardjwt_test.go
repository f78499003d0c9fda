package caddyjwt

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/internal/forwardjwt"
	"github.com/caddy-jwt/caddy-jwt/key"
)

// forwardKeys are signing keys of tokens for upstreams.
type forwardKeys struct{ signer atomic.Pointer[key.Signer] }

func (*forwardKeys) Issuer() string { return "https://auth.example/forward" }

func (k *forwardKeys) Signer(context.Context, time.Time) (*key.Signer, error) {
	if s := k.signer.Load(); s != nil {
		return s, nil
	}
	return nil, errors.New("not loaded")
}

// signsWith gives a handler signing keys for its tokens for upstreams.
func signsWith(t testing.TB, s *site) *forwardKeys {
	t.Helper()
	keys := new(forwardKeys)
	made, err := key.NewSigner(key.ES256)
	if err != nil {
		t.Fatal(err)
	}
	keys.signer.Store(made)
	if s.forwarding, err = s.provisionForwarding(func(forwardjwt.Settings) forwardjwt.Keys { return keys }); err != nil {
		t.Fatal(err)
	}
	return keys
}

// forwarded verifies the token in a header of a request as an upstream does.
func (k *forwardKeys) forwarded(t *testing.T, r *http.Request, header, audience string) jwt.MapClaims {
	t.Helper()
	if r == nil || len(r.Header[header]) != 1 {
		t.Fatalf("no header %s: %v", header, r)
	}
	token, err := jwt.Parse(r.Header.Get(header), func(*jwt.Token) (any, error) { return k.signer.Load().Public().Material(), nil },
		jwt.WithValidMethods([]string{"ES256"}), jwt.WithIssuer(k.Issuer()), jwt.WithAudience(audience), jwt.WithExpirationRequired(), jwt.WithIssuedAt())
	if err != nil {
		t.Fatal(err)
	}
	return token.Claims.(jwt.MapClaims)
}

const twoUpstreams = "forward_jwt X-Identity https://orders.internal {\nclaim email\n}\nforward_jwt X-Reports-Identity https://reports.internal {\nlifetime 10s\n}\n"

func TestForwardJWT(t *testing.T) {
	t.Parallel()
	s := newSite(t, twoUpstreams+"forward user X-User")
	keys := signsWith(t, s)
	r := bearer(signed(t, map[string]any{"scope": "read", "email": "ann@corp.example"}))
	r.Header["X-Identity"], r.Header["X_identity"] = []string{"forged", "twice"}, []string{"forged"}
	res := serve(t, r, nil, s.Handler)
	orders, reports := keys.forwarded(t, res.next, "X-Identity", "https://orders.internal"), keys.forwarded(t, res.next, "X-Reports-Identity", "https://reports.internal")
	if orders["sub"] != "alice" || orders["scope"] != "read" || orders["idp"] != "https://issuer.example/" || orders["auth_method"] != "jwt" || orders["email"] != "ann@corp.example" {
		t.Errorf("%v", orders)
	}
	if reports["email"] != nil || reports["exp"].(float64)-reports["iat"].(float64) != 10 || reports["jti"] == orders["jti"] {
		t.Errorf("%v", reports)
	}
	if res.next.Header["X_identity"] != nil || res.next.Header.Get("X-User") != "alice" || res.next.Header.Get("Authorization") != "" {
		t.Errorf("%v", res.next.Header)
	}

	k, ask := keySite(t, "scopes a b\nmeta plan gold", "api_key_user_prefix key:\nforward_jwt X-Identity https://orders.internal {\nclaim meta.plan\n}")
	keys = signsWith(t, k)
	got := keys.forwarded(t, serve(t, ask(), nil, k.Handler).next, "X-Identity", "https://orders.internal")
	if got["sub"] != "key:corp" || got["scope"] != "a b" || got["idp"] != "api_key:config" || got["auth_method"] != "api_key" || got["key_id"] != "partner" || got["plan"] != "gold" {
		t.Errorf("%v", got)
	}
}

// TestForwardJWT_WithoutAnIdentity: a request that is not authenticated has no token, and nothing
// of the client's in its place.
func TestForwardJWT_WithoutAnIdentity(t *testing.T) {
	t.Parallel()
	preflight := httptest.NewRequest("OPTIONS", "/", nil)
	preflight.Header.Set("Origin", "https://app.example")
	preflight.Header.Set("Access-Control-Request-Method", "PUT")
	for name, c := range map[string]struct {
		options string
		request *http.Request
	}{
		"anonymous":             {"optional", httptest.NewRequest("GET", "/", nil)},
		"a preflight":           {"allow_preflight", preflight},
		"report, no credential": {"mode report", httptest.NewRequest("GET", "/", nil)},
		"report, a bad token":   {"mode report", bearer("x")},
		"report, a rule":        {"mode report\nrequire scope admin", bearer(signed(t, nil))},
	} {
		s := newSite(t, twoUpstreams+c.options)
		signsWith(t, s)
		c.request.Header["X-Identity"], c.request.Header["X-Reports-Identity"] = []string{"forged"}, []string{"forged"}
		res := serve(t, c.request, nil, s.Handler)
		if res.next == nil || res.next.Header["X-Identity"] != nil || res.next.Header["X-Reports-Identity"] != nil {
			t.Errorf("%s: %s %v", name, res.reason(), res.next)
		}
	}
	s := newSite(t, twoUpstreams+"mode report")
	keys := signsWith(t, s)
	keys.forwarded(t, serve(t, bearer(signed(t, nil)), nil, s.Handler).next, "X-Identity", "https://orders.internal") // an identity is one in report mode too

	// Nobody signs here, so it needs no token service.
	s = makeSite(t, "mode clear\n"+twoUpstreams)
	r := httptest.NewRequest("GET", "/", nil)
	r.Header["X-Identity"], r.Header["X-Reports-Identity"] = []string{"forged"}, []string{"forged"}
	if res := serve(t, r, nil, s.Handler); res.next == nil || len(res.next.Header) != 0 {
		t.Errorf("mode clear: %v", res.next)
	}
	if err := s.app.sources.Services().Settle(); err != nil {
		t.Errorf("mode clear: %v", err)
	}
}

// TestForwardJWT_WithoutKeys: a request is refused rather than sent on without the header
// that the upstream asks for.
func TestForwardJWT_WithoutKeys(t *testing.T) {
	t.Parallel()
	for _, options := range []string{"", "cached"} {
		s := newSite(t, twoUpstreams)
		keys, good := signsWith(t, s), signed(t, nil)
		if options == "cached" {
			keys.forwarded(t, serve(t, bearer(good), nil, s.Handler).next, "X-Identity", "https://orders.internal")
		}
		keys.signer.Store(nil)
		res := serve(t, bearer(good), nil, s.Handler)
		if res.next != nil || res.Code != http.StatusServiceUnavailable || res.reason() != "keys_unavailable" || !strings.Contains(res.placeholder("{http.jwt.detail}"), "forward_jwt") {
			t.Errorf("%d %s %s", res.Code, res.reason(), res.placeholder("{http.jwt.detail}"))
		}
		if body := res.Body.String(); !strings.Contains(body, "the keys to sign a token for the upstream are not available") || res.Header().Get("Retry-After") == "" {
			t.Errorf("%s %v", body, res.Header())
		}
	}
	s := newSite(t, twoUpstreams+"mode report")
	signsWith(t, s).signer.Store(nil)
	r := bearer(signed(t, nil))
	r.Header.Set("X-Identity", "forged")
	if res := serve(t, r, nil, s.Handler); res.next == nil || res.reason() != "keys_unavailable" || res.next.Header["X-Identity"] != nil || res.placeholder("{http.auth.user.id}") != "" {
		t.Errorf("report: %s %v", res.reason(), res.next)
	}
	// As it is until the config starts.
	s = newSite(t, twoUpstreams)
	if res := serve(t, bearer(signed(t, nil)), nil, s.Handler); res.next != nil || res.reason() != "keys_unavailable" {
		t.Errorf("without a token service: %s", res.reason())
	}
}

// TestThreat75_AForwardedTokenAtASite: a site takes such a token only if its issuer's block
// asks for the type, and then takes no access token.
func TestThreat75_AForwardedTokenAtASite(t *testing.T) {
	t.Parallel()
	token := func(typ string) string {
		t.Helper()
		made := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"iss": "https://issuer.example/", "aud": "https://api.example", "sub": "alice", "exp": time.Now().Add(time.Hour).Unix()})
		made.Header["typ"] = typ
		text, err := made.SignedString(signer())
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	usual := newSite(t, "")
	behind := makeSite(t, "issuer https://issuer.example/ {\npublic_key \""+publicPEM(t, signer().Public())+"\"\naudience https://api.example\ntyp forward+jwt\n}\n")
	for typ, c := range map[string]struct{ usual, behind bool }{
		"forward+jwt": {false, true}, "FORWARD+JWT": {false, true}, "application/forward+jwt": {false, true}, "Application/Forward+JWT": {false, true},
		"at+jwt": {true, false}, "application/at+jwt": {true, false}, "JWT": {true, false}, "forward+jwt ": {false, false}, "forward": {false, false},
	} {
		for s, want := range map[*site]bool{usual: c.usual, behind: c.behind} {
			res := serve(t, bearer(token(typ)), nil, s.Handler)
			if (res.next != nil) != want || !want && res.reason() != "wrong_type" {
				t.Errorf("typ %q: passes is %v, want %v: %s", typ, res.next != nil, want, res.reason())
			}
		}
	}
	if res := serve(t, bearer(signed(t, map[string]any{})), nil, behind.Handler); res.next != nil {
		t.Error("an access token passes for a forwarded one")
	}
}

func TestForwardJWT_UnsetVariables(t *testing.T) {
	t.Parallel()
	for _, option := range []string{"forward_jwt X-Identity {env.CADDY_JWT_NOT_SET}", "forward_jwt X-Identity https://orders.internal {\nissuer {env.CADDY_JWT_NOT_SET}\n}"} {
		h := new(Handler)
		text := "jwt {\nissuer https://issuer.example/ {\npublic_key \"" + publicPEM(t, signer().Public()) + "\"\naudience https://api.example\n}\n" + option + "\n}"
		if err := h.UnmarshalCaddyfile(caddyfile.NewTestDispenser(text)); err != nil {
			t.Fatal(err)
		}
		h.logger, h.app = zap.NewNop(), testApp(t)
		if err := h.provision(bareContext()); err == nil || !strings.Contains(err.Error(), "CADDY_JWT_NOT_SET is not set") {
			t.Errorf("%s: %v", option, err)
		}
	}
}
