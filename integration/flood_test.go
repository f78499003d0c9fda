package integration

import (
	"crypto/rand"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// floodTime is how long a flood lasts: long enough for the bucket of five
// fetches to run dry and for memory to show where it goes. FLOOD_TIME=20s (or
// any other duration) makes it longer.
func floodTime(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("FLOOD_TIME")
	if text == "" {
		return 6 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("FLOOD_TIME: %v", err)
	}
	return d
}

// A flood of tokens with invented kids neither causes more requests to the issuer
// than the bucket allows, nor uses up memory, nor slows down clients whose tokens
// are good.
//
// It measures, so it runs alone.
func TestFloodOfUnknownKids(t *testing.T) {
	needProc(t)
	k := keys(t)
	s := newFixture(t, oneIssuerNoUpstream, options{level: "INFO"}, k.RS256)
	good := k.RS256.Token(t, s.claims(nil), nil)
	if a := s.get(t, site, good); a.status != http.StatusOK {
		t.Fatalf("status %d, reason %q; want 200", a.status, a.header.Get("X-Reason"))
	}
	flood, beside, floor, growth := 500, 200, 20*time.Millisecond, 48.0
	if raceEnabled {
		// The detector makes each request some ten times as dear, in time and in
		// memory: a full flood would measure only that two processors are busy.
		flood, beside, floor, growth = 250, 100, 100*time.Millisecond, 200.0
	}
	// One signature for all: it is never checked, and making one costs the test
	// more than Caddy needs to refuse it.
	signature := good[strings.LastIndexByte(good, '.')+1:]
	claims := s.claims(nil)
	unknown := func(int) exchange {
		kid := rand.Text()
		return s.exchange(s.http, site, k.RS256.SigningInput(t, claims, map[string]any{"kid": kid})+"."+signature)
	}
	valid := func(client *http.Client) func(int) exchange {
		return func(int) exchange { return s.exchange(client, site, good) }
	}
	// Connections of their own, as different clients have.
	clients := []*http.Client{s.client(http2), s.client(http2)}
	for _, c := range clients {
		s.exchange(c, site, good)
	}

	quiet := s.loadAtRate(beside, valid(clients[0]))
	time.Sleep(floodTime(t) / 2)
	before := quiet.stop()

	fetches, rss, mark, start := s.issuer.Hits(peers.KeySetPath), s.residentMiB(t), s.logs.mark(), time.Now()
	attack := s.loadAtRate(flood, unknown)
	steady := s.loadAtRate(beside, valid(clients[1]))
	time.Sleep(floodTime(t) / 2)
	half := s.residentMiB(t)
	time.Sleep(floodTime(t) / 2)
	during, refused := steady.stop(), attack.stop()
	took, full := time.Since(start), s.residentMiB(t)
	fetches = s.issuer.Hits(peers.KeySetPath) - fetches

	was, is := p99(before), p99(during)
	t.Logf("%d unknown kids and %d good tokens in %s: %d fetches; p99 of the good %s without the flood, %s with it; %.0f MiB before, %.0f half-way, %.0f after",
		len(refused), len(during), took.Round(100*time.Millisecond), fetches, was, is, rss, half, full)
	if n := int(floodTime(t).Seconds()) * flood / 2; len(refused) < n {
		t.Logf("only %d unknown kids were sent, so this machine was too busy for the flood", len(refused))
	}
	for what, bad := range map[string][]exchange{
		"good token with an answer other than 200":  append(withOtherStatus(before, http.StatusOK), withOtherStatus(during, http.StatusOK)...),
		"unknown kid with an answer other than 401": withOtherStatus(refused, http.StatusUnauthorized),
	} {
		if len(bad) > 0 {
			t.Errorf("%d times a %s, first %d, reason %q, %v", len(bad), what, bad[0].status, bad[0].reason, bad[0].err)
		}
	}
	if allowed := 5 + int(took/(10*time.Second)) + 1; fetches < 1 || fetches > allowed {
		t.Errorf("%d fetches; want 1 to %d", fetches, allowed)
	}
	if limit := max(3*was, floor); is > limit {
		t.Errorf("the p99 of good tokens is %s beside the flood and %s without; want at most %s", is, was, limit)
	}
	if full-rss > growth {
		t.Errorf("Caddy grew from %.0f to %.0f MiB; want at most %.0f more", rss, full, growth)
	}
	if lines := aboveDebug(s.logs.since(mark), fromPlugin); len(lines) > 0 {
		t.Errorf("%d lines above DEBUG, the first: %s", len(lines), lines[0].line)
	}
}

// A token with a known kid and a wrong signature is refused. A flood of them brings one
// fetch forward, in case the issuer was set up again, and no more.
func TestForgedSignaturesCauseOneFetch(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, oneIssuerNoUpstream, options{level: "INFO"}, k.RS256)
	if a := s.get(t, site, k.RS256.Token(t, s.claims(nil), nil)); a.status != http.StatusOK {
		t.Fatalf("status %d, reason %q; want 200", a.status, a.header.Get("X-Reason"))
	}
	fetches := s.issuer.Hits(peers.KeySetPath)
	claims := s.claims(nil)
	load := s.loadWithoutPause(4, func(int) exchange {
		signature := make([]byte, 256)
		_, _ = rand.Read(signature)
		return s.exchange(s.http, site, peers.WithSignature(k.RS256.SigningInput(t, claims, nil), signature))
	})
	time.Sleep(time.Second)
	all := load.stop()
	for _, e := range withOtherStatus(all, http.StatusUnauthorized) {
		t.Fatalf("status %d, reason %q, %v; want 401", e.status, e.reason, e.err)
	}
	if n := s.issuer.Hits(peers.KeySetPath) - fetches; n != 1 {
		t.Errorf("%d forged signatures caused %d fetches; want 1", len(all), n)
	}
	t.Logf("%d forged signatures, one fetch", len(all))
}

// An issuer that hangs for ever holds up its own requests for a moment and those
// of others not at all, not even while more wait for it than may.
func TestOneIssuerHangs(t *testing.T) {
	k := keys(t)
	ca := peers.NewCA(t)
	hanging := peers.NewKeyServer(t, ca, k.ES256)
	hanging.Answer(peers.MetadataPath, &peers.Answer{Hang: true})
	s := newFixture(t, `
https://api.example.test {
	jwt {
		issuer {$ISSUER} {
			ca {$CA}
		}
		issuer {$HANGING} {
			ca {$HANGING_CA}
		}
		audience https://api.example.test
	}
	respond "in"
	import reasons
}
`, options{level: "INFO", env: map[string]string{"HANGING": hanging.URL, "HANGING_CA": ca.File}}, k.RS256)
	good := k.RS256.Token(t, s.claims(nil), nil)
	stuck := k.ES256.Token(t, peers.Claims(hanging.URL, audience, nil), nil)
	clients := []*http.Client{s.client(http1), s.client(http1)}
	rate, floor, patience, waiting := 100, 20*time.Millisecond, 2500*time.Millisecond, 280
	if raceEnabled {
		// The detector makes each request some ten times as dear.
		rate, floor, patience, waiting = 30, 100*time.Millisecond, 4*time.Second, 100
	}
	send := func(int) exchange { return s.exchange(clients[0], site, good) }
	send(0)
	quiet := s.loadAtRate(rate, send)
	time.Sleep(2 * time.Second)
	before := quiet.stop()

	held := s.loadWithoutPause(waiting, func(n int) exchange {
		time.Sleep(time.Duration(n) * time.Second / time.Duration(waiting)) // not all at once
		return s.exchange(s.http, site, stuck)
	})
	steady := s.loadAtRate(rate, send)
	time.Sleep(4500 * time.Millisecond) // past the first fetch, which is given up after 4 s
	during := steady.stop()
	answers := held.stop()
	var longest time.Duration
	for _, e := range answers {
		longest = max(longest, e.took)
		if e.status != http.StatusServiceUnavailable || e.reason != "keys_unavailable" {
			t.Fatalf("status %d, reason %q, %v; want 503, keys_unavailable", e.status, e.reason, e.err)
		}
	}
	was, is := p99(before), p99(during)
	t.Logf("%d requests of %d clients for the issuer that hangs, %s at most; p99 of the other issuer's %s before, %s meanwhile", len(answers), waiting, longest, was, is)
	if longest > patience {
		t.Errorf("a request for the issuer that hangs took %s; want at most %s", longest, patience)
	}
	if bad := append(withOtherStatus(before, http.StatusOK), withOtherStatus(during, http.StatusOK)...); len(bad) > 0 {
		t.Errorf("%d requests of the other issuer failed, the first with %d, %q, %v", len(bad), bad[0].status, bad[0].reason, bad[0].err)
	}
	if limit := max(3*was, floor); is > limit {
		t.Errorf("the p99 of the other issuer's requests is %s meanwhile and %s before; want at most %s", is, was, limit)
	}
}
