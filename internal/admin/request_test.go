package admin

import (
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/apikey"
)

// changes are all requests that change something, each with a good body.
var changes = []struct{ method, path, body string }{
	{"POST", "/jwt/revocations", `{"kind":"sub","value":"alice","any_issuer":true}`},
	{"POST", "/jwt/api-keys", `{"store":"partners","consumer":"acme"}`},
	{"PATCH", "/jwt/api-keys/k1", `{"name":"new"}`},
	{"PUT", "/jwt/api-keys/k1/secret", `{"overlap":"1h"}`},
	{"POST", "/jwt/state/accept", `{}`},
	{"POST", "/jwt/signing-keys", `{"issuer":"https://auth.example"}`},
	{"DELETE", "/jwt/api-keys/k1", ""},
}

// withKey adds a key to a store.
func (s *site) withKey(store, id string, change ...func(*apikey.StoredKey)) {
	k := apikey.StoredKey{Record: apikey.Record{ID: id, Consumer: "acme", Scopes: []string{"read"}, Created: noon.Add(-time.Hour)}, Secrets: 1}
	for _, c := range change {
		c(&k)
	}
	s.store(store).keys[id] = k
}

func TestBodiesAreReadStrictly(t *testing.T) {
	t.Parallel()
	for _, c := range changes {
		if c.body == "" {
			continue
		}
		for name, bad := range map[string]struct {
			status      int
			contentType string
			body, part  string
		}{
			"no type":               {415, "", c.body, "Content-Type: application/json"},
			"a form":                {415, "application/x-www-form-urlencoded", c.body, "Content-Type: application/json"},
			"text":                  {415, "text/plain", c.body, "Content-Type: application/json"},
			"another charset":       {415, "application/json; charset=utf-16", c.body, "Content-Type: application/json"},
			"another parameter":     {415, "application/json; v=1", c.body, "Content-Type: application/json"},
			"a type like it":        {415, "application/json-patch+json", c.body, "Content-Type: application/json"},
			"no body":               {400, "application/json", "", "one JSON object"},
			"an array":              {400, "application/json", "[" + c.body + "]", "one JSON object"},
			"two objects":           {400, "application/json", c.body + c.body, "one JSON object"},
			"something behind it":   {400, "application/json", c.body + "x", "one JSON object"},
			"half an object":        {400, "application/json", strings.TrimSuffix(c.body, "}"), "one JSON object"},
			"no UTF-8":              {400, "application/json", "{\"x\":\"\xff\"}", "not UTF-8"},
			"an unknown member":     {400, "application/json", `{"resaon":"x"}`, `"resaon": unknown member`},
			"another case":          {400, "application/json", `{"Kind":"x"}`, `"Kind": unknown member`},
			"a member twice":        {400, "application/json", `{"a":1,"a":1}`, "two members of one name"},
			"an escape in a member": {400, "application/json", `{"\u001b[2J":"x"}`, "unknown member"},
			"too large":             {413, "application/json", c.body + strings.Repeat(" ", maxBody), "131072 bytes"},
		} {
			t.Run(c.method+" "+c.path+"/"+name, func(t *testing.T) {
				t.Parallel()
				s := newSite(t)
				s.withKey("partners", "k1")
				s.fails(bad.status, bad.part, c.method, c.path, bad.body, "Content-Type", bad.contentType)
				if line := s.last(); line.Outcome != "refused" || line.Status != bad.status {
					t.Errorf("%+v", line)
				}
				s.unchanged()
				if strings.Contains(s.logs.String(), "\x1b") {
					t.Error("a control character is in the log")
				}
			})
		}
		t.Run(c.method+" "+c.path+"/good", func(t *testing.T) {
			t.Parallel()
			for _, contentType := range []string{"application/json", "application/json; charset=utf-8", `application/json;charset="UTF-8"`} {
				s := newSite(t)
				s.withKey("partners", "k1")
				if w := s.send(c.method, c.path, c.body, "Content-Type", contentType); w.Code > 299 {
					t.Errorf("%s: %d %s", contentType, w.Code, w.Body)
				}
			}
		})
	}
}

// unchanged expects that nothing was changed.
func (s *site) unchanged() {
	s.t.Helper()
	for _, set := range s.state.signing {
		if keys := set.Keys.(*fakeSigning); keys.by != "" {
			s.t.Errorf("signing keys were changed: %v", keys.keys)
		}
	}
	if len(s.rules.rules) > 0 || len(s.state.changed) > 0 || len(s.state.revoked) > 0 {
		s.t.Errorf("something was changed: %v %v", s.rules.rules, s.state.changed)
	}
}

func TestOtherMethods(t *testing.T) {
	t.Parallel()
	for path, allowed := range map[string]string{
		"/jwt/revocations": "GET, POST", "/jwt/revocations/jti-000000000000000000000000": "DELETE", "/jwt/api-keys": "GET, POST",
		"/jwt/api-keys/k1": "DELETE, GET, PATCH", "/jwt/api-keys/k1/secret": "PUT", "/jwt/audit": "GET", "/jwt/signing-keys": "GET, POST", "/jwt/explain": "POST", "/jwt/state/accept": "POST", "/jwt/status": "GET",
	} {
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"} {
			if strings.Contains(allowed, method) {
				continue
			}
			s := newSite(t)
			w := s.send(method, path, `{}`)
			if w.Code != 405 || w.Header().Get("Allow") != allowed || !strings.Contains(w.Body.String(), allowed) {
				t.Errorf("%s %s: %d, Allow: %s, %s", method, path, w.Code, w.Header().Get("Allow"), w.Body)
			}
			s.unchanged()
		}
	}
	for _, path := range []string{
		"/jwt/api-keys/", "/jwt/api-keys/k1/", "/jwt/api-keys/k1/secret/", "/jwt/api-keys/k1/roll", "/jwt/revocations/", "/jwt/revocations/x/secret", "/jwt/api-keys//secret",
	} {
		s := newSite(t)
		r := httptest.NewRequest("PUT", "http://localhost"+path, strings.NewReader("{}"))
		w := httptest.NewRecorder()
		s.mux.ServeHTTP(w, r)
		if w.Code != 404 && w.Code != 307 && w.Code != 301 {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

func TestParametersAreReadStrictly(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.withKey("partners", "k1")
	for _, c := range []struct{ method, path, body, part string }{
		{"GET", "/jwt/revocations?limt=1", "", "?limt: unknown parameter; the parameters are kind, value"},
		{"GET", "/jwt/revocations?limit=1&limit=2", "", "?limit: duplicate; give it once"},
		{"GET", "/jwt/revocations?limit=0", "", "from 1 to 1000"},
		{"GET", "/jwt/revocations?limit=1001", "", "from 1 to 1000"},
		{"GET", "/jwt/revocations?limit=x%1b", "", "from 1 to 1000"},
		{"GET", "/jwt/revocations?kind=user", "", "?kind: must be one of jti, sub"},
		{"GET", "/jwt/revocations?after=../x", "", "?after"},
		{"GET", "/jwt/revocations?value=%zz", "", "percent-encode"},
		{"GET", "/jwt/revocations?a=1;b=2", "", "percent-encode"},
		{"GET", "/jwt/api-keys?expiring=soon", "", "?expiring: \"soon\" is not a valid duration"},
		{"GET", "/jwt/api-keys?unused=-1h", "", "?unused"},
		{"GET", "/jwt/api-keys?unused=99999d", "", "?unused"},
		{"GET", "/jwt/api-keys?after=!", "", "?after"},
		{"GET", "/jwt/api-keys?after=eA", "", "?after"},
		{"GET", "/jwt/api-keys/k1?x=1", "", "?x: unknown parameter"},
		{"GET", "/jwt/audit?after=-1", "", "?after"},
		{"GET", "/jwt/audit?q=1", "", "?q: unknown parameter"},
		{"POST", "/jwt/revocations?reason=x", `{"kind":"sub","value":"a","any_issuer":true}`, "?reason: this takes no parameters"},
		{"POST", "/jwt/api-keys?store=partners", `{"store":"partners"}`, "?store: this takes no parameters"},
		{"POST", "/jwt/state/accept?x", `{}`, "?x: this takes no parameters"},
		{"PATCH", "/jwt/api-keys/k1?reason=x", `{"name":"x"}`, "?reason: unknown parameter"},
		{"DELETE", "/jwt/api-keys/k1", `{"reason":"x"}`, "takes no body"},
		{"DELETE", "/jwt/revocations/jti-000000000000000000000000", `{"reason":"x"}`, "takes no body"},
	} {
		s.fails(400, c.part, c.method, c.path, c.body)
	}
	s.unchanged()
}

// TestAReaderThatFails: a body that ends early is no body.
func TestAReaderThatFails(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	r := httptest.NewRequest("POST", "/jwt/revocations", io.MultiReader(strings.NewReader(`{"kind":"sub"`), failingReader{}))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	s.mux.ServeHTTP(w, r)
	if w.Code != 400 {
		t.Error(w.Code, w.Body)
	}
	s.unchanged()
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, fmt.Errorf("the connection was reset") }

// TestWithoutState: what has no place in the config is refused with what to add.
func TestWithoutState(t *testing.T) {
	t.Parallel()
	for _, c := range changes {
		s := newSite(t)
		s.app.state = nil
		part := "add the line `state` to the block `jwt`"
		switch { // a service or a store brings the state with it
		case c.path == signingKeysPath:
			part = "add the directive `authorization_server`"
		case strings.HasPrefix(c.path, "/jwt/api-keys"):
			part = "`api_keys partners {`"
		}
		s.fails(409, part, c.method, c.path, c.body)
		if line := s.last(); line.Outcome != "refused" || line.Status != 409 {
			t.Errorf("%+v", line)
		}
		s.running.Remove(s.app)
		w := s.send(c.method, c.path, c.body)
		if w.Code != 503 || w.Header().Get("Retry-After") != "5" {
			t.Errorf("%s %s without a config: %d", c.method, c.path, w.Code)
		}
	}
	s := newSite(t)
	s.app.state = nil
	s.fails(409, "add the line `state`", "GET", "/jwt/revocations", "")
	if page := want[KeyPage](s, 200, "GET", "/jwt/api-keys", ""); len(page.Items) != 0 {
		t.Error(page)
	}
	s.fails(404, "no key", "GET", "/jwt/api-keys/k1", "")
	s.app.state = s.state
	s.state.stores = nil
	for _, c := range changes[1:4] {
		s.fails(409, "api_keys partners", c.method, c.path, c.body)
	}
	s.state.rules = nil
	s.fails(409, "add the line `state`", "POST", "/jwt/revocations", changes[0].body)
}
