package keystore

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func metadata(issuer, jwksURI string) []byte {
	return must(json.Marshal(object{"issuer": issuer, "jwks_uri": jwksURI, "token_endpoint": "https://idp.example/token"}))
}

// site answers by URL; what it does not have is a 404.
func site(pages map[string][]byte) *host {
	h := &host{}
	h.set(func(r *http.Request) (*http.Response, error) {
		if body, ok := pages[r.URL.String()]; ok {
			return response(200, body), nil
		}
		return response(404, []byte("not found")), nil
	})
	return h
}

func TestDiscoveryFindsTheKeySet(t *testing.T) {
	t.Parallel()
	const keys = "https://keys.example/jwks"
	for name, c := range map[string]struct {
		issuer, discovery, at string
		want                  string // the requests
	}{
		"without path": {
			"https://idp.example", "", "https://idp.example/.well-known/openid-configuration",
			"https://idp.example/.well-known/openid-configuration " + keys,
		},
		"with a slash": {
			"https://idp.example/", "", "https://idp.example/.well-known/openid-configuration",
			"https://idp.example/.well-known/openid-configuration " + keys,
		},
		"with a path": {
			"https://idp.example/realms/a", "", "https://idp.example/realms/a/.well-known/openid-configuration",
			"https://idp.example/realms/a/.well-known/openid-configuration " + keys,
		},
		"with a path and a slash": {
			"https://idp.example/realms/a/", "", "https://idp.example/realms/a/.well-known/openid-configuration",
			"https://idp.example/realms/a/.well-known/openid-configuration " + keys,
		},
		"only one slash is dropped": {
			"https://idp.example/a//", "", "https://idp.example/a//.well-known/openid-configuration",
			"https://idp.example/a//.well-known/openid-configuration " + keys,
		},
		"a path that looks like a host": {
			"https://idp.example//evil.example", "", "https://idp.example//evil.example/.well-known/openid-configuration",
			"https://idp.example//evil.example/.well-known/openid-configuration " + keys,
		},
		"what is escaped stays so": {
			"https://idp.example/a%2Fb%20c/", "", "https://idp.example/a%2Fb%20c/.well-known/openid-configuration",
			"https://idp.example/a%2Fb%20c/.well-known/openid-configuration " + keys,
		},
		"RFC 8414": {
			"https://idp.example", "", "https://idp.example/.well-known/oauth-authorization-server",
			"https://idp.example/.well-known/openid-configuration https://idp.example/.well-known/oauth-authorization-server " + keys,
		},
		"RFC 8414 with a path": {
			"https://idp.example/realms/a/", "", "https://idp.example/.well-known/oauth-authorization-server/realms/a",
			"https://idp.example/realms/a/.well-known/openid-configuration https://idp.example/.well-known/oauth-authorization-server/realms/a " + keys,
		},
		"a URL of its own": {
			"urn:example:issuer", "https://idp.example/meta?tenant=1", "https://idp.example/meta?tenant=1",
			"https://idp.example/meta?tenant=1 " + keys,
		},
	} {
		h := site(map[string][]byte{c.at: metadata(c.issuer, keys), keys: ec("a")})
		r := remote(t, h, func(rc *RemoteConfig) { rc.JWKSURL, rc.Issuer, rc.Discovery = "", c.issuer, c.discovery })
		if err := r.Refresh(context.Background()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := strings.Join(h.urls(), " "); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, c.want)
		}
		if got := r.Status().KeysURL; got != keys {
			t.Errorf("%s: status says %s", name, got)
		}
	}
}

func TestDiscoveryRefusesMetadata(t *testing.T) {
	t.Parallel()
	const issuer, keys = "https://idp.example/a", "https://idp.example/jwks"
	for name, c := range map[string]struct {
		body string
		err  string
	}{
		"another issuer":        {string(metadata("https://evil.example", keys)), "is for issuer"},
		"a slash more":          {string(metadata(issuer+"/", keys)), "trailing slash included"},
		"an internal address":   {string(metadata("http://keycloak:8080/realms/r", keys)), "write jwks_url with the metadata's jwks_uri instead of discovery"},
		"another case":          {string(metadata("https://IDP.example/a", keys)), "is for issuer"},
		"no issuer":             {`{"jwks_uri":"` + keys + `"}`, `"issuer"`},
		"issuer null":           {`{"issuer":null,"jwks_uri":"` + keys + `"}`, `"issuer"`},
		"issuer twice":          {`{"issuer":"` + issuer + `","issuer":"x","jwks_uri":"` + keys + `"}`, "strict JSON"},
		"issuer in caps":        {`{"Issuer":"` + issuer + `","jwks_uri":"` + keys + `"}`, `"issuer"`},
		"no jwks_uri":           {`{"issuer":"` + issuer + `"}`, `"jwks_uri"`},
		"jwks_uri a number":     {`{"issuer":"` + issuer + `","jwks_uri":7}`, `"jwks_uri"`},
		"HTML":                  {`<html>`, "is a page"},
		"null":                  {`null`, "strict JSON"},
		"an array":              {`[]`, "is an array"},
		"jwks_uri over http":    {string(metadata(issuer, "http://idp.example/jwks")), "jwks_uri is http"},
		"to loopback over http": {string(metadata(issuer, "http://127.0.0.1/jwks")), "jwks_uri is http"},
		"a file":                {string(metadata(issuer, "file:///etc/passwd")), "starts with https"},
		"a path":                {string(metadata(issuer, "/jwks")), "starts with https"},
		"no host":               {string(metadata(issuer, "https:///jwks")), "has no host"},
		"a password":            {string(metadata(issuer, "https://u:hunter2@idp.example/jwks")), "user name or password"},
		"a fragment":            {string(metadata(issuer, keys+"#x")), "fragment"},
		"no URL":                {string(metadata(issuer, "https://%zz/hunter2")), "not a valid URL"},
		"a key set":             {string(ec("a")), `"issuer"`},
		"a megabyte and more":   {string(metadata(issuer, keys)) + strings.Repeat(" ", maxDocumentBytes), "larger than"},
	} {
		h := site(map[string][]byte{"https://idp.example/a/.well-known/openid-configuration": []byte(c.body), keys: ec("a")})
		r := remote(t, h, func(rc *RemoteConfig) { rc.JWKSURL, rc.Issuer = "", issuer })
		err := r.Refresh(context.Background())
		if err == nil || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %q", name, err, c.err)
		}
		if h.count() != 1 {
			t.Errorf("%s: %s", name, h.urls())
		}
	}
}

func TestDiscoveryGoesOnToRFC8414OnlyWhereThereIsNothing(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]int{400: 2, 401: 2, 403: 2, 404: 2, 405: 2, 410: 2, 408: 1, 429: 1, 500: 1, 503: 1, 204: 1, 300: 1} {
		h := &host{answer: answers(status, nil)}
		r := remote(t, h, func(rc *RemoteConfig) { rc.JWKSURL, rc.Issuer = "", "https://idp.example" })
		if err := r.Refresh(context.Background()); err == nil || !strings.Contains(err.Error(), fmt.Sprint(status)) {
			t.Errorf("%d: %v", status, err)
		}
		if h.count() != want {
			t.Errorf("%d: %d requests, want %d", status, h.count(), want)
		}
	}
	h := &host{answer: answers(404, nil)}
	r := remote(t, h, func(rc *RemoteConfig) {
		rc.JWKSURL, rc.Issuer, rc.Discovery = "", "https://idp.example", "https://idp.example/meta"
	})
	if err := r.Refresh(context.Background()); err == nil || h.count() != 1 {
		t.Errorf("a discovery URL of its own: %v, %d requests", err, h.count())
	}
}

func TestDiscoveryHonoursRetryAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := site(map[string][]byte{
			"https://idp.example/.well-known/openid-configuration": metadata("https://idp.example", "https://idp.example/jwks"),
			"https://idp.example/jwks":                             ec("a"),
		})
		r := remote(t, h, func(rc *RemoteConfig) { rc.JWKSURL, rc.Issuer = "", "https://idp.example" })
		expect(t, "first", get(r, "a"), "ok")
		h.set(answers(429, nil, "Retry-After", "200"))
		_ = r.Refresh(context.Background())
		if next := time.Until(r.Status().NextRefresh); next != 200*time.Second {
			t.Errorf("next in %s", next)
		}
	})
}

func TestDiscoveryIsLeftOutForUnknownKids(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const meta, keys, moved = "https://idp.example/.well-known/openid-configuration", "https://idp.example/jwks", "https://idp.example/moved"
		pages := map[string][]byte{meta: metadata("https://idp.example", keys), keys: ec("a")}
		h := site(pages)
		r := remote(t, h, func(rc *RemoteConfig) { rc.JWKSURL, rc.Issuer = "", "https://idp.example" })
		expect(t, "first", get(r, "a"), "ok")
		expect(t, "unknown", get(r, "x"), "unknown")
		expect(t, "requests", strings.Join(h.urls(), " "), meta+" "+keys+" "+keys)

		// The key set moves: the fetch fails, the next one looks again.
		h.mu.Lock()
		delete(pages, keys)
		pages[meta], pages[moved] = metadata("https://idp.example", moved), ec("b")
		h.mu.Unlock()
		expect(t, "moved", get(r, "b"), "unavailable")
		expect(t, "found again", get(r, "b"), "ok")
	})
}

func TestDiscoveryOverHTTPWhereAllowed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		issuer, keys string
		insecure     bool
		good         bool
	}{
		"loopback to itself":               {"http://localhost:9000", "http://localhost:9001/jwks", false, true},
		"loopback by another name":         {"http://127.0.0.2", "http://[::1]/jwks", false, true},
		"https loopback to http loopback":  {"https://localhost", "http://localhost/jwks", false, true},
		"loopback to http elsewhere":       {"http://localhost", "http://10.0.0.1/jwks", false, false},
		"https to http of the same host":   {"https://idp.example", "http://idp.example/jwks", false, false},
		"insecure, the same host":          {"http://idp.internal:8080", "http://IDP.internal:8080/jwks", true, true},
		"insecure, another host":           {"http://idp.internal", "http://other.internal/jwks", true, false},
		"insecure, to loopback":            {"http://idp.internal", "http://127.0.0.1/jwks", true, false},
		"insecure, https to its own http":  {"https://idp.internal", "http://idp.internal/jwks", true, true},
		"insecure, to https anywhere else": {"http://idp.internal", "https://other.example/jwks", true, true},
	} {
		h := site(map[string][]byte{c.issuer + "/.well-known/openid-configuration": metadata(c.issuer, c.keys), c.keys: ec("a")})
		r := remote(t, h, func(rc *RemoteConfig) { rc.JWKSURL, rc.Issuer, rc.InsecureHTTP = "", c.issuer, c.insecure })
		if err := r.Refresh(context.Background()); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDiscoverySendsTheTokenToTheIssuerAlone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ discovery, keys, want string }{
		"keys at the issuer's":      {"", "https://idp.example/jwks", "https://idp.example/.well-known/openid-configuration+ https://idp.example/jwks+"},
		"keys elsewhere":            {"", "https://keys.example/jwks", "https://idp.example/.well-known/openid-configuration+ https://keys.example/jwks"},
		"keys at another port":      {"", "https://idp.example:6443/jwks", "https://idp.example/.well-known/openid-configuration+ https://idp.example:6443/jwks"},
		"metadata elsewhere":        {"https://meta.example/m", "https://meta.example/jwks", "https://meta.example/m+ https://meta.example/jwks+"},
		"keys back at the issuer's": {"https://meta.example/m", "https://idp.example/jwks", "https://meta.example/m+ https://idp.example/jwks"},
	} {
		at := c.discovery
		if at == "" {
			at = "https://idp.example/.well-known/openid-configuration"
		}
		h := site(map[string][]byte{at: metadata("https://idp.example", c.keys), c.keys: ec("a")})
		r := remote(t, h, func(rc *RemoteConfig) {
			rc.JWKSURL, rc.Issuer, rc.Discovery, rc.BearerToken = "", "https://idp.example", c.discovery, token
		})
		if err := r.Refresh(context.Background()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := bearers(h); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, c.want)
		}
	}
}

// FuzzMetadata: no metadata makes the parser panic, and what it accepts is the
// configured issuer's and leads to a URL that may be fetched.
func FuzzMetadata(f *testing.F) {
	const issuer = "https://idp.example/a"
	f.Add(metadata(issuer, "https://idp.example/jwks"))
	f.Add(metadata(issuer+"/", "http://idp.example/jwks"))
	f.Add(metadata(issuer, "https://u:p@idp.example:99999/%zz#x"))
	f.Add([]byte(`{"issuer":"https://idp.example/a","jwks_uri":"https:opaque"}`))
	f.Add(metadata("https://idp.example/{tenantid}", "https://idp.example/jwks"))
	s, err := RemoteConfig{Issuer: issuer}.source()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		u, err := parseMetadata(body, issuer)
		if err != nil {
			if u != nil {
				t.Fatal("a URL beside an error")
			}
			return
		}
		if u.Hostname() == "" || u.User != nil || u.Fragment != "" || (u.Scheme != "https" && s.allows(u) == nil) {
			t.Fatalf("accepted %s", u)
		}
		if _, err := http.NewRequest(http.MethodGet, u.String(), nil); err != nil {
			t.Fatalf("accepted %s: %v", u, err)
		}
		if strings.Contains(redact(u), "?") {
			t.Fatalf("a query shows: %s", redact(u))
		}
	})
}
