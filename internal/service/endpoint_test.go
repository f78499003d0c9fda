package service

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-jwt/caddy-jwt/internal/shared"
	"github.com/caddy-jwt/caddy-jwt/tokenservice"
)

func endpoint(t *testing.T, issuer string) *Endpoint {
	t.Helper()
	s, err := tokenservice.New(tokenservice.Config{Issuer: issuer, Audience: []string{"a"}, Lifetime: time.Minute, Memory: tokenservice.NewMemory(),
		Keys: new(shared.Signing), Rules: struct{ tokenservice.Rules }{},
	})
	if err != nil {
		t.Fatal(err)
	}
	return NewEndpoint(issuer, s)
}

// TestWhichRequestsAreForAService: host and path are those that the client sent.
func TestWhichRequestsAreForAService(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		issuer, host, path, original string
		want                         bool
	}{
		"the token endpoint":            {"https://auth.example.com", "auth.example.com", "/oauth2/token", "", true},
		"the default port":              {"https://auth.example.com", "auth.example.com:443", "/oauth2/token", "", true},
		"the default port of http":      {"http://localhost", "localhost:80", "/oauth2/token", "", true},
		"capitals":                      {"https://auth.example.com", "AUTH.example.com", "/oauth2/token", "", true},
		"another port":                  {"https://auth.example.com", "auth.example.com:8443", "/oauth2/token", "", false},
		"the port of http for https":    {"https://auth.example.com", "auth.example.com:80", "/oauth2/token", "", false},
		"the issuer's own port":         {"https://auth.example.com:8443", "auth.example.com:8443", "/oauth2/token", "", true},
		"without the issuer's own port": {"https://auth.example.com:8443", "auth.example.com", "/oauth2/token", "", false},
		"another host":                  {"https://auth.example.com", "api.example.com", "/oauth2/token", "", false},
		"a host that begins alike":      {"https://auth.example.com", "auth.example.com.evil", "/oauth2/token", "", false},
		"no host":                       {"https://auth.example.com", "", "/oauth2/token", "", false},
		"another path":                  {"https://auth.example.com", "auth.example.com", "/oauth2/tokens", "", false},
		"a slash more":                  {"https://auth.example.com", "auth.example.com", "/oauth2/token/", "", false},
		"a slash that is encoded":       {"https://auth.example.com", "auth.example.com", "/oauth2%2Ftoken", "", false},
		"the path was rewritten":        {"https://auth.example.com", "auth.example.com", "/index.php", "/oauth2/token", true},
		"it was rewritten to the path":  {"https://auth.example.com", "auth.example.com", "/oauth2/token", "/a", false},
		"a path of the issuer":          {"https://example.com/auth", "example.com", "/auth/oauth2/token", "", true},
		"metadata, inserted":            {"https://example.com/auth", "example.com", "/.well-known/oauth-authorization-server/auth", "", true},
		"metadata, appended":            {"https://example.com/auth", "example.com", "/auth/.well-known/openid-configuration", "", true},
		"not under the issuer's path":   {"https://example.com/auth", "example.com", "/oauth2/token", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u, err := url.Parse("http://x" + c.path)
			if err != nil {
				t.Fatal(err)
			}
			r := &http.Request{Host: c.host, URL: u, Header: http.Header{}}
			if c.original != "" {
				r = r.WithContext(context.WithValue(t.Context(), caddyhttp.OriginalRequestCtxKey, http.Request{URL: &url.URL{Path: c.original}}))
			}
			if _, ours := endpoint(t, c.issuer).Path(r); ours != c.want {
				t.Errorf("%v, want %v", ours, c.want)
			}
		})
	}
}

// TestWhichConnectionsAreSecure: what a client says of its connection counts only through
// a trusted proxy.
func TestWhichConnectionsAreSecure(t *testing.T) {
	t.Parallel()
	const public, loopback = "https://auth.example.com", "http://localhost:8080"
	for name, c := range map[string]struct {
		issuer, remote string
		tls, trusted   bool
		proto          []string
		want           bool
	}{
		"TLS":                                                  {public, "192.0.2.1:1", true, false, nil, true},
		"plain":                                                {public, "192.0.2.1:1", false, false, nil, false},
		"plain of this machine":                                {public, "127.0.0.1:1", false, false, nil, false},
		"anyone says https":                                    {public, "192.0.2.1:1", false, false, []string{"https"}, false},
		"a trusted proxy says https":                           {public, "192.0.2.1:1", false, true, []string{"https"}, true},
		"a trusted proxy says HTTPS":                           {public, "192.0.2.1:1", false, true, []string{"HTTPS"}, true},
		"a trusted proxy says http":                            {public, "192.0.2.1:1", false, true, []string{"http"}, false},
		"a trusted proxy says a list":                          {public, "192.0.2.1:1", false, true, []string{"https, http"}, false},
		"a trusted proxy says it twice":                        {public, "192.0.2.1:1", false, true, []string{"https", "https"}, false},
		"a trusted proxy says nothing":                         {public, "192.0.2.1:1", false, true, nil, false},
		"loopback issuer, this machine":                        {loopback, "127.0.0.1:1", false, false, nil, true},
		"loopback issuer, IPv6":                                {loopback, "[::1]:1", false, false, nil, true},
		"loopback issuer, another machine":                     {loopback, "192.0.2.1:1", false, false, nil, false},
		"loopback issuer, a socket":                            {loopback, "@", false, false, nil, false},
		"loopback issuer, a proxy of this machine for another": {loopback, "127.0.0.1:1", false, true, []string{"http"}, false},
		"loopback issuer, this machine is a trusted proxy":     {loopback, "127.0.0.1:1", false, true, nil, true},
		"loopback issuer, a trusted proxy of another machine":  {loopback, "192.0.2.1:1", false, true, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vars := map[string]any{caddyhttp.TrustedProxyVarKey: c.trusted}
			r := (&http.Request{RemoteAddr: c.remote, Header: http.Header{}, URL: &url.URL{}}).WithContext(context.WithValue(t.Context(), caddyhttp.VarsCtxKey, vars))
			if c.proto != nil {
				r.Header["X-Forwarded-Proto"] = c.proto
			}
			if c.tls {
				r.TLS = new(tls.ConnectionState)
			}
			if got := endpoint(t, c.issuer).secure(r); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

// TestAProxyOfThisMachine: one that is trusted must say that the way to it is encrypted,
// whatever header tells that it is one.
func TestAProxyOfThisMachine(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP"} {
		vars := map[string]any{caddyhttp.TrustedProxyVarKey: true}
		r := (&http.Request{RemoteAddr: "127.0.0.1:1", Header: http.Header{}, URL: &url.URL{}}).WithContext(context.WithValue(t.Context(), caddyhttp.VarsCtxKey, vars))
		r.Header.Set(name, "192.0.2.1")
		if endpoint(t, "http://localhost:8080").secure(r) {
			t.Errorf("%s: the request counts as one of this machine", name)
		}
	}
}

// TestTheQueryIsThatOfTheClient: what a handler in front has rewritten neither refuses a
// request nor hides a parameter in the URL.
func TestTheQueryIsThatOfTheClient(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		written, rewritten string
		refused            bool
	}{
		"none":    {"/oauth2/token", "/oauth2/token", false},
		"added":   {"/oauth2/token", "/index.php?p=x", false},
		"removed": {"/oauth2/token?client_secret=x", "/index.php", true},
		"kept":    {"/oauth2/token?a=b", "/oauth2/token?a=b", true},
	} {
		of := func(uri string) *http.Request {
			u, err := url.Parse(uri)
			if err != nil {
				t.Fatal(err)
			}
			return &http.Request{
				Method: http.MethodPost, Host: "auth.example.com", URL: u, RequestURI: uri, TLS: new(tls.ConnectionState), Body: http.NoBody,
				Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
			}
		}
		r := of(c.rewritten).WithContext(context.WithValue(t.Context(), caddyhttp.OriginalRequestCtxKey, *of(c.written)))
		e, w := endpoint(t, "https://auth.example.com"), httptest.NewRecorder()
		path, ours := e.Path(r)
		if !ours || !e.Serve(w, r, path) {
			t.Fatalf("%s: it is not served", name)
		}
		if got := strings.Contains(w.Body.String(), "not in the URL"); got != c.refused {
			t.Errorf("%s: %s", name, w.Body)
		}
		if r.RequestURI != c.rewritten {
			t.Errorf("%s: the request of other handlers has changed", name)
		}
	}
}

// TestTheClientsAddress: it is that which Caddy found out.
func TestTheClientsAddress(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ remote, found, want string }{
		"found by Caddy":    {"192.0.2.1:1", "198.51.100.7", "198.51.100.7"},
		"of the connection": {"192.0.2.1:1", "", "192.0.2.1"},
		"IPv4 in IPv6":      {"[::ffff:192.0.2.1]:1", "", "192.0.2.1"},
		"a zone":            {"[fe80::1%eth0]:1", "", "fe80::1"},
		"a socket":          {"@", "", "invalid IP"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vars := map[string]any{}
			if c.found != "" {
				vars[caddyhttp.ClientIPVarKey] = c.found
			}
			r := (&http.Request{RemoteAddr: c.remote}).WithContext(context.WithValue(t.Context(), caddyhttp.VarsCtxKey, vars))
			if got := clientOf(r).String(); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}
