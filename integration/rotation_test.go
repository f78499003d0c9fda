package integration

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// signedToken is a token and the time from which the provider signs with its key.
type signedToken struct {
	token string
	begun time.Time
}

// A provider that swaps its key and signs with the new one at once, under load:
// no token of the new key is refused, and each swap costs one
// fetch, however many clients run into it at once and although requests with the
// old key are still on their way.
func TestRotationUnderLoad(t *testing.T) {
	k := keys(t)
	s := newFixture(t, oneIssuerNoUpstream, options{level: "INFO"}, k.RS256)
	const rotations = 5 // as many as the bucket has fetches at once
	const clients = 16
	signers := []*peers.Key{k.RS256}
	for n := range rotations {
		signers = append(signers, peers.NewKey(t, "ES256", fmt.Sprintf("rotated-%d", n+1)))
	}
	var current atomic.Pointer[signedToken]
	sign := func(key *peers.Key) *signedToken {
		token := key.Token(t, s.claims(nil), nil)
		s.logs.forbid(token)
		return &signedToken{token: token, begun: time.Now()}
	}
	current.Store(sign(k.RS256))
	if a := s.get(t, site, current.Load().token); a.status != http.StatusOK {
		t.Fatalf("status %d, reason %q; want 200", a.status, a.header.Get("X-Reason"))
	}
	before := s.issuer.Hits(peers.KeySetPath)

	// A request whose key was taken away while it was on its way is no one's
	// fault; it does not count as refused.
	var crossed atomic.Int64
	load := s.loadWithoutPause(clients, func(int) exchange {
		sent := current.Load()
		e := s.exchange(s.http, site, sent.token)
		if e.status == http.StatusUnauthorized && e.reason == "unknown_key" && current.Load() != sent {
			crossed.Add(1)
			e.status = http.StatusOK
		}
		return e
	})
	time.Sleep(time.Second)
	for n, key := range signers[1:] {
		next := sign(key)
		s.issuer.Publish(key)
		current.Store(next)
		time.Sleep(500 * time.Millisecond)
		if fetches := s.issuer.Hits(peers.KeySetPath) - before; fetches != n+1 {
			t.Errorf("after %d rotations there were %d fetches; want one each", n+1, fetches)
		}
	}
	time.Sleep(500 * time.Millisecond)
	all := load.stop()

	bad := withOtherStatus(all, http.StatusOK)
	for i, e := range bad {
		if i == 5 {
			break
		}
		t.Errorf("status %d, reason %q, error %v, sent at %s", e.status, e.reason, e.err, e.begun.Format("05.000"))
	}
	fetches := s.issuer.Hits(peers.KeySetPath) - before
	t.Logf("%d requests of %d clients over %d rotations: %d refused, %d crossed a rotation, %d fetches",
		len(all), clients, rotations, len(bad), crossed.Load(), fetches)
	if len(bad) > 0 {
		t.Errorf("%d of %d requests were refused", len(bad), len(all))
	}
	if len(all) < 100 {
		t.Errorf("only %d requests: that was no load", len(all))
	}
	t.Run("the keys before are gone", func(t *testing.T) {
		for _, key := range signers[:rotations] {
			a := s.get(t, site, key.Token(t, s.claims(nil), nil))
			if a.status != http.StatusUnauthorized || a.header.Get("X-Reason") != "unknown_key" {
				t.Errorf("kid %s: status %d, reason %q; want 401, unknown_key", key.KID, a.status, a.header.Get("X-Reason"))
			}
		}
	})
}

// What an operator does when a key was stolen: the issuer takes it out of its
// set, and one command later its tokens are worth nothing, those that were
// accepted a moment ago included.
func TestAKeyTakenOutIsRefusedAfterARefresh(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, oneIssuer, options{}, k.RS256, k.ES256)
	stolen, good := k.ES256.Token(t, s.claims(nil), nil), k.RS256.Token(t, s.claims(nil), nil)
	unseen := k.ES256.Token(t, s.claims(map[string]any{"sub": "user-2"}), nil)
	for range 3 {
		s.accepts(t, site, stolen)
		s.accepts(t, site, good)
	}
	s.issuer.Publish(k.RS256)
	s.accepts(t, site, stolen) // Caddy does not know yet
	fetches := s.issuer.Hits(peers.KeySetPath)
	s.mustRefresh(t, s.issuer.URL)
	if n := s.issuer.Hits(peers.KeySetPath) - fetches; n != 1 {
		t.Errorf("the refresh made %d fetches; want 1", n)
	}
	s.refuses(t, site, stolen, "unknown_key")
	s.refuses(t, site, unseen, "unknown_key")
	s.accepts(t, site, good)
	t.Run("and accepted again once the issuer vouches for it again", func(t *testing.T) {
		s.issuer.Publish(k.RS256, k.ES256)
		s.mustRefresh(t, s.issuer.URL)
		s.accepts(t, site, stolen)
	})
}

// Clients that go on with the token they have, as most do until it expires, are
// refused once its key is gone. They must not use up the fetches that the next
// rotation needs: what was just taken out need not be looked for.
func TestRotationWithClientsThatLagBehind(t *testing.T) {
	k := keys(t)
	s := newFixture(t, oneIssuerNoUpstream, options{level: "INFO"}, k.RS256)
	const rotations = 5
	var current, last atomic.Pointer[signedToken]
	sign := func(key *peers.Key) *signedToken {
		token := key.Token(t, s.claims(nil), nil)
		s.logs.forbid(token)
		return &signedToken{token: token, begun: time.Now()}
	}
	current.Store(sign(k.RS256))
	last.Store(current.Load())
	if a := s.get(t, site, current.Load().token); a.status != http.StatusOK {
		t.Fatalf("status %d, reason %q; want 200", a.status, a.header.Get("X-Reason"))
	}
	before := s.issuer.Hits(peers.KeySetPath)
	up := s.loadWithoutPause(8, func(int) exchange {
		sent := current.Load()
		e := s.exchange(s.http, site, sent.token)
		if current.Load() != sent && e.status == http.StatusUnauthorized {
			e.status = http.StatusOK // its key was taken away on the way
		}
		return e
	})
	lagging := s.loadWithoutPause(4, func(int) exchange { return s.exchange(s.http, site, last.Load().token) })
	for n := range rotations {
		key := peers.NewKey(t, "ES256", fmt.Sprintf("rotated-%d", n+1))
		next := sign(key)
		s.issuer.Publish(key)
		last.Store(current.Swap(next))
		time.Sleep(500 * time.Millisecond)
	}
	all, behind := up.stop(), lagging.stop()
	bad := withOtherStatus(all, http.StatusOK)
	fetches := s.issuer.Hits(peers.KeySetPath) - before
	t.Logf("%d requests with the new keys, %d refused; %d with the old ones, %d refused; %d fetches for %d rotations",
		len(all), len(bad), len(behind), len(withOtherStatus(behind, http.StatusOK)), fetches, rotations)
	if len(bad) > 0 {
		t.Errorf("%d of %d requests with the new key were refused, the first with status %d, reason %q", len(bad), len(all), bad[0].status, bad[0].reason)
	}
	if fetches != rotations {
		t.Errorf("%d fetches for %d rotations; want one each", fetches, rotations)
	}
}

// A provider that is not part of these tests changes its keys: the first token of the new key
// passes, and one of the old key as long as it is published.
func TestRotationOfAnOpenIDProvider(t *testing.T) {
	t.Parallel()
	const es = "https://es.example.test"
	ca := peers.NewCA(t)
	provider := startOIDCProvider(t, ca, map[string]string{audience: "RS256", es: "ES256"})
	c := startCaddy(t, snippets+`
https://api.example.test {
	jwt {
		issuer {$ISSUER}
		audience https://api.example.test https://es.example.test
	}
	respond "in"
	import reasons
}
`, options{env: map[string]string{"ISSUER": provider.Issuer, "SSL_CERT_FILE": ca.File}})
	client := c.client(http2)
	passes := func(t *testing.T, token string) {
		t.Helper()
		a := c.send(t, client, http.MethodGet, site, "/", bearer(token))
		if a.status != http.StatusOK {
			t.Fatalf("status %d, reason %q; want 200", a.status, a.header.Get("X-Reason"))
		}
	}
	first := provider.token(t, audience, "read")
	passes(t, first)
	for _, keep := range []bool{true, false} {
		for _, aud := range []string{audience, es} {
			t.Run(fmt.Sprintf("to a new key for %s, the old one kept: %t", aud, keep), func(t *testing.T) {
				old := provider.token(t, aud, "read")
				passes(t, old)
				before := c.statusOf(t, provider.Issuer).Fetches
				provider.rotate(t, keep)
				passes(t, provider.token(t, aud, "read"))
				if n := c.statusOf(t, provider.Issuer).Fetches - before; n != 1 {
					t.Errorf("%d fetches; want 1", n)
				}
				if keep {
					passes(t, old)
					return
				}
				a := c.send(t, client, http.MethodGet, site, "/", bearer(old))
				if a.status != http.StatusUnauthorized || a.header.Get("X-Reason") != "unknown_key" {
					t.Errorf("status %d, reason %q for the old key; want 401, unknown_key", a.status, a.header.Get("X-Reason"))
				}
			})
		}
	}
}
