package integration

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

func TestThreat04_KeysNamedByTheTokenAreIgnored(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, oneIssuer, options{}, k.published()...)
	mallory := peers.NewKeyServer(t, s.issuer.CA, k.Stranger)

	certificate := base64.StdEncoding.EncodeToString(s.issuer.CA.Leaf(t).Certificate[0])
	for name, members := range map[string]map[string]any{
		"jwk":         {"jwk": k.Stranger.JWK()},
		"jku":         {"jku": mallory.URL + peers.KeySetPath},
		"x5u":         {"x5u": mallory.URL + "/cert.pem"},
		"x5c":         {"x5c": []string{certificate}},
		"x5t":         {"x5t": "AAAAAAAAAAAAAAAAAAAAAAAAAAA", "x5t#S256": "AAAA"},
		"all of them": {"jwk": k.Stranger.JWK(), "jku": mallory.URL + peers.KeySetPath, "x5u": mallory.URL + "/cert.pem", "x5c": []string{certificate}},
	} {
		t.Run(name+" in a stranger's token", func(t *testing.T) {
			s.refuses(t, site, k.Stranger.Token(t, s.claims(nil), members), "bad_signature")
			s.refuses(t, site, k.Stranger.Named("").Token(t, s.claims(nil), members), "bad_signature", "unknown_key")
			s.refuses(t, site, k.Stranger.Named("mallory").Token(t, s.claims(nil), members), "unknown_key")
		})
		t.Run(name+" in a token of the issuer", func(t *testing.T) {
			s.accepts(t, site, k.RS256.Token(t, s.claims(nil), members))
		})
	}
	if n := mallory.Dials(); n != 0 {
		t.Errorf("Caddy connected %d times to a host that a token named", n)
	}
}

func TestThreat05_KidIsOnlyAName(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, oneIssuer, options{}, k.published()...)
	s.accepts(t, site, k.RS256.Token(t, s.claims(nil), nil))

	for name, kid := range map[string]string{
		"a path":             "../../../../../../dev/null",
		"an absolute path":   "/proc/self/environ",
		"SQL":                "x' UNION SELECT 'secret';--",
		"a shell's words":    "|/bin/sh -c id; $(id) `id`",
		"a URL":              "https://localhost/keys.json",
		"control characters": "a\x00b\r\nX: y\x1b[31m",
		"8 KiB":              strings.Repeat("k", 8<<10),
		"a placeholder":      "{env.HOME}",
		"another case":       "RS256",
		"an edge space":      "rs256 ",
	} {
		t.Run(name, func(t *testing.T) {
			s.refuses(t, site, k.Stranger.Named(kid).Token(t, s.claims(nil), nil), "unknown_key", "malformed_token")
		})
	}
	t.Run("an empty kid is none, and every fitting key is tried", func(t *testing.T) {
		empty := map[string]any{"kid": ""}
		s.refuses(t, site, k.Stranger.Token(t, s.claims(nil), empty), "bad_signature")
		s.accepts(t, site, k.RS256.Token(t, s.claims(nil), empty))
	})
}

func TestThreat05_UnknownKidsDoNotFloodTheIssuer(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, oneIssuer, options{}, k.RS256)
	good := k.RS256.Token(t, s.claims(nil), nil)
	s.accepts(t, site, good)

	requests := 10_000
	if raceEnabled {
		requests = 2_000 // the detector makes each some ten times as dear
	}
	before, mark, start := s.issuer.Hits(peers.KeySetPath), s.logs.mark(), time.Now()
	// One signature for all: it is never checked, and making one costs more than
	// refusing it.
	signature := good[strings.LastIndexByte(good, '.')+1:]
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			for i := range requests / 4 {
				kid := fmt.Sprintf("unknown-%d-%d", worker, i)
				if i%4 == 0 {
					kid = "unknown" // and one that keeps coming back
				}
				input := k.RS256.SigningInput(t, s.claims(nil), map[string]any{"kid": kid})
				a := s.get(t, site, input+"."+signature)
				if a.status != http.StatusUnauthorized || a.header.Get("X-Reason") != "unknown_key" {
					t.Errorf("kid %s: status %d, reason %q", kid, a.status, a.header.Get("X-Reason"))
					return
				}
			}
		})
	}
	group.Wait()

	// A bucket of five, refilled by one in ten seconds.
	allowed := 5 + int(time.Since(start)/(10*time.Second)) + 1
	if fetches := s.issuer.Hits(peers.KeySetPath) - before; fetches < 1 || fetches > allowed {
		t.Errorf("%d fetches of the key set for %d unknown kids; want 1 to %d", fetches, requests, allowed)
	}
	s.accepts(t, site, good)
	// A change of state is a line; a request is none.
	lines := aboveDebug(s.logs.since(mark), fromPlugin)
	if len(lines) > allowed {
		t.Errorf("%d lines above DEBUG for %d requests, the first: %s", len(lines), requests, lines[0].line)
	}
}

// fromPlugin reports whether a line is the plugin's and not Caddy's own.
func fromPlugin(e entry) bool { return strings.Contains(e.Logger, "jwt") }

func TestThreat07_ExtensionsAreRefused(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, oneIssuer, options{}, k.RS256)
	s.accepts(t, site, k.RS256.Token(t, s.claims(nil), map[string]any{"b64": true, "cty": "json", "unknown": 1}))

	var table []forgery
	for name, members := range map[string]map[string]any{
		"crit with a known name":    {"crit": []string{"exp"}, "exp": 1},
		"crit with a member's name": {"crit": []string{"alg"}},
		"crit with an unknown name": {"crit": []string{"http://example.com/x"}, "http://example.com/x": true},
		"crit that is empty":        {"crit": []string{}},
		"crit that is text":         {"crit": "exp"},
		"crit that is an object":    {"crit": map[string]any{"exp": true}},
		"crit that is false":        {"crit": false},
		"b64 false":                 {"b64": false},
		"b64 false and critical":    {"b64": false, "crit": []string{"b64"}},
		"a nested token":            {"cty": "JWT"},
		"a nested token, lowercase": {"cty": "jwt"},
	} {
		table = append(table, forgery{name, k.RS256.Token(t, s.claims(nil), members), because("unsupported_token", "malformed_token")})
	}
	table = append(table, forgery{"crit null", k.RS256.Raw(t, `{"alg":"RS256","kid":"rs256","crit":null}`, toJSON(t, s.claims(nil))), because("unsupported_token", "malformed_token")})
	s.refusesEach(t, site, table)
}

func TestThreat14_TypIsChecked(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, oneIssuer+`
https://access.example.test {
	jwt {
		issuer {$ISSUER} {
			ca {$CA}
			typ at+jwt
		}
		audience https://api.example.test
	}
	import upstream
	import reasons
}
`, options{}, k.RS256)

	typ := func(value any) string { return k.RS256.Token(t, s.claims(nil), map[string]any{"typ": value}) }
	for _, good := range []any{nil, "JWT", "jwt", "JOSE", "at+jwt", "AT+JWT", "application/at+jwt", "application/JWT"} {
		t.Run(fmt.Sprintf("typ %v passes where none is asked", good), func(t *testing.T) {
			s.accepts(t, site, typ(good))
		})
	}
	for _, good := range []string{"at+jwt", "At+Jwt", "application/at+jwt"} {
		t.Run("typ "+good+" passes where at+jwt is asked", func(t *testing.T) {
			s.accepts(t, "access.example.test", typ(good))
		})
	}
	for _, bad := range []string{"dpop+jwt", "logout+jwt", "secevent+jwt", "application/dpop+jwt", "id_token+jwt", "at+jwt "} {
		t.Run("typ "+bad+" is refused everywhere", func(t *testing.T) {
			s.refuses(t, site, typ(bad), "wrong_type")
			s.refuses(t, "access.example.test", typ(bad), "wrong_type")
		})
	}
	for _, bad := range []any{nil, "JWT", "JOSE", "application/jwt", "at", "xat+jwt"} {
		t.Run(fmt.Sprintf("typ %v is refused where at+jwt is asked", bad), func(t *testing.T) {
			s.refuses(t, "access.example.test", typ(bad), "wrong_type")
		})
	}
}
