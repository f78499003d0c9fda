package integration

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// fixture is a Caddy between an issuer and an upstream.
type fixture struct {
	*caddy
	t        *testing.T
	issuer   *peers.KeyServer
	upstream *peers.Upstream
	http     *http.Client
}

// newFixture starts all three. The sites may use {$ISSUER}, {$CA} and {$UPSTREAM},
// and import the snippets.
func newFixture(t *testing.T, sites string, opts options, keys ...any) *fixture {
	t.Helper()
	s := &fixture{
		t:        t,
		issuer:   peers.NewKeyServer(t, peers.NewCA(t), keys...),
		upstream: peers.NewUpstream(t),
	}
	env := map[string]string{
		"ISSUER":   s.issuer.URL,
		"CA":       s.issuer.CA.File,
		"UPSTREAM": s.upstream.Addr,
	}
	if opts.trusted {
		env["SSL_CERT_FILE"] = s.issuer.CA.File
	}
	for name, value := range opts.env {
		env[name] = value
	}
	opts.env = env
	s.caddy = startCaddy(t, snippets+sites, opts)
	s.http = s.client(http2)
	return s
}

// claims of a good token for the site, with changes.
func (s *fixture) claims(changes map[string]any) map[string]any {
	return peers.Claims(s.issuer.URL, audience, changes)
}

// reload replaces the sites; those of before serve on where it returns an error.
// What the test sends next meets the new ones: a
// connection of before may still be served by the old config for a moment, and the
// listener of before may drop one more that it took last, so new ones are tried.
func (s *fixture) reload(sites string) error {
	err := s.caddy.reload(snippets + sites)
	s.http.CloseIdleConnections()
	var last error
	s.eventually("Caddy serves after the reload", 10*time.Second, func() bool {
		hosts, err := s.hosts()
		last = err
		for _, host := range hosts {
			if e := s.exchange(s.http, host, "none"); e.err != nil {
				last = e.err
			}
		}
		return last == nil
	}, func() string { return fmt.Sprint(last) })
	return err
}

// restart ends Caddy and starts it again. It does not wait for connections of this
// test to end.
func (s *fixture) restart(between func()) {
	s.http.CloseIdleConnections()
	s.caddy.restart(between)
}

// mustReload is reload where it has to succeed.
func (s *fixture) mustReload(t *testing.T, sites string) {
	t.Helper()
	if err := s.reload(sites); err != nil {
		t.Fatal(err)
	}
	s.http.CloseIdleConnections() // the servers of the old config may still answer on them
}

// get sends a request with a bearer token.
func (s *fixture) get(t *testing.T, host, token string) answer {
	t.Helper()
	return s.send(t, s.http, http.MethodGet, host, "/", bearer(token))
}

// accepts requires that a token reaches the upstream.
func (s *fixture) accepts(t *testing.T, host, token string) peers.Seen {
	t.Helper()
	s.upstream.Take()
	a := s.get(t, host, token)
	if a.status != http.StatusOK {
		t.Fatalf("status %d, reason %q; want 200", a.status, a.header.Get("X-Reason"))
	}
	s.upstream.Take()
	return a.upstream(t)
}

// refuses requires that a token is answered with 401 for one of the reasons, and
// that the upstream gets no request. Where the design leaves open which of two
// checks comes first, a test names both reasons.
func (s *fixture) refuses(t *testing.T, host, token string, reasons ...string) {
	t.Helper()
	s.upstream.Take()
	s.refused(t, s.get(t, host, token), http.StatusUnauthorized, reasons...)
}

// unavailable requires that a token is answered with 503, as the keys of its issuer
// can't be had, and that the upstream gets no request.
func (s *fixture) unavailable(t *testing.T, host, token string) {
	t.Helper()
	s.upstream.Take()
	s.refused(t, s.get(t, host, token), http.StatusServiceUnavailable, "keys_unavailable")
}

// refused checks the answer to a request that had to be refused.
func (s *fixture) refused(t *testing.T, a answer, status int, reasons ...string) {
	t.Helper()
	reason := a.header.Get("X-Reason")
	if a.status != status || !slices.Contains(reasons, reason) {
		t.Errorf("status %d, reason %q; want %d, %s", a.status, reason, status, strings.Join(reasons, " or "))
	}
	challenge := a.header.Get("WWW-Authenticate")
	if wantsChallenge := status == http.StatusUnauthorized || status == http.StatusForbidden; wantsChallenge != (challenge != "") {
		t.Errorf("status %d with the challenge %q", a.status, challenge)
	}
	if status == http.StatusUnauthorized && reason != "missing_credentials" && !strings.Contains(challenge, `error="invalid_token"`) {
		t.Errorf("the challenge %q does not say invalid_token", challenge)
	}
	if got := a.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control %q; want no-store", got)
	}
	if seen := s.upstream.Take(); len(seen) != 0 {
		t.Errorf("the upstream got %d requests; want none", len(seen))
	}
}

// forgery is a token that must not be accepted.
type forgery struct {
	name    string
	token   string
	reasons []string
}

// refusesEach runs a table of forgeries.
func (s *fixture) refusesEach(t *testing.T, host string, table []forgery) {
	t.Helper()
	for _, f := range table {
		t.Run(f.name, func(t *testing.T) { s.refuses(t, host, f.token, f.reasons...) })
	}
}

func because(reasons ...string) []string { return reasons }
