package keystore

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// A version stands for keys in force: there is none before them, none behind them,
// and no two installations share one, though a set may come back.
func TestRemoteVersion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &host{answer: answers(200, ec("a"), "ETag", `"a"`)}
		r := remote(t, h, func(c *RemoteConfig) { c.MaxStale = 2 * time.Hour })
		seen := map[uint64]string{0: "none"}
		another := func(when string) {
			t.Helper()
			v := r.Version("", time.Now())
			if before, twice := seen[v]; twice {
				t.Errorf("%s: version %d, as %s", when, v, before)
			}
			seen[v] = when
			if r.Version("", time.Now()) != v {
				t.Errorf("%s: the version changes by itself", when)
			}
		}
		if v := r.Version("", time.Now()); v != 0 {
			t.Errorf("before any key: %d", v)
		}
		expect(t, "fetched", get(r, "a"), "ok")
		another("the first keys")
		h.set(answers(200, ec("b"), "ETag", `"b"`))
		refresh(t, r)
		another("other keys")
		h.set(func(*http.Request) (*http.Response, error) { return response(304, nil), nil })
		refresh(t, r)
		another("keys that are unchanged")
		time.Sleep(time.Second)
		if !r.Seed(must(ParseJWKS(ec("a"), JWKSOptions{})), time.Now()) {
			t.Fatal("the seed is not used")
		}
		another("a seed")
		h.set(resets)
		time.Sleep(3 * time.Hour)
		if v := r.Version("", time.Now()); v != 0 {
			t.Errorf("keys that are too old: %d", v)
		}
		expect(t, "too old", get(r, "a"), "unavailable")
		h.set(answers(200, ec("a")))
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		another("back again")
	})
}

// Seeded keys serve only once somebody has asked, as the asking begins to refresh
// them.
func TestRemoteVersionBeforeItIsStarted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := remote(t, &host{answer: answers(200, ec("a"))}, nil)
		if !r.Seed(must(ParseJWKS(ec("a"), JWKSOptions{})), time.Now().Add(-time.Minute)) {
			t.Fatal("the seed is not used")
		}
		if v := r.Version("", time.Now()); v != 0 {
			t.Errorf("before anything is started: %d", v)
		}
		expect(t, "asked", get(r, "a"), "ok")
		if r.Version("", time.Now()) == 0 {
			t.Error("no version of keys in force")
		}
	})
}

// A token whose kid no key has may be verified by a key without one, once a fetch
// has found no better. Anyone who kept that answer would never ask again, and never
// learn that the key is gone.
func TestRemoteVersionHoldsForKidsOfTheSetAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		unnamed := ecJWK(ecKeys()[0], "x")
		delete(unnamed, "kid")
		r := remote(t, &host{answer: answers(200, jwks(unnamed, ecJWK(ecKeys()[1], "named")))}, nil)
		expect(t, "a kid that no key has", get(r, "other"), "ok")
		expect(t, "one that a key has", get(r, "named"), "ok")
		if r.Version("", time.Now()) == 0 || r.Version("named", time.Now()) != r.Version("", time.Now()) || r.Version("other", time.Now()) != 0 {
			t.Errorf("versions: %d, of a kid of the set %d, of another %d", r.Version("", time.Now()), r.Version("named", time.Now()), r.Version("other", time.Now()))
		}
	})
}

func refresh(t *testing.T, r *Remote) {
	t.Helper()
	if err := r.Refresh(context.Background()); err != nil {
		t.Fatal(err)
	}
}
