package integration

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// forged is in every value that a client sends in a header of identity. No byte of
// it may reach an upstream.
const forged = "forged-by-the-client"

// forwardingSite is a site where requests become all that can become of them. The
// upstream gets the same headers in each case: %[1]s is its reverse_proxy.
const forwardingSite = `
https://%[2]s {
	handle /valid/* {
		jwt {
			import names
		}
		%[1]s
	}
	handle /optional/* {
		jwt {
			import names
			optional
		}
		%[1]s
	}
	handle /preflight/* {
		jwt {
			import names
			allow_preflight
		}
		%[1]s
	}
	handle /report/* {
		jwt {
			import names
			mode report
		}
		%[1]s
	}
	handle /beside/* {
		jwt /beside/api/* {
			import names
		}
		%[1]s
	}
	handle /clear/* {
		jwt {
			mode clear
			clear X-User X-Roles X-Claims X-Internal
		}
		%[1]s
	}
	handle /scope/* {
		jwt {
			import names
			require scope nobody:has
		}
		%[1]s
	}
	handle /later/* {
		jwt {
			import names
		}
		error 500
	}
	handle_errors {
		%[1]s
	}
}
`

const forwardedNames = `
(names) {
	import issuer
	forward user X-User
	forward roles X-Roles
	forward_payload X-Claims
	clear X-Internal
}
`

// forwardCase is a request to a forwardingSite, and the headers that its upstream gets.
type forwardCase struct {
	name, method, path string
	token              string // empty for none
	preflight          bool
	want               map[string]string // by folded name
	refused            bool              // and so never sent to the error route, which proxies
}

func (s *fixture) forwardCases(t *testing.T) []forwardCase {
	t.Helper()
	k := keys(t)
	claims := s.claims(map[string]any{"roles": []string{"a", "b"}})
	good := k.RS256.Token(t, claims, nil)
	poor := s.claims(nil)
	bad := k.Stranger.Token(t, claims, nil)
	identity := map[string]string{"x-user": "user-1", "x-roles": "a,b", "x-claims": payload(t, good)}
	poorToken := k.RS256.Token(t, poor, nil)
	return []forwardCase{
		{name: "a valid request", path: "/valid/x.php", token: good, want: identity},
		{name: "a valid request with a body", method: http.MethodPost, path: "/valid/x.php", token: good, want: identity},
		{name: "a claim that is missing", path: "/valid/x.php", token: poorToken, want: map[string]string{"x-user": "user-1", "x-claims": payload(t, poorToken)}},
		{name: "refused", path: "/valid/x.php", token: bad, refused: true},
		{name: "without a credential", path: "/valid/x.php", refused: true},
		{name: "refused by a rule", path: "/scope/x.php", token: good, refused: true},
		{name: "an error route after an identity", path: "/later/x.php", token: good, want: identity},
		{name: "a path that no handler has, and its error route", path: "/nowhere", want: nil},
		{name: "anonymous", path: "/optional/x.php"},
		{name: "optional, with a token", path: "/optional/x.php", token: good, want: identity},
		{name: "optional, with a bad token", path: "/optional/x.php", token: bad, refused: true},
		{name: "a preflight", method: http.MethodOptions, path: "/preflight/x.php", preflight: true},
		{name: "a preflight with a token", method: http.MethodOptions, path: "/preflight/x.php", preflight: true, token: good},
		{name: "reported", path: "/report/x.php", token: bad},
		{name: "reported for having no credential", path: "/report/x.php"},
		{name: "report mode, with a token", path: "/report/x.php", token: good, want: identity},
		{name: "outside the matcher", path: "/beside/x.php"},
		{name: "outside the matcher, with a token", path: "/beside/x.php", token: good},
		{name: "inside the matcher", path: "/beside/api/x.php", token: good, want: identity},
		{name: "inside by another spelling of the path", path: "/beside/%61pi%2fx.php", refused: true},
		{name: "where headers are only cleared", path: "/clear/x.php", token: good},
	}
}

// payload is the claims of a token as they are passed on as a whole.
func payload(t *testing.T, token string) string {
	t.Helper()
	return strings.Split(token, ".")[1]
}

// newForwardingFixture has such a site in front of an HTTP upstream and one in front
// of a FastCGI responder.
func newForwardingFixture(t *testing.T, global string) (*fixture, *peers.Upstream) {
	t.Helper()
	responder := peers.NewFastCGI(t)
	s := newFixture(t, forwardedNames+
		fmt.Sprintf(forwardingSite, "reverse_proxy {$UPSTREAM}", site)+
		fmt.Sprintf(forwardingSite, "reverse_proxy {$FASTCGI} {\ntransport fastcgi {\nroot /nowhere\nsplit .php\n}\n}", "cgi.example.test"),
		// Caddy's own lines show the headers that it sends to upstreams, and with
		// them the claims that are a part of the token.
		options{global: global, shownByCaddy: true, env: map[string]string{"FASTCGI": responder.Addr}}, keys(t).RS256)
	return s, responder
}

// sendForged sends a request with forged headers and checks what the upstream gets.
func (s *fixture) sendForged(t *testing.T, upstream *peers.Upstream, client *http.Client, host string, f forwardCase, changes ...change) {
	t.Helper()
	if f.method == "" {
		f.method = http.MethodGet
	}
	if f.method == http.MethodPost {
		changes = append(changes, body("x=1"))
	}
	if f.token != "" {
		changes = append(changes, bearer(f.token))
	}
	if f.preflight {
		changes = append(changes, header("Origin", "https://app.example.test"), header("Access-Control-Request-Method", "PUT"))
	}
	upstream.Take()
	a := s.send(t, client, f.method, host, f.path, changes...)
	seen := upstream.Take()
	if f.path == "/nowhere" {
		if a.status != http.StatusOK || len(seen) != 0 {
			t.Errorf("%s: status %d, %d requests", f.name, a.status, len(seen))
		}
		return
	}
	if f.asked(t, seen) {
		s.checkIdentityHeaders(t, f, seen[0])
	}
}

// asked checks that the upstream was asked once, or not at all for a refused request, and
// reports which.
func (f forwardCase) asked(t *testing.T, seen []peers.Seen) bool {
	t.Helper()
	want := 1
	if f.refused {
		want = 0
	}
	if len(seen) != want {
		t.Errorf("%s: the upstream was asked %d times; want %d", f.name, len(seen), want)
	}
	return len(seen) > 0
}

// checkIdentityHeaders requires that an upstream got an identity's headers and no others.
func (s *fixture) checkIdentityHeaders(t *testing.T, f forwardCase, seen peers.Seen) {
	t.Helper()
	got := map[string]string{}
	for _, from := range []http.Header{seen.Header, seen.Trailer} {
		for name, values := range from {
			folded := strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(name))
			switch folded {
			case "x-user", "x-roles", "x-claims", "x-internal":
				got[folded] += strings.Join(values, "|")
			}
		}
	}
	want := f.want
	if want == nil {
		want = map[string]string{}
	}
	if !maps.Equal(got, want) {
		t.Errorf("%s: the upstream got %v; want %v", f.name, got, want)
	}
}

// checkNothingForged looks in every byte that the upstreams received.
func checkNothingForged(t *testing.T, upstreams ...*peers.Upstream) {
	t.Helper()
	for _, upstream := range upstreams {
		wire := upstream.Wire()
		if wire == "" {
			t.Error("an upstream received nothing, so this test looks at nothing")
		}
		if at := strings.Index(wire, forged); at >= 0 {
			t.Errorf("what a client forged reached an upstream:\n%s", wire[max(0, at-300):min(len(wire), at+100)])
		}
	}
}

// exactHeader sets a header under exactly this name, whatever its case.
func exactHeader(name string, values ...string) change {
	return func(r *http.Request) { r.Header[name] = values }
}

// forgedHeaders sets each of the headers, under exactly its name, to a forged value.
func forgedHeaders(names ...string) []change {
	var changes []change
	for _, name := range names {
		changes = append(changes, exactHeader(name, forged))
	}
	return changes
}

// sendAllForged sends each request to both upstreams with each of the forgeries, over
// every protocol.
func (s *fixture) sendAllForged(t *testing.T, responder *peers.Upstream, forgeries map[string][]change) {
	t.Helper()
	for _, version := range []protocol{http1, http2, h3} {
		client := s.client(version)
		for name, changes := range forgeries {
			t.Run(name+" over "+string(version), func(t *testing.T) {
				for _, f := range s.forwardCases(t) {
					s.sendForged(t, s.upstream, client, site, f, changes...)
					s.sendForged(t, responder, client, "cgi.example.test", f, changes...)
				}
			})
		}
	}
}

// Headers of identity that a client sends itself: of every spelling, whatever
// becomes of the request.
func TestThreat21_ForgedHeadersDoNotArrive(t *testing.T) {
	t.Parallel()
	s, responder := newForwardingFixture(t, "")
	forgeries := map[string][]change{
		"as they are":     forgedHeaders("X-User", "X-Roles", "X-Claims", "X-Internal"),
		"in lower case":   forgedHeaders("x-user", "x-roles", "x-claims", "x-internal"),
		"in strange case": forgedHeaders("x-uSeR", "X-ROLES", "X-cLaims", "X-INTERNAL"),
		"twice":           {exactHeader("X-User", forged, forged), exactHeader("X-Roles", "", forged), exactHeader("X-Claims", forged, "x"), exactHeader("X-Internal", "x", forged)},
		"twice, spelled":  forgedHeaders("X-User", "x-user", "X-USER"),
		"with other marks, which Caddy drops by itself": forgedHeaders("X_User", "x.user", "X_Roles", "X.Internal"),
	}
	s.sendAllForged(t, responder, forgeries)
	checkNothingForged(t, s.upstream, responder)
}

// Where Caddy is configured to let headers with _ or . through, they are no way in
// either: FastCGI, WSGI and PHP take them for the ones with -.
func TestThreat21_ForgedSpellingsThatCaddyLetsThrough(t *testing.T) {
	t.Parallel()
	s, responder := newForwardingFixture(t, `servers {
		expected_underscore_headers X_User X_Roles X_Claims X_Internal x_other
		expected_dot_headers X.User X.Roles X.Claims X.Internal x.other
	}`)
	forgeries := map[string][]change{
		"with _":               forgedHeaders("X_User", "X_Roles", "X_Claims", "X_Internal"),
		"with _ in lower case": forgedHeaders("x_user", "x_roles", "x_claims", "x_internal"),
		"with a dot":           forgedHeaders("X.User", "X.Roles", "X.Claims", "X.Internal"),
		"with both":            forgedHeaders("X_User", "x.user", "X-User", "X_ROLES", "X.rOLES"),
	}
	s.sendAllForged(t, responder, forgeries)
	for _, version := range []protocol{http1, http2, h3} {
		t.Run("other names arrive over "+string(version), func(t *testing.T) {
			a := s.send(t, s.client(version), http.MethodGet, site, "/clear/x.php", exactHeader("X_Other", "one"), exactHeader("X.Other", "two"))
			got := a.upstream(t).Header
			if fmt.Sprint(got["X_other"], got["X.other"]) != "[one] [two]" {
				t.Errorf("the upstream got %v", got)
			}
		})
	}
	checkNothingForged(t, s.upstream, responder)
}
