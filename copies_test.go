package caddyjwt

import (
	"encoding/base64"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-jwt/caddy-jwt/internal/metrics"
)

// TestCopiesInAnyForm checks that a copy of an accepted key reaches nobody, in whatever form
// a client sends it beside.
func TestCopiesInAnyForm(t *testing.T) {
	t.Parallel()
	text, hash := newAPIKey()
	s := makeSite(t, "api_key k "+hash)
	for _, v := range []string{text, "Bearer " + text, "bearer   " + text + " ", "ApiKey " + text, "Bearer\t" + text, text + "\t",
		"Basic " + base64.StdEncoding.EncodeToString([]byte(text+":")), "Basic " + base64.StdEncoding.EncodeToString([]byte("x:"+text)), `ApiKey key="` + text + `"`, "Bearer, " + text, "Bearer: " + text} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["X-Api-Key"] = []string{text}
		r.Header["Authorization"] = []string{v}
		res := serve(t, r, nil, s.Handler)
		if res.next == nil {
			t.Errorf("%q refused %s", v, res.reason())
			continue
		}
		if got := res.next.Header.Get("Authorization"); got != "" {
			t.Errorf("left in Authorization: %q", strings.ReplaceAll(got, text, "KEY"))
		}
	}
	// basic with a copy in X-API-Key
	s = makeSite(t, "api_key k "+hash+"\napi_key_from basic")
	r := httptest.NewRequest("GET", "/", nil)
	r.SetBasicAuth("x", text)
	r.Header["X-Api-Key"] = []string{text}
	if res := serve(t, r, nil, s.Handler); res.next == nil || len(res.next.Header) != 0 {
		t.Errorf("basic: %v", res.next)
	}
	// query with a copy in both
	s = makeSite(t, "api_key k "+hash+"\napi_key_from query k")
	r = httptest.NewRequest("GET", "/?k="+text, nil)
	r.Header["X-Api-Key"] = []string{text}
	r.Header["Authorization"] = []string{"Bearer " + text}
	if res := serve(t, r, nil, s.Handler); res.next == nil || len(res.next.Header) != 0 {
		t.Errorf("query: %v", res.next)
	}
}

// TestCopiesForAnInnerHandler checks that an inner handler finds what an outer one removed.
func TestCopiesForAnInnerHandler(t *testing.T) {
	t.Parallel()
	text, hash := newAPIKey()
	outer, inner := makeSite(t, "api_key k "+hash), makeSite(t, "api_key k "+hash+"\napi_key_from header Authorization Bearer")
	for name, list := range map[string][]caddyhttp.MiddlewareHandler{"inner Authorization": {outer.Handler, inner.Handler}, "inner X-API-Key": {inner.Handler, outer.Handler}} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["X-Api-Key"] = []string{text}
		r.Header["Authorization"] = []string{"Bearer " + text}
		if res := serve(t, r, nil, list...); res.next == nil {
			t.Errorf("%s: %s", name, res.reason())
		}
	}
	// outer takes the JWT from Authorization; inner the same JWT from X-Api-Key
	a, b := newSite(t, ""), newSite(t, "token_from header X-API-Key")
	token := signed(t, nil)
	r := bearer(token)
	r.Header["X-Api-Key"] = []string{token}
	if res := serve(t, r, nil, a.Handler, b.Handler); res.next == nil {
		t.Errorf("JWT: %s", res.reason())
	}
}

// TestOneSecretInBothPlaces checks that a site with tokens and keys takes it for what it is.
func TestOneSecretInBothPlaces(t *testing.T) {
	t.Parallel()
	text, hash := newAPIKey()
	s := newSite(t, "api_key k "+hash)
	for name, secret := range map[string]string{"key": text, "jwt": signed(t, nil)} {
		r := bearer(secret)
		r.Header["X-Api-Key"] = []string{secret}
		if res := serve(t, r, nil, s.Handler); res.next == nil {
			t.Errorf("%s in both: %s", name, res.reason())
		}
	}
}

// TestScrapeOfAnIssuerThatIsNotUTF8: such a label would end the process.
func TestScrapeOfAnIssuerThatIsNotUTF8(t *testing.T) {
	t.Setenv("CADDY_JWT_ISS", "caf\xe9")
	p := filepath.Join(t.TempDir(), "k.pem")
	overwrite(t, p, publicPEM(t, signer().Public()))
	s := makeSite(t, "issuer {env.CADDY_JWT_ISS} {\npublic_key "+p+"\naudience a\n}")
	reg := prometheus.NewRegistry()
	if err := reg.Register(metrics.NewSources(s.app.sources, &s.app.reporting)); err != nil {
		t.Fatal(err)
	}
	ch := make(chan prometheus.Metric, 100)
	defer func() {
		if p := recover(); p != nil {
			t.Errorf("panic: %v", p)
		}
	}()
	metrics.NewSources(s.app.sources, &s.app.reporting).Collect(ch)
}

// TestBrokenKeysInFilesAreVisible checks that an alert can fire.
func TestBrokenKeysInFilesAreVisible(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	text, _ := newAPIKey()
	overwrite(t, path, text)
	s := makeSite(t, "api_key p {file."+path+"}")
	s.app.sources.Start()
	failures := func() (n float64) {
		registry := prometheus.NewPedanticRegistry()
		if err := registry.Register(metrics.NewSources(s.app.sources, &s.app.reporting)); err != nil {
			t.Fatal(err)
		}
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == "caddy_jwt_api_key_file_failures" {
				for _, m := range f.GetMetric() {
					n += m.GetGauge().GetValue()
				}
			}
		}
		return n
	}
	if n := failures(); n != 0 {
		t.Errorf("%v failures at the start", n)
	}
	overwrite(t, path, "short")
	for end := time.Now().Add(10 * time.Second); failures() == 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no failure is seen")
		}
	}
}
