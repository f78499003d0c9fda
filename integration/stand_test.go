package integration

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// What most tests' sites are called and whom their tokens are for.
const (
	site     = "api.example.test"
	audience = "https://api.example.test"
)

// snippets are what sites import: an upstream that is told who the user is, and
// an error route that shows the exact reason, which no answer shows by itself.
const snippets = `
(upstream) {
	reverse_proxy {$UPSTREAM} {
		header_up X-User {http.auth.user.id}
	}
}
(reasons) {
	handle_errors {
		header X-Reason {http.jwt.reason}
		respond "refused" {err.status_code}
	}
}
`

// oneIssuer is a site for which nothing but the issuer's keys and the audience
// is configured.
const oneIssuer = `
https://api.example.test {
	jwt {
		issuer {$ISSUER} {
			ca {$CA}
		}
		audience https://api.example.test
	}
	import upstream
	import reasons
}
`

// stand is a Caddy between an issuer and an upstream.
type stand struct {
	*caddy
	t        *testing.T
	issuer   *peers.KeyServer
	upstream *peers.Upstream
	http     *http.Client
}

// newStand starts all three. The sites may use {$ISSUER}, {$CA} and {$UPSTREAM},
// and import the snippets.
func newStand(t *testing.T, sites string, opts options, keys ...any) *stand {
	t.Helper()
	s := &stand{
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
func (s *stand) claims(changes map[string]any) map[string]any {
	return peers.Claims(s.issuer.URL, audience, changes)
}

// reload replaces the sites. What the test sends next meets the new ones: a
// connection of before may still be served by the old config for a moment, and the
// listener of before may drop one more that it took last, so new ones are tried.
func (s *stand) reload(sites string) error {
	err := s.caddy.reload(sites)
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

// get sends a request with a bearer token.
func (s *stand) get(t *testing.T, host, token string) answer {
	t.Helper()
	return s.send(t, s.http, http.MethodGet, host, "/", bearer(token))
}

// accepts requires that a token reaches the upstream.
func (s *stand) accepts(t *testing.T, host, token string) peers.Seen {
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
// that the upstream hears nothing. Where the design leaves open which of two
// checks comes first, a test names both reasons.
func (s *stand) refuses(t *testing.T, host, token string, reasons ...string) {
	t.Helper()
	s.upstream.Take()
	s.refused(t, s.get(t, host, token), http.StatusUnauthorized, reasons...)
}

// refused judges the answer to a request that had to be refused.
func (s *stand) refused(t *testing.T, a answer, status int, reasons ...string) {
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
func (s *stand) refusesEach(t *testing.T, host string, table []forgery) {
	t.Helper()
	for _, f := range table {
		t.Run(f.name, func(t *testing.T) { s.refuses(t, host, f.token, f.reasons...) })
	}
}

func because(reasons ...string) []string { return reasons }

// keyring is made once: RSA keys are slow to make, and no test changes them.
type keyring struct {
	RS256, PS256, ES256, ES384, ES512, EdDSA, HS256 *peers.Key
	// Plain is an RSA key without an alg of its own.
	Plain *peers.Key
	// Stranger is an RSA key that no issuer publishes, under RS256's kid.
	Stranger *peers.Key
}

var (
	ringOnce sync.Once
	ring     keyring
)

func keys(t *testing.T) *keyring {
	t.Helper()
	ringOnce.Do(func() {
		ring = keyring{
			RS256:    peers.NewKey(t, "RS256", "rs256"),
			PS256:    peers.NewKey(t, "PS256", "ps256"),
			ES256:    peers.NewKey(t, "ES256", "es256"),
			ES384:    peers.NewKey(t, "ES384", "es384"),
			ES512:    peers.NewKey(t, "ES512", "es512"),
			EdDSA:    peers.NewKey(t, "EdDSA", "eddsa"),
			HS256:    peers.NewKey(t, "HS256", ""),
			Plain:    peers.NewKey(t, "RS256", "plain"),
			Stranger: peers.NewKey(t, "RS256", "rs256"),
		}
		ring.Plain.NoAlg = true
	})
	return &ring
}

// published are the keys of the ring that a key set may hold.
func (k *keyring) published() []any {
	return []any{k.RS256, k.PS256, k.ES256, k.ES384, k.ES512, k.EdDSA, k.Plain}
}
