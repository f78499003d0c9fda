package integration

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// oddAnswer is an answer that looks bad and is not: the keys in it are to be used.
type oddAnswer struct {
	name   string
	answer func(t *testing.T, s *fixture) peers.Answer
	lines  []string // of the messages above DEBUG
}

func oddAnswers(k *keyring, old, fresh *peers.Key) []oddAnswer {
	fixed := func(answer peers.Answer, keys ...any) func(*testing.T, *fixture) peers.Answer {
		return func(t *testing.T, _ *fixture) peers.Answer {
			answer.Body = peers.JWKS(t, keys...)
			return answer
		}
	}
	hundred := []any{old, fresh}
	for n := range 98 {
		hundred = append(hundred, k.EdDSA.With(map[string]any{"kid": strconv.Itoa(n)}))
	}
	changed := []string{"have changed"}
	return []oddAnswer{
		{
			name:   "one bad key among good ones",
			answer: fixed(peers.Answer{}, map[string]any{"kty": "EC", "crv": "P-256", "kid": "broken", "x": "AA", "y": "AA"}, old, fresh),
			lines:  []string{"have changed", "can't be used"},
		},
		{"after a second of thinking", fixed(peers.Answer{Delay: time.Second}, old, fresh), changed},
		{"almost 1 MiB", fixed(peers.Answer{More: 1_000_000}, old, fresh), changed},
		{"100 keys", fixed(peers.Answer{}, hundred...), changed},
		{"as text/plain", fixed(peers.Answer{Header: map[string]string{"Content-Type": "text/plain"}}, old, fresh), changed},
		{
			name: "behind a redirect to another https host",
			answer: func(t *testing.T, s *fixture) peers.Answer {
				other := peers.NewKeyServer(t, s.issuer.CA, old, fresh)
				return peers.Answer{Status: http.StatusFound, Header: map[string]string{"Location": other.URL + peers.KeySetPath}}
			},
			lines: changed,
		},
	}
}

// Answers that look bad and are not: what is good in them is used.
func TestThreat35_OddAnswersAreUsed(t *testing.T) {
	t.Parallel()
	k := keys(t)
	old, fresh := k.RS256, k.ES256
	for _, c := range oddAnswers(k, old, fresh) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newFixture(t, oneIssuer, options{}, old)
			s.accepts(t, site, old.Token(t, s.claims(nil), nil))
			s.waitForLogLine(t, 0, s.issuer.URL, "are loaded")
			answer := c.answer(t, s)
			s.issuer.Answer(peers.KeySetPath, &answer)
			mark := s.logs.mark()
			s.accepts(t, site, fresh.Token(t, s.claims(nil), nil))
			s.accepts(t, site, old.Token(t, s.claims(nil), nil))
			for range 2 {
				s.mustRefresh(t, s.issuer.URL)
			}
			lines := s.logs.issuerLines(mark, s.issuer.URL, len(c.lines))
			if !slices.EqualFunc(lines, c.lines, func(e entry, want string) bool { return strings.Contains(e.Msg, want) }) {
				t.Errorf("the log has %v; want one line for each of %q", lines, c.lines)
			}
			if n := s.fetchMetric(t, s.issuer.URL, "failed"); n != 0 {
				t.Errorf("%v fetches failed", n)
			}
		})
	}
}

// With a validator the issuer need not send its keys again.
func TestNotModified(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, oneIssuer, options{}, k.ES256)
	s.issuer.Answer(peers.KeySetPath, &peers.Answer{
		Body: peers.JWKS(t, k.RS256), Header: map[string]string{"ETag": `"one"`},
	})
	start := s.logs.mark()
	s.mustRefresh(t, s.issuer.URL)
	good := k.RS256.Token(t, s.claims(nil), nil)
	s.accepts(t, site, good)
	s.logs.issuerLines(start, s.issuer.URL, 1) // the line that the keys have changed
	mark := s.logs.mark()
	// The same validator, and a body that would be refused: it must not be read.
	s.issuer.Answer(peers.KeySetPath, &peers.Answer{Body: "broken", Header: map[string]string{"ETag": `"one"`}})
	for range 3 {
		s.mustRefresh(t, s.issuer.URL)
		s.accepts(t, site, good)
	}
	if lines := s.logs.issuerLines(mark, s.issuer.URL); len(lines) != 0 {
		t.Errorf("%d lines for what has not changed: %v", len(lines), lines)
	}
	s.issuer.Answer(peers.KeySetPath, &peers.Answer{Body: peers.JWKS(t, k.ES256), Header: map[string]string{"ETag": `"two"`}})
	s.mustRefresh(t, s.issuer.URL)
	s.refuses(t, site, good, "unknown_key")
}

// An issuer that asks for a pause gets one: unknown kids do not break it.
func TestRetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, oneIssuer, options{}, k.RS256)
	good := k.RS256.Token(t, s.claims(nil), nil)
	s.accepts(t, site, good)
	s.issuer.Answer(peers.KeySetPath, &peers.Answer{Status: http.StatusTooManyRequests, Header: map[string]string{"Retry-After": "30"}})
	if a := s.refresh(t, s.issuer.URL); a.status != http.StatusBadGateway {
		t.Fatalf("status %d; want 502", a.status)
	}
	hits := s.issuer.Hits(peers.KeySetPath)
	for n := range 20 {
		a := s.get(t, site, k.ES256.Named(fmt.Sprintf("unknown-%d", n)).Token(t, s.claims(nil), nil))
		checkStatus(t, a, http.StatusServiceUnavailable)
	}
	time.Sleep(1500 * time.Millisecond) // the first pause would be over by itself
	if n := s.issuer.Hits(peers.KeySetPath) - hits; n != 0 {
		t.Errorf("%d fetches during the pause; want none", n)
	}
	s.accepts(t, site, good)
}

// The bearer token that an issuer wants for its keys is for that issuer alone.
func TestThreat35_TheBearerTokenStaysAtHome(t *testing.T) {
	t.Parallel()
	k := keys(t)
	secret := strings.Repeat("bearer-", 5) + peers.NewKey(t, "ES256", "").Token(t, map[string]any{}, nil)[:20]
	file := filepath.Join(t.TempDir(), "bearer")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ca := peers.NewCA(t)
	issuer := peers.NewKeyServer(t, ca)
	// Another port of the same host is another origin.
	other := peers.NewKeyServer(t, ca, k.RS256)
	issuer.Answer(peers.KeySetPath, &peers.Answer{
		Status: http.StatusTemporaryRedirect,
		Header: map[string]string{"Location": issuer.URL + "/moved.json"},
	})
	issuer.Answer("/moved.json", &peers.Answer{
		Status: http.StatusTemporaryRedirect,
		Header: map[string]string{"Location": other.URL + peers.KeySetPath},
	})
	s := newFixture(t, `
https://api.example.test {
	jwt {
		issuer {$BEARER_ISSUER} {
			ca {$OUR_CA}
			bearer_token_file {$BEARER_FILE}
		}
		audience https://api.example.test
	}
	import upstream
	import reasons
}
`, options{env: map[string]string{"BEARER_ISSUER": issuer.URL, "OUR_CA": ca.File, "BEARER_FILE": file}})
	s.logs.forbid(secret)
	s.accepts(t, site, k.RS256.Token(t, peers.Claims(issuer.URL, audience, nil), nil))
	for _, path := range []string{peers.MetadataPath, peers.KeySetPath, "/moved.json"} {
		for _, got := range issuer.Authorizations(path) {
			if got != "Bearer "+secret {
				t.Errorf("%s was asked for with %q; want the bearer token", path, got)
			}
		}
	}
	if got := other.Authorizations(peers.KeySetPath); len(got) != 1 || got[0] != "" {
		t.Errorf("the other host was asked with %q; want once, without anything", got)
	}
	t.Run("a new one in the file is used at the next fetch", func(t *testing.T) {
		renewed := secret + "-renewed"
		if err := os.WriteFile(file, []byte(renewed+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		s.mustRefresh(t, issuer.URL)
		if got := issuer.Authorizations(peers.MetadataPath); got[len(got)-1] != "Bearer "+renewed {
			t.Error("the old one was sent")
		}
	})
}
