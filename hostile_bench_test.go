package caddyjwt

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// hostile are requests that are made to cost much. None has a credential that is valid.
func hostile() map[string]*http.Request {
	const size = 15_000
	query := func(text string) *http.Request {
		return &http.Request{URL: &url.URL{Path: "/", RawQuery: text}, RequestURI: "/?" + text, Header: http.Header{}}
	}
	repeat := func(text string, n int) string { return strings.Repeat(text, n/len(text)) }
	head := func(name string, values ...string) *http.Request {
		return &http.Request{URL: &url.URL{Path: "/"}, RequestURI: "/", Header: http.Header{name: values}}
	}
	many := make([]string, 500)
	for i := range many {
		many[i] = "a" + strings.Repeat("b", i%20) + "=c; d=e"
	}
	headers := &http.Request{URL: &url.URL{Path: "/"}, RequestURI: "/", Header: http.Header{}}
	for i := range 3000 {
		headers.Header["X-"+strings.Repeat("a", i%30)+string(rune('a'+i%26))+string(rune('a'+i/26%26))+string(rune('a'+i/676))] = []string{"x"}
	}
	different := ""
	for i := range size / 30 {
		different += "access_token=" + strings.Repeat("x", i%17) + "&key=" + strings.Repeat("y", i%5) + "&"
	}
	rewritten := query("a=b")
	rewritten.RequestURI = "/?" + repeat("token=aaaaaaaaaaaaaaaaaaaaaaaa&", size)
	return map[string]*http.Request{
		"nothing": query(""), "& alone": query(repeat("&", size)), "; alone": query(repeat(";", size)), "pairs": query(repeat("a=b&", size)), "names alone": query(repeat("access_tokex&", size)),
		"percent": query(repeat("%61%63%63ess_tokex&", size)), "broken percent": query(repeat("%zz=%&", size)), "the name again": query(repeat("access_token=x&", size)),
		"different values": query(different), "long values": query(repeat("access_token="+strings.Repeat("x", 40)+"&b="+strings.Repeat("y", 40)+"&", size)),
		"700 KB of pairs": query(repeat("a=b&", 700_000)), "700 KB of names": query(repeat("access_token=x&", 700_000)), "a rewrite in front": rewritten,
		"cookies": head("Cookie", repeat("a=b; ", size)), "cookie lines": head("Cookie", many...), "the cookie again": head("Cookie", repeat("session=x; ", size)), "; cookies": head("Cookie", repeat(";", size)),
		"headers": headers, "Connection": head("Connection", repeat("a,", size)), "Connection, names": head("Connection", repeat("x-user,", size)),
		"garbage": head("Authorization", "Bearer "+repeat("x", size)), "spaces": head("Authorization", "Bearer"+repeat(" ", size)), "dots": head("Authorization", "Bearer "+repeat(".", size)),
		"many Authorization": head("Authorization", slices.Repeat([]string{"Bearer x"}, 1000)...), "commas": head("Authorization", repeat(",", size)), "Basic": head("Authorization", "Basic "+repeat("QUFB", size)),
		"a deep token":      head("Authorization", "Bearer "+tokenOf(`{"alg":"ES256"}`, `{"iss":"https://issuer.example/","exp":4102444800,"a":`+repeat("[", 10_000)+`1}`)),
		"many members":      head("Authorization", "Bearer "+tokenOf(`{"alg":"ES256"}`, `{"iss":"https://issuer.example/","exp":1`+repeat(`,"a":1`, 10_000)+`}`)),
		"a long number":     head("Authorization", "Bearer "+tokenOf(`{"alg":"ES256"}`, `{"iss":"https://issuer.example/","exp":`+repeat("9", 10_000)+`}`)),
		"escapes":           head("Authorization", "Bearer "+tokenOf(`{"alg":"ES256"}`, `{"iss":"`+repeat(`\u0061`, 10_000)+`","exp":1}`)),
		"an API key of 512": head("X-Api-Key", repeat("k", 512)), "many keys": head("X-Api-Key", slices.Repeat([]string{strings.Repeat("k", 40)}, 300)...),
	}
}

// tokenOf is a token without a signature.
func tokenOf(header, claims string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64))
}

// headBytes is how many bytes of a request's head a client sends.
func headBytes(r *http.Request) int {
	n := len(r.RequestURI)
	for name, values := range r.Header {
		for _, v := range values {
			n += len(name) + len(v) + 4
		}
	}
	return n
}

// BenchmarkHostile measures refused requests beside the budget of 20 µs and 10 ns for
// each byte of the request's head. budget-ratio is what of it is used.
func BenchmarkHostile(b *testing.B) {
	places := map[string]string{
		"one": "", "all": "token_from header Authorization Bearer\ntoken_from query access_token\ntoken_from query at\ntoken_from cookie session\ntoken_from cookie id\nforward user X-User\nforward email X-Email\nclear X-Role X-Groups",
		"keys": "api_key partner sha256:" + strings.Repeat("0", 64) + "\napi_key_from header X-API-Key\napi_key_from query key\napi_key_from basic\ntoken_from query access_token\ntoken_from header Authorization Bearer",
		"kept": "keep_credentials\ntoken_from query access_token\ntoken_from cookie session\ntoken_from header Authorization Bearer",
	}
	for place, options := range places {
		s := newSite(b, options)
		s.logger = zap.NewNop()
		for name, request := range hostile() {
			b.Run(place+"/"+name, func(b *testing.B) {
				var total time.Duration
				for b.Loop() {
					r := request.Clone(b.Context())
					r.Method = http.MethodGet
					w := httptest.NewRecorder()
					r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, new(caddyhttp.Server))
					began := time.Now()
					_ = s.ServeHTTP(w, r, unreached)
					total += time.Since(began)
				}
				micros := float64(total.Nanoseconds()) / float64(b.N) / 1000
				b.ReportMetric(micros, "serve-us")
				b.ReportMetric(micros/(20+0.01*float64(headBytes(request))), "budget-ratio")
			})
		}
	}
}

// unreached is a next handler that is never called.
var unreached = caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { panic("a refused request passed") })

// TestHostileCostsNoMemory checks that a query and cookies in which nothing is named are
// read without an allocation for each of their parts.
func TestHostileCostsNoMemory(t *testing.T) {
	s := newSite(t, "token_from query access_token\ntoken_from cookie session\ntoken_from header Authorization Bearer")
	s.logger = zap.NewNop()
	for _, name := range []string{"& alone", "pairs", "percent", "700 KB of pairs", "cookies", "cookie lines", "headers", "Connection"} {
		request := hostile()[name]
		plain := testing.AllocsPerRun(5, func() {
			_ = caddyhttp.PrepareRequest(request.Clone(t.Context()), caddy.NewReplacer(), httptest.NewRecorder(), new(caddyhttp.Server))
		})
		refused := testing.AllocsPerRun(5, func() {
			w := httptest.NewRecorder()
			_ = s.ServeHTTP(w, caddyhttp.PrepareRequest(request.Clone(t.Context()), caddy.NewReplacer(), w, new(caddyhttp.Server)), unreached)
		})
		if refused-plain > 30 {
			t.Errorf("%s: %v allocations", name, refused-plain)
		}
	}
}
