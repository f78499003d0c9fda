package integration

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// braces are texts that Caddy would make something of.
var braces = []string{
	"{env.SECRET}",
	"{env.HOME}",
	"{file./etc/passwd}",
	"{http.request.host}",
	"{http.jwt.claims.sub}",
	`\{env.SECRET\}`,
	"{{env.SECRET}}",
	"{env.{env.SECRET}}",
	"{$SECRET}",
	"{",
	"}{",
}

// A claim is text from outside. Caddy expands braces wherever a placeholder's
// value is looked at once more.
func TestThreat25_ClaimsAreNotExpanded(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, `
https://api.example.test {
	jwt {
		issuer {$ISSUER} {
			ca {$CA}
		}
		audience https://api.example.test
		claim text mapped
	}
	reverse_proxy {$UPSTREAM} {
		header_up X-Text-Claim {http.jwt.claims.text}
		header_up X-List-Claim {http.jwt.claims.list}
		header_up X-Text-Mapped {http.auth.user.mapped}
		header_up X-User-Id {http.auth.user.id}
	}
	import reasons
}
https://respond.example.test {
	jwt {
		issuer {$ISSUER} {
			ca {$CA}
		}
		audience https://api.example.test
	}
	route {
		header X-Text {http.jwt.claims.text}
		respond "{http.jwt.claims.text}"
	}
}
`, options{env: map[string]string{"SECRET": "the value of a variable"}}, k.RS256)

	for _, evil := range braces {
		t.Run(evil, func(t *testing.T) {
			token := k.RS256.Token(t, s.claims(map[string]any{"text": evil, "sub": evil, "list": []string{"a", evil}}), nil)
			seen := s.accepts(t, site, token)
			for name, want := range map[string]string{
				"X-Text-Claim": evil, "X-Text-Mapped": evil, "X-User-Id": evil, "X-List-Claim": "a," + evil,
			} {
				if got := seen.Header.Get(name); got != want {
					t.Errorf("%s is %q; want %q", name, got, want)
				}
			}
			a := s.get(t, "respond.example.test", token)
			if a.body != evil || a.header.Get("X-Text") != evil {
				t.Errorf("respond wrote %q and the header %q; want %q", a.body, a.header.Get("X-Text"), evil)
			}
		})
	}
}

// revealingErrorRoute is a site whose error page shows all that error routes know.
const revealingErrorRoute = `
https://api.example.test {
	jwt {
		import token_places
	}
	reverse_proxy {$UPSTREAM}
	handle_errors {
		respond <<PAGE
			reason {http.jwt.reason}
			uri {http.request.uri}
			original {http.request.orig_uri}
			query {http.request.orig_uri.query} {http.request.uri.query.access_token}
			headers {http.request.header.Authorization} {http.request.header.X-Token} {http.request.header.Cookie} {http.request.cookie.session}
			PAGE {err.status_code}
	}
}
`

// tokenPlacements to send a credential, and what must be left of the request without it.
func tokenPlacements(token string) map[string]struct {
	path    string
	changes []change
	rest    string
} {
	type way = struct {
		path    string
		changes []change
		rest    string
	}
	q := url.QueryEscape(token)
	return map[string]way{
		"in Authorization":             {"/a%2Fb?x=1", []change{bearer(token)}, "/a%2Fb?x=1"},
		"in a custom header":           {"/?x=1", []change{header("X-Token", token)}, "/?x=1"},
		"in the query":                 {"/a%2fb?x=%41&access_token=" + q + "&y=+", nil, "/a%2fb?x=%41&y=+"},
		"in the query alone":           {"/?access_token=" + q, nil, "/"},
		"in the query, first":          {"/?access_token=" + q + "&x", nil, "/?x"},
		"in the query, twice":          {"/?access_token=" + q + "&x=1&access_token=" + q, nil, "/?x=1"},
		"in the query, percent-coded":  {"/?x=1&access%5ftoken=" + q, nil, "/?x=1"},
		"in a cookie":                  {"/?x=1", []change{cookie("a", "1"), cookie("session", token), cookie("b", "2")}, "/?x=1"},
		"in all of them":               {"/?access_token=" + q + "&x=1", []change{bearer(token), header("X-Token", token), cookie("session", token)}, "/?x=1"},
		"in a second line of cookies":  {"/", []change{cookie("a", "1"), header("Cookie", "session="+token)}, "/"},
		"in the query, twice in a row": {"/?access_token=" + q + "&access_token=" + q + "&x=1", nil, "/?x=1"},
	}
}

func TestThreat48_ErrorRoutesGetNoCredential(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, revealingErrorRoute, options{shownByCaddy: true}, k.RS256)
	token := k.RS256.Token(t, s.claims(nil), nil)
	expired := k.RS256.Token(t, s.claims(map[string]any{"exp": 1_000_000_000}), nil)
	bad := k.Stranger.Token(t, s.claims(nil), nil)
	for name, way := range tokenPlacements(expired) {
		t.Run("an expired token, "+name, func(t *testing.T) {
			a := s.send(t, s.client(http1), http.MethodGet, site, way.path, way.changes...)
			s.checkStripped(t, a, "expired", way.rest)
		})
	}
	for name, way := range tokenPlacements(bad) {
		t.Run("a forged token, "+name, func(t *testing.T) {
			a := s.send(t, s.client(http1), http.MethodGet, site, way.path, way.changes...)
			s.checkStripped(t, a, "bad_signature", way.rest)
		})
	}
	t.Run("two tokens that are refused for being two", func(t *testing.T) {
		a := s.send(t, s.client(http1), http.MethodGet, site, "/?access_token="+token+"&x=1", bearer(bad))
		s.checkStripped(t, a, "multiple_credentials", "/?x=1")
	})
	s.checkNotSent(t, s.upstream, token, expired, bad)
}

// checkStripped checks the error page of a refused request, and that no upstream was
// asked.
func (s *fixture) checkStripped(t *testing.T, a answer, reason, uri string) {
	t.Helper()
	for _, line := range []string{"reason " + reason, "uri " + uri, "original " + uri} {
		if !strings.Contains(a.body, line+"\n") {
			t.Errorf("the page is\n%s\nwant in it: %s", a.body, line)
		}
	}
	if strings.Contains(a.body, "eyJ") || strings.Contains(a.body, "session") {
		t.Errorf("the page shows a credential:\n%s", a.body)
	}
	if n := len(s.upstream.Take()); n != 0 {
		t.Errorf("the upstream was asked %d times", n)
	}
}

// Errors that are raised before any jwt has run come to error routes that may lead to
// the upstream, and must not bring a credential there.
func TestThreat48_ErrorsBeforeJWTBringNoCredential(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, `
https://api.example.test {
	route {
		error /* 500
		jwt {
			import token_places
			forward user X-User
		}
	}
	handle_errors {
		reverse_proxy {$UPSTREAM} {
			header_up X-Original-URI {http.request.orig_uri}
		}
	}
}
`, options{shownByCaddy: true}, k.RS256)
	token := k.RS256.Token(t, s.claims(nil), nil)
	for name, way := range tokenPlacements(token) {
		t.Run(name, func(t *testing.T) {
			a := s.send(t, s.client(http1), http.MethodGet, site, way.path, append(way.changes, exactHeader("X-User", forged))...)
			seen := a.upstream(t)
			if seen.URI != way.rest || seen.Header.Get("X-Original-URI") != way.rest || seen.Header.Get("X-User") != "" || strings.Contains(seen.Header.Get("Cookie"), "session") {
				t.Errorf("the upstream got %s %v", seen.URI, seen.Header)
			}
			s.upstream.Take()
		})
	}
	s.checkNotSent(t, s.upstream, token)
}

// checkNotSent looks for credentials in every byte that an upstream received.
func (s *fixture) checkNotSent(t *testing.T, upstream *peers.Upstream, tokens ...string) {
	t.Helper()
	wire := upstream.Wire()
	for _, token := range tokens {
		for _, piece := range strings.Split(token, ".") {
			if at := strings.Index(wire, piece); at >= 0 {
				t.Errorf("a piece of a token reached the upstream:\n%s", wire[max(0, at-400):min(len(wire), at+100)])
				return
			}
		}
	}
}

// FastCGI sends the original URI, the query and every header as parameters.
func TestThreat48_FastCGIGetsNoCredential(t *testing.T) {
	t.Parallel()
	k := keys(t)
	responder := peers.NewFastCGI(t)
	root := t.TempDir()
	s := newFixture(t, `
https://api.example.test {
	root {$ROOT}
	jwt {
		import token_places
	}
	rewrite * /index.php?{query}
	reverse_proxy {$FASTCGI} {
		transport fastcgi {
			split .php
		}
	}
	handle_errors {
		rewrite * /error.php
		reverse_proxy {$FASTCGI} {
			transport fastcgi {
				split .php
				env REASON {http.jwt.reason}
			}
		}
	}
}
`, options{shownByCaddy: true, env: map[string]string{"FASTCGI": responder.Addr, "ROOT": root}}, k.RS256)

	good := k.RS256.Token(t, s.claims(nil), nil)
	bad := k.Stranger.Token(t, s.claims(nil), nil)
	for _, token := range []string{good, bad} {
		for name, way := range tokenPlacements(token) {
			t.Run(map[bool]string{true: "a good token ", false: "a forged token "}[token == good]+name, func(t *testing.T) {
				responder.Take()
				a := s.send(t, s.client(http1), http.MethodGet, site, way.path, way.changes...)
				want := map[bool]int{true: 1, false: 0}[token == good]
				if n := len(responder.Take()); n != want {
					t.Fatalf("status %d: the responder was asked %d times; want %d", a.status, n, want)
				}
			})
		}
	}
	s.checkNotSent(t, responder, good, bad)
	if wire := responder.Wire(); !strings.Contains(wire, "REQUEST_URI") {
		t.Error("the responder was not sent what this test is about")
	}
}
