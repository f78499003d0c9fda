package integration

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// badAnswer is a response that an issuer gives in place of its key set, or of
// its metadata.
type badAnswer struct {
	name   string
	path   string // KeySetPath if empty
	answer peers.Answer
	says   string // a part of the log line: what is wrong, or at least which URL
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
// one Caddy uses all of them, so that none may affect another.
func TestThreat35_BadAnswersChangeNothing(t *testing.T) {
	t.Parallel()
	needProc(t)
	k := keys(t)
	ca := peers.NewCA(t)
	good := peers.JWKS(t, k.RS256)
	otherHost := peers.NewKeyServer(t, ca, k.Stranger)
	table := badAnswers(t, good, otherHost)
	issuers, sites, env := newIssuers(t, ca, len(table), k.RS256)
	sites = strings.Replace(sites, "import upstream", `respond "in"`, 1)
	s := newFixture(t, sites, options{env: env})
	tokens := make([]string, len(table))
	for n := range table {
		tokens[n] = k.RS256.Token(t, peers.Claims(issuers[n].URL, audience, nil), nil)
		if a := s.get(t, site, tokens[n]); a.status != http.StatusOK {
			t.Fatalf("status %d, reason %q; want 200", a.status, a.header.Get("X-Reason"))
		}
	}
	for _, issuer := range issuers {
		s.waitForLogLine(t, 0, issuer.URL, "are loaded")
	}
	before := s.residentMiB(t)

	t.Run("group", func(t *testing.T) {
		for n, c := range table {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				s.checkSurvives(t, issuers[n], tokens[n], c)
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

// checkSurvives has an issuer give a bad answer a few times, and then a good one.
func (s *fixture) checkSurvives(t *testing.T, issuer *peers.KeyServer, token string, c badAnswer) {
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
	lines := s.logs.issuerLines(mark, issuer.URL, 1)
	if len(lines) != 1 {
		t.Errorf("%d lines above DEBUG; want one: %v", len(lines), lines)
	} else if e := lines[0]; e.Level != "warn" || !strings.Contains(e.Error, c.says) || !strings.Contains(e.Error, "localhost") {
		t.Errorf("the line does not say %q and which URL, at WARN: %s", c.says, e.line)
	}

	mark = s.logs.mark()
	mend()
	s.mustRefresh(t, issuer.URL)
	if status := s.statusOf(t, issuer.URL); status.State != "fresh" || status.LastError != "" || status.Failures != 0 {
		t.Errorf("afterwards: state %q, last error %q, %d failures; want fresh, none, 0", status.State, status.LastError, status.Failures)
	}
	s.eventually("a line of the recovery", 10*time.Second, func() bool {
		lines = s.logs.issuerLines(mark, issuer.URL)
		return len(lines) > 0
	}, func() string { return "there is none" })
	if len(lines) != 1 || lines[0].Level != "info" {
		t.Errorf("%d lines of the recovery; want one at INFO: %v", len(lines), lines)
	}
}
