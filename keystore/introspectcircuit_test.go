package keystore

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// introspectionWitness collects events.
type introspectionWitness struct {
	mu     sync.Mutex
	events []IntrospectionEvent
}

func (w *introspectionWitness) observe(e IntrospectionEvent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

func (w *introspectionWitness) kinds() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	kinds := make([]string, len(w.events))
	for n, e := range w.events {
		kinds[n] = e.Kind.String()
		if e.Err != nil && strings.Contains(e.Err.Error(), "client of introspection is refused") {
			kinds[n] += " (refused)"
		}
	}
	return strings.Join(kinds, ", ")
}

func TestIntrospectionPausesAfterFailures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, w := newDesk(), new(introspectionWitness)
		d.say(opaque(0), nil)
		i := asks(t, d, func(c *IntrospectionConfig) { c.Observe, c.Cache = w.observe, time.Hour })
		expect(t, "before", about(i, opaque(0)), "active")
		d.set(resets)
		n, before := 1, d.count()
		ask := func() string { n++; return about(i, opaque(n)) }
		for range failuresToOpen {
			expect(t, "a failure", ask(), "unavailable")
		}
		synctest.Wait()
		if got := d.count() - before; got != failuresToOpen {
			t.Fatalf("%d calls", got)
		}
		if s := i.Status(); s.State != "failing" || s.Failures != 5 || !s.PausedUntil.Equal(time.Now().Add(time.Second)) || !strings.Contains(s.LastError, "connection reset") || !s.LastErrorAt.Equal(time.Now()) {
			t.Errorf("%+v", s)
		}
		for _, pause := range []int{1, 2, 4, 8, 16, 30, 30, 30} {
			before := d.count()
			time.Sleep(time.Duration(pause)*time.Second - 1)
			for range 10 {
				expect(t, "in a pause", ask(), "unavailable")
			}
			if d.count() != before {
				t.Fatalf("a call within %d s", pause)
			}
			expect(t, "a kept answer in a pause", about(i, opaque(0)), "active")
			time.Sleep(time.Millisecond)
			expect(t, "the probe", ask(), "unavailable")
			expect(t, "the one after it", ask(), "unavailable")
			if d.count() != before+1 {
				t.Fatalf("%d calls after %d s", d.count()-before, pause)
			}
		}
		time.Sleep(30 * time.Second)
		d.set(d.serve)
		expect(t, "the probe that succeeds", ask(), "inactive")
		expect(t, "the next", ask(), "inactive")
		synctest.Wait()
		expect(t, "events", w.kinds(), "introspection_failing, introspection_recovered")
		if s := i.Status(); s.State != "working" || s.Failures != 0 || s.LastError != "" || !s.LastErrorAt.IsZero() || !s.PausedUntil.IsZero() || !s.LastSuccess.Equal(time.Now()) || s.Failed != 13 || s.TurnedAway != 88 {
			t.Errorf("%+v", s)
		}
		// After a success the pauses begin again.
		d.set(resets)
		for range failuresToOpen {
			expect(t, "a failure", ask(), "unavailable")
		}
		if s := i.Status(); !s.PausedUntil.Equal(time.Now().Add(time.Second)) {
			t.Errorf("%+v", s)
		}
	})
}

func TestIntrospectionOnlyFailuresInARowCount(t *testing.T) {
	t.Parallel()
	d := newDesk()
	i := asks(t, d, nil)
	for n := range 20 {
		d.set(resets)
		if n%5 == 4 {
			d.set(d.serve)
		}
		_ = about(i, opaque(n))
	}
	if d.count() != 20 {
		t.Errorf("%d calls", d.count())
	}
}

func TestIntrospectionOneProbe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		d.set(resets)
		i := asks(t, d, nil)
		for n := range failuresToOpen {
			_ = about(i, opaque(n))
		}
		time.Sleep(time.Second)
		d.set(d.serve)
		release, before := d.holds(), d.count()
		var all tally
		for n := range 50 {
			all.ask(from(fmt.Sprintf("10.0.%d.1", n)), i, opaque(100+n))
		}
		synctest.Wait()
		if d.count()-before != 1 {
			t.Errorf("%d calls", d.count()-before)
		}
		time.Sleep(3 * time.Second)
		expect(t, "while the probe takes its time", about(i, opaque(999)), "unavailable")
		release()
		expect(t, "all", all.String(), "map[inactive:1 unavailable:49]")
	})
}

// Calls that began before a pause and fail in it neither lengthen it nor end it; one that
// succeeds ends it.
func TestIntrospectionCallsFromBeforeAPause(t *testing.T) {
	t.Parallel()
	for name, succeeds := range map[string]bool{"fail": false, "succeed": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := newDesk()
				i := asks(t, d, nil)
				release := d.holds()
				var slow tally
				for n := range 20 {
					slow.ask(from(fmt.Sprintf("10.0.%d.1", n)), i, opaque(n))
				}
				synctest.Wait()
				var waiting tally // of one network, whose slots are taken
				for n := range 30 {
					waiting.ask(from("10.1.0.1"), i, opaque(500+n))
				}
				synctest.Wait()
				d.set(resets)
				for n := range failuresToOpen {
					expect(t, "a failure", aboutFrom(from("192.0.2.1"), i, opaque(100+n)), "unavailable")
				}
				// Nobody waits for a call that will not come.
				synctest.Wait()
				if s := i.Status(); s.Waiting != 0 || s.Running != 24 {
					t.Errorf("%+v", s)
				}
				until := i.Status().PausedUntil
				if succeeds {
					d.set(d.serve)
					release()
					_ = slow.String()
					if s := i.Status(); !s.PausedUntil.IsZero() || s.State != "working" {
						t.Errorf("%+v", s)
					}
					return
				}
				time.Sleep(callTimeout) // they hang until then
				synctest.Wait()
				i.mu.Lock()
				defer i.mu.Unlock()
				if !i.circuit.until.Equal(until) || i.circuit.pause != time.Second || i.circuit.failures != 5+24 {
					t.Errorf("%+v", i.circuit)
				}
			})
		})
	}
}

func TestIntrospectionHonoursRetryAfter(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		wished string
		pause  time.Duration
	}{
		"429":                  {429, "7", 7 * time.Second},
		"503":                  {503, "7", 7 * time.Second},
		"a date":               {503, "Sat, 01 Jan 2000 00:00:09 GMT", 9 * time.Second},
		"at most 30 s":         {429, "86400", 30 * time.Second},
		"none":                 {429, "", 0},
		"nonsense":             {503, "soon", 0},
		"not of another":       {500, "7", 0},
		"not of one that asks": {401, "7", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h, w := &host{answer: answers(c.status, nil, "Retry-After", c.wished)}, new(introspectionWitness)
				i := asks(t, h, func(i *IntrospectionConfig) { i.Observe = w.observe })
				expect(t, "the first", about(i, opaque(1)), "unavailable")
				if c.pause > 0 {
					time.Sleep(c.pause - 1)
					expect(t, "in the pause", about(i, opaque(2)), "unavailable")
					if h.count() != 1 {
						t.Errorf("%d calls in the pause", h.count())
					}
					time.Sleep(time.Millisecond)
				}
				expect(t, "after it", about(i, opaque(2)), "unavailable")
				if h.count() != 2 {
					t.Errorf("%d calls after it", h.count())
				}
				synctest.Wait()
				expect(t, "events of one failure or two", w.kinds(), "")
			})
		})
	}
}

// A pause that ends farther away than any lasts was begun before the clock was set back.
func TestIntrospectionAPauseAndAClockThatIsSetBack(t *testing.T) {
	t.Parallel()
	d, c := newDesk(), newTestClock()
	d.set(answers(429, nil, "Retry-After", "20"))
	i := asks(t, d, func(i *IntrospectionConfig) { i.Clock = c })
	expect(t, "the first", about(i, opaque(1)), "unavailable")
	d.set(d.serve)
	expect(t, "in the pause", about(i, opaque(1)), "unavailable")
	c.Set(c.Now().Add(-10 * time.Second))
	expect(t, "30 s before its end", about(i, opaque(1)), "unavailable")
	c.Set(c.Now().Add(-time.Second))
	expect(t, "farther from its end", about(i, opaque(1)), "inactive")
}

// The probe after a pause that the server wished begins another if it fails, although there
// were few failures.
func TestIntrospectionAProbeThatFailsBeginsAPause(t *testing.T) {
	t.Parallel()
	d, c := newDesk(), newTestClock()
	d.set(answers(503, nil, "Retry-After", "5"))
	i := asks(t, d, func(i *IntrospectionConfig) { i.Clock = c })
	expect(t, "the first", about(i, opaque(1)), "unavailable")
	c.Set(c.Now().Add(5 * time.Second))
	d.set(resets)
	expect(t, "the probe", about(i, opaque(2)), "unavailable")
	d.set(d.serve)
	expect(t, "in the next pause", about(i, opaque(3)), "unavailable")
	c.Set(c.Now().Add(firstPause))
	expect(t, "after it", about(i, opaque(3)), "inactive")
}

// Anybody can send a token that a server answers with 400. That must not keep others' tokens
// from being asked about.
func TestIntrospectionATokenThatTheServerDislikes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		d.say(opaque(1), nil)
		dislikes := answers(400, []byte(`{"error":"invalid_request"}`))
		d.set(func(r *http.Request) (*http.Response, error) { return dislikes(r) })
		i := asks(t, d, nil)
		for n := range 20 {
			expect(t, "a token that is disliked", about(i, opaque(100+n)), "unavailable")
		}
		d.set(d.serve)
		expect(t, "another", about(i, opaque(1)), "active")
		// Nor as a probe.
		d.set(resets)
		for n := range failuresToOpen {
			_ = about(i, opaque(200+n))
		}
		time.Sleep(time.Second)
		d.set(dislikes)
		expect(t, "a probe that is disliked", about(i, opaque(300)), "unavailable")
		d.set(d.serve)
		expect(t, "the next probe", about(i, opaque(301)), "inactive")
	})
}

func TestIntrospectionAnnouncesChangesAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, w := newDesk(), new(introspectionWitness)
		i := asks(t, d, func(c *IntrospectionConfig) { c.Observe = w.observe })
		n := 0
		fails := func(answer func(*http.Request) (*http.Response, error), times int) {
			d.set(answer)
			for range times {
				n++
				_ = about(i, opaque(n))
				time.Sleep(maxPause)
			}
			synctest.Wait()
		}
		fails(answers(401, nil), 4)
		expect(t, "four times", w.kinds(), "")
		fails(answers(401, nil), 10)
		expect(t, "our client is refused", w.kinds(), "introspection_failing (refused)")
		fails(resets, 10)
		expect(t, "then the connection breaks", w.kinds(), "introspection_failing (refused), introspection_failing")
		fails(d.serve, 1)
		expect(t, "then it works", w.kinds(), "introspection_failing (refused), introspection_failing, introspection_recovered")
		w.events = nil
		// A server that fails for some tokens only: those who send them must not fill the log.
		for range 100 {
			d.set(resets)
			for range failuresToOpen {
				n++
				_ = about(i, opaque(n))
			}
			time.Sleep(time.Second)
			d.set(d.serve)
			n++
			expect(t, "a token in between", about(i, opaque(n)), "inactive")
		}
		synctest.Wait()
		if got := len(w.events); got > 2*3 { // in 100 s
			t.Errorf("%d events", got)
		}
	})
}

func TestIntrospectionObserverMayAskForTheStatus(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var i *Introspection
		states := make(chan string, 10)
		i = asks(t, &host{answer: resets}, nil)
		i.Observe(func(IntrospectionEvent) { states <- i.Status().State })
		for n := range failuresToOpen {
			_ = about(i, opaque(n))
		}
		expect(t, "the state", <-states, "failing")
		i.Observe(nil)
	})
}
