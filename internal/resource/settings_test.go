package resource

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/internal/setting"
)

// What goes into metadata is read by programs that send secrets to it, or shown as a link.
func TestWhatMetadataMayName(t *testing.T) {
	t.Parallel()
	const url = "https://mcp.example.com/mcp"
	server := func(text string) Settings { return Settings{URL: url, AuthorizationServers: []string{text}} }
	page := func(text string) Settings { return Settings{URL: url, Documentation: text} }
	for _, c := range []struct {
		s   Settings
		why string // "" is accepted
	}{
		{server("https://auth.example.com"), ""},
		{server("https://auth.example.com/realms/a"), ""},
		{server("http://localhost:8080"), ""},
		{server("http://auth.example.com"), "not encrypted"},
		{server("http://localhost.evil.example"), "not encrypted"},
		{server("ftp://auth.example.com"), "not an https URL"},
		{server("https:///realms"), "not an https URL"},
		{server("https:auth.example.com"), "not an https URL"},
		{server("//auth.example.com"), "not an https URL"},
		{server("auth.example.com"), "not an https URL"},
		{server("javascript://auth.example.com/%0aalert(1)"), "not an https URL"},
		{server("https://auth.example.com/\x01"), "not an https URL"},
		{server("https://[::1"), "not an https URL"},
		{server("https://a:b@auth.example.com"), "password"},
		{server("https://auth.example.com?"), "query or a fragment"},
		{server("https://auth.example.com?x=y"), "query or a fragment"},
		{server("https://auth.example.com#"), "query or a fragment"},
		{server("https://auth.example.com/ü"), "characters"},
		{server(`https://auth.example.com/"`), "characters"},
		{server(`https://auth.example.com/\`), "characters"},
		{server("https://auth.example.com/a b"), "characters"},
		{server(""), "not an https URL"},

		{page("https://docs.example.com/mcp?a=b#c"), ""},
		{page("http://docs.example.com"), ""},
		{page("javascript:alert(1)"), "not a URL"},
		{page("javascript://docs.example.com/%0aalert(1)"), "not a URL"},
		{page("data:text/html,x"), "not a URL"},
		{page("https:///mcp"), "not a URL"},
		{page("https://[::1"), "not a URL"},
		{page("docs.example.com"), "not a URL"},
		{page("https://a:b@docs.example.com"), "password"},
		{page("https://docs.example.com/ü"), "characters"},
		{page(`https://docs.example.com/"`), "characters"},

		{Settings{URL: url, Name: "Orders"}, ""},
		{Settings{URL: url, Name: strings.Repeat("é", 100)}, ""},
		{Settings{URL: url, Name: strings.Repeat("é", 100) + "x"}, "longer than 200 bytes"},
		{Settings{URL: url, Name: "a\x7fb"}, "no text"},
		{Settings{URL: url, Name: "a\nb"}, "no text"},
		{Settings{URL: url, Name: "a\xffb"}, "no text"},
		{Settings{URL: url, Scopes: []string{"a", "b:c"}}, ""},
		{Settings{URL: url, Scopes: []string{"a b"}}, "scope"},
		{Settings{URL: url, Scopes: []string{""}}, "scope"},
		{Settings{URL: url, Scopes: []string{"a", "offline_access"}}, "offline_access"},
		{Settings{URL: url, AuthorizationServers: []string{"https://a.example", "https://a.example"}}, "twice"},
		{Settings{URL: url, AuthorizationServers: []string{"https://a.example", "https://a.example/"}}, ""},
	} {
		_, err := c.s.Check(setting.Resolve)
		switch {
		case c.why == "" && err != nil:
			t.Errorf("%+v: %v", c.s, err)
		case c.why != "" && (err == nil || !strings.Contains(err.Error(), c.why)):
			t.Errorf("%+v: %v, want %q", c.s, err, c.why)
		case err != nil && strings.Contains(err.Error(), "a:b@"):
			t.Errorf("%+v: the error has the password: %v", c.s, err)
		}
	}
}

// TestThreat83OnlyMetadataIsServedToAnyone: nobody is asked for a credential there, so what is
// answered is a GET, a HEAD, or a preflight that is one.
func TestThreat83OnlyMetadataIsServedToAnyone(t *testing.T) {
	t.Parallel()
	var s Set
	r := described(t, Settings{URL: "https://mcp.example.com/mcp"})
	if err := s.Add(r); err != nil {
		t.Fatal(err)
	}
	const place = wellKnown + "/mcp"
	origin := http.Header{"Origin": {"https://app.example.com"}}
	preflight := http.Header{"Origin": {"https://app.example.com"}, "Access-Control-Request-Method": {"GET"}}
	asks := http.Header{"Access-Control-Request-Method": {"GET"}}
	for _, c := range []struct {
		method, host, path string
		header             http.Header
		status             int // 0 is not served
	}{
		{"GET", "mcp.example.com", place, nil, 200},
		{"HEAD", "mcp.example.com", place, nil, 200},
		{"GET", "mcp.example.com", place, preflight, 200},
		{"OPTIONS", "mcp.example.com", place, preflight, 204},
		{"OPTIONS", "mcp.example.com", place, origin, 0},
		{"OPTIONS", "mcp.example.com", place, asks, 0},
		{"OPTIONS", "mcp.example.com", place, nil, 0},
		{"POST", "mcp.example.com", place, preflight, 0},
		{"POST", "mcp.example.com", place, nil, 0},
		{"PUT", "mcp.example.com", place, nil, 0},
		{"get", "mcp.example.com", place, nil, 0},
		{"GET", "MCP.example.com", place, nil, 200},
		{"GET", "mcp.example.com:443", place, nil, 200},
		{"GET", "mcp.example.com:8443", place, nil, 0},
		{"GET", "mcp.example.com:80", place, nil, 0},
		{"GET", "other.example.com", place, nil, 0},
		{"GET", "mcp.example.com.", place, nil, 0},
		{"GET", "mcp.example.com", wellKnown, nil, 200},
		{"GET", "mcp.example.com", place + "/", nil, 0},
		{"GET", "mcp.example.com", place + "x", nil, 0},
		{"GET", "mcp.example.com", "/x/.." + place, nil, 0},
		{"GET", "mcp.example.com", "//.well-known/oauth-protected-resource/mcp", nil, 0},
		{"GET", "mcp.example.com", wellKnown + "/%6dcp", nil, 0},
		{"GET", "mcp.example.com", wellKnown + "%2Fmcp", nil, 0},
		{"GET", "mcp.example.com", "/mcp", nil, 0},
	} {
		request := httptest.NewRequest(http.MethodGet, "https://x.example"+c.path, nil)
		request.Method, request.Host = c.method, c.host
		for name, values := range c.header {
			request.Header[name] = values
		}
		out := httptest.NewRecorder()
		served := s.Serve(out, request)
		if served != (c.status != 0) || served && out.Code != c.status {
			t.Errorf("%s %s%s %v: served %t with %d, want %d", c.method, c.host, c.path, c.header, served, out.Code, c.status)
		}
		if body := out.Body.Len(); (body > 0) != (c.status == 200 && c.method == "GET") {
			t.Errorf("%s %s%s: a body of %d bytes", c.method, c.host, c.path, body)
		}
	}
}
