package caddyjwt

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func TestThreat26_SpellingsOfTheScheme(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	good := signed(t, nil)
	for header, code := range map[string]string{
		"Bearer " + good: "", "bearer " + good: "", "BEARER " + good: "", "bEaReR   " + good: "", "Bearer " + good + "  ": "",
		"Bearer" + good: "missing_credentials", "Bearer\t" + good: "malformed_request", "Basic " + good: "missing_credentials",
		"Token " + good: "missing_credentials", good: "missing_credentials", "Bearerx " + good: "missing_credentials",
		"Bearer": "malformed_request", "Bearer ": "malformed_request", "bearer   ": "malformed_request",
		"Bearer Bearer " + good: "malformed_token", "Bearer " + good + " " + good: "unsupported_token", "Bearer \"" + good + "\"": "malformed_token",
		"Bearer, " + good: "malformed_request", "Bearer " + good + ", Bearer " + good: "unsupported_token", "": "missing_credentials",
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["Authorization"] = []string{header}
		if res := serve(t, r, nil, s.Handler); res.reason() != code || (code == "") != (res.next != nil) {
			t.Errorf("%q: %q, want %q", strings.ReplaceAll(header, good, "TOKEN"), res.reason(), code)
		}
	}
}

const everywhere = "token_from header Authorization Bearer\ntoken_from header X-Token\ntoken_from query access_token\ntoken_from cookie session"

// request returns a request with credentials; %G and %B are replaced by good and bad.
func request(good, bad, query, cookie string, headers ...string) *http.Request {
	fill := strings.NewReplacer("%G", good, "%B", bad).Replace
	r := httptest.NewRequest("GET", "https://api.example/p"+fill(query), nil)
	if cookie != "" {
		r.Header.Set("Cookie", fill(cookie))
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, fill(value))
	}
	return r
}

func TestThreat22_MoreThanOneCredential(t *testing.T) {
	t.Parallel()
	s := newSite(t, everywhere)
	good, other := signed(t, nil), signed(t, map[string]any{"sub": "bob"})
	for name, c := range map[string]struct {
		r      *http.Request
		reason string
	}{
		"two Authorization headers":                   {request(good, other, "", "", "Authorization: Bearer %G", "Authorization: Bearer %B"), "multiple_credentials"},
		"one Authorization header twice":              {request(good, other, "", "", "Authorization: Bearer %G", "Authorization: Bearer %G"), "multiple_credentials"},
		"Basic and Bearer":                            {request(good, other, "", "", "Authorization: Basic eDp5", "Authorization: Bearer %G"), "multiple_credentials"},
		"another header twice, different":             {request(good, other, "", "", "X-Token: %G", "X-Token: %B"), "multiple_credentials"},
		"another header twice, the same":              {request(good, other, "", "", "X-Token: %G", "X-Token: %G"), ""},
		"header and query, different":                 {request(good, other, "?access_token=%B", "", "Authorization: Bearer %G"), "multiple_credentials"},
		"header and query, the same":                  {request(good, other, "?access_token=%G", "", "Authorization: Bearer %G"), ""},
		"header and cookie, different":                {request(good, other, "", "session=%B", "Authorization: Bearer %G"), "multiple_credentials"},
		"two headers, different":                      {request(good, other, "", "", "Authorization: Bearer %G", "X-Token: %B"), "multiple_credentials"},
		"a parameter twice, different":                {request(good, other, "?access_token=%G&access_token=%B", ""), "multiple_credentials"},
		"a parameter twice, the same":                 {request(good, other, "?access_token=%G&access_token=%G", ""), ""},
		"a parameter twice, once behind a semicolon":  {request(good, other, "?access_token=%G;access_token=%B", ""), "multiple_credentials"},
		"a parameter twice, once with escaped name":   {request(good, other, "?access_token=%G&%61ccess_token=%B", ""), "multiple_credentials"},
		"a parameter 17 times":                        {request(good, other, "?access_token=%G"+strings.Repeat("&access_token=%G", 16), ""), "multiple_credentials"},
		"a parameter 16 times":                        {request(good, other, "?access_token=%G"+strings.Repeat("&access_token=%G", 15), ""), ""},
		"a cookie 17 times":                           {request(good, other, "", "session=%G"+strings.Repeat("; session=%G", 16)), "multiple_credentials"},
		"a cookie 16 times":                           {request(good, other, "", "session=%G"+strings.Repeat("; session=%G", 15)), ""},
		"a cookie twice, different":                   {request(good, other, "", "session=%G; session=%B"), "multiple_credentials"},
		"a cookie twice in two lines":                 {request(good, other, "", "session=%G", "Cookie: session=%B"), "multiple_credentials"},
		"a cookie twice, the same":                    {request(good, other, "", "session=%G; session=\"%G\""), ""},
		"an empty parameter before a good one":        {request(good, other, "?access_token=&access_token=%G", ""), "multiple_credentials"},
		"an empty parameter behind a good one":        {request(good, other, "?access_token=%G&access_token", ""), "multiple_credentials"},
		"an empty cookie before a good one":           {request(good, other, "", "session=; session=%G"), "multiple_credentials"},
		"an empty cookie behind a good one":           {request(good, other, "", "session=%G; session=\"\""), "multiple_credentials"},
		"an empty parameter alone":                    {request(good, other, "?access_token=", ""), "malformed_request"},
		"an empty Bearer beside a good query":         {request(good, other, "?access_token=%G", "", "Authorization: Bearer"), "malformed_request"},
		"an empty cookie beside a good header passes": {request(good, other, "", "session=", "Authorization: Bearer %G"), ""},
		"an empty cookie alone is not a credential":   {request(good, other, "", "session=; session=\"\""), "missing_credentials"},
	} {
		t.Run(name, func(t *testing.T) {
			res := serve(t, c.r, nil, s.Handler)
			if res.reason() != c.reason || (c.reason == "") != (res.next != nil) {
				t.Errorf("reason %q, want %q", res.reason(), c.reason)
			}
			if strings.HasPrefix(c.reason, "m") && c.reason != "missing_credentials" && res.Code != http.StatusBadRequest {
				t.Errorf("status %d", res.Code)
			}
		})
	}
}

func TestThreat23_Decoys(t *testing.T) {
	t.Parallel()
	s := newSite(t, everywhere)
	good, bad := signed(t, nil), signed(t, map[string]any{"exp": 1})
	for name, r := range map[string]*http.Request{
		"good header, bad query":  request(good, bad, "?access_token=%B", "", "Authorization: Bearer %G"),
		"bad header, good query":  request(good, bad, "?access_token=%G", "", "Authorization: Bearer %B"),
		"good header, bad cookie": request(good, bad, "", "session=%B", "Authorization: Bearer %G"),
		"bad cookie, good cookie": request(good, bad, "", "session=%B; session=%G"),
		"good token, garbage":     request(good, "x", "?access_token=%B", "", "Authorization: Bearer %G"),
	} {
		if res := serve(t, r, nil, s.Handler); res.next != nil || res.reason() != "multiple_credentials" {
			t.Errorf("%s: reason %q", name, res.reason())
		}
	}
}

func TestThreat43_CookiesFromAnotherSite(t *testing.T) {
	t.Parallel()
	s := newSite(t, everywhere+"\ntrusted_origins https://app.example")
	good := signed(t, nil)
	type row struct {
		method, headers string
		cookie          bool
		refused         bool
	}
	for name, c := range map[string]row{
		"POST from another site":                     {"POST", "Sec-Fetch-Site: cross-site", true, true},
		"POST from another origin of the site":       {"POST", "Sec-Fetch-Site: same-site|Origin: https://other.api.example", true, true},
		"POST with a foreign Origin alone":           {"POST", "Origin: https://evil.example", true, true},
		"POST with Origin null":                      {"POST", "Origin: null", true, true},
		"PUT, DELETE and PATCH likewise":             {"DELETE", "Origin: https://evil.example", true, true},
		"WebSocket upgrade from another site":        {"GET", "Sec-Fetch-Site: cross-site|Upgrade: websocket|Connection: Upgrade", true, true},
		"WebSocket upgrade with a foreign Origin":    {"GET", "Origin: https://evil.example|Upgrade: websocket|Connection: Upgrade", true, true},
		"WebSocket over HTTP/2":                      {"CONNECT", "Origin: https://evil.example", true, true},
		"no Origin with Sec-Fetch-Site":              {"POST", "Sec-Fetch-Site: cross-site", true, true},
		"POST from the site itself":                  {"POST", "Sec-Fetch-Site: same-origin|Origin: https://api.example", true, false},
		"POST from a trusted origin":                 {"POST", "Sec-Fetch-Site: cross-site|Origin: https://app.example", true, false},
		"POST from a trusted host by http":           {"POST", "Sec-Fetch-Site: cross-site|Origin: http://app.example", true, true},
		"WebSocket upgrade from the site itself":     {"GET", "Origin: https://api.example|Upgrade: websocket|Connection: Upgrade", true, false},
		"GET from another site":                      {"GET", "Sec-Fetch-Site: cross-site", true, false},
		"POST by a client that is not a browser":     {"POST", "", true, false},
		"a token in a header, not sent by a browser": {"POST", "Sec-Fetch-Site: cross-site|Origin: https://evil.example", false, false},
		"a WebSocket upgrade with a token in header": {"GET", "Origin: https://evil.example|Upgrade: websocket", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := request(good, "", "", "session=%G")
			if !c.cookie {
				r = request(good, "", "", "", "Authorization: Bearer %G")
			}
			r.Method = c.method
			for h := range strings.SplitSeq(c.headers, "|") {
				if name, value, ok := strings.Cut(h, ": "); ok {
					r.Header.Set(name, value)
				}
			}
			res := serve(t, r, nil, s.Handler)
			if c.refused != (res.next == nil) || c.refused && (res.Code != 403 || res.reason() != "cross_origin") {
				t.Errorf("%d %s", res.Code, res.reason())
			}
		})
	}
	t.Run("the same token in a header makes the cookie irrelevant", func(t *testing.T) {
		r := request(good, "", "", "session=%G", "Authorization: Bearer %G", "Sec-Fetch-Site: cross-site")
		r.Method = "POST"
		if res := serve(t, r, nil, s.Handler); res.next == nil {
			t.Error(res.reason())
		}
	})
}

func TestCredentialsAreRemovedByteForByte(t *testing.T) {
	t.Parallel()
	s := newSite(t, everywhere)
	good := signed(t, nil)
	for name, c := range map[string]struct {
		query, cookie         string
		headers               []string
		wantQuery, wantCookie string
	}{
		"alone":                   {"?access_token=%G", "", nil, "", ""},
		"first":                   {"?access_token=%G&a=%20&b", "", nil, "?a=%20&b", ""},
		"middle":                  {"?a=1&access_token=%G&b=%2f", "", nil, "?a=1&b=%2f", ""},
		"last, odd others kept":   {"?&&a&=x&a=%zz&access_token=%G", "", nil, "?&&a&=x&a=%zz", ""},
		"with an escaped name":    {"?a=1&%61ccess%5Ftoken=%G", "", nil, "?a=1", ""},
		"behind a semicolon":      {"?a=1;access_token=%G;b=2", "", nil, "?a=1;b=2", ""},
		"twice":                   {"?access_token=%G&a&access_token=%G", "", nil, "?a", ""},
		"a name that only begins": {"?access_token2=x&access_token=%G&Access_token=y", "", nil, "?access_token2=x&Access_token=y", ""},
		"cookie alone":            {"", "session=%G", nil, "", ""},
		"cookie first":            {"", "session=%G; a=1; b=2", nil, "", "a=1; b=2"},
		"cookie in the middle":    {"", "a=\"1\"; session=%G;b=2", nil, "", "a=\"1\";b=2"},
		"cookie last":             {"", "a=1; session=%G", nil, "", "a=1"},
		"cookie of another case":  {"", "Session=x; session=%G", nil, "", "Session=x"},
		"cookie in two lines":     {"", "a=1; session=%G", []string{"Cookie: session=%G; c=3"}, "", "a=1|c=3"},
		"Basic is not removed":    {"?access_token=%G", "", []string{"Authorization: Basic eDp5"}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := request(good, "", c.query, c.cookie, c.headers...)
			original := r.URL.RequestURI()
			if strings.Contains(c.query, "%zz") {
				r.RequestURI = original
			}
			res := serve(t, r, nil, s.Handler)
			if res.next == nil {
				t.Fatal(res.reason())
			}
			n := res.next
			origReq := n.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
			for where, got := range map[string]string{
				"URL": n.URL.RequestURI(), "original URL": origReq.URL.RequestURI(), "{http.request.uri}": res.placeholder("{http.request.uri}"),
				"{http.request.orig_uri.query}": "/p?" + res.placeholder("{http.request.orig_uri.query}"),
			} {
				if strings.TrimSuffix(got, "?") != "/p"+c.wantQuery {
					t.Errorf("%s is %q, want %q", where, got, "/p"+c.wantQuery)
				}
			}
			for where, got := range map[string]string{
				"RequestURI": n.RequestURI, "original RequestURI": origReq.RequestURI, "{http.request.orig_uri}": res.placeholder("{http.request.orig_uri}"),
			} {
				if !strings.HasSuffix(got, "/p"+c.wantQuery) {
					t.Errorf("%s is %q, want %q", where, got, "/p"+c.wantQuery)
				}
			}
			if got := strings.Join(n.Header["Cookie"], "|"); got != c.wantCookie {
				t.Errorf("cookies %q, want %q", got, c.wantCookie)
			}
			if _, ok := n.Header["Cookie"]; ok && c.wantCookie == "" {
				t.Error("an empty Cookie header is left")
			}
			if strings.Contains(name, "Basic") != (n.Header.Get("Authorization") != "") {
				t.Errorf("Authorization %q", n.Header.Get("Authorization"))
			}
		})
	}
}

func TestThreat48_RefusedCredentialsAreRemovedToo(t *testing.T) {
	t.Parallel()
	s := newSite(t, everywhere)
	const bad = "eyJ.bad.token"
	r := request("", bad, "?a=1&access_token=%B", "session=%B", "Authorization: Bearer %B", "X-Token: %B")
	res := serve(t, r, nil, s.Handler)
	if res.next != nil || res.Code != 401 {
		t.Fatalf("%d %s", res.Code, res.reason())
	}
	for _, p := range []string{
		"{http.request.uri}", "{http.request.orig_uri}", "{http.request.orig_uri.query}", "{http.request.header.Authorization}",
		"{http.request.header.X-Token}", "{http.request.header.Cookie}", "{http.request.cookie.session}",
	} {
		if got := res.placeholder(p); strings.Contains(got, bad) {
			t.Errorf("%s still holds the token: %q", p, got)
		}
	}
}

func TestKeepCredentialsKeepsThem(t *testing.T) {
	t.Parallel()
	s := newSite(t, everywhere+"\nkeep_credentials")
	good := signed(t, nil)
	r := request(good, "", "?access_token=%G", "session=%G", "Authorization: Bearer %G", "X-Token: %G")
	res := serve(t, r, nil, s.Handler)
	if res.next == nil {
		t.Fatal(res.reason())
	}
	if res.next.Header.Get("Authorization") != "Bearer "+good || res.next.Header.Get("X-Token") != good ||
		res.next.Header.Get("Cookie") != "session="+good || res.next.URL.RawQuery != "access_token="+url.QueryEscape(good) {
		t.Error("a credential is gone")
	}
}

func TestKeptCredentialsHaveNoLookalike(t *testing.T) {
	t.Parallel()
	kept, removed := newSite(t, everywhere+"\nkeep_credentials"), newSite(t, everywhere)
	good := signed(t, nil)
	for name, c := range map[string]struct{ query, cookie string }{
		"a cookie behind a space in another's value":  {"", "session=%G; a=b session=evil"},
		"a cookie behind a comma":                     {"", "session=%G; a=b,session=evil"},
		"a cookie behind a tab":                       {"", "a=b\tsession=evil; session=%G"},
		"a cookie with an escaped name":               {"", "session=%G; %73ession=evil"},
		"a parameter that PHP folds: dot":             {"?access_token=%G&access.token=evil", ""},
		"a parameter that PHP folds: bracket":         {"?access_token=%G&access_token[]=evil", ""},
		"a parameter that PHP folds: NUL":             {"?access_token=%G&access_token%00x=evil", ""},
		"a parameter that PHP folds: space":           {"?access%20token=evil&access_token=%G", ""},
		"a parameter that PHP folds: space before it": {"?+access_token=evil&access_token=%G", ""},
	} {
		r := request(good, "", c.query, c.cookie)
		if res := serve(t, r, nil, kept.Handler); res.next != nil || res.reason() != "multiple_credentials" {
			t.Errorf("%s: reason %q", name, res.reason())
		}
		// If credentials are removed, the upstream gets none that it could use.
		if res := serve(t, request(good, "", c.query, c.cookie), nil, removed.Handler); res.next == nil {
			t.Errorf("%s: refused with %q though nothing is passed on", name, res.reason())
		}
	}
	for name, c := range map[string]struct{ query, cookie string }{
		"other cookies": {"", "a=b c; session=%G; sessions=x; my-session=y"}, "other parameters": {"?access_token=%G&accesstoken=x&token=y&access-token=z", ""},
	} {
		if res := serve(t, request(good, "", c.query, c.cookie), nil, kept.Handler); res.next == nil {
			t.Errorf("%s: refused with %q", name, res.reason())
		}
	}
}

func TestSourcesThatAreNotNamedAreNotRead(t *testing.T) {
	t.Parallel()
	good := signed(t, nil)
	onlyCookie := newSite(t, "token_from cookie session")
	if res := serve(t, bearer(good), nil, onlyCookie.Handler); res.reason() != "missing_credentials" {
		t.Error(res.reason())
	} else if res := serve(t, withCookie("session="+good), nil, onlyCookie.Handler); res.next == nil {
		t.Error(res.reason())
	}
	r := bearer(signed(t, map[string]any{"sub": "bob"}))
	r.Header.Add("Cookie", "session="+good)
	if res := serve(t, r, nil, onlyCookie.Handler); res.next == nil || res.next.Header.Get("Authorization") == "" {
		t.Error("a header that is not read was removed, or the cookie refused")
	}
	custom := newSite(t, "token_from header X-Auth Token")
	r = httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X-Auth", "token "+good)
	if res := serve(t, r, nil, custom.Handler); res.next == nil || res.next.Header.Get("X-Auth") != "" {
		t.Error(res.reason())
	}
}

func TestPrintingTheStateShowsNoCredential(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	good := signed(t, nil)
	res := serve(t, bearer(good), nil, s.Handler)
	if text := sprint(requestState(res.next)); strings.Contains(text, good) {
		t.Errorf("shows the token: %s", text)
	}
}

func sprint(v any) string { return fmt.Sprintf("%v %+v %#v %s", v, v, v, v) }

// TestThreat48_TheOriginalURIIsCleanAfterAHandlerThatCopiesTheRequest: an earlier
// handler, such as tracing, may pass on a copy of the request, while the placeholder
// reads the server's own.
func TestThreat48_TheOriginalURIIsCleanAfterAHandlerThatCopiesTheRequest(t *testing.T) {
	t.Parallel()
	s := newSite(t, everywhere)
	good := signed(t, nil)
	copies := middleware(func(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
		return next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), caddyhttp.VarsCtxKey, map[string]any{})))
	})
	res := serve(t, request(good, "", "?a=1&access_token=%G", ""), nil, copies, s.Handler)
	if res.next == nil {
		t.Fatal(res.reason())
	}
	if got := res.placeholder("{http.request.orig_uri}"); strings.Contains(got, good) || !strings.HasSuffix(got, "/p?a=1") {
		t.Errorf("{http.request.orig_uri} is %q", got)
	}
}

// TestSpellingsOfATrustedOrigin: browsers send an origin in one spelling, whichever the
// config has.
func TestSpellingsOfATrustedOrigin(t *testing.T) {
	t.Parallel()
	good := signed(t, nil)
	for _, c := range []struct {
		written, sent string
		trusted       bool
	}{
		{"https://app.example.com:443", "https://app.example.com", true},
		{"http://app.example.com:80", "http://app.example.com", true},
		{"HTTPS://App.Example.com", "https://app.example.com", true},
		{"https://bücher.example", "https://xn--bcher-kva.example", true},
		{"https://app.example.com:8443", "https://app.example.com:8443", true},
		{"https://app.example.com:80", "https://app.example.com", false},
		{"http://app.example.com:443", "http://app.example.com", false},
		{"https://app.example.com:443", "http://app.example.com", false},
	} {
		s := newSite(t, everywhere+"\ntrusted_origins "+c.written)
		r := request(good, "", "", "session=%G", "Sec-Fetch-Site: cross-site", "Origin: "+c.sent)
		r.Method = "POST"
		if res := serve(t, r, nil, s.Handler); (res.next != nil) != c.trusted {
			t.Errorf("%s for %s: %d %s", c.written, c.sent, res.Code, res.reason())
		}
	}
}
