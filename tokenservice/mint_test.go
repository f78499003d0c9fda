package tokenservice

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/revocation"
)

// number returns a claim that is a number of seconds.
func number(t *testing.T, payload, name string) string {
	t.Helper()
	_, rest, ok := strings.Cut(payload, `"`+name+`":`)
	if !ok {
		t.Fatalf("%s has no %s", payload, name)
	}
	value, _, _ := strings.Cut(rest, ",")
	return value
}

// TestThreat63ATokenEndsWithItsKey: and none is made in the last second.
func TestThreat63ATokenEndsWithItsKey(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		after   time.Duration
		expires int // 0: none
	}{
		{0, 300}, {4 * time.Minute, 60}, {299 * time.Second, 1},
		{299*time.Second + 999*time.Millisecond, 1}, {300 * time.Second, 0}, {time.Hour, 0},
	} {
		w := newWorld(t, nil)
		w.clock.Set(noon.Add(c.after))
		out := w.ask(tokenRequest(ofKey("expiring", expiringText)))
		if c.expires == 0 {
			w.refused(out, 401, "invalid_client")
			continue
		}
		if a, body := w.token(out); a.ExpiresIn != c.expires {
			t.Errorf("after %s it lives for %d s, want %d: %v", c.after, a.ExpiresIn, c.expires, body)
		}
	}
}

// TestThreat63TheSameSecond: what was issued before a second is revoked in that second. The
// token waits for the next one, as it would be refused for its whole life.
func TestThreat63TheSameSecond(t *testing.T) {
	t.Parallel()
	for name, rule := range map[string]revocation.Rule{
		"client":  {Kind: revocation.KindClient, Value: "partner001", NotBefore: noon.Add(time.Second)},
		"subject": {Kind: revocation.KindSub, Value: "partner001", Issuer: testIssuer, NotBefore: noon.Add(time.Second)},
		"issuer":  {Kind: revocation.KindIssuer, Value: testIssuer, NotBefore: noon.Add(time.Second)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			w.rules.rules = []revocation.Rule{rule}
			w.clock.Set(noon.Add(300 * time.Millisecond))
			done := make(chan *httptest.ResponseRecorder)
			go func() { done <- w.ask(tokenRequest(ofKey("partner001", partnerKey))) }()
			w.waitForTimer(t)
			select {
			case out := <-done:
				t.Fatalf("it does not wait: %d %s", out.Code, out.Body)
			default:
			}
			w.clock.Advance(700 * time.Millisecond)
			a, _ := w.token(<-done)
			payload := payloadOf(a.AccessToken)
			if iat := number(t, payload, "iat"); iat != "1772625601" || a.ExpiresIn != 900 {
				t.Errorf("the token is %s", payload)
			}
			subject := revocation.NewSubject(&revocation.Token{Issuer: testIssuer, Subject: "partner001", Clients: [4]string{"partner001"}, Issued: noon.Add(time.Second)})
			if w.rules.Revokes(subject, noon.Add(time.Second)) {
				t.Error("the rule refuses the token")
			}
		})
	}
}

// waitForTimer waits until somebody waits for the clock.
func (w *world) waitForTimer(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		w.rules.mu.Lock()
		asked := w.rules.asked
		w.rules.mu.Unlock()
		if w.clock.Timers() > 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("nobody waits; the rules were asked %d times", asked)
		}
	}
}

func TestAWaitIsBounded(t *testing.T) {
	t.Parallel()
	rule := revocation.Rule{Kind: revocation.KindClient, Value: "partner001", NotBefore: noon.Add(time.Second)}

	// By who waits.
	w := newWorld(t, nil)
	w.rules.rules = []revocation.Rule{rule}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan *httptest.ResponseRecorder)
	go func() { done <- w.ask(tokenRequest(ofKey("partner001", partnerKey)).WithContext(ctx)) }()
	w.waitForTimer(t)
	cancel()
	w.refused(<-done, 503, "temporarily_unavailable")
	if w.clock.Timers() > 0 {
		t.Error("a timer is left")
	}

	// By what comes in the meantime.
	w = newWorld(t, nil)
	w.rules.rules = []revocation.Rule{rule}
	go func() { done <- w.ask(tokenRequest(ofKey("partner001", partnerKey))) }()
	w.waitForTimer(t)
	w.rules.mu.Lock()
	w.rules.rules = append(w.rules.rules, revocation.Rule{Kind: revocation.KindClient, Value: "partner001"})
	w.rules.mu.Unlock()
	w.clock.Advance(time.Second)
	w.refused(<-done, 401, "invalid_client")

	// A rule for longer than that second is not waited for. The client is as good as before: the
	// node that made the rule may have a clock that is ahead.
	w = newWorld(t, nil)
	w.rules.rules = []revocation.Rule{{Kind: revocation.KindClient, Value: "partner001", NotBefore: noon.Add(2 * time.Second)}}
	w.refused(w.ask(tokenRequest(ofKey("partner001", partnerKey))), 503, "temporarily_unavailable")

	// A key that ends with the second that is waited for.
	w = newWorld(t, nil)
	w.clock.Set(noon.Add(299*time.Second + 300*time.Millisecond))
	w.rules.rules = []revocation.Rule{{Kind: revocation.KindClient, Value: "expiring", NotBefore: noon.Add(300 * time.Second)}}
	go func() { done <- w.ask(tokenRequest(ofKey("expiring", expiringText))) }()
	w.waitForTimer(t)
	w.clock.Advance(time.Second)
	w.refused(<-done, 401, "invalid_client")
}

// earlyClock runs timers before their time.
type earlyClock struct{ *clock.Fake }

func (earlyClock) AfterFunc(_ time.Duration, f func()) func() bool {
	go f()
	return func() bool { return false }
}

func TestATimerThatIsEarly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Clock = earlyClock{c.Clock.(*clock.Fake)} })
	w.rules.rules = []revocation.Rule{{Kind: revocation.KindClient, Value: "partner001", NotBefore: noon.Add(time.Second)}}
	a, _ := w.token(w.ask(tokenRequest(ofKey("partner001", partnerKey))))
	if iat := number(t, payloadOf(a.AccessToken), "iat"); iat != "1772625601" {
		t.Errorf("it was issued at %s", iat)
	}
}

// turningKeys sign with one key after the other.
type turningKeys struct {
	signingKeys
	signers []*key.Signer
	n       int
}

func (k *turningKeys) Signer(context.Context, time.Time) (*key.Signer, error) {
	k.n++
	return k.signers[k.n%len(k.signers)], nil
}

func (k *turningKeys) Keys(_ context.Context, kid string) ([]key.Key, error) {
	for _, s := range k.signers {
		if s.ID() == kid {
			return []key.Key{s.Public()}, nil
		}
	}
	return nil, key.ErrUnknown
}

func TestEachTokenNamesTheKeyThatSignsIt(t *testing.T) {
	t.Parallel()
	keys := &turningKeys{}
	for _, s := range signers() {
		keys.signers = append(keys.signers, s)
	}
	w := newWorld(t, func(c *Config) { c.Keys = keys })
	for range 2 * len(keys.signers) {
		w.token(w.ask(tokenRequest(ofKey("partner001", partnerKey))))
	}
}
