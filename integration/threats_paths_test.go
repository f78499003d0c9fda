package integration

import (
	"net/http"
	"testing"
)

// spelledPath is a path as a client writes it, and whether Caddy's matchers take
// it for one below /api/ and for one below /public/.
type spelledPath struct {
	path        string
	api, public bool
}

var spelledPaths = []spelledPath{
	{"/api/x", true, false},
	{"/api/", true, false},
	{"/api", false, false},
	{"/%61pi/x", true, false},
	{"/%61%70%69/x", true, false},
	{"/%41PI/x", true, false},
	{"/%2561pi/x", false, false},
	{"/a/../api/x", true, false},
	{"/a/%2e%2e/api/x", true, false},
	{"/./api/x", true, false},
	{"/%2e/api/x", true, false},
	{"/../api/x", true, false},
	{"//api/x", true, false},
	{"///api//x", true, false},
	{"/%2fapi/x", true, false},
	{"/api//x", true, false},
	{"/api/../x", false, false},
	{"/api/%2e%2e/x", false, false},
	{"/api/..%2fx", false, false},
	{"/api;x", false, false},
	{"/api;x/y", false, false},
	{"/api%3Bx", false, false},
	{"/api/;x", true, false},
	{"/API/x", true, false},
	{"/Api/x", true, false},
	{"/api%2Fx", true, false},
	{"/api%2fx", true, false},
	{"/api%252Fx", false, false},
	{`/api\x`, false, false},
	{"/api%5Cx", false, false},
	{`/api\..\x`, false, false},
	{"/api./x", false, false},
	{"/api%20/x", false, false},
	{"/api%00/x", false, false},
	{"/api%0a/x", false, false},
	{"/%C5%9Dapi/x", false, false},
	{"/%D0%B0pi/x", false, false},
	{"/x?/api/", false, false},
	{"/x?a=/../api/x", false, false},
	{"/public/x", false, true},
	{"/public/../api/x", true, false},
	{"/public/%2e%2e/api/x", true, false},
	{"/public/..%2fapi/x", true, false},
	{"/public/..;/api/x", false, true},
	{`/public/..\api/x`, false, true},
	{"/public/..%5capi/x", false, true},
	{"/public%2f..%2fapi/x", true, false},
	{"/public/%252e%252e/api/x", false, true},
	{"/public//../../api/x", true, false},
	{"/PUBLIC/../API/x", true, false},
	{"https://" + site + "/api/x", true, false},
	{"https://" + site + "/%61pi/../api/x", true, false},
}

// What a path is for Caddy's matchers, and so which requests a jwt with a matcher
// guards. The upstream may take a path for another one: the table lists which
// spellings get past `jwt /api/*`, and which past a jwt that leaves out /public/*.
func TestThreat27_PathsAroundAMatcher(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, `
(guard) {
	jwt {args[0]} {
		import issuer
		forward user X-User
	}
	reverse_proxy {$UPSTREAM}
	import reasons
}
https://api.example.test {
	import guard /api/*
}
https://rest.example.test {
	@closed not path /public/*
	import guard @closed
}
https://all.example.test {
	import guard *
}
`, options{}, k.RS256)
	ask := func(t *testing.T, host, path string) (guarded bool) {
		t.Helper()
		s.upstream.Take()
		a := s.raw(t, host, "GET "+path+" HTTP/1.1\r\nHost: "+host+"\r\nX-User: "+forged+"\r\nConnection: close\r\n\r\n")
		switch seen := s.upstream.Take(); {
		case a.status == http.StatusUnauthorized && len(seen) == 0 && a.header.Get("X-Reason") == "missing_credentials":
			return true
		case a.status == http.StatusOK && len(seen) == 1 && seen[0].Header.Get("X-User") == "":
			return false
		default:
			t.Errorf("%s%s: status %d, reason %q, %d requests", host, path, a.status, a.header.Get("X-Reason"), len(seen))
			return false
		}
	}
	for _, p := range spelledPaths {
		t.Run(p.path, func(t *testing.T) {
			if got := ask(t, site, p.path); got != p.api {
				t.Errorf("jwt /api/*: guarded is %v; want %v", got, p.api)
			}
			if got := ask(t, "rest.example.test", p.path); got == p.public {
				t.Errorf("jwt but for /public/*: guarded is %v; want %v", got, !p.public)
			}
			if !ask(t, "all.example.test", p.path) {
				t.Error("a jwt without a matcher let it through")
			}
		})
	}
}

// Only a preflight, as browsers send them, needs no credential.
func TestThreat28_OnlyPreflightsNeedNoCredential(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, `
https://api.example.test {
	jwt {
		import issuer
		allow_preflight
		forward user X-User
		require claim sub user-1
	}
	reverse_proxy {$UPSTREAM}
	import reasons
}
https://strict.example.test {
	jwt {
		import issuer
	}
	reverse_proxy {$UPSTREAM}
	import reasons
}
`, options{}, k.RS256)
	origin, wants := header("Origin", "https://app.example.test"), header("Access-Control-Request-Method", "GET")
	good := bearer(k.RS256.Token(t, s.claims(nil), nil))
	for _, version := range []protocol{http1, http2, h3} {
		client := s.client(version)
		t.Run(string(version), func(t *testing.T) {
			for name, c := range map[string]struct {
				method  string
				changes []change
			}{
				"OPTIONS alone":                           {http.MethodOptions, nil},
				"OPTIONS with Origin":                     {http.MethodOptions, []change{origin}},
				"OPTIONS with a method asked for":         {http.MethodOptions, []change{wants}},
				"OPTIONS with an empty Origin":            {http.MethodOptions, []change{header("Origin", ""), wants}},
				"OPTIONS that asks for no method":         {http.MethodOptions, []change{origin, header("Access-Control-Request-Method", "")}},
				"OPTIONS with headers asked for":          {http.MethodOptions, []change{origin, header("Access-Control-Request-Headers", "authorization")}},
				"GET with the headers of a preflight":     {http.MethodGet, []change{origin, wants}},
				"POST with the headers of a preflight":    {http.MethodPost, []change{origin, wants}},
				"HEAD with the headers of a preflight":    {http.MethodHead, []change{origin, wants}},
				"GET that calls itself OPTIONS":           {http.MethodGet, []change{origin, wants, header("X-HTTP-Method-Override", "OPTIONS")}},
				"a method that looks like OPTIONS":        {"options", []change{origin, wants}},
				"a method that begins with OPTIONS":       {"OPTIONSX", []change{origin, wants}},
				"OPTIONS with a method in the wrong name": {http.MethodOptions, []change{origin, header("Access-Control-Request-Methods", "GET")}},
			} {
				t.Run(name, func(t *testing.T) {
					s.upstream.Take()
					s.refused(t, s.send(t, client, c.method, site, "/", c.changes...), http.StatusUnauthorized, "missing_credentials")
				})
			}
			t.Run("a preflight passes, as nobody", func(t *testing.T) {
				for name, changes := range map[string][]change{
					"without a credential": {origin, wants},
					"with a good one":      {origin, wants, good},
					"with a bad one":       {origin, wants, bearer("garbage")},
				} {
					a := s.send(t, client, http.MethodOptions, site, "/", append(changes, exactHeader("X-User", forged))...)
					if seen := a.upstream(t); a.status != http.StatusOK || seen.Header.Get("X-User") != "" || seen.Header.Get("Authorization") != "" {
						t.Errorf("%s: status %d, %v", name, a.status, seen.Header)
					}
				}
			})
			t.Run("without the option it needs one", func(t *testing.T) {
				s.upstream.Take()
				s.refused(t, s.send(t, client, http.MethodOptions, "strict.example.test", "/", origin, wants), http.StatusUnauthorized, "missing_credentials")
			})
		})
	}
	checkNothingForged(t, s.upstream)
}
