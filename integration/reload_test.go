package integration

import (
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// siteWithIssuer is a site whose issuer block has these lines.
func siteWithIssuer(lines string) string {
	return siteWithIssuers("\t\tissuer {$ISSUER} {\n" + lines + "\n\t\t}\n")
}

// newReloadFixture starts a fixture with one issuer, and returns a token that it has
// accepted.
func newReloadFixture(t *testing.T) (*fixture, string) {
	t.Helper()
	k := keys(t)
	s := newFixture(t, siteWithIssuer("ca {$CA}"), options{}, k.RS256)
	good := k.RS256.Token(t, s.claims(nil), nil)
	s.accepts(t, site, good)
	return s, good
}

// A reload with other timing takes the keys along: the issuer may be down.
func TestReloadWithOtherTimingKeepsTheKeys(t *testing.T) {
	t.Parallel()
	t.Run("of an issuer in the site", func(t *testing.T) {
		t.Parallel()
		s, good := newReloadFixture(t)
		s.issuer.Down()
		for _, more := range []string{"refresh_interval 2h", "refresh_interval 90m\nmax_stale 48h", "max_stale 2h"} {
			s.mustReload(t, siteWithIssuer("ca {$CA}\n"+more))
			s.accepts(t, site, good)
			if status := s.statusOf(t, s.issuer.URL); len(status.Keys) != 1 || status.Restored {
				t.Errorf("%q: %d keys, restored %t; want 1, false: they come from this process", more, len(status.Keys), status.Restored)
			}
		}
	})
	t.Run("of a named issuer", func(t *testing.T) {
		t.Parallel()
		const named = `
https://api.example.test {
	jwt corp https://api.example.test
	import upstream
	import reasons
}
`
		k := keys(t)
		s := newFixture(t, named, namedIssuer(""), k.RS256)
		good := k.RS256.Token(t, s.claims(nil), nil)
		s.accepts(t, site, good)
		s.issuer.Down()
		s.opts.global = namedIssuer("refresh_interval 2h").global
		s.mustReload(t, named)
		s.accepts(t, site, good)
		if status := s.statusOf(t, s.issuer.URL); len(status.Keys) != 1 {
			t.Errorf("there are %d keys; want 1", len(status.Keys))
		}
		s.opts.global = namedIssuer("refresh_interval 2h\njwks_url {$ISSUER}/other.json").global
		s.mustReload(t, named)
		s.unavailable(t, site, good)
	})
}

// A reload that may find other keys elsewhere fetches them.
func TestReloadToAnotherSourceFetchesItsKeys(t *testing.T) {
	t.Parallel()
	t.Run("another ca is another source, even under the same path", func(t *testing.T) {
		t.Parallel()
		s, good := newReloadFixture(t)
		first, second := readFile(t, s.issuer.CA.File), readFile(t, peers.NewCA(t).File)
		hits := s.issuer.Hits(peers.KeySetPath)
		writeFile(t, s.issuer.CA.File, first+second)
		s.mustReload(t, siteWithIssuer("ca {$CA}\nmax_lifetime 1h"))
		s.accepts(t, site, good)
		if n := s.issuer.Hits(peers.KeySetPath) - hits; n != 1 {
			t.Errorf("%d fetches for the new ca; want 1", n)
		}
		writeFile(t, s.issuer.CA.File, second)
		s.mustReload(t, siteWithIssuer("ca {$CA}\nmax_lifetime 2h"))
		s.unavailable(t, site, good)
		if status := s.statusOf(t, s.issuer.URL); !strings.Contains(status.LastError, "certificate") {
			t.Errorf("the last error %q does not speak of the certificate", status.LastError)
		}
	})
	t.Run("another jwks_url is another source", func(t *testing.T) {
		t.Parallel()
		k := keys(t)
		s, good := newReloadFixture(t)
		s.issuer.Answer("/other.json", &peers.Answer{Body: peers.JWKS(t, k.ES256)})
		s.mustReload(t, siteWithIssuer("ca {$CA}\njwks_url {$ISSUER}/other.json"))
		s.refuses(t, site, good, "unknown_key")
		s.accepts(t, site, k.ES256.Token(t, s.claims(nil), nil))
		s.mustReload(t, siteWithIssuer("ca {$CA}"))
		s.accepts(t, site, good)
		s.refuses(t, site, k.ES256.Token(t, s.claims(nil), nil), "unknown_key")
	})
}

// A config that is refused changes nothing.
func TestReloadThatIsRefusedChangesNothing(t *testing.T) {
	t.Parallel()
	s, good := newReloadFixture(t)
	hits := s.issuer.Hits(peers.KeySetPath)
	for _, more := range []string{
		"ca {$CA}\nmax_lifetime 2h\nallow_no_expiry",
		"ca /no/such/file",
		"ca {$CA}\nrefresh_interval 2h\n}\nissuer https://x.example.test {\njwks_file /no/such/file",
	} {
		if err := s.reload(siteWithIssuer(more)); err == nil {
			t.Errorf("%q was loaded", more)
		}
		s.accepts(t, site, good)
		s.mustRefresh(t, s.issuer.URL)
	}
	if n := s.issuer.Hits(peers.KeySetPath) - hits; n != 3 {
		t.Errorf("%d fetches; want those of the three refreshes alone", n)
	}
}
