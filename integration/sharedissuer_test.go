package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// namedIssuer declares an issuer for all sites.
func namedIssuer(more string) options {
	return options{global: `jwt {
		issuer corp {$ISSUER} {
			ca {$CA}
			` + more + `
		}
	}`}
}

// A site's own audience decides, whatever the named issuer's is: neither does a
// token for the issuer's audience pass at a site with another, nor is one for the
// site's own refused.
func TestThreat47_TheSitesAudienceDecides(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, `
https://shared.example.test {
	jwt corp
	import upstream
	import reasons
}
https://handler.example.test {
	jwt {
		issuer corp
		audience https://handler.example.test
	}
	import upstream
	import reasons
}
https://short.example.test {
	jwt corp https://short.example.test
	import upstream
	import reasons
}
https://block.example.test {
	jwt {
		issuer corp {
			audience https://block.example.test
		}
	}
	import upstream
	import reasons
}
`, namedIssuer("audience https://shared.example.test"), k.RS256)
	hosts := []string{"shared", "handler", "short", "block"}
	for _, host := range hosts {
		for _, aud := range hosts {
			name := fmt.Sprintf("a token for %s at the site %s", aud, host)
			token := k.RS256.Token(t, peers.Claims(s.issuer.URL, "https://"+aud+".example.test", nil), nil)
			t.Run(name, func(t *testing.T) {
				if aud == host {
					s.accepts(t, host+".example.test", token)
				} else {
					s.refuses(t, host+".example.test", token, "wrong_audience")
				}
			})
		}
	}
	if n := s.issuer.Hits(peers.KeySetPath); n != 1 {
		t.Errorf("four sites with one issuer made %d fetches; want 1", n)
	}
	if all := s.status(t); len(all) != 1 {
		t.Errorf("the status has %d sources; want 1: %+v", len(all), all)
	}
}

// Sites that write an issuer out in the same words share its keys as well.
func TestSitesShareASource(t *testing.T) {
	t.Parallel()
	k := keys(t)
	var sites strings.Builder
	for n := range 10 {
		sites.WriteString(strings.ReplaceAll(oneIssuer, "api.example.test {", fmt.Sprintf("api%d.example.test {", n)))
	}
	s := newFixture(t, sites.String(), options{}, k.RS256)
	good := k.RS256.Token(t, s.claims(nil), nil)
	for n := range 10 {
		s.accepts(t, fmt.Sprintf("api%d.example.test", n), good)
	}
	if n := s.issuer.Hits(peers.KeySetPath); n != 1 {
		t.Errorf("ten sites with one issuer made %d fetches; want 1", n)
	}
}
