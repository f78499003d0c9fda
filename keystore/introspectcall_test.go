package keystore

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
)

func newTestClock() *clock.Fake {
	return clock.NewFake(time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC))
}

// newIssuer is a server on this machine.
func newIssuer(t testing.TB, serve http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(serve)
	t.Cleanup(s.Close)
	return s
}

func sayJSON(w http.ResponseWriter, body string) {
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	_, _ = io.WriteString(w, body)
}

const saysActive = `{"active":true,"token_type":"Bearer","sub":"ada"}`

func TestIntrospectionRequest(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		methods string // of the metadata; empty for a URL in the config
		id      string
		check   func(t *testing.T, r *http.Request, form url.Values)
	}{
		"HTTP Basic, both parts encoded": {"", "api :ü", func(t *testing.T, r *http.Request, form url.Values) {
			// By RFC 6749 section 2.3.1.
			id, secret, ok := r.BasicAuth()
			if !ok || id != "api+%3A%C3%BC" || secret != "s%3Ae%26c%3Dr+e%2Bt%2F%25%C3%BC" {
				t.Errorf("%q, %q, %v", id, secret, ok)
			}
			if form.Has("client_id") || form.Has("client_secret") {
				t.Error("the client is in the form, too")
			}
		}},
		"HTTP Basic, where both are possible": {`["client_secret_post","client_secret_basic"]`, "api", func(t *testing.T, r *http.Request, form url.Values) {
			if _, _, ok := r.BasicAuth(); !ok || form.Has("client_secret") {
				t.Error("not HTTP Basic alone")
			}
		}},
		"the form, where the metadata has only that": {`["private_key_jwt","client_secret_post"]`, "api", func(t *testing.T, r *http.Request, form url.Values) {
			if r.Header.Get("Authorization") != "" || form.Get("client_id") != "api" || form.Get("client_secret") != clientSecret {
				t.Errorf("%v, with Authorization %v", form, r.Header.Get("Authorization") != "")
			}
		}},
		"no client": {"", "", func(t *testing.T, r *http.Request, form url.Values) {
			if r.Header.Get("Authorization") != "" || len(form) != 2 {
				t.Errorf("%v", form)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var server *httptest.Server
			var calls atomic.Int32
			server = newIssuer(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet {
					sayJSON(w, fmt.Sprintf(`{"issuer":%q,"introspection_endpoint":"%s/introspect?tenant=a","introspection_endpoint_auth_methods_supported":%s}`, server.URL, server.URL, c.methods))
					return
				}
				calls.Add(1)
				body, _ := io.ReadAll(r.Body)
				form, err := url.ParseQuery(string(body))
				if err != nil || r.Method != http.MethodPost || r.URL.RequestURI() != "/introspect?tenant=a" {
					t.Errorf("%s %s, %v", r.Method, r.URL, err)
				}
				if form.Get("token") != "abc+/~.-_0123456789==" || form.Get("token_type_hint") != "access_token" {
					t.Errorf("the form is %v", form)
				}
				for name, want := range map[string]string{"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded", "Accept-Encoding": "gzip", "Idempotency-Key": "", "Cookie": ""} {
					if got := r.Header.Get(name); got != want {
						t.Errorf("%s: %q", name, got)
					}
				}
				c.check(t, r, form)
				sayJSON(w, saysActive)
			})
			i := asks(t, nil, func(i *IntrospectionConfig) {
				i.Transport, i.Issuer, i.ClientID = nil, server.URL, c.id
				i.URL = server.URL + "/introspect?tenant=a"
				if c.methods != "" {
					i.URL = ""
				}
				if c.id == "" {
					i.ClientSecret = nil
				}
			})
			expect(t, "the answer", about(i, "abc+/~.-_0123456789=="), "active")
			if calls.Load() != 1 {
				t.Errorf("%d calls", calls.Load())
			}
		})
	}
}

// A redirect would take the client's secret and the token to another host. The metadata may be
// elsewhere; the endpoint may not.
func TestIntrospectionFollowsNoRedirect(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		thief := newIssuer(t, func(w http.ResponseWriter, r *http.Request) {
			t.Errorf("status %d: another host is asked, with Authorization: %v", status, r.Header.Get("Authorization") != "")
			sayJSON(w, saysActive)
		})
		server := newIssuer(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/same-host" {
				t.Errorf("status %d is followed on the same host", status)
			}
			target := thief.URL
			if r.URL.Path == "/introspect2" {
				target = "/same-host"
			}
			w.Header().Set("Location", target)
			w.WriteHeader(status)
		})
		for _, path := range []string{"/introspect", "/introspect2"} {
			i := asks(t, nil, func(c *IntrospectionConfig) { c.Transport, c.URL = nil, server.URL+path })
			expect(t, "a redirect", about(i, opaque(1)), "unavailable")
			if s := i.Status(); !strings.Contains(s.LastError, fmt.Sprintf("redirects (status %d)", status)) || strings.Contains(s.LastError, thief.URL) {
				t.Error(s.LastError)
			}
		}
	}
}

func TestIntrospectionAnswersThatAreNone(t *testing.T) {
	t.Parallel()
	const json = "application/json"
	plain := func(body string, headers ...string) func(*http.Request) (*http.Response, error) {
		return answers(200, []byte(body), append(headers, "Content-Type", json)...)
	}
	for name, c := range map[string]struct {
		answer func(*http.Request) (*http.Response, error)
		want   string // of the last error; empty for an answer that is one
	}{
		"with a charset":           {answers(200, []byte(saysActive), "Content-Type", `Application/JSON; charset="utf-8"`), ""},
		"packed":                   {answers(200, zipped(t, strings.NewReader(saysActive)), "Content-Type", json, "Content-Encoding", "gzip"), ""},
		"HTML":                     {answers(200, []byte("<html>"), "Content-Type", "text/html; charset=utf-8"), "Content-Type is not application/json"},
		"JSON as text":             {answers(200, []byte(saysActive), "Content-Type", "text/plain"), "Content-Type is not application/json"},
		"no Content-Type":          {answers(200, []byte(saysActive)), "Content-Type is not application/json"},
		"problem+json":             {answers(200, []byte(saysActive), "Content-Type", "application/problem+json"), "Content-Type is not application/json"},
		"a JWT":                    {answers(200, []byte("e30.e30.e30"), "Content-Type", "application/token-introspection+jwt"), "the answer is a JWT (RFC 9701)"},
		"HTML as JSON":             {plain("<html>"), "is a page (HTML or XML)"},
		"active as text":           {plain(`{"active":"true","token_type":"Bearer"}`), `no "active" that is true or false`},
		"10 MB":                    {plain(`{"active":true,"a":"` + strings.Repeat("a", 10<<20) + `"}`), "larger than 65536 bytes"},
		"endless":                  {func(*http.Request) (*http.Response, error) { return unending(), nil }, "larger than 65536 bytes"},
		"10 MB, packed":            {answers(200, zipped(t, strings.NewReader(`{"active":true,"a":"`+strings.Repeat("a", 10<<20)+`"}`)), "Content-Type", json, "Content-Encoding", "gzip"), "larger than 65536 bytes"},
		"brotli":                   {answers(200, []byte(saysActive), "Content-Type", json, "Content-Encoding", "br"), "Content-Encoding that was not asked for"},
		"packed, and is not":       {answers(200, []byte(saysActive), "Content-Type", json, "Content-Encoding", "gzip"), "can't be unpacked"},
		"cut off":                  {answers(200, zipped(t, strings.NewReader(saysActive))[:30], "Content-Type", json, "Content-Encoding", "gzip"), "cut off"},
		"204":                      {answers(204, nil, "Content-Type", json), "status 204 instead of 200"},
		"404":                      {answers(404, []byte("no"), "Content-Type", json), "status 404 instead of 200"},
		"500 with an answer":       {answers(500, []byte(saysActive), "Content-Type", json), "status 500 instead of 200"},
		"401":                      {answers(401, []byte(`{"error":"invalid_client"}`), "Content-Type", json), "the client of introspection is refused (status 401)"},
		"403":                      {answers(403, nil), "the client of introspection is refused (status 403)"},
		"400 for the client":       {answers(400, []byte(`{"error":"invalid_client","error_description":"secret marker"}`)), "the client of introspection is refused (status 400)"},
		"400 for the client, else": {answers(400, []byte(`{"error":"unauthorized_client"}`)), "the client of introspection is refused (status 400)"},
		"400, and 64 KiB of JSON":  {answers(400, []byte(`{"error":"invalid_client","a":"`+strings.Repeat("a", maxAnswerBytes)+`"}`)), "status 400 instead of 200"},
		"400 for the token":        {answers(400, []byte(`{"error":"invalid_request","error_description":"secret marker"}`)), "status 400 instead of 200"},
		"a connection that ends":   {resets, "connection reset"},
	} {
		h := &host{answer: c.answer}
		i := asks(t, h, nil)
		want := "unavailable"
		if c.want == "" {
			want = "active"
		}
		expect(t, name, about(i, opaque(1)), want)
		said := i.Status().LastError
		if c.want == "" && said != "" || !strings.Contains(said, c.want) {
			t.Errorf("%s: the last error is %q", name, said)
		}
		_, _, err := i.Introspect(context.Background(), opaque(1))
		for _, text := range []string{said, fmt.Sprint(err)} {
			for _, secret := range []string{opaque(1), "s:e&c", "s%3Ae", "Basic", "marker", "ada"} {
				if strings.Contains(text, secret) {
					t.Errorf("%s: %q has %q", name, text, secret)
				}
			}
		}
	}
}

func unending() *http.Response {
	r := response(200, nil, "Content-Type", "application/json")
	r.Body = &endless{}
	return r
}

func TestIntrospectionIsSlow(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(*http.Request) (*http.Response, error){
		"no answer": hangs,
		"a body that is stuck": func(r *http.Request) (*http.Response, error) {
			a := response(200, nil, "Content-Type", "application/json")
			a.Body = stuck{r}
			return a, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				i := asks(t, &host{answer: answer}, nil)
				begun := time.Now()
				expect(t, "slow", about(i, opaque(1)), "unavailable")
				if took := time.Since(begun); took != callTimeout {
					t.Errorf("it took %s", took)
				}
				if s := i.Status(); !strings.Contains(s.LastError, "no complete answer within 5s") {
					t.Error(s.LastError)
				}
			})
		})
	}
}

func TestIntrospectionReadsTheSecretForEachCall(t *testing.T) {
	t.Parallel()
	secret, failure := "first", error(nil)
	var seen []string
	h := &host{answer: func(r *http.Request) (*http.Response, error) {
		_, password, _ := r.BasicAuth()
		seen = append(seen, password)
		return response(200, []byte(saysActive), "Content-Type", "application/json"), nil
	}}
	i := asks(t, h, func(c *IntrospectionConfig) {
		c.ClientSecret = func() (string, error) { return secret, failure }
	})
	expect(t, "the first", about(i, opaque(1)), "active")
	secret = "second\r\n"
	expect(t, "the second", about(i, opaque(2)), "active")
	secret, failure = "", fmt.Errorf("open /run/secrets/api: %w", os.ErrNotExist)
	expect(t, "no file", about(i, opaque(3)), "unavailable")
	if s := i.Status(); !strings.Contains(s.LastError, "the client secret can't be read: open /run/secrets/api") {
		t.Error(s.LastError)
	}
	secret, failure = "\n", nil
	expect(t, "an empty file", about(i, opaque(4)), "unavailable")
	if s := i.Status(); !strings.Contains(s.LastError, "the client secret is empty") {
		t.Error(s.LastError)
	}
	if got := strings.Join(seen, " "); got != "first second" {
		t.Errorf("sent %q", got)
	}
}

// A server closes connections that were idle. The next call must not fail for it.
func TestIntrospectionTriesAgainOnAClosedConnection(t *testing.T) {
	t.Parallel()
	server := newIssuer(t, func(w http.ResponseWriter, r *http.Request) { sayJSON(w, saysActive) })
	i := asks(t, nil, func(c *IntrospectionConfig) { c.Transport, c.URL = nil, server.URL })
	for n := range 20 {
		expect(t, "a token", about(i, opaque(n)), "active")
		server.CloseClientConnections()
	}
	if s := i.Status(); s.Failed != 0 || s.Active != 20 {
		t.Errorf("%+v", s)
	}
}

func TestIntrospectionChecksItsConfig(t *testing.T) {
	t.Parallel()
	secret := func() (string, error) { return "x", nil }
	for want, c := range map[string]IntrospectionConfig{
		"": {Issuer: "https://idp.example", ClientID: "a", ClientSecret: secret},
		"neither an issuer nor the URL of the introspection endpoint is set; set one":                 {},
		"both the URL of the introspection endpoint and a discovery URL are set; keep one":            {URL: "https://a.example", Discovery: "https://b.example"},
		"there is a client secret without a client ID; write both":                                    {Issuer: "https://idp.example", ClientSecret: secret},
		"there is a client ID without a client secret; write both":                                    {Issuer: "https://idp.example", ClientID: "a"},
		"the URL of the introspection endpoint is not a URL that starts with https://":                {URL: "ftp://a.example"},
		"the discovery URL has no host; write https://host/path":                                      {Issuer: "https://idp.example", Discovery: "https:///x"},
		"the issuer has a query, so its metadata cannot be found; write the URL of the introspection": {Issuer: "https://idp.example?a=b"},
		"the URL of the introspection endpoint is http, where anybody on the network path can read the client's secret and the tokens; write https://idp.example/i, or insecure_http in the issuer block if that network is yours alone": {URL: "http://idp.example/i"},
		"the URL of the introspection endpoint holds a user name or password": {URL: "https://a:b@idp.example/i"},
	} {
		err := c.Check()
		if (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if _, made := NewIntrospection(c); (made == nil) != (err == nil) {
			t.Errorf("%v, but it is made: %v", err, made)
		}
	}
	for _, c := range []IntrospectionConfig{
		{URL: "http://127.0.0.1:4445/introspect"}, {URL: "http://[::1]/introspect"}, {URL: "http://localhost/introspect"},
		{URL: "http://hydra:4445/admin/oauth2/introspect", InsecureHTTP: true},
	} {
		if err := c.Check(); err != nil {
			t.Errorf("%s: %v", c.URL, err)
		}
	}
}
