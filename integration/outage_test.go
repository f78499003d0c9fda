package integration

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// outageSites have an issuer that is down, at one site next to another issuer.
const outageSites = `
https://api.example.test {
	jwt {
		issuer {$DOWN} {
			ca {$DOWN_CA}
		}
		issuer {$OTHER} {
			ca {$DOWN_CA}
		}
		audience https://api.example.test
	}
	import upstream
	import reasons
}
https://open.example.test {
	respond "open"
}
https://json.example.test {
	jwt {
		issuer {$DOWN} {
			ca {$DOWN_CA}
		}
		audience https://api.example.test
	}
	import upstream
}
`

// An identity provider that is down is no reason for a web server not to start.
func TestIssuerDownAtStart(t *testing.T) {
	t.Parallel()
	k := keys(t)
	ca := peers.NewCA(t)
	issuer := peers.NewKeyServer(t, ca, k.RS256)
	other := peers.NewKeyServer(t, ca, k.ES256)
	issuer.Down()
	s := newFixture(t, outageSites, options{env: map[string]string{"DOWN": issuer.URL, "DOWN_CA": ca.File, "OTHER": other.URL}})
	token := k.RS256.Token(t, peers.Claims(issuer.URL, audience, nil), nil)

	t.Run("other sites serve", func(t *testing.T) {
		checkStatus(t, s.send(t, s.http, http.MethodGet, "open.example.test", "/"), http.StatusOK)
	})
	t.Run("other issuers serve", func(t *testing.T) {
		s.accepts(t, site, k.ES256.Token(t, peers.Claims(other.URL, audience, nil), nil))
	})
	for _, host := range []string{site, "json.example.test"} {
		t.Run("its tokens are answered with 503 and when to come again at "+host, func(t *testing.T) {
			a := s.checkRetryAfter(t, host, token)
			if host == site && a.header.Get("X-Reason") != "keys_unavailable" {
				t.Errorf("reason %q; want keys_unavailable", a.header.Get("X-Reason"))
			}
		})
	}
	t.Run("what can be refused without keys is refused", func(t *testing.T) {
		s.refused(t, s.get(t, site, "garbage"), http.StatusUnauthorized, "malformed_token")
		expired := k.RS256.Token(t, peers.Claims(issuer.URL, audience, map[string]any{"exp": 1}), nil)
		s.refused(t, s.get(t, site, expired), http.StatusUnauthorized, "expired")
	})
	t.Run("a flood in an outage makes no flood in the log", func(t *testing.T) {
		mark := s.logs.mark()
		for range 20 {
			s.get(t, site, token)
		}
		if lines := aboveDebug(s.logs.since(mark), fromPlugin); len(lines) > 3 {
			t.Errorf("%d lines above DEBUG for 20 requests in an outage, the first: %s", len(lines), lines[0].line)
		}
	})
	t.Run("within five seconds of its return they pass, without a reload", func(t *testing.T) {
		issuer.Up()
		var last answer
		s.eventually("the token passes", 5*time.Second, func() bool {
			last = s.get(t, site, token)
			return last.status == http.StatusOK
		}, func() string { return last.header.Get("X-Reason") })
	})
}

// checkRetryAfter requires a prompt 503 that names the seconds after which to try again.
func (s *fixture) checkRetryAfter(t *testing.T, host, token string) answer {
	t.Helper()
	start := time.Now()
	a := s.get(t, host, token)
	if took := time.Since(start); took > 4*time.Second {
		t.Errorf("the answer took %s", took)
	}
	seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
	if a.status != http.StatusServiceUnavailable || err != nil || seconds < 1 || seconds > 300 {
		t.Errorf("status %d, Retry-After %q; want 503 and seconds", a.status, a.header.Get("Retry-After"))
	}
	if got := a.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control %q; want no-store", got)
	}
	return a
}

// An outage that comes later is not seen by those whose key is known.
func TestIssuerDownLater(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, oneIssuer, options{}, k.RS256)
	good := k.RS256.Token(t, s.claims(nil), nil)
	s.accepts(t, site, good)
	s.issuer.Down()
	s.accepts(t, site, good)
	s.accepts(t, site, k.RS256.Token(t, s.claims(map[string]any{"sub": "somebody new"}), nil))
	t.Run("an unknown kid is answered with 503 then, as it can't be looked for", func(t *testing.T) {
		s.unavailable(t, site, k.ES256.Token(t, s.claims(nil), nil))
	})
	t.Run("and a forged signature with 401", func(t *testing.T) {
		s.refuses(t, site, k.Stranger.Token(t, s.claims(nil), nil), "bad_signature")
	})
}

// The first request after a rotation passes: the key set is fetched for it.
func TestRotation(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, oneIssuer, options{}, k.RS256)
	s.accepts(t, site, k.RS256.Token(t, s.claims(nil), nil))
	s.issuer.Publish(k.ES256)
	s.accepts(t, site, k.ES256.Token(t, s.claims(nil), nil))
	t.Run("a key that is gone stops verifying at once", func(t *testing.T) {
		s.refuses(t, site, k.RS256.Token(t, s.claims(nil), nil), "unknown_key")
	})
}

// A reload keeps the keys: an issuer is not asked again, and not needed.
func TestReloadKeepsTheKeys(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, oneIssuer, options{}, k.RS256)
	good := k.RS256.Token(t, s.claims(nil), nil)
	s.accepts(t, site, good)
	s.issuer.Down()
	s.mustReload(t, oneIssuer+"\nhttps://more.example.test {\n\trespond more\n}\n")
	s.accepts(t, site, good)
}
