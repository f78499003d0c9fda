package keystore

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// discovering is a fake network with metadata and endpoints.
type discovering struct {
	host
	metadata atomic.Pointer[func(*http.Request) (*http.Response, error)]
	fetched  atomic.Int32
	asked    atomic.Pointer[string] // the URL that was asked last
	posts    func(*http.Request) (*http.Response, error)
}

func newDiscovering(metadata string) *discovering {
	d := &discovering{posts: answers(200, []byte(saysActive), "Content-Type", "application/json")}
	d.serves(answers(200, []byte(metadata)))
	d.answer = func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodGet {
			d.fetched.Add(1)
			if r.Header.Get("Authorization") != "" {
				return nil, fmt.Errorf("the client's secret is sent to %s", r.URL)
			}
			return (*d.metadata.Load())(r)
		}
		asked := r.URL.String()
		d.asked.Store(&asked)
		return d.posts(r)
	}
	return d
}

func (d *discovering) serves(f func(*http.Request) (*http.Response, error)) { d.metadata.Store(&f) }

func discovered(c *IntrospectionConfig) { c.URL = "" }

const introspectionMetadata = `{"issuer":"https://idp.example","introspection_endpoint":"https://idp.example/oauth2/introspect"}`

func TestIntrospectionDiscovery(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		metadata string
		change   func(*IntrospectionConfig)
		want     string // the endpoint, or what the error has
	}{
		"an endpoint":         {introspectionMetadata, discovered, "https://idp.example/oauth2/introspect"},
		"on another host":     {`{"issuer":"https://idp.example","introspection_endpoint":"https://api.idp.example/i?x=1"}`, discovered, "https://api.idp.example/i"},
		"of another issuer":   {`{"issuer":"https://idp.example/","introspection_endpoint":"https://idp.example/i"}`, discovered, `the metadata is for issuer "https://idp.example/", not "https://idp.example"; the two must be identical, trailing slash included: if the iss of the tokens is the one in the metadata, configure that; if it is the configured one, write the URL of the introspection endpoint`},
		"none":                {`{"issuer":"https://idp.example","jwks_uri":"https://idp.example/k"}`, discovered, `no string "introspection_endpoint"`},
		"of a number":         {`{"issuer":"https://idp.example","introspection_endpoint":1}`, discovered, `no string "introspection_endpoint"`},
		"http":                {`{"issuer":"https://idp.example","introspection_endpoint":"http://idp.example/i"}`, discovered, "introspection_endpoint is http; only https is followed"},
		"http on this host":   {`{"issuer":"https://idp.example","introspection_endpoint":"http://127.0.0.1:4445/i"}`, discovered, "introspection_endpoint is http; only https is followed"},
		"with a password":     {`{"issuer":"https://idp.example","introspection_endpoint":"https://a:b@idp.example/i"}`, discovered, "introspection_endpoint holds a user name or password"},
		"a page":              {"<html>", discovered, "the metadata is a page (HTML or XML)"},
		"http, where that is": {`{"issuer":"http://idp:8080","introspection_endpoint":"http://idp:8080/i"}`, func(c *IntrospectionConfig) { c.URL, c.Issuer, c.InsecureHTTP = "", "http://idp:8080", true }, "http://idp:8080/i"},
		"another http host":   {`{"issuer":"http://idp:8080","introspection_endpoint":"http://other:8080/i"}`, func(c *IntrospectionConfig) { c.URL, c.Issuer, c.InsecureHTTP = "", "http://idp:8080", true }, "introspection_endpoint is http"},
	} {
		d := newDiscovering(c.metadata)
		i := asks(t, d, c.change)
		outcome := about(i, opaque(1))
		s := i.Status()
		if !strings.HasPrefix(c.want, "http") {
			expect(t, name, outcome, "unavailable")
			if !strings.Contains(s.LastError, c.want) || d.asked.Load() != nil {
				t.Errorf("%s: %q; asked: %v", name, s.LastError, d.asked.Load() != nil)
			}
			continue
		}
		expect(t, name, outcome, "active")
		if s.Endpoint != c.want {
			t.Errorf("%s: the endpoint is %q (%s)", name, s.Endpoint, s.LastError)
		}
	}
}

func TestIntrospectionDiscoveryTriesBothPlaces(t *testing.T) {
	t.Parallel()
	d := newDiscovering("")
	d.serves(func(r *http.Request) (*http.Response, error) {
		if r.URL.Path == "/.well-known/oauth-authorization-server" {
			return response(200, []byte(introspectionMetadata)), nil
		}
		return response(404, nil), nil
	})
	i := asks(t, d, discovered)
	expect(t, "OAuth metadata", about(i, opaque(1)), "active")
	d.serves(answers(404, nil))
	i = asks(t, d, discovered)
	expect(t, "none", about(i, opaque(1)), "unavailable")
	if s := i.Status(); !strings.Contains(s.LastError, "the issuer's metadata is not found") {
		t.Error(s.LastError)
	}
	d.serves(answers(200, []byte(introspectionMetadata)))
	i = asks(t, d, func(c *IntrospectionConfig) { c.URL, c.Discovery = "", "https://elsewhere.example/metadata" })
	expect(t, "where the config says", about(i, opaque(1)), "active")
	if urls := d.urls(); urls[len(urls)-2] != "https://elsewhere.example/metadata" {
		t.Error(urls)
	}
}

func TestIntrospectionLooksForTheEndpointSeldom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDiscovering(introspectionMetadata)
		i := asks(t, d, func(c *IntrospectionConfig) { c.URL, c.Cache = "", -1 })
		for range 59 {
			expect(t, "a token", about(i, opaque(1)), "active")
			time.Sleep(time.Minute)
		}
		if d.fetched.Load() != 1 {
			t.Errorf("looked %d times in an hour", d.fetched.Load())
		}
		time.Sleep(time.Minute)
		d.serves(answers(200, []byte(strings.ReplaceAll(introspectionMetadata, "/oauth2/", "/v2/"))))
		expect(t, "after an hour", about(i, opaque(1)), "active")
		if s := i.Status(); d.fetched.Load() != 2 || s.Endpoint != "https://idp.example/v2/introspect" {
			t.Errorf("looked %d times, %s", d.fetched.Load(), s.Endpoint)
		}
		// The metadata can't be fetched: the last endpoint stays in use, and it is looked for
		// once a minute.
		d.serves(answers(500, nil))
		time.Sleep(time.Hour)
		for range 60 {
			expect(t, "without metadata", about(i, opaque(1)), "active")
			time.Sleep(time.Second)
		}
		if d.fetched.Load() != 3 {
			t.Errorf("looked %d times", d.fetched.Load()-2)
		}
		expect(t, "a minute later", about(i, opaque(1)), "active")
		if d.fetched.Load() != 4 {
			t.Errorf("looked %d times", d.fetched.Load()-2)
		}
	})
}

// An endpoint that has moved is found soon after calls to the old one have failed.
func TestIntrospectionFindsAnEndpointThatHasMoved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDiscovering(introspectionMetadata)
		i := asks(t, d, func(c *IntrospectionConfig) { c.URL, c.Cache = "", -1 })
		expect(t, "before", about(i, opaque(1)), "active")
		time.Sleep(2 * time.Minute)
		d.serves(answers(200, []byte(strings.ReplaceAll(introspectionMetadata, "/oauth2/", "/v2/"))))
		works := d.posts
		d.posts = func(r *http.Request) (*http.Response, error) {
			if strings.HasPrefix(r.URL.Path, "/v2/") {
				return works(r)
			}
			return response(404, nil), nil
		}
		expect(t, "the first to notice", about(i, opaque(1)), "unavailable")
		expect(t, "the next", about(i, opaque(1)), "active")
	})
}

func TestIntrospectionLooksOnceForAll(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		metadata string
		want     string
		fetched  int32
	}{
		"there":     {introspectionMetadata, "map[active:20]", 1},
		"not there": {`{}`, "map[unavailable:20]", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := newDiscovering("")
				d.serves(func(*http.Request) (*http.Response, error) {
					time.Sleep(time.Second)
					return response(200, []byte(c.metadata)), nil
				})
				i := asks(t, d, discovered)
				var all tally
				for n := range 20 {
					all.ask(from(fmt.Sprintf("10.0.%d.1", n)), i, opaque(n))
				}
				expect(t, "all", all.String(), c.want)
				if d.fetched.Load() != c.fetched {
					t.Errorf("looked %d times", d.fetched.Load())
				}
			})
		})
	}
}

func TestIntrospectionSlowMetadata(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDiscovering("")
		d.serves(hangs)
		i := asks(t, d, discovered)
		begun := time.Now()
		var all tally
		for n := range 4 {
			all.ask(from("192.0.2.1"), i, opaque(n))
		}
		expect(t, "all", all.String(), "map[unavailable:4]")
		if took := time.Since(begun); took > callTimeout {
			t.Errorf("it took %s", took)
		}
	})
}
