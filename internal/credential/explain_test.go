package credential

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/reason"
)

// every place, for tokens and API keys.
func everywhere(t *testing.T, s Settings) *Places {
	t.Helper()
	s.Tokens, s.APIKeys = true, true
	c, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestPut: what is put into a place is found there by Take, and in the next if it is taken.
func TestPut(t *testing.T) {
	t.Parallel()
	for _, from := range []Source{
		{From: FromHeader, Name: "Authorization", Scheme: "Bearer"}, {From: FromHeader, Name: "X-Token"}, {From: FromCookie, Name: "session"},
		{From: FromQuery, Name: "access token"}, {From: FromBasic},
	} {
		token := from.From != FromBasic
		s := Settings{TokenFrom: []*Source{&from}, APIKeyFrom: []*Source{{From: FromHeader, Name: "X-Other"}}}
		if !token {
			s = Settings{TokenFrom: []*Source{{From: FromHeader, Name: "X-Other"}}, APIKeyFrom: []*Source{&from}}
		}
		c := everywhere(t, s)
		r := httptest.NewRequest(http.MethodGet, "/a?b=c", nil)
		r.Header.Set("Cookie", "other=1")
		const text = "a.b+c/d=.e"
		if where := c.Put(r, text, token); where != from.String() {
			t.Errorf("%v: put %q", from, where)
		}
		if where := c.Put(r, "another", token); where != "" {
			t.Errorf("%v: put twice, %q", from, where)
		}
		seen := c.Sightings(r, new(Removed))
		if len(seen) != 1 || !strings.HasSuffix(seen[0], from.String()) || strings.Contains(fmt.Sprint(seen), text) {
			t.Errorf("%v: seen %v", from, seen)
		}
		looked, code := c.Look(r, new(Removed))
		f, taken := c.Take(r, new(Removed))
		got := f.Token
		if !token {
			got = f.APIKey
		}
		if code != "" || taken != "" || got.Text != text || looked != f {
			t.Errorf("%v: %v %v", from, code, taken)
		}
		if r.URL.RawQuery != "b=c" || r.RequestURI != "/a?b=c" || r.Header.Get("Cookie") != "other=1" {
			t.Errorf("%v: the rest of the request changed: %s %v", from, r.RequestURI, r.Header)
		}
	}
}

// TestLookIsTake: Look finds the same as Take, and changes nothing.
func TestLookIsTake(t *testing.T) {
	t.Parallel()
	cross := func(r *http.Request) { r.Method = http.MethodPost; r.Header.Set("Sec-Fetch-Site", "cross-site") }
	for name, c := range map[string]struct {
		settings Settings
		change   func(*http.Request)
		want     reason.Code
		seen     string
	}{
		"nothing":   {Settings{}, func(*http.Request) {}, reason.MissingCredentials, ""},
		"two":       {Settings{}, func(r *http.Request) { r.Header["Authorization"] = []string{"Bearer a", "Bearer b"} }, reason.MultipleCredentials, "several values in the header Authorization with the scheme Bearer"},
		"empty":     {Settings{}, func(r *http.Request) { r.Header.Set("Authorization", "Bearer ") }, reason.MalformedRequest, "no usable value in the header Authorization with the scheme Bearer"},
		"both":      {Settings{}, func(r *http.Request) { r.Header.Set("Authorization", "Bearer a.b.c"); r.Header.Set("X-Api-Key", "k") }, "", "a token in the header Authorization with the scheme Bearer, an API key in the header X-Api-Key"},
		"a cookie":  {Settings{TokenFrom: []*Source{{From: FromCookie, Name: "s"}}}, func(r *http.Request) { cross(r); r.Header.Set("Cookie", "s=a.b.c") }, reason.CrossOrigin, "a token in the cookie s"},
		"lookalike": {Settings{TokenFrom: []*Source{{From: FromCookie, Name: "s"}}, Keep: true}, func(r *http.Request) { r.Header.Set("Cookie", "s=a.b.c; x s=d") }, reason.MultipleCredentials, "several values in the cookie s"},
		"in place":  {Settings{InPlace: true}, func(r *http.Request) { r.Header.Set("X-Api-Key", "k") }, "", "an API key in the header X-Api-Key"},
	} {
		places := everywhere(t, c.settings)
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		c.change(r)
		before := fmt.Sprint(r.Header)
		if seen := strings.Join(places.Sightings(r, new(Removed)), ", "); seen != c.seen {
			t.Errorf("%s: seen %q", name, seen)
		}
		looked, code := places.Look(r, new(Removed))
		if fmt.Sprint(r.Header) != before {
			t.Errorf("%s: the headers changed", name)
		}
		found, taken := places.Take(r, new(Removed))
		if code != c.want || taken != c.want || looked != found {
			t.Errorf("%s: %s by looking, %s by taking", name, code, taken)
		}
	}
}
