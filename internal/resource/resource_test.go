package resource

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/internal/setting"
)

// described returns a resource whose metadata are complete.
func described(t testing.TB, s Settings) *Resource {
	t.Helper()
	r, err := s.Check(setting.Resolve)
	if err == nil {
		err = r.Describe(Defaults{Servers: []string{"https://auth.example.com"}})
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestURLs(t *testing.T) {
	t.Parallel()
	for text, metadata := range map[string]string{
		"https://mcp.example.com":                              "https://mcp.example.com/.well-known/oauth-protected-resource",
		"https://mcp.example.com/mcp":                          "https://mcp.example.com/.well-known/oauth-protected-resource/mcp",
		"https://mcp.example.com:8443/a/b.c":                   "https://mcp.example.com:8443/.well-known/oauth-protected-resource/a/b.c",
		"https://mcp.example.com/mcp.example.com/@a:b+c~d_e-f": "https://mcp.example.com/.well-known/oauth-protected-resource/mcp.example.com/@a:b+c~d_e-f",
		"https://192.0.2.1/mcp":                                "https://192.0.2.1/.well-known/oauth-protected-resource/mcp",
		"https://[2001:db8::1]/mcp":                            "https://[2001:db8::1]/.well-known/oauth-protected-resource/mcp",
		"http://[::1]:8080/mcp":                                "http://[::1]:8080/.well-known/oauth-protected-resource/mcp",
		"http://localhost:8080":                                "http://localhost:8080/.well-known/oauth-protected-resource",
		"http://mcp.localhost/mcp":                             "http://mcp.localhost/.well-known/oauth-protected-resource/mcp",
		"http://127.0.0.1/mcp":                                 "http://127.0.0.1/.well-known/oauth-protected-resource/mcp",
		"https://xn--mcp-hoa.example":                          "https://xn--mcp-hoa.example/.well-known/oauth-protected-resource",
	} {
		r := described(t, Settings{URL: text})
		if r.Metadata() != metadata || r.URL() != text {
			t.Errorf("%s: %s and %s", text, r.URL(), r.Metadata())
		}
	}
	for text, why := range map[string]string{
		"":                                     "no URL",
		"mcp":                                  "not an https URL",
		"/mcp":                                 "not an https URL",
		"mcp.example.com:8443/mcp":             "not", // which has a scheme, to a parser
		"ftp://mcp.example.com/mcp":            "not an https URL",
		"https://":                             "no host",
		"https:mcp.example.com":                "no host",
		"https://mcp.example.com/mcp#":         "fragment",
		"https://mcp.example.com/mcp?":         "query",
		"https://mcp.example.com?x":            "query",
		"https://mcp.example.com/mcp//":        "write https://mcp.example.com/mcp,",
		"https://u@mcp.example.com/mcp":        "user name",
		"https://:p@mcp.example.com/mcp":       "user name",
		"http://192.0.2.1/mcp":                 "not encrypted",
		"http://localhost.example.com/mcp":     "not encrypted",
		"https://mcp.example.com/./mcp":        "the path",
		"https://mcp.example.com/.well-known":  "the path",
		"https://mcp.example.com/a%2fb":        "the path",
		"https://mcp.example.com/a b":          "the path",
		"https://mcp.example.com/a\"b":         "the path",
		"https://mcp.example.com/a,scope=b":    "the path",
		"https://mcp.example.com/a;b":          "the path",
		"https://mcp.example.com/mcp/*":        "the path",
		"https://mcp.example.com/{tenant}":     "not possible here",
		"https://mcp.example.com/é":            "the path",
		"http://localhost:80/mcp":              "default port",
		"https://mcp.example.com:443":          "default port",
		"HTTPS://mcp.example.com/mcp":          "capitals",
		"https://mcp.example.COM/mcp":          "capitals",
		"https://mcp.example.com:/mcp":         "the host",
		"https://mcp.example.com./mcp":         "the host",
		"https://*.example.com/mcp":            "the host",
		"https://mcp.example.com,evil.example": "the host",
		"https://mcp.example.com\r\nx: y/mcp":  "not a URL",
		"https://mcp.exa%22mple.com/mcp":       "not a URL",
	} {
		if _, err := (&Settings{URL: text}).Check(setting.Unresolved); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %v; want in it: %s", text, err, why)
		}
	}
}

// TestNoPasswordInErrors: what is wrong with a URL is said without its password.
func TestNoPasswordInErrors(t *testing.T) {
	t.Parallel()
	for _, s := range []Settings{
		{URL: "https://me:hunter2@mcp.example.com/mcp/?x#y"},
		{URL: "https://mcp.example.com", Documentation: "https://me:hunter2@docs.example.com"},
		{URL: "https://mcp.example.com", AuthorizationServers: []string{"https://me:hunter2@auth.example.com?x"}},
	} {
		if _, err := s.Check(setting.Resolve); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

// TestSettingsOfTheEnvironment are checked when they are known, and not before.
func TestSettingsOfTheEnvironment(t *testing.T) {
	t.Setenv("MCP_TEST_URL", "https://mcp.example.com/MCP/")
	s := Settings{URL: "{env.MCP_TEST_URL}", AuthorizationServers: []string{"{env.MCP_TEST_URL}"}}
	if r, err := s.Check(setting.Unresolved); err != nil || len(r.Audience()) != 1 {
		t.Errorf("unresolved: %v", err)
	}
	if _, err := s.Check(setting.Resolve); err == nil || !strings.Contains(err.Error(), "ends with a slash") {
		t.Errorf("resolved: %v", err)
	}
	if _, err := (&Settings{URL: "{env.MCP_TEST_NOT_SET}"}).Check(setting.Resolve); err == nil {
		t.Error("what is not set is accepted")
	}
}

// get returns a request for a host and a target as a server has it.
func get(host, target string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.Host = host
	return r
}

// TestHosts: metadata are found by the very host of the resource, with or without its default
// port, and nothing that a client sends beside it counts.
func TestHosts(t *testing.T) {
	t.Parallel()
	var s Set
	for _, text := range []string{"https://mcp.example.com/mcp", "https://mcp.example.com:8443/mcp", "http://localhost/mcp", "https://[2001:db8::1]/mcp"} {
		if err := s.Add(described(t, Settings{URL: text})); err != nil {
			t.Fatal(err)
		}
	}
	const place = wellKnown + "/mcp"
	for host, want := range map[string]string{
		"mcp.example.com": "https://mcp.example.com/mcp", "MCP.Example.com": "https://mcp.example.com/mcp", "mcp.example.com:443": "https://mcp.example.com/mcp",
		"MCP.EXAMPLE.COM:443": "https://mcp.example.com/mcp", "mcp.example.com:8443": "https://mcp.example.com:8443/mcp",
		"localhost": "http://localhost/mcp", "localhost:80": "http://localhost/mcp", "[2001:db8::1]": "https://[2001:db8::1]/mcp", "[2001:DB8::1]:443": "https://[2001:db8::1]/mcp",
		"mcp.example.com:80": "", "localhost:443": "", "mcp.example.com:": "", "mcp.example.com:0443": "", "mcp.example.com:443:443": "", "mcp.example.com.": "",
		"example.com": "", "x.mcp.example.com": "", "mcp.example.com.evil.example": "", "": "", " mcp.example.com": "", "mcp.example.com@evil.example": "",
		"2001:db8::1": "", "[::1]": "", "mcp.example.com:8443:443": "",
	} {
		r := get(host, place)
		r.Header.Set("X-Forwarded-Host", "mcp.example.com")
		r.Header.Set("Forwarded", "host=mcp.example.com")
		got := ""
		if found := s.Find(r); found != nil {
			got = found.URL()
		}
		if got != want || s.Answers(r) != (want != "") {
			t.Errorf("%q: %q, want %q", host, got, want)
		}
	}
}

// TestOnePlaceTwice: two resources can't have their metadata at one place.
func TestOnePlaceTwice(t *testing.T) {
	t.Parallel()
	var s Set
	for _, c := range []struct{ url, err string }{
		{"http://localhost/mcp", ""}, {"http://localhost/mcp", ""}, {"https://localhost/mcp", "give one of the two another path"}, {"https://localhost/other", ""},
	} {
		err := s.Add(described(t, Settings{URL: c.url}))
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v", c.url, err)
		}
	}
	if len(s.All()) != 2 {
		t.Errorf("there are %d", len(s.All()))
	}
}

// TestWithoutResources: a server without any looks at nothing.
func TestWithoutResources(t *testing.T) {
	var s Set
	r := get("mcp.example.com", wellKnown)
	if s.Find(r) != nil || s.Serve(httptest.NewRecorder(), r) {
		t.Error("there is one")
	}
	if n := testing.AllocsPerRun(100, func() { s.Serve(nil, r) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestAnotherRequestCostsNothing: requests of a server that has resources allocate nothing more.
func TestAnotherRequestCostsNothing(t *testing.T) {
	var s Set
	if err := s.Add(described(t, Settings{URL: "https://mcp.example.com/mcp"})); err != nil {
		t.Fatal(err)
	}
	r := get("mcp.example.com", "/mcp?x=1")
	if n := testing.AllocsPerRun(100, func() { s.Serve(nil, r) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzURL: what is accepted as a resource has metadata at a place that a client finds, and a URL
// that can stand in a challenge.
func FuzzURL(f *testing.F) {
	for _, text := range []string{"https://mcp.example.com/mcp", "http://localhost:8080", "https://[::1]/a/b", "https://a/b:c@d", "https://a_b.c/d+e", "https://h/%41", "https://h/a//b", "https://h:1/a", "https://H/a"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.ContainsAny(text, "{}") {
			return
		}
		r, err := (&Settings{URL: text}).Check(setting.Resolve)
		if err != nil {
			return
		}
		if err := r.Describe(Defaults{Unsure: true}); err != nil {
			t.Fatal(err)
		}
		metadata := r.Metadata()
		for _, c := range []byte(metadata) {
			if c <= ' ' || c > '~' || strings.IndexByte(`"\,;=#?%`, c) >= 0 {
				t.Fatalf("%q has %q", metadata, c)
			}
		}
		u, err := url.Parse(metadata)
		if err != nil || u.String() != metadata || u.Host != r.Host() || u.User != nil {
			t.Fatalf("%q: %v", metadata, err)
		}
		if here, err := url.Parse(text); err != nil || here.String() != text {
			t.Fatalf("%q is written in another way by a client: %v", text, here)
		}
		var s Set
		if err := s.Add(r); err != nil {
			t.Fatal(err)
		}
		for _, target := range []string{u.RequestURI(), wellKnown} {
			if s.Find(get(u.Host, target)) != r {
				t.Fatalf("%q is not found at %s", text, target)
			}
		}
		if s.Find(r.Request()) != r {
			t.Fatalf("%q is not found by its own request", text)
		}
	})
}
