package integration

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// guardedSites are sites in which a request comes to an error route past a jwt
// handler that would have taken something away. {$DOWN} is a port without a
// listener.
const guardedSites = `
(error_route) {
	handle_errors {
		reverse_proxy {$UPSTREAM}
	}
}
https://two.example.test {
	jwt {
		api_keys {$KEYS}
		forward user X-Client
	}
	jwt {
		import issuer
		forward user X-User
		forward email X-Email
	}
	reverse_proxy {$UPSTREAM}
	import error_route
}
https://matchers.example.test {
	jwt /a/* {
		import issuer
		forward user X-User
	}
	jwt /b/* {
		import issuer
		forward email X-Email
	}
	reverse_proxy {$UPSTREAM}
	import error_route
}
https://between.example.test {
	route {
		jwt {
			api_keys {$KEYS}
			forward user X-Client
		}
		error 500
		jwt {
			import issuer
			forward user X-User
			forward email X-Email
		}
	}
	import error_route
}
https://traced.example.test {
	tracing
	jwt /refused/* {
		import issuer
		forward user X-User
		forward email X-Email
	}
	jwt {
		import issuer
		optional
		forward user X-User
		forward email X-Email
	}
	reverse_proxy {$DOWN}
	import error_route
}
`

// What a jwt handler takes away is gone from a request that comes to an error route
// without having come to it.
func TestThreat21_ErrorRoutesPastAHandler(t *testing.T) {
	t.Parallel()
	k := keys(t)
	held := peers.NewAPIKey(t, "partner", nil)
	down := fmt.Sprintf("127.0.0.1:%d", peers.FreePort(t)) // without a listener
	s, _ := newAPIKeyFixture(t, guardedSites, options{env: map[string]string{"DOWN": down}}, held)
	good := k.RS256.Token(t, s.claims(nil), nil)
	bad := k.Stranger.Token(t, s.claims(nil), nil)
	withKey := header("X-API-Key", held.Text)
	client := s.client(http1) // HTTP/2 lets through declared trailers alone
	for name, c := range map[string]struct {
		host, path string
		changes    []change
		user       string // that the upstream gets
		refused    bool   // so that the error route, which proxies, is not for it
	}{
		"refused by the first of two":           {"two.example.test", "/", []change{bearer(good)}, "", true},
		"refused by the second of two":          {"two.example.test", "/", []change{bearer(bad), withKey}, "", true},
		"refused by one of two with matchers":   {"matchers.example.test", "/a/x", []change{bearer(bad)}, "", true},
		"refused by the other":                  {"matchers.example.test", "/b/x", []change{bearer(bad)}, "", true},
		"an error between two":                  {"between.example.test", "/", []change{bearer(good), withKey}, "", false},
		"refused behind a handler that copies":  {"traced.example.test", "/refused/x", nil, "", true},
		"an error behind a handler that copies": {"traced.example.test", "/x", []change{bearer(good)}, "user-1", false},
		"anonymous, and an error":               {"traced.example.test", "/x", nil, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			for _, trailers := range []bool{false, true} {
				changes := append([]change{
					header("X-User", forged), header("X-Email", forged), exactHeader("x_eMAIL", forged),
				}, c.changes...)
				method := http.MethodGet
				if trailers {
					method = http.MethodPost
					changes = append(changes, body(strings.Repeat("x", 4000)), func(r *http.Request) {
						r.ContentLength = -1
						r.Trailer = http.Header{"X-User": {forged}, "X-Email": {forged}, "X-Checksum": {"123"}}
					})
				}
				s.upstream.Take()
				a := s.send(t, client, method, c.host, c.path, changes...)
				seen := s.upstream.Take()
				if c.refused {
					if len(seen) != 0 || a.status != http.StatusUnauthorized {
						t.Errorf("status %d, and the upstream was asked %d times", a.status, len(seen))
					}
					continue
				}
				if len(seen) != 1 {
					t.Fatalf("status %d, and the upstream was asked %d times; want the error route's once", a.status, len(seen))
				}
				for _, from := range []http.Header{seen[0].Header, seen[0].Trailer} {
					for header, values := range from {
						for _, v := range values {
							if v == forged || v == good || v == bad || strings.Contains(v, "Bearer") || v == held.Text {
								t.Errorf("the upstream was sent %s: %s", header, v)
							}
						}
					}
				}
				if got := seen[0].Header.Get("X-User"); got != c.user {
					t.Errorf("the upstream got the user %q; want %q", got, c.user)
				}
			}
		})
	}
	checkNothingForged(t, s.upstream)
}

// A parameter that a rewrite has renamed, or dropped, is a credential in the
// original URI too.
func TestThreat48_ARenamedParameterIsGoneFromTheOriginal(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, `
https://api.example.test {
	uri query token>access_token
	jwt {
		import issuer
		token_from query access_token
		require scope nobody:has
	}
	handle_errors {
		respond "{http.request.uri} {http.request.orig_uri} {http.request.orig_uri.query}"
	}
}
`, options{shownByCaddy: true}, k.RS256)
	good := k.RS256.Token(t, s.claims(nil), nil)
	a := s.send(t, s.http, http.MethodGet, site, "/x?a=1&token="+good+"&b=2")
	if want := "/x?a=1&b=2 /x?a=1&b=2 a=1&b=2"; a.body != want {
		t.Errorf("the page is %s; want %s", strings.ReplaceAll(a.body, good, "TOKEN"), want)
	}
}
