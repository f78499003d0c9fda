package integration

import (
	"net/http"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// nestedSites have a jwt within a jwt: %s are the inner one's options.
const nestedSites = `
(outer) {
	jwt {
		import issuer
		require scope read
		claim role
		forward user X-User
		forward role X-Role
	}
}
(echo) {
	reverse_proxy {$UPSTREAM} {
		header_up X-Id {http.auth.user.id}
		header_up X-Named {http.auth.user.role}
		header_up X-Issuer {http.jwt.issuer}
		header_up X-Reason {http.jwt.reason}
	}
}
(inner) {
	handle /{args[0]} {
		jwt {
			{block}
		}
		import echo
	}
}
https://api.example.test {
	import outer
	import inner optional {
		issuer {$OTHER} {
			ca {$OTHER_CA}
			audience https://api.example.test
		}
		token_from header X-Other
		optional
		forward user X-User
		forward role X-Role
	}
	import inner report {
		issuer {$OTHER} {
			ca {$OTHER_CA}
			audience https://api.example.test
		}
		mode report
		forward user X-User
	}
	import inner preflight {
		issuer {$OTHER} {
			ca {$OTHER_CA}
			audience https://api.example.test
		}
		allow_preflight
		clear X-Role
	}
	import inner clear {
		mode clear
		clear X-User X-Role X-Other
	}
	import inner issuer {
		issuer {$OTHER} {
			ca {$OTHER_CA}
			audience https://api.example.test
		}
	}
	import inner scope {
		import issuer
		require scope admin
	}
	import inner key {
		api_keys {$KEYS}
		forward user X-User
	}
	handle_errors {
		header X-Reason {http.jwt.reason}
		respond "id={http.auth.user.id} named={http.auth.user.role} issuer={http.jwt.issuer} user={http.request.header.X-User} role={http.request.header.X-Role}" {err.status_code}
	}
}
https://lax.example.test {
	jwt {
		import issuer
		mode report
		forward user X-User
		clear X-Role
	}
	import inner strict {
		import issuer
		require scope read
	}
	import reasons
}
`

// checkNobody checks the error page of a refused request: it knows no identity and no
// header of one, and no upstream was asked.
func (s *fixture) checkNobody(t *testing.T, a answer) {
	t.Helper()
	if a.status < 400 || a.body != "id= named= issuer= user= role=" {
		t.Errorf("status %d, page %s", a.status, a.body)
	}
	if n := len(s.upstream.Take()); n != 0 {
		t.Errorf("the upstream was asked %d times", n)
	}
}

// A jwt within a jwt: both hold. One that ends as anonymous leaves the
// identity of the outer one, and its headers, as they are.
func TestThreat46_BothHandlersHold(t *testing.T) {
	t.Parallel()
	k := keys(t)
	other := peers.NewKeyServer(t, peers.NewCA(t), k.ES256)
	held := peers.NewAPIKey(t, "partner", map[string]any{"scopes": []string{"read"}})
	s, _ := newAPIKeyFixture(t, nestedSites, options{env: map[string]string{"OTHER": other.URL, "OTHER_CA": other.CA.File}}, held)
	mine := bearer(k.RS256.Token(t, s.claims(map[string]any{"role": "user"}), nil))
	poor := bearer(k.RS256.Token(t, s.claims(map[string]any{"role": "user", "scope": "x"}), nil))
	theirs := k.ES256.Token(t, peers.Claims(other.URL, audience, map[string]any{"sub": "stranger", "role": "root"}), nil)
	forgeries := []change{exactHeader("X-User", forged), exactHeader("X-Role", forged)}
	outer := map[string]string{"X-Id": "user-1", "X-User": "user-1", "X-Role": "user", "X-Named": "user", "X-Issuer": s.issuer.URL}
	get := func(t *testing.T, host, path string, changes ...change) answer {
		t.Helper()
		s.upstream.Take()
		return s.send(t, s.http, http.MethodGet, host, path, append(changes, forgeries...)...)
	}
	for _, path := range []string{"/optional", "/report", "/clear"} {
		t.Run("the outer identity stays at "+path, func(t *testing.T) {
			a := get(t, site, path, mine)
			if a.status != http.StatusOK {
				t.Fatalf("status %d", a.status)
			}
			checkHeaders(t, a.upstream(t).Header, outer)
		})
		t.Run("and the outer rules hold at "+path, func(t *testing.T) {
			for reason, changes := range map[string][]change{
				"missing_credentials": nil, "insufficient_scope": {poor}, "bad_signature": {bearer(k.Stranger.Token(t, s.claims(nil), nil))},
			} {
				a := get(t, site, path, changes...)
				if got := a.header.Get("X-Reason"); got != reason {
					t.Errorf("the reason is %q; want %s", got, reason)
				}
				s.checkNobody(t, a)
			}
		})
	}
	t.Run("a preflight with a token keeps the outer identity", func(t *testing.T) {
		s.upstream.Take()
		a := s.send(t, s.http, http.MethodOptions, site, "/preflight", mine, header("Origin", "https://app.example.test"), header("Access-Control-Request-Method", "GET"))
		if a.status != http.StatusOK {
			t.Fatalf("status %d", a.status)
		}
		checkHeaders(t, a.upstream(t).Header, outer)
	})
	t.Run("report mode says why", func(t *testing.T) {
		checkHeaders(t, get(t, site, "/report", mine).upstream(t).Header, map[string]string{"X-Reason": "unknown_issuer", "X-User": "user-1"})
	})
	t.Run("an inner one that authenticates is the identity", func(t *testing.T) {
		checkHeaders(t, get(t, site, "/optional", mine, header("X-Other", theirs)).upstream(t).Header,
			map[string]string{"X-Id": "stranger", "X-User": "stranger", "X-Role": "root", "X-Named": "", "X-Issuer": other.URL})
		checkHeaders(t, get(t, site, "/key", mine, apiKey(held.Text)).upstream(t).Header, map[string]string{"X-Id": "partner", "X-User": "partner", "X-Named": ""})
	})
	t.Run("an inner one that refuses leaves nobody", func(t *testing.T) {
		for path, reason := range map[string]string{"/issuer": "unknown_issuer", "/scope": "insufficient_scope", "/key": "missing_credentials", "/preflight": "unknown_issuer"} {
			a := get(t, site, path, mine)
			if got := a.header.Get("X-Reason"); got != reason {
				t.Errorf("%s: the reason is %q; want %s", path, got, reason)
			}
			s.checkNobody(t, a)
		}
		a := get(t, site, "/optional", mine, header("X-Other", k.Stranger.Token(t, s.claims(nil), nil)))
		if got := a.header.Get("X-Reason"); got != "unknown_issuer" {
			t.Errorf("a bad token for the inner one: the reason is %q", got)
		}
	})
	t.Run("an outer one that only reports lends the inner one nothing", func(t *testing.T) {
		for reason, changes := range map[string][]change{"missing_credentials": nil, "insufficient_scope": {poor}, "malformed_token": {bearer("x")}} {
			a := get(t, "lax.example.test", "/strict", changes...)
			if a.status < 400 || a.header.Get("X-Reason") != reason || len(s.upstream.Take()) != 0 {
				t.Errorf("status %d, reason %q; want %s", a.status, a.header.Get("X-Reason"), reason)
			}
		}
		checkHeaders(t, get(t, "lax.example.test", "/strict", mine).upstream(t).Header, map[string]string{"X-Id": "user-1", "X-User": "user-1"})
	})
	checkNothingForged(t, s.upstream)
}
