package integration

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// errorRouteSites differ in their error routes.
const errorRouteSites = `
(guarded) {
	jwt {
		issuer {$ISSUER} {
			ca {$CA}
		}
		audience https://api.example.test
	}
	reverse_proxy {$UPSTREAM}
}
https://plain.example.test {
	import guarded
}
https://styled.example.test {
	import guarded
	handle_errors {
		header X-Reason {http.jwt.reason}
		header X-Error {http.jwt.error}
		respond "<p>{http.jwt.error_description}</p>" {err.status_code}
	}
}
https://missing.example.test {
	import guarded
	handle_errors 404 {
		respond "not found page" 404
	}
}
https://unauthorized.example.test {
	import guarded
	handle_errors 401 403 {
		respond "please sign in" {err.status_code}
	}
}
https://paths.example.test {
	import guarded
	handle_errors {
		@pages path /pages/*
		respond @pages "the page's error" {err.status_code}
	}
}
`

// Two sites share a listener, and with it the server's error routes: the error
// routes of one of them do not apply to the other.
func TestRefusalsAndErrorRoutes(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, errorRouteSites, options{}, k.RS256)
	expired := k.RS256.Token(t, s.claims(map[string]any{"exp": 1_000_000_000}), nil)
	for _, c := range []struct {
		name, host, token string
		body              string // empty for the plugin's own JSON
	}{
		{"a site without error routes answers with the plugin's JSON", "plain.example.test", expired, ""},
		{"and so for a request without a token", "plain.example.test", "", ""},
		{"a site with one answers with its body", "styled.example.test", expired, "<p>the token has expired</p>"},
		{"an error route for 404 leaves a 401 alone", "missing.example.test", expired, ""},
		{"an error route for 401 takes it", "unauthorized.example.test", expired, "please sign in"},
	} {
		t.Run(c.name, func(t *testing.T) { s.checkExpired(t, c.host, c.token, c.body) })
	}
	t.Run("an error route that answers some paths leaves the others to the plugin", func(t *testing.T) {
		if a := s.send(t, s.http, http.MethodGet, "paths.example.test", "/pages/x", bearer(expired)); a.status != http.StatusUnauthorized || a.body != "the page's error" {
			t.Errorf("status %d, body %q", a.status, a.body)
		}
		if a := s.send(t, s.http, http.MethodGet, "paths.example.test", "/api", bearer(expired)); a.status != http.StatusUnauthorized || a.code() != "invalid_token" {
			t.Errorf("status %d, body %q; want 401 and the plugin's own", a.status, a.body)
		}
	})
	t.Run("a HEAD request gets the headers and no body", func(t *testing.T) {
		a := s.send(t, s.http, http.MethodHead, "plain.example.test", "/", bearer(expired))
		if a.status != http.StatusUnauthorized || a.body != "" || a.header.Get("WWW-Authenticate") == "" {
			t.Errorf("status %d, body %q, %v", a.status, a.body, a.header)
		}
	})
	if seen := s.upstream.Take(); len(seen) != 0 {
		t.Errorf("the upstream got %d requests; want none", len(seen))
	}
}

// checkExpired requires the answer to an expired token, or to a request without one:
// with this body, or with the plugin's own.
func (s *fixture) checkExpired(t *testing.T, host, token, wantBody string) {
	t.Helper()
	var changes []change
	if token != "" {
		changes = append(changes, bearer(token))
	}
	a := s.send(t, s.http, http.MethodGet, host, "/", changes...)
	checkStatus(t, a, http.StatusUnauthorized)
	challenge := a.header.Get("WWW-Authenticate")
	if !strings.HasPrefix(challenge, "Bearer") || (token != "") != strings.Contains(challenge, `error="invalid_token"`) {
		t.Errorf("the challenge is %q", challenge)
	}
	if got := a.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control is %q; want no-store", got)
	}
	if wantBody != "" {
		if a.body != wantBody {
			t.Errorf("the body is %q; want %q", a.body, wantBody)
		}
		return
	}
	if got := a.header.Get("Content-Type"); !strings.HasPrefix(got, "application/json") {
		t.Errorf("Content-Type is %q; want application/json", got)
	}
	var body map[string]string
	if err := json.Unmarshal([]byte(a.body), &body); err != nil {
		t.Fatalf("the body %q is no JSON: %v", a.body, err)
	}
	if token != "" && (body["error"] != "invalid_token" || body["error_description"] != "the token has expired") {
		t.Errorf("the body is %v", body)
	}
}

// Nothing of a request comes back in a refusal.
func TestRefusalsEchoNothing(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, strings.Replace(oneIssuer, "import reasons", "", 1), options{}, k.RS256)
	const mark = "canary-in-the-token"
	for name, token := range map[string]string{
		"in the issuer": k.RS256.Token(t, s.claims(map[string]any{"iss": "https://" + mark + ".example"}), nil),
		"in the kid":    k.RS256.Named(mark).Token(t, s.claims(nil), nil),
		"in the alg":    k.RS256.Token(t, s.claims(nil), map[string]any{"alg": mark}),
		"in the typ":    k.RS256.Token(t, s.claims(nil), map[string]any{"typ": mark}),
		"in the aud":    k.RS256.Token(t, s.claims(map[string]any{"aud": mark}), nil),
		"in the sub":    k.RS256.Token(t, s.claims(map[string]any{"sub": mark, "exp": 1_000_000_000}), nil),
		"in crit":       k.RS256.Token(t, s.claims(nil), map[string]any{"crit": []string{mark}}),
		"as the token":  mark,
	} {
		t.Run(name, func(t *testing.T) {
			a := s.get(t, site, token)
			checkStatus(t, a, http.StatusUnauthorized)
			if whole := a.body + toJSON(t, a.header); strings.Contains(whole, mark) || strings.Contains(whole, token) {
				t.Errorf("the answer repeats the request: %s", whole)
			}
			if a.code() != "invalid_token" {
				t.Errorf("the code is %q; want invalid_token", a.code())
			}
		})
	}
	if strings.Contains(s.logs.String(), mark) {
		// kid, alg and the like are the client's words: a log that repeats them
		// lets any client write in it.
		t.Error("the log repeats what a token said")
	}
}

// Bad requests of any client cost no log space and never look like a failure of
// the server.
func TestBadRequestsAreQuiet(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, allTokenPlaces, options{shownByCaddy: true}, k.RS256)
	s.accepts(t, site, k.RS256.Token(t, s.claims(nil), nil))
	good := k.RS256.Token(t, s.claims(nil), nil)
	hmac := peers.HMAC(t, "HS256", k.RS256.PublicPEM(t), s.claims(nil), nil)
	bad := [][]change{
		nil,
		{bearer("garbage")},
		{bearer(k.Stranger.Token(t, s.claims(nil), nil))},
		{bearer(k.Stranger.Named("nobody").Token(t, s.claims(nil), nil))},
		{bearer(hmac)},
		{bearer(k.RS256.Token(t, s.claims(map[string]any{"exp": 1}), nil))},
		{bearer(k.RS256.Token(t, s.claims(map[string]any{"aud": "x"}), nil))},
		{bearer(good), bearer(good)},
		{header("Authorization", "Bearer")},
		{header("Authorization", "Basic x")},
		{cookie("session", good), header("Sec-Fetch-Site", "cross-site"), func(r *http.Request) { r.Method = http.MethodPost }},
		{rawQuery("%zz=%&;=&access_token=%")},
		{header("Cookie", "session; =; session=")},
	}
	mark := s.logs.mark()
	for i := range 200 {
		a := s.send(t, s.http, http.MethodGet, site, "/", bad[i%len(bad)]...)
		if a.status < 400 || a.status >= 500 {
			t.Errorf("status %d for the bad request %d", a.status, i%len(bad))
		}
	}
	if lines := aboveDebug(s.logs.since(mark), func(entry) bool { return true }); len(lines) > 1 {
		t.Errorf("%d lines above DEBUG; want at most one. The first two:\n%s\n%s", len(lines), lines[0].line, lines[1].line)
	}
}
