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

// badAnswer is something that an issuer says in the place of its key set, or of
// its metadata.
type badAnswer struct {
	name   string
	path   string // KeySetPath if empty
	answer peers.Answer
	says   string // a part of the log line: which URL at the least, else what is wrong
	slow   bool   // it takes the ten seconds of a whole fetch
	// spoil does what no answer can, and returns how to undo it.
	spoil func(*peers.KeyServer) (mend func())
}

func badAnswers(t *testing.T, good string, otherHost *peers.KeyServer) []badAnswer {
	t.Helper()
	text := func(body string) peers.Answer { return peers.Answer{Body: body} }
	redirect := func(to string) peers.Answer {
		return peers.Answer{Status: http.StatusFound, Header: map[string]string{"Location": to}}
	}
	key := keys(t).RS256
	var many []any
	for n := range 101 {
		many = append(many, key.With(map[string]any{"kid": strconv.Itoa(n)}))
	}
	return []badAnswer{
		{name: "down", says: "refused", spoil: func(s *peers.KeyServer) func() { s.Down(); return s.Up }},
		{name: "reset", answer: peers.Answer{Reset: true}, says: peers.KeySetPath},
		{name: "hanging", answer: peers.Answer{Hang: true}, says: "10s", slow: true},
		{name: "a byte at a time", answer: peers.Answer{Body: good, Drip: true}, says: "10s", slow: true},
		{name: "304 that nobody asked for", answer: peers.Answer{Status: http.StatusNotModified}, says: "304"},
		{name: "400", answer: peers.Answer{Status: http.StatusBadRequest}, says: "400"},
		{name: "404", answer: peers.Answer{Status: http.StatusNotFound, Body: good}, says: "404"},
		{name: "429 with Retry-After", answer: peers.Answer{Status: http.StatusTooManyRequests, Header: map[string]string{"Retry-After": "60"}}, says: "429"},
		{name: "500 with keys", answer: peers.Answer{Status: http.StatusInternalServerError, Body: good}, says: "500"},
		{name: "503 with Retry-After", answer: peers.Answer{Status: http.StatusServiceUnavailable, Header: map[string]string{"Retry-After": "60"}}, says: "503"},
		{name: "206 with keys", answer: peers.Answer{Status: http.StatusPartialContent, Body: good}, says: "206"},
		{name: "HTML", answer: peers.Answer{Body: "<!DOCTYPE html><title>Sign in</title>", Header: map[string]string{"Content-Type": "text/html"}}, says: "JSON"},
		{name: "nothing", answer: text(""), says: "JSON"},
		{name: "{}", answer: text("{}"), says: "keys"},
		{name: "null", answer: text("null"), says: peers.KeySetPath},
		{name: "[]", answer: text("[]"), says: peers.KeySetPath},
		{name: "no keys", answer: text(`{"keys":[]}`), says: "key"},
		{name: "keys that are null", answer: text(`{"keys":null}`), says: "keys"},
		{name: "keys twice", answer: text(strings.TrimSuffix(good, "}") + `,"keys":[]}`), says: "JSON"},
		{name: "cut off", answer: text(good[:len(good)-10]), says: "JSON"},
		{name: "more behind it", answer: text(good + good), says: "JSON"},
		{name: "keys that are all unusable", answer: text(peers.JWKS(t, key.With(map[string]any{"use": "enc"}), keys(t).HS256)), says: "key"},
		{name: "101 keys", answer: text(peers.JWKS(t, many...)), says: "100"},
		{name: "100 MB", answer: peers.Answer{Body: good, More: 100_000_000}, says: "larger"},
		{name: "100 MB, announced", answer: peers.Answer{Body: good, More: 100_000_000, Header: map[string]string{"Content-Length": strconv.Itoa(len(good) + 100_000_000)}}, says: "larger"},
		{name: "endless", answer: peers.Answer{Body: good, More: peers.Endless}, says: "larger"},
		{name: "endless in the error", answer: peers.Answer{Status: http.StatusBadGateway, More: peers.Endless}, says: "502"},
		{name: "a redirect to http", answer: redirect(strings.Replace(otherHost.URL, "https:", "http:", 1) + peers.KeySetPath), says: "only redirects to https"},
		{name: "a redirect to itself", answer: redirect(peers.KeySetPath), says: "redirects"},
		{name: "a redirect to nowhere", answer: redirect(""), says: "redirects"},
		{name: "a redirect to a file", answer: redirect("file:///etc/passwd"), says: "only redirects to https"},
		{name: "metadata of another issuer", path: peers.MetadataPath, answer: text(`{"issuer":"https://evil.example.test","jwks_uri":"` + otherHost.URL + `/jwks.json"}`), says: "https://evil.example.test"},
		{name: "metadata with a plain jwks_uri", path: peers.MetadataPath, answer: text("plain jwks_uri"), says: "http"},
		{name: "endless metadata", path: peers.MetadataPath, answer: peers.Answer{Body: "{", More: peers.Endless}, says: "larger"},
	}
}

// Whatever an issuer answers in the place of its keys, those in hand serve on, an
// operator finds one clear line in the log and the failures in a metric, and the
// memory of the server stays what it was. Each answer has an issuer of its own;
// all are behind one Caddy, so that none may harm another.
func TestThreat35_BadAnswersChangeNothing(t *testing.T) {
	needProc(t)
	k := keys(t)
	ca := peers.NewCA(t)
	good := peers.JWKS(t, k.RS256)
	otherHost := peers.NewKeyServer(t, ca, k.Stranger)
	table := badAnswers(t, good, otherHost)
	env := map[string]string{"OUR_CA": ca.File}
	sites := "https://api.example.test {\n\tjwt {\n"
	issuers := make([]*peers.KeyServer, len(table))
	for n := range table {
		issuers[n] = peers.NewKeyServer(t, ca, k.RS256)
		env[fmt.Sprintf("ISSUER_%d", n)] = issuers[n].URL
		sites += fmt.Sprintf("\t\tissuer {$ISSUER_%d} {\n\t\t\tca {$OUR_CA}\n\t\t}\n", n)
	}
	sites += "\t\taudience https://api.example.test\n\t}\n\trespond \"in\"\n\timport reasons\n}\n"
	s := newStand(t, sites, options{env: env})
	tokens := make([]string, len(table))
	for n := range table {
		tokens[n] = k.RS256.Token(t, peers.Claims(issuers[n].URL, audience, nil), nil)
		if a := s.get(t, site, tokens[n]); a.status != http.StatusOK {
			t.Fatalf("status %d, reason %q; want 200", a.status, a.header.Get("X-Reason"))
		}
	}
	for _, issuer := range issuers {
		s.said(t, 0, issuer.URL, "are loaded")
	}
	before := s.residentMiB(t)

	t.Run("group", func(t *testing.T) {
		for n, c := range table {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				s.survives(t, issuers[n], tokens[n], c)
			})
		}
	})

	var written, allowed int64
	for n, issuer := range issuers {
		written += issuer.Written()
		if table[n].answer.More != 0 {
			// Of each answer 1 MiB, and what the sockets on both sides hold.
			allowed += int64(issuer.Hits(peers.KeySetPath)+issuer.Hits(peers.MetadataPath)) * 8 << 20
		}
	}
	after := s.residentMiB(t)
	t.Logf("%.0f MiB before, %.0f after; %d MiB of long answers taken by anybody, socket buffers included", before, after, written>>20)
	growth := 48.0
	if raceEnabled {
		growth = 300 // the detector's own
	}
	if after-before > growth {
		t.Errorf("Caddy grew from %.0f to %.0f MiB", before, after)
	}
	if hits := otherHost.Hits(peers.KeySetPath); hits != 0 {
		t.Errorf("the host that nobody trusts was asked %d times", hits)
	}
	if written > allowed {
		t.Errorf("%d MiB of long answers were taken; want at most %d", written>>20, allowed>>20)
	}
}

// survives has an issuer give a bad answer a few times, and then a good one.
func (s *stand) survives(t *testing.T, issuer *peers.KeyServer, token string, c badAnswer) {
	t.Helper()
	if c.answer.Body == "plain jwks_uri" {
		c.answer.Body = fmt.Sprintf(`{"issuer":%q,"jwks_uri":"http://intranet.example.test/jwks.json"}`, issuer.URL)
	}
	path := c.path
	if path == "" {
		path = peers.KeySetPath
	}
	mark := s.logs.mark()
	ok, failed := s.fetchMetric(t, issuer.URL, "ok"), s.fetchMetric(t, issuer.URL, "failed")
	mend := func() { issuer.Answer(path, nil) }
	if c.spoil != nil {
		mend = c.spoil(issuer)
	} else {
		issuer.Answer(path, &c.answer)
	}
	times := 3
	if c.slow {
		times = 1
	}
	for range times {
		if a := s.refresh(t, issuer.URL); a.status != http.StatusBadGateway {
			t.Fatalf("the refresh is answered with status %d; want 502: %s", a.status, a.body)
		}
	}
	for range 10 {
		if a := s.get(t, site, token); a.status != http.StatusOK {
			t.Fatalf("status %d, reason %q; want 200, as before", a.status, a.header.Get("X-Reason"))
		}
	}
	if !c.slow {
		// Whether there is such a key can't be known now.
		for n := range 3 {
			unknown := keys(t).EdDSA.Named(fmt.Sprintf("unknown-%d", n))
			a := s.get(t, site, unknown.Token(t, peers.Claims(issuer.URL, audience, nil), nil))
			if a.status != http.StatusServiceUnavailable || a.header.Get("X-Reason") != "keys_unavailable" {
				t.Errorf("an unknown kid: status %d, reason %q; want 503, keys_unavailable", a.status, a.header.Get("X-Reason"))
			}
			if seconds, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || seconds < 1 {
				t.Errorf("Retry-After is %q; want seconds", a.header.Get("Retry-After"))
			}
		}
	}
	status := s.statusOf(t, issuer.URL)
	if status.State != "stale" || !strings.Contains(status.LastError, c.says) || status.Failures < times || len(status.Keys) != 1 {
		t.Errorf("the status has state %q, last error %q, %d failures, %d keys; want stale, one that says %q, %d or more, 1",
			status.State, status.LastError, status.Failures, len(status.Keys), c.says, times)
	}
	if n := s.fetchMetric(t, issuer.URL, "failed") - failed; n < float64(times) {
		t.Errorf("the metric counts %v failed fetches; want %d or more", n, times)
	}
	if n := s.fetchMetric(t, issuer.URL, "ok") - ok; n != 0 {
		t.Errorf("the metric counts %v good fetches; want none", n)
	}
	lines := s.logs.about(mark, issuer.URL, 1)
	if len(lines) != 1 {
		t.Errorf("%d lines above DEBUG; want one: %v", len(lines), lines)
	} else if e := lines[0]; e.Level != "warn" || !strings.Contains(e.Error, c.says) || !strings.Contains(e.Error, "localhost") {
		t.Errorf("the line does not say %q and which URL, at WARN: %s", c.says, e.line)
	}

	mark = s.logs.mark()
	mend()
	s.refreshed(t, issuer.URL)
	if status := s.statusOf(t, issuer.URL); status.State != "fresh" || status.LastError != "" || status.Failures != 0 {
		t.Errorf("afterwards: state %q, last error %q, %d failures; want fresh, none, 0", status.State, status.LastError, status.Failures)
	}
	s.eventually("a line of the recovery", 10*time.Second, func() bool {
		lines = s.logs.about(mark, issuer.URL)
		return len(lines) > 0
	}, func() string { return "there is none" })
	if len(lines) != 1 || lines[0].Level != "info" {
		t.Errorf("%d lines of the recovery; want one at INFO: %v", len(lines), lines)
	}
}

// Answers that look bad and are not: what is good in them is used.
func TestThreat35_OddAnswersAreUsed(t *testing.T) {
	t.Parallel()
	k := keys(t)
	old, fresh := k.RS256, k.ES256
	oddities := []struct {
		name   string
		answer func(t *testing.T, s *stand) peers.Answer
		lines  []string // of the messages above DEBUG
	}{
		{
			name: "one bad key among good ones",
			answer: func(t *testing.T, _ *stand) peers.Answer {
				return peers.Answer{Body: peers.JWKS(t, map[string]any{"kty": "EC", "crv": "P-256", "kid": "broken", "x": "AA", "y": "AA"}, old, fresh)}
			},
			lines: []string{"have changed", "can't be used"},
		},
		{
			name: "after a second of thinking",
			answer: func(t *testing.T, _ *stand) peers.Answer {
				return peers.Answer{Body: peers.JWKS(t, old, fresh), Delay: time.Second}
			},
			lines: []string{"have changed"},
		},
		{
			name: "almost 1 MiB",
			answer: func(t *testing.T, _ *stand) peers.Answer {
				return peers.Answer{Body: peers.JWKS(t, old, fresh), More: 1_000_000}
			},
			lines: []string{"have changed"},
		},
		{
			name: "100 keys",
			answer: func(t *testing.T, _ *stand) peers.Answer {
				all := []any{old, fresh}
				for n := range 98 {
					all = append(all, k.EdDSA.With(map[string]any{"kid": strconv.Itoa(n)}))
				}
				return peers.Answer{Body: peers.JWKS(t, all...)}
			},
			lines: []string{"have changed"},
		},
		{
			name: "as text/plain",
			answer: func(t *testing.T, _ *stand) peers.Answer {
				return peers.Answer{Body: peers.JWKS(t, old, fresh), Header: map[string]string{"Content-Type": "text/plain"}}
			},
			lines: []string{"have changed"},
		},
		{
			name: "behind a redirect to another https host",
			answer: func(t *testing.T, s *stand) peers.Answer {
				other := peers.NewKeyServer(t, s.issuer.CA, old, fresh)
				return peers.Answer{Status: http.StatusFound, Header: map[string]string{"Location": other.URL + peers.KeySetPath}}
			},
			lines: []string{"have changed"},
		},
	}
	for _, c := range oddities {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStand(t, oneIssuer, options{}, old)
			s.accepts(t, site, old.Token(t, s.claims(nil), nil))
			s.said(t, 0, s.issuer.URL, "are loaded")
			answer := c.answer(t, s)
			s.issuer.Answer(peers.KeySetPath, &answer)
			mark := s.logs.mark()
			s.accepts(t, site, fresh.Token(t, s.claims(nil), nil))
			s.accepts(t, site, old.Token(t, s.claims(nil), nil))
			for range 2 {
				s.refreshed(t, s.issuer.URL)
			}
			lines := s.logs.about(mark, s.issuer.URL, len(c.lines))
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
	s := newStand(t, oneIssuer, options{}, k.ES256)
	s.issuer.Answer(peers.KeySetPath, &peers.Answer{
		Body: peers.JWKS(t, k.RS256), Header: map[string]string{"ETag": `"one"`},
	})
	start := s.logs.mark()
	s.refreshed(t, s.issuer.URL)
	good := k.RS256.Token(t, s.claims(nil), nil)
	s.accepts(t, site, good)
	s.logs.about(start, s.issuer.URL, 1) // the line that the keys have changed
	mark := s.logs.mark()
	// The same validator, and a body that would be refused: it must not be read.
	s.issuer.Answer(peers.KeySetPath, &peers.Answer{Body: "broken", Header: map[string]string{"ETag": `"one"`}})
	for range 3 {
		s.refreshed(t, s.issuer.URL)
		s.accepts(t, site, good)
	}
	if lines := s.logs.about(mark, s.issuer.URL); len(lines) != 0 {
		t.Errorf("%d lines for what has not changed: %v", len(lines), lines)
	}
	s.issuer.Answer(peers.KeySetPath, &peers.Answer{Body: peers.JWKS(t, k.ES256), Header: map[string]string{"ETag": `"two"`}})
	s.refreshed(t, s.issuer.URL)
	s.refuses(t, site, good, "unknown_key")
}

// An issuer that asks for a pause gets one: unknown kids do not break it.
func TestRetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newStand(t, oneIssuer, options{}, k.RS256)
	good := k.RS256.Token(t, s.claims(nil), nil)
	s.accepts(t, site, good)
	s.issuer.Answer(peers.KeySetPath, &peers.Answer{Status: http.StatusTooManyRequests, Header: map[string]string{"Retry-After": "30"}})
	if a := s.refresh(t, s.issuer.URL); a.status != http.StatusBadGateway {
		t.Fatalf("status %d; want 502", a.status)
	}
	hits := s.issuer.Hits(peers.KeySetPath)
	for n := range 20 {
		a := s.get(t, site, k.ES256.Named(fmt.Sprintf("unknown-%d", n)).Token(t, s.claims(nil), nil))
		if a.status != http.StatusServiceUnavailable {
			t.Errorf("status %d, reason %q; want 503", a.status, a.header.Get("X-Reason"))
		}
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
	s := newStand(t, `
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
		s.refreshed(t, issuer.URL)
		if got := issuer.Authorizations(peers.MetadataPath); got[len(got)-1] != "Bearer "+renewed {
			t.Error("the old one was sent")
		}
	})
}
