package keystore

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-jwt/caddy-jwt/key"
)

// TestDistrustFetchesOnce checks that invalid signatures bring one fetch forward, and that
// a flood of them brings no more.
func TestDistrustFetchesOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &host{answer: answers(200, jwks(ecJWK(ecKeys()[0], "a")))}
		r := remote(t, h, nil)
		r.Distrust() // before anything was fetched there is nothing to doubt
		expect(t, "the first request", get(r, "a"), "ok")
		old := inHand(r).fingerprint

		// The provider is set up again, with another key under the old kid.
		h.set(answers(200, jwks(ecJWK(ecKeys()[1], "a"))))
		time.Sleep(10 * time.Minute)
		fetches := h.count()
		for range 1000 {
			r.Distrust()
		}
		synctest.Wait()
		if h.count() != fetches+1 {
			t.Errorf("%d fetches, want %d", h.count(), fetches+1)
		}
		if inHand(r).fingerprint == old {
			t.Error("the old key is still in use")
		}
		keys, err := r.Keys(t.Context(), "a")
		if want := public(t, &ecKeys()[1].PublicKey, key.Options{}); err != nil || len(keys) != 1 || keys[0].Fingerprint() != want.Fingerprint() {
			t.Errorf("%v, %v", keys, err)
		}
		time.Sleep(distrustPause - time.Second)
		r.Distrust()
		synctest.Wait()
		if h.count() != fetches+1 {
			t.Errorf("%d fetches within five minutes, want %d", h.count(), fetches+1)
		}
		time.Sleep(2 * time.Second)
		r.Distrust()
		synctest.Wait()
		if h.count() != fetches+2 {
			t.Errorf("%d fetches after five minutes, want %d", h.count(), fetches+2)
		}
	})
}

// TestDistrustWhileTheSourceFails checks that invalid signatures fetch nothing from a
// source that is down: its next attempt is due by itself.
func TestDistrustWhileTheSourceFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &host{answer: answers(200, ec("a"))}
		r := remote(t, h, nil)
		expect(t, "the first request", get(r, "a"), "ok")
		h.set(answers(500, nil))
		time.Sleep(2 * time.Hour)
		if r.Status().Failures == 0 {
			t.Fatal("the source does not fail")
		}
		fetches := h.count()
		r.Distrust()
		synctest.Wait()
		if h.count() != fetches {
			t.Errorf("%d fetches, want %d", h.count(), fetches)
		}
		r.Close()
		r.Distrust()
	})
}

// TestDistrustIsNotUsedUp checks that a call that fetches nothing does not count.
func TestDistrustIsNotUsedUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &host{answer: answers(200, jwks(ecJWK(ecKeys()[0], "a")))}
		r := remote(t, h, nil)
		r.Distrust() // nothing is there yet
		expect(t, "the first request", get(r, "a"), "ok")
		h.set(answers(200, jwks(ecJWK(ecKeys()[1], "a"))))
		time.Sleep(30 * time.Second)
		fetches := h.count()
		r.Distrust()
		synctest.Wait()
		if h.count() != fetches+1 {
			t.Errorf("%d fetches, want %d: a call that fetched nothing used up the pause", h.count(), fetches+1)
		}
	})
}
