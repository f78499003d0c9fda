package keystore

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-jwt/caddy-jwt/key"
)

// The tests here run in a bubble of testing/synctest: time.Now, timers and
// sleeps are those of a fake clock that moves when everybody waits.

// get asks for a kid's keys and names the outcome.
func get(r *Remote, kid string) string {
	switch keys, err := r.Keys(context.Background(), kid); {
	case err == nil && len(keys) > 0:
		return "ok"
	case errors.Is(err, key.ErrUnknown):
		return "unknown"
	case errors.Is(err, key.ErrUnavailable):
		return "unavailable"
	default:
		return fmt.Sprint(keys, err)
	}
}

func expect(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %s, want %s", what, got, want)
	}
}

func TestRemoteFetchesNothingBeforeItIsAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &host{answer: answers(200, ec("a"))}
		r := remote(t, h, nil)
		time.Sleep(100 * time.Hour)
		if h.count() != 0 || r.Status().State != "idle" {
			t.Errorf("%d fetches, %s", h.count(), r.Status().State)
		}
		expect(t, "the first request", get(r, "a"), "ok")
		r.Start()
		r.Start()
		synctest.Wait()
		if h.count() != 1 {
			t.Errorf("%d fetches", h.count())
		}
	})
}

func TestRemoteRefreshesAheadOfExpiry(t *testing.T) {
	t.Parallel()
	const second = time.Second
	for name, c := range map[string]struct {
		headers  []string
		min, max time.Duration // of the pause between two fetches
	}{
		"no header: the refresh interval":    {nil, 54 * time.Minute, time.Hour},
		"max-age within":                     {[]string{"Cache-Control", "public, max-age=600, must-revalidate"}, 540 * second, 600 * second},
		"max-age above the refresh interval": {[]string{"Cache-Control", "max-age=86400"}, 54 * time.Minute, time.Hour},
		"max-age below a minute":             {[]string{"Cache-Control", "max-age=5"}, 60 * second, 60 * second},
		"no-store":                           {[]string{"Cache-Control", "no-store"}, 60 * second, 60 * second},
		"Age counts":                         {[]string{"Cache-Control", "max-age=700", "Age", "100"}, 540 * second, 600 * second},
		"Expires": {[]string{
			"Date", "Sat, 01 Jan 2000 10:00:00 GMT", "Expires", "Sat, 01 Jan 2000 10:10:00 GMT",
		}, 540 * second, 600 * second},
		"Expires 0": {[]string{"Expires", "0"}, 60 * second, 60 * second},
		"max-age goes before Expires": {[]string{
			"Cache-Control", "max-age=600", "Expires", "0",
		}, 540 * second, 600 * second},
		"a max-age that is none": {[]string{"Cache-Control", "max-age=-5"}, 60 * second, 60 * second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := &host{answer: answers(200, ec("a"), c.headers...)}
				r := remote(t, h, nil)
				r.Start()
				synctest.Wait()
				for range 20 {
					before, begun := h.count(), time.Now()
					for h.count() == before {
						time.Sleep(time.Second / 2)
						synctest.Wait()
					}
					if pause := time.Since(begun); pause < c.min-second || pause > c.max+second {
						t.Fatalf("fetched again after %s", pause)
					}
				}
			})
		})
	}
}

func TestRemoteRotationPassesOnTheFirstRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, w := &host{answer: answers(200, ec("a"))}, &witness{}
		r := remote(t, h, func(c *RemoteConfig) { c.Observe = w.observe })
		expect(t, "before", get(r, "a"), "ok")
		h.set(answers(200, ec("b", "c")))
		// All who come at once share one fetch and succeed with it.
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() { expect(t, "rotated", get(r, "b"), "ok") })
		}
		all.Wait()
		expect(t, "the removed key", get(r, "a"), "unknown")
		synctest.Wait()
		if n := h.count(); n > 3 { // the first, the one for all, the one for the removed
			t.Errorf("%d fetches", n)
		}
		expect(t, "events", w.kinds(), "keys_loaded keys_changed ")
		if e := w.events[1]; len(e.Added) != 2 || len(e.Removed) != 1 || e.Keys != 2 {
			t.Errorf("got %+v", e)
		}
	})
}

func TestRemoteRotationDuringAFetchPassesToo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &host{answer: answers(200, ec("a"))}
		r := remote(t, h, nil)
		expect(t, "before", get(r, "a"), "ok")
		// A background refresh that got its answer just before the rotation.
		h.set(func(*http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			return response(200, ec("a")), nil
		})
		go func() { _ = r.Refresh(context.Background()) }()
		time.Sleep(time.Second / 2)
		h.set(answers(200, ec("b")))
		expect(t, "rotated", get(r, "b"), "ok")
	})
}

// TestThreat05_UnknownKidsFetchWithinTheBucket: whatever kids a stranger
// sends, they are refused, and the source is asked five times and once more
// in ten seconds.
func TestThreat05_UnknownKidsFetchWithinTheBucket(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, w := &host{answer: answers(200, ec("a"))}, &witness{}
		r := remote(t, h, func(c *RemoteConfig) { c.Observe = w.observe })
		expect(t, "known", get(r, "a"), "ok")
		first := h.count()
		for i := range 10_000 {
			expect(t, "unknown", get(r, fmt.Sprintf("kid-%d", i)), "unknown")
		}
		if n := h.count() - first; n != bucketSize {
			t.Errorf("%d fetches for 10,000 kids, want %d", n, bucketSize)
		}
		for i := range 60 {
			time.Sleep(time.Second)
			for j := range 20 {
				expect(t, "unknown", get(r, fmt.Sprintf("kid-%d-%d", i, j)), "unknown")
			}
		}
		if n := h.count() - first; n != bucketSize+6 {
			t.Errorf("%d fetches after a minute more, want %d", n, bucketSize+6)
		}
		synctest.Wait()
		expect(t, "events", w.kinds(), "keys_loaded ")
	})
}

// Requests tell the time before they wait for the lock, and may be overtaken there by
// those that came later, or stand still for a while with the whole process. That gains
// no fetch.
func TestThreat05_OvertakenRequestsGainNoFetch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &host{answer: answers(200, ec("a"))}
		r := remote(t, h, nil)
		expect(t, "known", get(r, "a"), "ok")
		ago := func(age time.Duration, kid string) string {
			_, err := r.wait(t.Context(), kid, time.Now().Add(-age))
			if errors.Is(err, key.ErrUnknown) {
				return "unknown"
			}
			return fmt.Sprint(err)
		}
		time.Sleep(time.Hour)
		first := h.count()
		expect(t, "looked for", get(r, "gone"), "unknown")
		for _, age := range []time.Duration{1, time.Millisecond, 2 * time.Second, 11 * time.Second, 59 * time.Second} {
			expect(t, "looked for before", ago(age, "gone"), "unknown")
		}
		if n := h.count() - first; n != 1 {
			t.Errorf("%d fetches for one kid, want 1", n)
		}
		for i := range 100 {
			expect(t, "late", ago(15*time.Second, fmt.Sprintf("late-%d", i)), "unknown")
			expect(t, "in time", get(r, fmt.Sprintf("now-%d", i)), "unknown")
		}
		if n := h.count() - first; n != bucketSize {
			t.Errorf("%d fetches for 201 kids, want %d", n, bucketSize)
		}
		// A clock that was set back for long is not waited for.
		if now := time.Now(); !r.monotonic(now.Add(-time.Hour)).Equal(now.Add(-time.Hour)) {
			t.Error("the time stands still")
		}
	})
}

func TestThreat05_OddKidsAreRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &host{answer: answers(200, ec("a"))}
		r := remote(t, h, nil)
		for _, kid := range []string{
			"../../../../etc/passwd", "/dev/null", "a' OR '1'='1", "a'; DROP TABLE keys; --", "$(id)", "`id`", "|id",
			"https://evil.example/jwks", "file:///etc/passwd", strings.Repeat("k", 8192), "a\x00", "\x00a", "a\r\nX: y",
			"A", " a", "a ", "\ufeffa", "null", "*", "%61",
		} {
			expect(t, fmt.Sprintf("%.30q", kid), get(r, kid), "unknown")
		}
		expect(t, "an empty kid is none: all keys", get(r, ""), "ok")
		for _, u := range h.urls() {
			expect(t, "what is fetched", u, "https://idp.example/jwks")
		}
	})
}

func TestThreat05_KidsJustLookedForAreRefusedFromMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &host{answer: answers(200, ec("a"))}
		r := remote(t, h, nil)
		expect(t, "first", get(r, "b"), "unknown")
		n := h.count()
		for range 1000 {
			expect(t, "again", get(r, "b"), "unknown")
		}
		if h.count() != n {
			t.Errorf("%d fetches more", h.count()-n)
		}
		// The window over, it is looked for again and found.
		h.set(answers(200, ec("a", "b")))
		time.Sleep(missWindow)
		expect(t, "after the window", get(r, "b"), "ok")
	})
}

func TestRemoteAskedForKnownKidsNeverFetches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &host{answer: answers(200, ec("a"))}
		r := remote(t, h, nil)
		for range 10_000 {
			expect(t, "known", get(r, "a"), "ok")
			expect(t, "no kid", get(r, ""), "ok")
		}
		if h.count() != 1 {
			t.Errorf("%d fetches", h.count())
		}
	})
}

func TestRemoteFallsBackToKeysWithoutKid(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &host{answer: answers(200, jwks(plainly(ecJWK(ecKeys()[0], ""))))}
		r := remote(t, h, nil)
		for i := range 1000 {
			expect(t, "any kid", get(r, fmt.Sprint(i)), "ok")
		}
		if n := h.count(); n > 1+bucketSize {
			t.Errorf("%d fetches", n)
		}
		h.set(resets)
		time.Sleep(2 * time.Hour)
		expect(t, "while the source is down", get(r, "zz"), "ok")
	})
}

// slowly answers after a while, unless the request ends before.
func slowly(d time.Duration, body []byte) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		select {
		case <-time.After(d):
			return response(200, body), nil
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
}

// Every answer that does not count, each after a good one and as the first.
var badAnswers = map[string]func(*http.Request) (*http.Response, error){
	"404":                   answers(404, ec("x")),
	"401":                   answers(401, ec("x")),
	"204":                   answers(204, nil),
	"206":                   answers(206, ec("x")),
	"304 unasked":           answers(304, nil),
	"429":                   answers(429, nil, "Retry-After", "2"),
	"500":                   answers(500, ec("x")),
	"503":                   answers(503, nil, "Retry-After", "99999999"),
	"HTML":                  answers(200, []byte("<html>Sign in</html>"), "Content-Type", "text/html"),
	"{}":                    answers(200, []byte("{}")),
	"null":                  answers(200, []byte("null")),
	"[]":                    answers(200, []byte("[]")),
	"nothing":               answers(200, nil),
	"no keys":               answers(200, []byte(`{"keys":[]}`)),
	"only secrets":          answers(200, jwks(octJWK("x"))),
	"only private keys":     answers(200, jwks(ecJWK(ecKeys()[0], "x").with(object{"d": "AA"}))),
	"a hundred megabytes":   long,
	"an endless body":       forever,
	"a hang":                hangs,
	"a body that hangs":     func(r *http.Request) (*http.Response, error) { return stream(stuck{r}), nil },
	"a reset":               resets,
	"a body that breaks":    func(*http.Request) (*http.Response, error) { return stream(broken{}), nil },
	"a redirect to http":    answers(302, nil, "Location", "http://idp.example/jwks"),
	"one to loopback":       answers(302, nil, "Location", "http://127.0.0.1/jwks"),
	"one to itself":         answers(302, nil, "Location", "https://idp.example/jwks"),
	"one to itself by path": answers(307, nil, "Location", ""),
	"one to a file":         answers(301, nil, "Location", "file:///etc/passwd"),
	"one with a password":   answers(308, nil, "Location", "https://u:p@idp.example/jwks"),
	"one to nowhere":        answers(302, nil, "Location", "https://%zz"),
	"a redirect of no kind": answers(300, nil, "Location", "https://idp.example/other"),
}

func stream(body interface {
	Read([]byte) (int, error)
	Close() error
}) *http.Response {
	r := response(200, nil)
	r.Body = body
	return r
}

func forever(*http.Request) (*http.Response, error) { return stream(&endless{}), nil }

func long(*http.Request) (*http.Response, error) {
	r := stream(&endless{})
	r.ContentLength = 100 << 20
	return r, nil
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errReset }
func (broken) Close() error             { return nil }

func TestThreat35_BadAnswersKeepTheLastGoodSet(t *testing.T) {
	t.Parallel()
	for name, bad := range badAnswers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h, w := &host{answer: answers(200, ec("a"))}, &witness{}
				r := remote(t, h, func(c *RemoteConfig) { c.Observe, c.MaxStale = w.observe, 2*time.Hour })
				expect(t, "before", get(r, "a"), "ok")
				h.set(bad)
				if err := r.Refresh(context.Background()); err == nil {
					t.Error("the answer counts")
				}
				expect(t, "a key of the last good set", get(r, "a"), "ok")
				expect(t, "an unknown kid while failing", get(r, "x"), "unavailable")
				expect(t, "state", r.Status().State, "stale")

				// An hour of it: the set serves, the log stays quiet.
				for range 60 {
					time.Sleep(time.Minute)
					expect(t, "an hour long", get(r, "a"), "ok")
				}
				expect(t, "events", w.kinds(), "keys_loaded source_failing ")
				if n := h.count(); n > 200 { // redirects to itself count six
					t.Errorf("%d requests in an hour", n)
				}
				// Two hours of it: nobody can vouch for the keys any more.
				time.Sleep(time.Until(r.Status().Expires) - time.Second)
				expect(t, "just before max stale", get(r, "a"), "ok")
				time.Sleep(16 * time.Second) // an attempt that hangs ends after ten
				expect(t, "after max stale", get(r, "a"), "unavailable")
				expect(t, "events", w.kinds(), "keys_loaded source_failing keys_expired ")
				expect(t, "state", r.Status().State, "unavailable")

				// It comes back.
				h.set(answers(200, ec("a", "b")))
				back := time.Now()
				for get(r, "b") != "ok" {
					time.Sleep(time.Second / 10)
				}
				if took := time.Since(back); took > 5*time.Second && !strings.Contains(name, "hang") {
					t.Errorf("it took %s to recover", took)
				}
				expect(t, "recovered", get(r, "a"), "ok")
				synctest.Wait()
				expect(t, "events", w.kinds(), "keys_loaded source_failing keys_expired source_recovered keys_changed ")
			})
		})
	}
}

func TestThreat35_WithoutASetRequestsAreRefusedUntilTheSourceIsBack(t *testing.T) {
	t.Parallel()
	for name, bad := range badAnswers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := &host{answer: bad}
				r := remote(t, h, nil)
				start := time.Now()
				for range 300 { // half a minute and more
					begun := time.Now()
					expect(t, "while down", get(r, "a"), "unavailable")
					if waited := time.Since(begun); waited > maxWait {
						t.Fatalf("a request waited for %s", waited)
					}
					time.Sleep(time.Second / 10)
				}
				// 1, 2, 4, 5, 5 … s apart, whatever the requests.
				if n, limit := r.Status().Fetches, time.Since(start)/(4*time.Second)+4; n > uint64(limit) {
					t.Errorf("%d fetches in %s", n, time.Since(start))
				}
				h.set(answers(200, ec("a")))
				back := time.Now()
				for get(r, "a") != "ok" {
					time.Sleep(time.Second / 10)
				}
				limit := 5*time.Second + time.Second/10
				if name == "a body that hangs" { // its header was there
					limit += fetchTimeout
				} else if name == "a hang" {
					limit += fetchTimeout // every fourth attempt is patient
				}
				if took := time.Since(back); took > limit {
					t.Errorf("it took %s to recover", took)
				}
			})
		})
	}
}

func TestThreat35_OneBadKeyAmongGoodOnesHidesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, w := &host{answer: answers(200, ec("a"))}, &witness{}
		r := remote(t, h, func(c *RemoteConfig) { c.Observe = w.observe })
		expect(t, "before", get(r, "a"), "ok")
		h.set(answers(200, jwks(object{"kty": "RSA", "kid": "bad", "n": "!", "e": "AQAB"}, ecJWK(ecKeys()[0], "b"))))
		expect(t, "the good one", get(r, "b"), "ok")
		expect(t, "the bad one", get(r, "bad"), "unknown")
		_ = r.Refresh(context.Background())
		_ = r.Refresh(context.Background())
		synctest.Wait()
		expect(t, "events", w.kinds(), "keys_loaded keys_changed keys_unusable ")
	})
}

func TestRemoteRecoversFromAHangWithinSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &host{answer: hangs}
		r := remote(t, h, nil)
		r.Start()
		time.Sleep(2500 * time.Millisecond) // the first attempt hangs
		h.set(answers(200, ec("a")))
		back := time.Now()
		for get(r, "a") != "ok" {
			time.Sleep(time.Second / 10)
		}
		if took := time.Since(back); took > 5*time.Second {
			t.Errorf("it took %s to recover", took)
		}
	})
}

func TestRemoteAttemptsBeginCloseTogetherWhileNoSetServes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		attempts := make(chan time.Time, 1000)
		h := &host{}
		h.set(func(r *http.Request) (*http.Response, error) {
			attempts <- time.Now()
			return hangs(r)
		})
		r := remote(t, h, nil)
		r.Start()
		time.Sleep(5 * time.Minute)
		var begun []time.Time
		for len(attempts) > 0 {
			begun = append(begun, <-attempts)
		}
		for i := range len(begun) - 1 {
			limit := maxBackoffEmpty
			if i%4 == 3 { // the patient one
				limit = fetchTimeout + firstBackoff/4
			}
			if apart := begun[i+1].Sub(begun[i]); apart > limit {
				t.Errorf("attempt %d began %s after the one before", i+1, apart)
			}
		}
	})
}

func TestRemoteFirstRequestCostsOneFetch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &host{answer: slowly(time.Second, ec("a"))}
		r := remote(t, h, nil)
		r.Start()
		time.Sleep(time.Second / 2)
		expect(t, "an unknown kid as the first", get(r, "b"), "unknown")
		if h.count() != 1 {
			t.Errorf("%d fetches", h.count())
		}
	})
}

func TestRemoteCannotKnowWhileTheSourceFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &host{answer: answers(200, ec("a"))}
		r := remote(t, h, nil)
		expect(t, "while it works", get(r, "b"), "unknown")
		h.set(resets)
		for i := range 100 { // the bucket runs out, the answer stays
			expect(t, "another kid", get(r, fmt.Sprint(i)), "unavailable")
		}
		expect(t, "a kid looked for while it worked", get(r, "b"), "unavailable")
		if n := h.count(); n > 2+bucketSize {
			t.Errorf("%d fetches", n)
		}
	})
}

func TestRemoteForgetsWhatItLookedForWithANewSet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &host{answer: answers(200, ec("a"))}
		r := remote(t, h, nil)
		expect(t, "looked for", get(r, "b"), "unknown")
		h.set(answers(200, ec("c")))
		if err := r.Refresh(context.Background()); err != nil {
			t.Fatal(err)
		}
		h.set(answers(200, ec("b", "c")))
		expect(t, "looked for again", get(r, "b"), "ok")
	})
}

func TestRemoteGivesASlowSourceItsChance(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &host{answer: slowly(8*time.Second, ec("a"))}
		r := remote(t, h, nil)
		r.Start()
		time.Sleep(time.Minute)
		expect(t, "a minute later", get(r, "a"), "ok")
		expect(t, "a rotation takes longer than a request waits", get(r, "b"), "unavailable")
	})
}

func TestRemoteBacksOff(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		good bool
		bad  func(*http.Request) (*http.Response, error)
		want []time.Duration // upper limits of the pauses, a tenth of jitter below
	}{
		"with a set, to five minutes": {true, resets, []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300}},
		"without, to five seconds":    {false, resets, []time.Duration{1, 2, 4, 5, 5, 5, 5}},
		"Retry-After is honoured": {
			true, answers(429, nil, "Retry-After", "60"), []time.Duration{60, 60, 60, 60, 60, 60, 64, 128},
		},
		"Retry-After within the limit": {
			true, answers(503, nil, "Retry-After", "3600"), []time.Duration{300, 300},
		},
		"Retry-After within the limit without a set": {
			false, answers(503, nil, "Retry-After", "3600"), []time.Duration{5, 5, 5},
		},
		"Retry-After of a 500 is not": {
			true, answers(500, nil, "Retry-After", "3600"), []time.Duration{1, 2, 4},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := &host{answer: answers(200, ec("a"))}
				r := remote(t, h, nil)
				if c.good {
					expect(t, "before", get(r, "a"), "ok")
				}
				h.set(c.bad)
				if err := r.Refresh(context.Background()); err == nil {
					t.Fatal("it succeeds")
				}
				for i, limit := range c.want {
					before, begun := h.count(), time.Now()
					for h.count() == before {
						time.Sleep(10 * time.Millisecond)
						synctest.Wait()
					}
					limit *= time.Second
					if pause := time.Since(begun); pause < limit*9/10 || pause > limit+10*time.Millisecond {
						t.Errorf("pause %d was %s, want %s", i, pause, limit)
					}
				}
			})
		})
	}
}

func TestRemoteHonoursRetryAfterForUnknownKids(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &host{answer: answers(200, ec("a"))}
		r := remote(t, h, nil)
		expect(t, "before", get(r, "a"), "ok")
		h.set(answers(429, nil, "Retry-After", "120"))
		expect(t, "the one that hears of it", get(r, "b"), "unavailable")
		n := h.count()
		for range 100 {
			expect(t, "within the pause", get(r, "b"), "unavailable")
			time.Sleep(time.Second)
		}
		if h.count() != n {
			t.Errorf("%d fetches within the pause", h.count()-n)
		}
	})
}

func TestRemoteLimitsWaiters(t *testing.T) {
	t.Parallel()
	for name, known := range map[string]bool{"no set": false, "an unknown kid": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := &host{answer: answers(200, ec("a"))}
				r := remote(t, h, nil)
				if known {
					expect(t, "before", get(r, "a"), "ok")
				}
				h.set(hangs)
				begun := time.Now()
				var all sync.WaitGroup
				for range maxWaiters {
					all.Go(func() {
						expect(t, "waiting", get(r, "b"), "unavailable")
						if waited := time.Since(begun); waited != maxWait {
							t.Errorf("waited for %s", waited)
						}
					})
				}
				synctest.Wait()
				for range 100 {
					expect(t, "one more", get(r, "b"), "unavailable")
				}
				if waited := time.Since(begun); waited != 0 {
					t.Errorf("one more waited for %s", waited)
				}
				if known {
					expect(t, "a known kid meanwhile", get(r, "a"), "ok")
				}
				all.Wait()
				if n := r.waiters; n != 0 {
					t.Errorf("%d waiters left", n)
				}
			})
		})
	}
}

func TestRemoteFetchOutlivesItsCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &host{answer: slowly(3*time.Second, ec("a"))}
		r := remote(t, h, nil)
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(time.Second, cancel)
		if _, err := r.Keys(ctx, "a"); !errors.Is(err, key.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		expect(t, "later", get(r, "a"), "ok")
		if h.count() != 1 {
			t.Errorf("%d fetches", h.count())
		}
		// What is old is counted from when it was asked for.
		if s := r.Status(); s.Expires.Sub(s.FetchedAt) != DefaultMaxStale || time.Since(s.FetchedAt) != 3*time.Second {
			t.Errorf("got %+v", s)
		}
	})
}

func TestRemoteFetchesOneAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		running, most := 0, 0
		h := &host{}
		h.set(func(*http.Request) (*http.Response, error) {
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			running--
			mu.Unlock()
			return response(200, ec("a"), "Cache-Control", "no-store"), nil
		})
		r := remote(t, h, nil)
		r.Start()
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() {
				for j := range 20 {
					get(r, fmt.Sprintf("kid-%d-%d", i, j))
					if i == 0 {
						_ = r.Refresh(context.Background())
					}
					time.Sleep(3 * time.Second)
				}
			})
		}
		all.Wait()
		if most != 1 {
			t.Errorf("%d at a time", most)
		}
	})
}

func TestRemoteAsksWhetherTheSetHasChanged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, w := &host{}, &witness{}
		h.set(func(r *http.Request) (*http.Response, error) {
			if r.Header.Get("If-None-Match") == `"v1"` {
				return response(304, nil), nil
			}
			return response(200, ec("a"), "ETag", `"v1"`, "Cache-Control", "max-age=600"), nil
		})
		r := remote(t, h, func(c *RemoteConfig) { c.Observe = w.observe })
		expect(t, "first", get(r, "a"), "ok")
		set := inHand(r)
		time.Sleep(30 * time.Hour) // past max stale, had 304 not counted
		expect(t, "later", get(r, "a"), "ok")
		if n := h.count(); n < 180 || n > 205 {
			t.Errorf("%d fetches in 30 hours; a 304 keeps the lifetime of ten minutes", n)
		}
		if inHand(r) != set {
			t.Error("an unchanged set was replaced")
		}
		expect(t, "an unknown kid after a 304", get(r, "b"), "unknown")
		expect(t, "events", w.kinds(), "keys_loaded ")
	})
}

func TestRemoteRefreshReportsHowItWent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &host{answer: answers(500, nil)}
		r := remote(t, h, func(c *RemoteConfig) { c.JWKSURL += "?key=hunter2" })
		err := r.Refresh(context.Background())
		if err == nil || !strings.Contains(err.Error(), "https://idp.example/jwks answers with status 500") {
			t.Errorf("got %v", err)
		}
		s := r.Status()
		if s.LastError != err.Error() || s.Failures != 1 || s.Source != "https://idp.example/jwks" {
			t.Errorf("got %+v", s)
		}
		if text := fmt.Sprintf("%+v %v", s, err); strings.Contains(text, "hunter2") {
			t.Errorf("the query shows: %s", text)
		}
		h.set(answers(200, ec("a"))) // whatever the backoff
		if err := r.Refresh(context.Background()); err != nil {
			t.Error(err)
		}
		s = r.Status()
		if s.State != "fresh" || s.LastError != "" || !s.LastErrorAt.IsZero() || len(s.Keys) != 1 || s.Keys[0] != (KeyInfo{ID: "a", Family: "P-256"}) {
			t.Errorf("got %+v", s)
		}
		if s.Expires.Sub(s.FetchedAt) != DefaultMaxStale || !s.NextRefresh.After(time.Now()) {
			t.Errorf("got %+v", s)
		}
		h.set(hangs)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := r.Refresh(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

func TestRemoteClosed(t *testing.T) {
	t.Parallel()
	t.Run("refreshes no more, and serves those in flight", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			h := &host{answer: answers(200, ec("a"))}
			r := remote(t, h, nil)
			expect(t, "before", get(r, "a"), "ok")
			r.Close()
			r.Close()
			r.Start()
			n := h.count()
			time.Sleep(23 * time.Hour)
			if h.count() != n {
				t.Errorf("%d fetches after Close", h.count()-n)
			}
			expect(t, "a request in flight", get(r, "a"), "ok")
			h.set(answers(200, ec("b")))
			expect(t, "one with a new kid", get(r, "b"), "ok")
			if err := r.Refresh(context.Background()); err == nil {
				t.Error("a closed source is refreshed")
			}
			if s := r.Status(); !s.NextRefresh.IsZero() {
				t.Errorf("next refresh %s", s.NextRefresh)
			}
		})
	})
	t.Run("lets those who wait have their answer", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			h := &host{answer: slowly(time.Second, ec("a"))}
			r := remote(t, h, nil)
			time.AfterFunc(time.Second/2, r.Close)
			expect(t, "waiting", get(r, "a"), "ok")
		})
	})
	t.Run("ends a fetch that nobody waits for", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			h, w := &host{answer: hangs}, &witness{}
			r := remote(t, h, func(c *RemoteConfig) { c.Observe = w.observe })
			r.Start()
			synctest.Wait()
			begun := time.Now()
			r.mu.Lock()
			f := r.flight
			r.mu.Unlock()
			r.Close()
			<-f.done
			if took := time.Since(begun); took != 0 {
				t.Errorf("it took %s", took)
			}
			expect(t, "events", w.kinds(), "")
		})
	})
	t.Run("before it was started", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			h := &host{answer: answers(200, ec("a"))}
			r := remote(t, h, nil)
			r.Close()
			r.Start()
			time.Sleep(time.Hour)
			if h.count() != 0 {
				t.Errorf("%d fetches", h.count())
			}
		})
	})
}

func TestRemoteSeed(t *testing.T) {
	t.Parallel()
	seed := func() *Set { return must(ParseJWKS(ec("a"), JWKSOptions{})) }
	t.Run("serves while the source is down", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			h := &host{answer: resets}
			r := remote(t, h, nil)
			if !r.Seed(seed(), time.Now().Add(-23*time.Hour)) {
				t.Fatal("not used")
			}
			expect(t, "seeded", get(r, "a"), "ok")
			synctest.Wait()
			if h.count() == 0 {
				t.Error("the source is not asked")
			}
			time.Sleep(time.Hour)
			expect(t, "a day after its fetch", get(r, "a"), "unavailable")
			h.set(answers(200, ec("a")))
			time.Sleep(5 * time.Second)
			synctest.Wait()
			expect(t, "the source is back", get(r, "a"), "ok")
			set, at, ok := r.Snapshot()
			if !ok || time.Since(at) > 5*time.Second || set != inHand(r) {
				t.Errorf("snapshot of %s", at)
			}
		})
	})
	t.Run("is refused where it is of no use", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			h := &host{answer: answers(200, ec("b"))}
			r := remote(t, h, nil)
			if _, _, ok := r.Snapshot(); ok || inHand(r) != nil {
				t.Error("a set out of nothing")
			}
			secret := must(ParseJWKS(jwks(octJWK("s")), JWKSOptions{Local: true, Algorithms: key.NewAlgorithms(key.HS256)}))
			now := time.Now()
			for name, ok := range map[string]bool{
				"from the future": r.Seed(seed(), now.Add(time.Second)),
				"too old":         r.Seed(seed(), now.Add(-DefaultMaxStale)),
				"empty":           r.Seed(NewSet(nil), now),
				"none":            r.Seed(nil, now),
				"of secrets":      r.Seed(secret, now),
			} {
				if ok {
					t.Errorf("used: %s", name)
				}
			}
			expect(t, "fetched", get(r, "b"), "ok")
			if r.Seed(seed(), now.Add(-time.Second)) {
				t.Error("older than the set in hand, and used")
			}
		})
	})
	t.Run("in the middle of a conditional fetch is not mistaken for its set", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			h := &host{answer: answers(200, ec("b"), "ETag", `"b"`)}
			r := remote(t, h, nil)
			expect(t, "fetched", get(r, "b"), "ok")
			h.set(func(*http.Request) (*http.Response, error) {
				time.Sleep(time.Second)
				return response(304, nil), nil
			})
			time.Sleep(time.Second)
			go func() { _ = r.Refresh(context.Background()) }()
			synctest.Wait()
			if !r.Seed(seed(), time.Now()) {
				t.Fatal("not used")
			}
			time.Sleep(2 * time.Second)
			expect(t, "the set that is unchanged", get(r, "b"), "ok")
		})
	})
}

func TestRemoteEventsComeOutsideTheLockAndCanBeRebound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, w := &host{answer: answers(200, ec("a"))}, &witness{}
		var r *Remote
		r = remote(t, h, func(c *RemoteConfig) {
			c.Observe = func(e Event) {
				w.observe(e)
				_ = r.Status()
				expect(t, "asked by the observer", get(r, "a"), "ok")
			}
		})
		r.Start()
		synctest.Wait()
		expect(t, "events", w.kinds(), "keys_loaded ")
		other := &witness{}
		r.Observe(other.observe)
		h.set(resets)
		_ = r.Refresh(context.Background())
		synctest.Wait()
		expect(t, "events of the one before", w.kinds(), "keys_loaded ")
		expect(t, "events of the one after", other.kinds(), "source_failing ")
		r.Observe(nil)
		h.set(answers(200, ec("a")))
		_ = r.Refresh(context.Background())
		synctest.Wait()
		expect(t, "events", other.kinds(), "source_failing ")
		if e := other.events[0]; e.Err == nil || e.Source != "https://idp.example/jwks" || e.Keys != 1 || e.At.IsZero() {
			t.Errorf("got %+v", e)
		}
	})
}

func TestRemoteEventsComeOneAfterTheOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var running atomic.Int32
		w := &witness{}
		h := &host{answer: answers(200, ec("a"))}
		r := remote(t, h, func(c *RemoteConfig) {
			c.Observe = func(e Event) {
				if running.Add(1) != 1 {
					t.Error("two at a time")
				}
				time.Sleep(time.Minute) // slow, and nobody waits for it
				running.Add(-1)
				w.observe(e)
			}
		})
		begun := time.Now()
		_ = r.Refresh(context.Background())
		h.set(resets)
		_ = r.Refresh(context.Background())
		h.set(answers(200, ec("b")))
		_ = r.Refresh(context.Background())
		if took := time.Since(begun); took != 0 {
			t.Errorf("the fetches took %s", took)
		}
		time.Sleep(10 * time.Minute)
		expect(t, "events", w.kinds(), "keys_loaded source_failing source_recovered keys_changed ")
	})
}

func TestRemoteUsesTheClockItIsGiven(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &stopped{now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
		r := remote(t, &host{answer: answers(200, ec("a"))}, func(config *RemoteConfig) { config.Clock = c })
		expect(t, "now", get(r, "a"), "ok")
		if at := r.Status().FetchedAt; !at.Equal(c.now) {
			t.Errorf("fetched at %s", at)
		}
	})
}

// stopped is a clock that stands still, and whose timers never fire.
type stopped struct{ now time.Time }

func (s *stopped) Now() time.Time { return s.now }

func (*stopped) AfterFunc(time.Duration, func()) func() bool { return func() bool { return true } }

// A stranger's unknown kid fetches from where the key set was, and puts the
// scheduled fetch off. That must not keep a key set in use that has moved.
func TestUnknownKidsDoNotPutDiscoveryOffForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, keysAt := &host{}, "https://idp.example/old"
		h.set(func(r *http.Request) (*http.Response, error) {
			switch {
			case strings.Contains(r.URL.Path, "well-known"):
				return response(200, []byte(`{"issuer":"https://idp.example","jwks_uri":"`+keysAt+`"}`)), nil
			case r.URL.Path == "/new":
				return response(200, ec("new")), nil
			default:
				return response(200, ec("old")), nil
			}
		})
		r := remote(t, h, func(c *RemoteConfig) { c.JWKSURL, c.Issuer = "", "https://idp.example" })
		expect(t, "at first", get(r, "old"), "ok")
		keysAt = "https://idp.example/new"
		for n := range 4 {
			_ = get(r, fmt.Sprintf("stranger-%d", n))
			time.Sleep(50 * time.Minute)
		}
		expect(t, "the new key", get(r, "new"), "ok")
		if got := get(r, "old"); got == "ok" {
			t.Error("the key of the old place still verifies")
		}
	})
}

// Clients that lag behind a rotation send the key that went with it. They use
// up none of the fetches that the next rotation needs.
func TestRotationsWithClientsThatLagBehindCostOneFetchEach(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &host{answer: answers(200, ec("k0"))}
		r := remote(t, h, nil)
		expect(t, "at first", get(r, "k0"), "ok")
		before := r.Status().Fetches
		for n := range bucketSize {
			h.set(answers(200, ec(fmt.Sprintf("k%d", n+1))))
			expect(t, "the new key", get(r, fmt.Sprintf("k%d", n+1)), "ok")
			for old := range n + 1 { // some lag behind several rotations
				for range 10 {
					if got := get(r, fmt.Sprintf("k%d", old)); got == "ok" {
						t.Fatalf("the key k%d still verifies", old)
					}
				}
			}
		}
		if got := r.Status().Fetches - before; got != bucketSize {
			t.Errorf("%d fetches for %d rotations", got, bucketSize)
		}
	})
}
