package admin

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/apikey"
)

// FuzzAdminBody sends any body to each endpoint that takes one: nothing panics, a body that
// is refused changes nothing, and no answer or line has a control character or a secret.
func FuzzAdminBody(f *testing.F) {
	for i, c := range changes {
		f.Add(uint8(i), []byte(c.body))
	}
	for _, body := range []string{
		`{"kind":"token","value":"a.b.c"}`, `{"kind":"token","value":"eyJhbGciOiJFUzI1NiJ9.eyJleHAiOjFlOTk5fQ.x"}`, `{"kind":"jti","value":"\u001b","any_issuer":true}`,
		`{"store":"partners","meta":{"a":{"b":[1e999]}},"scopes":["a"],"expires":"9999-12-31T23:59:59Z"}`, `{"enabled":false}`, `{"overlap":"1d"}`, `{"retire_now":true,"forward":true}`, `{"a":1,"a":2}`, "[]", "\xff",
	} {
		for i := range changes {
			f.Add(uint8(i), []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		c := changes[int(which)%len(changes)]
		s := newSite(t)
		s.withKey("partners", "k1", func(k *apikey.StoredKey) { k.Disabled = true })
		r := httptest.NewRequest(c.method, c.path, strings.NewReader(string(body)))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		s.mux.ServeHTTP(w, r)
		if w.Code >= 500 || w.Code < 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if w.Code >= 300 {
			s.unchanged()
		}
		if strings.ContainsAny(w.Body.String(), "\x00\x1b\x7f\u202e") || strings.ContainsAny(s.logs.String(), "\x00\x1b\x7f\u202e") {
			t.Errorf("%q %q", w.Body, s.logs)
		}
		if strings.Count(s.logs.String(), "\n") != 1 {
			t.Errorf("not one line: %q", s.logs)
		}
		if w.Code == http.StatusCreated && strings.HasSuffix(c.path, "api-keys") && s.last().Key == nil {
			t.Error("the line lacks the key")
		}
	})
}
