package integration

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// cacheHits is how often a token was found in the cache of verified tokens.
func (s *fixture) cacheHits(t *testing.T) float64 {
	t.Helper()
	return s.metrics(t)[`caddy_jwt_cache_lookups_total{result="hit"}`]
}

// checkCacheHit requires that a token is in the cache, and was asked for by what send sends.
// Where all tests run without a cache there is nothing to be found.
func (s *fixture) checkCacheHit(t *testing.T, send func()) {
	t.Helper()
	before := s.cacheHits(t)
	send()
	if now := s.cacheHits(t); cacheOff == (now > before) {
		t.Errorf("%v tokens were found in the cache (cache off: %v), so that this test is about something else", now-before, cacheOff)
	}
}

// A token in the cache ends with whatever ends it: with the next request.
func TestThreat18_CachedTokensEnd(t *testing.T) {
	t.Parallel()
	k := keys(t)
	sites := func(audience string) string {
		return `
https://api.example.test {
	jwt {
		issuer {$ISSUER} {
			ca {$CA}
			leeway 1s
		}
		audience ` + audience + `
	}
	import upstream
	import reasons
}
`
	}
	s := newFixture(t, sites(audience), options{}, k.RS256, k.ES256)
	cached := func(t *testing.T, token string) {
		t.Helper()
		s.accepts(t, site, token)
		s.checkCacheHit(t, func() { s.accepts(t, site, token) })
	}
	t.Run("its time is over", func(t *testing.T) {
		ends := time.Now().Add(time.Second).Truncate(time.Second).Add(time.Second)
		token := k.ES256.Token(t, s.claims(map[string]any{"exp": ends.Unix()}), nil)
		cached(t, token)
		time.Sleep(time.Until(ends.Add(1100 * time.Millisecond))) // the server's own clock
		s.checkCacheHit(t, func() { s.refuses(t, site, token, "expired") })
	})
	for _, c := range []struct {
		name, reason string
		published    []any // by the issuer, in the place of the token's key
	}{
		{"its key is gone", "unknown_key", []any{k.RS256}},
		{"another key has taken its kid", "bad_signature", []any{k.RS256, peers.NewKey(t, "ES256", k.ES256.KID)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			token := k.ES256.Token(t, s.claims(map[string]any{"sub": c.reason}), nil)
			cached(t, token)
			s.issuer.Publish(c.published...)
			s.mustRefresh(t, s.issuer.URL)
			s.checkCacheHit(t, func() { s.refuses(t, site, token, c.reason) })
			s.issuer.Publish(k.RS256, k.ES256)
			s.mustRefresh(t, s.issuer.URL)
			s.accepts(t, site, token)
		})
	}
	t.Run("the issuer's settings have changed", func(t *testing.T) {
		token := k.RS256.Token(t, s.claims(map[string]any{"sub": "settings"}), nil)
		cached(t, token)
		for _, c := range []struct{ old, changed, reason string }{
			{"audience " + audience, "audience https://other.example.test", "wrong_audience"},
			{"leeway 1s", "max_lifetime 1m", "lifetime_too_long"},
			{"leeway 1s", "algorithms ES256", "algorithm_not_allowed"},
			{"leeway 1s", "typ at+jwt", "wrong_type"},
			{"issuer {$ISSUER} {", "issuer https://other.example.test {\njwks_url {$ISSUER}" + peers.KeySetPath, "unknown_issuer"},
		} {
			s.mustReload(t, strings.Replace(sites(audience), c.old, c.changed, 1))
			s.checkCacheHit(t, func() { s.refuses(t, site, token, c.reason) })
		}
		s.mustReload(t, sites(audience))
		s.accepts(t, site, token)
	})
}

// The same while requests with these tokens come without a pause: none that began
// when the end was known is let in.
func TestThreat18_CachedTokensEndUnderLoad(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, oneIssuer, options{level: "INFO"}, k.RS256, k.ES256)
	doomed := make([]string, 4)
	for i := range doomed {
		doomed[i] = k.ES256.Token(t, s.claims(map[string]any{"sub": fmt.Sprint("user-", i)}), nil)
		s.logs.forbid(doomed[i])
	}
	clients := make([]*http.Client, len(doomed))
	for i := range clients {
		clients[i] = s.client(http1)
	}
	start := func() *load {
		return s.loadWithoutPause(len(doomed), func(worker int) exchange { return s.exchange(clients[worker], site, doomed[worker]) })
	}
	judge := func(t *testing.T, all []exchange, known time.Time, reason string) {
		t.Helper()
		accepted, refused := 0, 0
		for _, e := range all {
			switch {
			case e.err != nil: // a reload may cost connections
			case e.begun.Before(known):
				if e.status == http.StatusOK {
					accepted++
				}
			case e.status == http.StatusUnauthorized && e.reason == reason:
				refused++
			default:
				t.Fatalf("a request that began %s after the end: status %d, reason %q", e.begun.Sub(known), e.status, e.reason)
			}
		}
		if accepted == 0 || refused == 0 {
			t.Errorf("%d requests were accepted before and %d refused behind it; want some of both", accepted, refused)
		}
	}
	const pause = 150 * time.Millisecond
	for range 3 {
		t.Run("the key is gone", func(t *testing.T) {
			l := start()
			time.Sleep(pause)
			s.issuer.Publish(k.RS256)
			s.mustRefresh(t, s.issuer.URL)
			known := time.Now()
			time.Sleep(pause)
			judge(t, l.stop(), known, "unknown_key")
			s.issuer.Publish(k.RS256, k.ES256)
			s.mustRefresh(t, s.issuer.URL)
		})
		t.Run("a reload has changed the audience", func(t *testing.T) {
			l := start()
			time.Sleep(pause)
			// reload returns when the new config serves; connections of before
			// may end with the old one, within its grace period.
			s.mustReload(t, strings.Replace(oneIssuer, "audience https://api", "audience https://other", 1))
			time.Sleep(1500 * time.Millisecond)
			known := time.Now()
			time.Sleep(pause)
			judge(t, l.stop(), known, "wrong_audience")
			s.mustReload(t, oneIssuer)
		})
	}
}

// Two sites share the keys and the cache, and no verdict.
func TestThreat19_EachSiteJudgesACachedToken(t *testing.T) {
	t.Parallel()
	k := keys(t)
	site := func(host, issuer, options string) string {
		return fmt.Sprintf(`
https://%s {
	jwt {
		issuer {$ISSUER} {
			ca {$CA}
			%s
		}
		%s
	}
	import upstream
	import reasons
}
`, host, issuer, options)
	}
	// The key has no alg of its own, so that the sites decide.
	jwk := k.RS256.JWK()
	delete(jwk, "alg")
	const aud = "audience https://api.example.test"
	s := newFixture(t, site("open.example.test", "algorithms RS256 PS256", aud)+
		site("audience.example.test", "algorithms RS256 PS256", "audience https://other.example.test")+
		site("typ.example.test", "algorithms RS256 PS256\ntyp at+jwt", aud)+
		site("algorithms.example.test", "algorithms RS256", aud)+
		site("default.example.test", "", aud)+
		site("lifetime.example.test", "algorithms RS256 PS256\nmax_lifetime 1m", aud)+
		site("user.example.test", "algorithms RS256 PS256\nuser_claim email", aud)+
		site("rule.example.test", "algorithms RS256 PS256", aud+"\nrequire scope nobody:has")+
		strings.Replace(site("issuer.example.test", "jwks_url {$ISSUER}"+peers.KeySetPath+"\nalgorithms RS256 PS256", aud), "issuer {$ISSUER} {", "issuer https://other.example.test {", 1),
		options{}, jwk)
	token := k.RS256.SignAs("PS256").Token(t, s.claims(nil), nil)
	for range 2 {
		s.accepts(t, "open.example.test", token)
		s.checkCacheHit(t, func() { s.accepts(t, "open.example.test", token) })
		for host, reason := range map[string]string{
			"audience.example.test": "wrong_audience", "typ.example.test": "wrong_type", "algorithms.example.test": "algorithm_not_allowed",
			"default.example.test": "algorithm_not_allowed", "lifetime.example.test": "lifetime_too_long", "user.example.test": "missing_claim",
			"issuer.example.test": "unknown_issuer",
		} {
			s.checkCacheHit(t, func() { s.refuses(t, host, token, reason) })
		}
		s.checkCacheHit(t, func() {
			s.refused(t, s.get(t, "rule.example.test", token), http.StatusForbidden, "insufficient_scope")
		})
	}
}
