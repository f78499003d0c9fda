package refusal

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/reason"
)

func responder(t *testing.T, s Settings) *Responder {
	t.Helper()
	r, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestGRPC checks who gets the status of gRPC, and that the HTTP status stays the
// refusal's: a site that checks requests for another server must not answer with 200.
func TestGRPC(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		format, method, kind, te string
		major                    int
		status                   int
		answer                   string // the content type
		grpc                     string // grpc-status
	}{
		"a call":                          {"", "POST", "application/grpc", "trailers", 2, 401, "application/grpc", "16"},
		"a call over HTTP/3":              {"", "POST", "application/grpc", "trailers", 3, 401, "application/grpc", "16"},
		"a call with a codec":             {"", "POST", "application/grpc+proto", "trailers", 2, 401, "application/grpc+proto", "16"},
		"a call in capitals":              {"", "POST", "Application/GRPC+JSON", "trailers", 2, 401, "application/grpc+json", "16"},
		"a call with a parameter":         {"", "POST", "application/grpc; charset=utf-8", "trailers", 2, 401, "application/grpc", "16"},
		"a call with a codec made up":     {"", "POST", "application/grpc+<script>", "trailers", 2, 401, "application/grpc", "16"},
		"a call over HTTP/1.1":            {"", "POST", "application/grpc", "trailers", 1, 401, "application/json", ""},
		"gRPC-Web":                        {"", "POST", "application/grpc-web+proto", "", 2, 401, "application/json", ""},
		"a request":                       {"", "GET", "", "", 2, 401, "application/json", ""},
		"a request that looks like one":   {"", "GET", "application/grpc", "", 2, 401, "application/grpc", "16"},
		"aws":                             {"aws", "POST", "application/grpc", "trailers", 2, 401, "application/grpc", "16"},
		"none":                            {"none", "POST", "application/grpc", "trailers", 2, 401, "application/grpc", "16"},
		"grpc":                            {"grpc", "POST", "application/grpc", "trailers", 2, 200, "application/grpc", "16"},
		"grpc over HTTP/1.1":              {"grpc", "POST", "application/grpc", "trailers", 1, 401, "application/json", ""},
		"grpc, a request of forward_auth": {"grpc", "GET", "application/grpc", "trailers", 2, 401, "application/grpc", "16"},
		"grpc, without te":                {"grpc", "POST", "application/grpc", "", 2, 401, "application/grpc", "16"},
		"grpc, another request":           {"grpc", "POST", "application/json", "trailers", 2, 401, "application/json", ""},
	} {
		r := httptest.NewRequest(c.method, "/", nil)
		r.ProtoMajor = c.major
		if c.kind != "" {
			r.Header.Set("Content-Type", c.kind)
		}
		if c.te != "" {
			r.Header.Set("TE", c.te)
		}
		w := httptest.NewRecorder()
		responder(t, Settings{Format: c.format, Accepted: Accepted{Tokens: true}}).To(reason.Expired, nil, false).Write(w, r)
		h := w.Header()
		if w.Code != c.status || h.Get("Content-Type") != c.answer && c.format != "none" || h.Get("Grpc-Status") != c.grpc || h.Get("WWW-Authenticate") == "" || h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v", name, w.Code, h)
		}
		if isCall := c.grpc != ""; isCall && (w.Body.Len() != 0 || h.Get("Grpc-Message") != "the token has expired") || !isCall && (w.Body.Len() == 0 || h.Get("Grpc-Message") != "") {
			t.Errorf("%s: %q, message %q", name, w.Body, h.Get("Grpc-Message"))
		}
	}
}

func TestGRPCStatuses(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest("POST", "/", nil)
	r.ProtoMajor = 2
	r.Header.Set("Content-Type", "application/grpc")
	all := responder(t, Settings{Accepted: Accepted{Tokens: true, TokensIn: []string{"in 100% of\ncases"}}})
	for code, a := range answers {
		if onlyMessages[a.Status] {
			continue
		}
		w := httptest.NewRecorder()
		all.To(code, nil, false).Write(w, r)
		if want := map[int]string{400: "3", 401: "16", 403: "7", 503: "14"}[a.Status]; w.Code != a.Status || w.Header().Get("Grpc-Status") != want || want == "" {
			t.Errorf("%s: %d %v", code, w.Code, w.Header())
		}
		if retry := w.Header().Get("Retry-After"); (retry != "") != (a.Status == http.StatusServiceUnavailable) {
			t.Errorf("%s: Retry-After %q", code, retry)
		}
	}
	w := httptest.NewRecorder()
	all.To(reason.MissingCredentials, nil, false).Write(w, r)
	if got := w.Header().Get("Grpc-Message"); got != "a token is required, in 100%25 of%0Acases" {
		t.Errorf("%q", got)
	}
}

// TestChallenges checks the lines of WWW-Authenticate: clients that read only the first
// must find Bearer there.
func TestChallenges(t *testing.T) {
	t.Parallel()
	const unknown = `, error="invalid_token", error_description="the API key is not valid"`
	for name, c := range map[string]struct {
		accepted Accepted
		code     reason.Code
		basic    bool
		want     []string
	}{
		"tokens":                  {Accepted{Tokens: true}, reason.MissingCredentials, false, []string{`Bearer realm="r"`}},
		"keys":                    {Accepted{APIKeys: true}, reason.MissingCredentials, false, []string{`ApiKey realm="r"`}},
		"keys, Basic":             {Accepted{APIKeys: true, Basic: true}, reason.MissingCredentials, false, []string{`ApiKey realm="r"`, `Basic realm="r"`}},
		"all":                     {Accepted{Tokens: true, APIKeys: true, Basic: true}, reason.MissingCredentials, false, []string{`Bearer realm="r"`, `Basic realm="r"`}},
		"all, a key in a header":  {Accepted{Tokens: true, APIKeys: true, Basic: true}, reason.UnknownAPIKey, false, []string{`Bearer realm="r"` + unknown, `Basic realm="r"`}},
		"all, a key in Basic":     {Accepted{Tokens: true, APIKeys: true, Basic: true}, reason.UnknownAPIKey, true, []string{`Bearer realm="r"`, `Basic realm="r"` + unknown}},
		"all, a scope":            {Accepted{Tokens: true, APIKeys: true, Basic: true}, reason.InsufficientScope, false, []string{`Bearer realm="r", error="insufficient_scope", error_description="the credential lacks a required scope", scope="a b"`, `Basic realm="r"`}},
		"all, a scope, in Basic":  {Accepted{Tokens: true, APIKeys: true, Basic: true}, reason.InsufficientScope, true, []string{`Bearer realm="r"`, `Basic realm="r", error="insufficient_scope", error_description="the credential lacks a required scope", scope="a b"`}},
		"unavailable":             {Accepted{Tokens: true, APIKeys: true, Basic: true}, reason.KeysUnavailable, false, nil},
		"an empty one is no hint": {Accepted{Tokens: true}, reason.MalformedRequest, false, nil},
	} {
		r := responder(t, Settings{Realm: "r", Accepted: c.accepted, Scopes: "a b"})
		for range 2 {
			w := httptest.NewRecorder()
			r.To(c.code, nil, c.basic).Write(w, httptest.NewRequest("GET", "/", nil))
			got := w.Header()["Www-Authenticate"]
			if !slices.Equal(got, c.want) {
				t.Errorf("%s: %q, want %q", name, got, c.want)
			}
			for i := range got { // as another handler may
				got[i] = "changed"
			}
		}
	}
	for _, realm := range []string{"a=b", "ä", "a\n"} {
		if _, err := New(Settings{Realm: realm}); err == nil || !strings.Contains(err.Error(), "realm: ") {
			t.Errorf("the realm %q: %v", realm, err)
		}
	}
}

// TestLoggedURI checks that no password of a request target in absolute form is logged.
func TestLoggedURI(t *testing.T) {
	t.Parallel()
	for uri, want := range map[string]string{
		"/a?b=c": "/a?b=c", "/?u=https://u:p@h/": "/?u=https://u:p@h/", "*": "*",
		"https://h/a": "https://h/a", "https://u:p@h/a": "https://h/a", "http://u:p@q@h": "http://h", "u:p@h:443": "h:443", "http:u:p@h/x": "h/x", "http:///x@u:p@h/": "http://h/", "https://h/a?x=u:p@h": "https://h/a?x=u:p@h",
	} {
		if got := withoutUserInfo(uri); got != want {
			t.Errorf("%s: %s, want %s", uri, got, want)
		}
	}
}
