package tokenservice

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/key"
)

// attempts sends assertions of deploy-bot, or tokens of the platform, from networks.
type attempts struct {
	*world
	federated bool
	n         int
}

func (a *attempts) send(from string, good bool) *httptest.ResponseRecorder {
	a.t.Helper()
	a.n++
	now := a.clock.Now().Unix()
	var form url.Values
	if a.federated {
		changes := object{"iat": now, "exp": now + 60}
		if !good {
			changes["aud"] = "x"
		}
		form = federation(platformToken(a.t, nil, changes))
	} else {
		changes := object{"iat": now, "exp": now + 60, "jti": fmt.Sprint(a.n)}
		if !good {
			changes["aud"] = "x"
		}
		form = ofAssertion(signed(a.t, signers()[key.ES256], assertionHeader(), assertionBody().but(changes)))
	}
	return a.askFrom(tokenRequest(form), netip.MustParseAddr(from))
}

func (a *attempts) want(status int, from string, good bool) {
	a.t.Helper()
	if out := a.send(from, good); out.Code != status {
		a.t.Fatalf("attempt %d, from %s, good %t: %d %s, want %d", a.n, from, good, out.Code, out.Body, status)
	} else if status == http.StatusTooManyRequests {
		a.refused(out, status, "temporarily_unavailable")
	}
}

func TestThreat72FailuresOfANetwork(t *testing.T) {
	t.Parallel()
	for _, federated := range []bool{false, true} {
		t.Run(fmt.Sprint("federated ", federated), func(t *testing.T) {
			t.Parallel()
			a := &attempts{world: newWorld(t, federates), federated: federated}
			failed := map[bool]int{false: 401, true: 400}[federated]
			for i := range maxFailures {
				a.want(failed, fmt.Sprintf("192.0.2.%d", i), false)
				a.want(failed, fmt.Sprintf("2001:db8:0:%x::%d", i, i), false)
			}
			// The network, and nothing else, has used up its allowance.
			for _, from := range []string{"192.0.2.200", "::ffff:192.0.2.7", "2001:db8:0:ff::1"} {
				a.want(429, from, false)
				a.want(429, from, true)
			}
			for _, from := range []string{"192.0.3.1", "2001:db8:0:100::1"} {
				a.want(200, from, true)
			}
			a.clock.Advance(failureWindow - 1)
			a.want(429, "192.0.2.1", true)
			a.clock.Advance(1)
			a.want(200, "192.0.2.1", true)
		})
	}
}

// TestThreat72FromItsOwnNetwork: where a client is known, failures never stand in front of
// a right assertion.
func TestThreat72FromItsOwnNetwork(t *testing.T) {
	t.Parallel()
	for _, federated := range []bool{false, true} {
		a := &attempts{world: newWorld(t, federates), federated: federated}
		failed := map[bool]int{false: 401, true: 400}[federated]
		a.want(200, "192.0.2.1", true)
		for range 10 * maxFailures {
			a.want(failed, "192.0.2.1", false)
		}
		a.want(200, "192.0.2.1", true)
		// For a day.
		a.clock.Advance(knownFor - 1)
		for range 2 * maxFailures {
			a.want(failed, "192.0.2.1", false)
		}
		a.clock.Advance(1)
		a.want(429, "192.0.2.1", true)
	}
}

// TestThreat72APIKeys: they are always looked up.
func TestThreat72APIKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for range 100 * maxFailures {
		if out := w.ask(tokenRequest(ofKey("partner001", unknownText))); out.Code != 401 {
			t.Fatalf("%d %s", out.Code, out.Body)
		}
	}
	w.token(w.ask(tokenRequest(ofKey("partner001", partnerKey))))
	if n := len(w.service.config.Memory.pairs.all); n != 0 {
		t.Errorf("%d networks are remembered", n)
	}
}

func TestOnlyClientsThatThereAreAreCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, federates)
	for i := range 3 * maxFailures {
		id := fmt.Sprint("nobody-", i)
		assertion := signed(t, signers()[key.ES256], assertionHeader(), assertionBody().but(object{"iss": id, "sub": id}))
		w.refused(w.ask(tokenRequest(ofAssertion(assertion))), 401, "invalid_client")
		w.refused(w.ask(tokenRequest(ofAssertion(assertion, "client_id", id))), 401, "invalid_client")
		w.refused(w.ask(tokenRequest(federation(assertion))), 400, "invalid_grant")
	}
	if n := len(w.service.config.Memory.pairs.all); n != 0 {
		t.Errorf("%d pairs are remembered", n)
	}
}

// TestAnswersOfOursAreNoFailures: neither 503 nor 429 counts.
func TestAnswersOfOursAreNoFailures(t *testing.T) {
	t.Parallel()
	m := NewMemory()
	p := pairOf("client", testIssuer, "x", address)
	for range 2 * maxFailures {
		m.note(p, clientKeysAway, noon)
		m.note(p, busy, noon)
		m.note(p, tooManyUsed, noon)
	}
	if turn, refused := m.turn(p, noon); refused != nil || turn.rank != unknownClean {
		t.Errorf("%+v, %+v", turn, refused)
	}
}

func TestPairsAreBounded(t *testing.T) {
	t.Parallel()
	var p pairs
	p.init(100)
	at := func(i int) pair {
		return pairOf("client", testIssuer, "x", netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1}))
	}
	for i := range 10 {
		p.succeeded(at(i), noon)
	}
	// Failures from anywhere push out failures, the oldest first, and no network where
	// the client is known.
	for i := 1000; i < 2000; i++ {
		p.failed(at(i), noon.Add(time.Duration(i)))
		p.failed(at(1000), noon.Add(time.Duration(i)))
	}
	if n := len(p.all); n != 100 || p.known.Len()+p.unknown.Len() != n {
		t.Errorf("%d are remembered, %d and %d", n, p.known.Len(), p.unknown.Len())
	}
	for i := range 10 {
		if _, known := p.standing(at(i), noon); !known {
			t.Errorf("%d was pushed out", i)
		}
	}
	for i, want := range map[int]bool{1000: true, 1001: false, 1900: false, 1911: true, 1999: true} {
		if failed, _ := p.standing(at(i), noon); (failed > 0) != want {
			t.Errorf("%d: %d failures, want some %t", i, failed, want)
		}
	}
	// When there are only known ones, the oldest of them goes.
	for i := range 200 {
		p.succeeded(at(i), noon)
	}
	if _, known := p.standing(at(0), noon); len(p.all) != 100 || known {
		t.Errorf("%d are remembered, the oldest %t", len(p.all), known)
	}
}

func TestPairs(t *testing.T) {
	t.Parallel()
	one := pairOf("client", testIssuer, "x", address)
	for name, other := range map[string]pair{
		"kind":    pairOf("federate", testIssuer, "x", address),
		"issuer":  pairOf("client", testIssuer+"x", "", address),
		"client":  pairOf("client", testIssuer, "y", address),
		"network": pairOf("client", testIssuer, "x", netip.MustParseAddr("192.0.3.7")),
		"unknown": pairOf("client", testIssuer, "x", netip.Addr{}),
	} {
		if one == other {
			t.Errorf("%s makes no difference", name)
		}
	}
	if pairOf("client", testIssuer, "x", netip.MustParseAddr("fe80::1%a")) != pairOf("client", testIssuer, "x", netip.MustParseAddr("fe80::2%b")) {
		t.Error("a zone makes a difference")
	}
}
