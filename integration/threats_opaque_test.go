package integration

import (
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// introspectingSite is a site that takes an issuer's opaque tokens and its JWTs.
func introspectingSite(host, introspection, issuer string) string {
	return "https://" + host + ` {
	jwt {
		issuer {$ISSUER} {
			ca {$CA}
			introspection {$ASKED} {
				client api {env.ASKING}
				` + introspection + `
			}
			discovery
			audience https://api.example.test
			` + issuer + `
		}
	}
	import upstream
	import reasons
}
`
}

// asking is a fixture with an issuer that is asked, by a client with a secret of this test.
func asking(t *testing.T, sites string, opts options, keys ...any) (*fixture, *askedIssuer) {
	t.Helper()
	secret := rand.Text()
	asked := newAskedIssuer(t, "api:"+secret)
	opts.env = map[string]string{"ASKED": asked.URL, "ASKING": secret}
	s := newFixture(t, sites, opts, keys...)
	s.logs.forbid(secret)
	return s, asked
}

// An issuer says of tokens that are none for an API that they are active, or something that is
// no answer: no such token passes, none is called invalid for what is the issuer's fault, and
// neither token nor secret goes elsewhere.
func TestThreat88_AnswersThatSayTooMuch(t *testing.T) {
	t.Parallel()
	const bound = "bound.example.test"
	s, asked := asking(t, introspectingSite(site, "", "")+introspectingSite(bound, "", "allow_bound_tokens"), options{}, keys(t).RS256)
	var elsewhere atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		elsewhere.Add(1)
		saying(`{"active":true,"token_type":"Bearer"}`)(w, r)
	}))
	t.Cleanup(other.Close)
	about := func(changes map[string]any) http.HandlerFunc { return saying(aboutToken(t, changes)) }
	redirect := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL+"/introspect", status) }
	}
	typed := func(contentType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			_, _ = io.WriteString(w, body)
		}
	}
	const kind, unavailable = "wrong_type", "introspection_unavailable"
	for name, c := range map[string]struct {
		host   string
		answer http.HandlerFunc
		status int
		reason string
	}{
		"an access token":            {site, about(nil), 200, ""},
		"with iss":                   {site, about(map[string]any{"iss": s.issuer.URL}), 200, ""},
		"not active":                 {site, saying(`{"active":false}`), 401, "inactive_token"},
		"a refresh token":            {site, about(map[string]any{"token_type": "refresh_token"}), 401, kind},
		"token_use refresh_token":    {site, about(map[string]any{"token_use": "refresh_token"}), 401, kind},
		"token_usage refresh_token":  {site, about(map[string]any{"token_usage": "refresh_token"}), 401, kind},
		"typ Refresh":                {site, about(map[string]any{"typ": "Refresh"}), 401, kind},
		"typ ID":                     {site, about(map[string]any{"typ": "ID"}), 401, kind},
		"token_use id":               {site, about(map[string]any{"token_use": "id"}), 401, kind},
		"no kind":                    {site, about(map[string]any{"token_type": nil}), 401, kind},
		"of another issuer":          {site, about(map[string]any{"iss": s.issuer.URL + "/other"}), 401, "unknown_issuer"},
		"for another API":            {site, about(map[string]any{"aud": "https://other.example.test"}), 401, "wrong_audience"},
		"expired":                    {site, about(map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}), 401, "expired"},
		"bound":                      {site, about(map[string]any{"token_type": "DPoP", "cnf": map[string]any{"jkt": "x"}}), 401, "unsupported_token"},
		"bound, where that may be":   {bound, about(map[string]any{"token_type": "DPoP", "cnf": map[string]any{"jkt": "x"}}), 200, ""},
		"DPoP without a key":         {bound, about(map[string]any{"token_type": "DPoP"}), 401, kind},
		"a bound refresh token":      {bound, about(map[string]any{"token_use": "refresh_token", "cnf": map[string]any{"jkt": "x"}}), 401, kind},
		"active as text":             {site, about(map[string]any{"active": "true"}), 503, unavailable},
		"active as a number":         {site, about(map[string]any{"active": 1}), 503, unavailable},
		"active twice":               {site, saying(`{"active":false,` + strings.TrimPrefix(aboutToken(t, nil), "{")), 503, unavailable},
		"a redirect with the method": {site, redirect(http.StatusTemporaryRedirect), 503, unavailable},
		"a redirect for ever":        {site, redirect(http.StatusPermanentRedirect), 503, unavailable},
		"a redirect to a page":       {site, redirect(http.StatusFound), 503, unavailable},
		"a page":                     {site, typed("text/html", "<!DOCTYPE html><html>active</html>"), 503, unavailable},
		"a page called JSON":         {site, typed("application/json", "<!DOCTYPE html><html>active</html>"), 503, unavailable},
		"JSON called a page":         {site, typed("text/html", aboutToken(t, nil)), 503, unavailable},
		"10 MB":                      {site, about(map[string]any{"more": strings.Repeat("a", 10<<20)}), 503, unavailable},
		"an error with an answer": {site, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, aboutToken(t, nil))
		}, 503, unavailable},
		"an answer that never comes": {site, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, 503, unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			// What an issuer answers well ends a row of failures, so that it goes on being asked.
			well := "well_" + rand.Text()
			asked.say(well, saying(aboutToken(t, nil)))
			asked.judged(t, s.caddy, s.http, site, well, http.StatusOK, "")
			token := "opaque_" + rand.Text()
			asked.say(token, c.answer)
			s.upstream.Take()
			a := asked.judged(t, s.caddy, s.http, c.host, token, c.status, c.reason)
			if seen := s.upstream.Take(); (len(seen) != 0) != (c.status == http.StatusOK) {
				t.Errorf("the upstream got %d requests", len(seen))
			}
			if c.status == http.StatusServiceUnavailable && (a.header.Get("Retry-After") == "" || a.header.Get("WWW-Authenticate") != "") {
				t.Errorf("503 with Retry-After %q and the challenge %q", a.header.Get("Retry-After"), a.header.Get("WWW-Authenticate"))
			}
		})
	}
	if n := elsewhere.Load(); n != 0 {
		t.Errorf("%d requests followed a redirect", n)
	}
	if n := asked.strangers(); n != 0 {
		t.Errorf("%d requests to the issuer were no question of the client", n)
	}
	for _, path := range []string{peers.MetadataPath, peers.KeySetPath} {
		if sent := s.issuer.Authorizations(path); strings.Join(sent, "") != "" {
			t.Errorf("%s got a credential", path)
		}
	}
}

// A flood of invented tokens from many networks: the issuer gets a bounded number of calls at a
// time, and tokens that are in use pass meanwhile, also where each of their requests asks.
func TestThreat88_AFloodOfInventedTokens(t *testing.T) {
	t.Parallel()
	const maxCalls, maxStrangers, kept = 64, 32, "kept.example.test"
	k := keys(t)
	s, asked := asking(t, introspectingSite(site, "cache 0", "")+introspectingSite(kept, "", ""), options{
		level: "INFO", global: "servers {\n\t\ttrusted_proxies static 127.0.0.1\n\t}",
	}, k.RS256)
	known := "known_" + rand.Text()
	asked.say(known, saying(aboutToken(t, nil)))
	asked.judged(t, s.caddy, s.http, site, known, http.StatusOK, "")
	asked.judged(t, s.caddy, s.http, kept, known, http.StatusOK, "")
	signed := k.RS256.Token(t, s.claims(nil), nil)
	s.accepts(t, site, signed)

	// The first calls about invented tokens are held for a moment, so that there would be more at
	// a time than may be if nothing kept them back, and not for so long that one fails.
	var calls, strangers, most, mostStrangers, invented atomic.Int64
	raise := func(most *atomic.Int64, n int64) {
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
	}
	hold := func(answer http.HandlerFunc, stranger bool) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			raise(&most, calls.Add(1))
			defer calls.Add(-1)
			if stranger {
				n := strangers.Add(1)
				defer strangers.Add(-1)
				raise(&mostStrangers, n)
				if invented.Add(1) <= 10*maxStrangers {
					time.Sleep(100 * time.Millisecond)
				}
			}
			answer(w, r)
		}
	}
	asked.say(known, hold(saying(aboutToken(t, nil)), false))
	asked.mu.Lock()
	asked.other = hold(saying(`{"active":false}`), true)
	asked.mu.Unlock()

	total, workers := int64(10_000), 96
	if raceEnabled {
		total = 2_000 // each request is some ten times as dear
	}
	clients := []*http.Client{s.client(http2), s.client(http2), s.client(http2)}
	var sent atomic.Int64
	done := make(chan struct{})
	flood := s.loadWithoutPause(workers, func(worker int) exchange {
		n := sent.Add(1)
		if n > total {
			if n == total+int64(workers) {
				close(done)
			}
			<-done
			return exchange{status: -1}
		}
		return s.exchangeWith(clients[worker%2], site, "/", bearer("invented_"+rand.Text()), from(fmt.Sprintf("198.51.%d.7", worker)))
	})
	beside := s.loadWithoutPause(3, func(worker int) exchange {
		switch worker {
		case 0:
			return s.exchange(clients[2], site, known)
		case 1:
			return s.exchange(clients[2], kept, known)
		default:
			return s.exchange(clients[2], site, signed)
		}
	})
	<-done
	served, answers := beside.stop(), flood.stop()
	counts := map[string]int{}
	for _, e := range answers {
		if e.status == -1 {
			continue
		}
		counts[fmt.Sprint(e.status, " ", e.reason)]++
		if e.err != nil || !(e.status == 401 && e.reason == "inactive_token" || e.status == 503 && e.reason == "introspection_unavailable") {
			t.Fatalf("an invented token: %d, %q, %v", e.status, e.reason, e.err)
		}
	}
	for _, e := range withOtherStatus(served, http.StatusOK) {
		t.Errorf("a token that is in use: %d, %q, %v", e.status, e.reason, e.err)
	}
	t.Logf("%v; %d requests beside them; at most %d calls at a time, %d of them about %d invented tokens", counts, len(served), most.Load(), mostStrangers.Load(), invented.Load())
	if len(served) < 3 || invented.Load() == 0 || counts["401 inactive_token"] == 0 {
		t.Error("there was no flood, or nothing beside it")
	}
	if most.Load() > maxCalls || mostStrangers.Load() > maxStrangers {
		t.Errorf("%d calls at a time, %d of them about invented tokens; want at most %d and %d", most.Load(), mostStrangers.Load(), maxCalls, maxStrangers)
	}
	if n := asked.strangers(); n != 0 {
		t.Errorf("%d requests to the issuer were no question of the client", n)
	}
}
