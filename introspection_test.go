package caddyjwt

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/internal/explain"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// opaqueText is a token that only its issuer understands, and activeAnswer what the issuer says
// of it, but for its end.
const (
	opaqueText   = "ory_at_0123456789abcdef.signature"
	activeAnswer = `{"active":true,"sub":"alice","aud":"https://api.example","exp":4000000000,"scope":"orders:read","client_id":"app"`
)

// introspecting returns the open block of an issuer that answers so about every token.
func introspecting(t testing.TB, answer string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(s.Close)
	return "issuer https://issuer.example/ {\nintrospection " + s.URL + "\naudience https://api.example\n"
}

// What handlers behind see of an opaque token is what they see of a JWT.
func TestAnOpaqueTokenIsAnIdentity(t *testing.T) {
	t.Parallel()
	s := makeSite(t, introspecting(t, activeAnswer+`,"token_type":"Bearer"}`)+"user_prefix staff:\n}\nforward client_id X-Client\nrequire scope orders:read")
	res := serve(t, bearer(opaqueText), nil, s.Handler)
	if res.next == nil {
		t.Fatal(res.reason(), res.placeholder("{http.jwt.detail}"))
	}
	for placeholder, want := range map[string]string{
		"{http.auth.user.id}": "staff:alice", "{http.jwt.issuer}": "https://issuer.example/", "{http.jwt.auth_method}": "jwt", "{http.jwt.scopes}": "orders:read",
		"{http.jwt.claims.client_id}": "app", "{http.jwt.kid}": "", "{http.jwt.expires_at}": "2096-10-02T07:06:40Z",
	} {
		if got := res.placeholder(placeholder); got != want {
			t.Errorf("%s is %q, want %q", placeholder, got, want)
		}
	}
	if got := res.next.Header.Get("X-Client"); got != "app" || res.next.Header.Get("Authorization") != "" {
		t.Errorf("the upstream gets the client %q, and %q", got, res.next.Header.Get("Authorization"))
	}
	for name, c := range map[string]struct {
		token string
		code  reason.Code
	}{"a JWT": {signed(t, nil), reason.AlgorithmNotAllowed}, "too short": {"opaque", reason.MalformedToken}} {
		if res := serve(t, bearer(c.token), nil, s.Handler); res.next != nil || res.reason() != string(c.code) {
			t.Errorf("%s: %s, want %s", name, res.reason(), c.code)
		}
	}
}

// With a key source beside it, both kinds of tokens are accepted.
func TestOpaqueTokensBesideJWTs(t *testing.T) {
	t.Parallel()
	s := makeSite(t, introspecting(t, activeAnswer+`,"token_type":"Bearer"}`)+"public_key \""+publicPEM(t, signer().Public())+"\"\n}")
	for name, token := range map[string]string{"a JWT": signed(t, nil), "an opaque one": opaqueText} {
		if res := serve(t, bearer(token), nil, s.Handler); res.next == nil || res.placeholder("{http.auth.user.id}") != "alice" {
			t.Errorf("%s: %s", name, res.reason())
		}
	}
}

// countingIssuer is one that calls every token active, and how often it was asked.
func countingIssuer(t *testing.T) (url string, asked *atomic.Int32) {
	t.Helper()
	asked = new(atomic.Int32)
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, activeAnswer+`,"token_type":"Bearer"}`)
	}))
	t.Cleanup(issuer.Close)
	return issuer.URL, asked
}

// A client that sends its API key as a token does not have it sent to the issuer, no matter who made
// the key.
func TestNoIssuerIsAskedAboutAnAPIKey(t *testing.T) {
	t.Parallel()
	issuer, asked := countingIssuer(t)
	const theirs = "a-key-that-was-made-elsewhere-1234567890"
	ours, _ := apikey.New("test")
	options := "issuer https://issuer.example/ {\nintrospection " + issuer + "\naudience https://api.example\n}\n"
	withKeys := makeSite(t, options+"api_key joe "+apikey.DigestOf(theirs).String()+"\n")
	alone := makeSite(t, options)
	for name, c := range map[string]struct {
		s     *site
		text  string
		asked int32
	}{
		"a key of the site":      {withKeys, theirs, 0},
		"a key of nobody":        {withKeys, ours, 0},
		"one at a site of none":  {alone, ours, 0},
		"what may be a token":    {alone, theirs, 1},
		"with another character": {withKeys, theirs + "0", 1},
	} {
		before := asked.Load()
		for _, both := range []bool{false, true} {
			r := bearer(c.text)
			if both {
				r.Header.Set("X-API-Key", c.text)
			}
			res := serve(t, r, nil, c.s.Handler)
			if c.asked == 0 && (both && c.text == theirs) != (res.next != nil) {
				t.Errorf("%s, both %v: %s", name, both, res.reason())
			}
		}
		if n := asked.Load() - before; n != c.asked {
			t.Errorf("%s: the issuer was asked %d times", name, n)
		}
	}
}

// clientSeen notes which context it is asked with.
type clientSeen struct{ ctx context.Context }

func (c *clientSeen) Introspect(ctx context.Context, _ string) (claims.Value, bool, error) {
	c.ctx = ctx
	return claims.Value{}, false, nil
}

// The client that is limited is the one that Caddy knows, which a trusted proxy may have named.
func TestTheClientOfAToken(t *testing.T) {
	t.Parallel()
	for remote, want := range map[string]string{"192.0.2.7:1234": "192.0.2.7", "[2001:db8::1]:80": "2001:db8::1", "[::ffff:192.0.2.7]:1": "192.0.2.7", "@": ""} {
		r := httptest.NewRequest(http.MethodGet, "https://api.example/", nil)
		r.RemoteAddr = remote
		r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), httptest.NewRecorder(), new(caddyhttp.Server))
		got, ok := clientOf(r.Context())
		if ok != (want != "") || ok && got != netip.MustParseAddr(want) {
			t.Errorf("%s: %v %v", remote, got, ok)
		}
		seen := new(clientSeen)
		_, _, _ = fromClients{seen}.Introspect(r.Context(), "x")
		if (seen.ctx != r.Context()) != ok {
			t.Errorf("%s: the client is not said", remote)
		}
	}
}

// An explanation asks nobody, unless it shall.
func TestExplainAsksNobody(t *testing.T) {
	t.Parallel()
	issuer, asked := countingIssuer(t)
	h := makeSite(t, "issuer https://issuer.example/ {\nintrospection "+issuer+" {\ncache 0\n}\naudience https://api.example\n}").Handler
	e := explainTo(t, bearer(opaqueText), explain.Question{}, h)
	got := e.last()
	if got.Verdict != explain.Undecided || got.Reason != "" || asked.Load() != 0 {
		t.Fatalf("%s %s, asked %d times", got.Verdict, got.Reason, asked.Load())
	}
	if c := check(t, got, reason.CheckIntrospection); c.Outcome != reason.Unknown || !strings.Contains(c.Seen, "--introspect") {
		t.Errorf("%+v", c)
	}
	e = explainTo(t, bearer(opaqueText), explain.Question{Introspect: true}, h)
	if got := e.last(); got.Verdict != explain.Accepted || got.User != "alice" || asked.Load() == 0 {
		t.Errorf("%s %s, asked %d times", got.Verdict, got.Reason, asked.Load())
	}
}

// A token service of the config issues JWTs, and is known without asking.
func TestATokenServiceIsNotIntrospected(t *testing.T) {
	t.Parallel()
	a := serviceApp(t)
	addState(t, a)
	addService(t, a, serviceIssuer, "")
	addSite(t, a, "issuer "+serviceIssuer+" {\nintrospection "+serviceIssuer+"/oauth2/introspect\naudience https://api.example.com\n}")
	if err := a.sources.Services().Settle(); err == nil || !strings.Contains(err.Error(), serviceIssuer) || !strings.Contains(err.Error(), "remove introspection") {
		t.Error(err)
	}
}
