package keystore

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// tally counts the outcomes of many requests at once.
type tally struct {
	mu   sync.Mutex
	seen map[string]int
	wait sync.WaitGroup
}

func (c *tally) ask(ctx context.Context, i *Introspection, token string) {
	c.wait.Go(func() {
		got := aboutFrom(ctx, i, token)
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.seen == nil {
			c.seen = map[string]int{}
		}
		c.seen[got]++
	})
}

func (c *tally) String() string {
	c.wait.Wait()
	return fmt.Sprint(c.seen)
}

// A flood of tokens that nobody has seen costs 64 calls at a time at most, half of which stay
// for tokens that are known; those are answered, be their answer kept or not.
func TestIntrospectionFlood(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		for n := range 100 {
			d.say(opaque(n), nil)
		}
		i := asks(t, d, nil)
		for n := range 100 {
			expect(t, "before", about(i, opaque(n)), "active")
		}
		release := d.holds()
		var flood tally
		for n := range 10_000 {
			flood.ask(from(fmt.Sprintf("10.%d.%d.1", n%250, n/250)), i, opaque(1000+n))
			if n%100 == 0 {
				synctest.Wait()
			}
		}
		synctest.Wait()
		if s := i.Status(); s.Running != maxStrangers || s.Waiting != maxStrangersWaiting || s.TurnedAway != 10_000-maxStrangers-maxStrangersWaiting {
			t.Errorf("in the flood %+v", s)
		}
		// Answers that are kept serve at once.
		for n := range 100 {
			expect(t, "kept", about(i, opaque(n)), "active")
		}
		// The flood ends in 2 s for those who wait, in 5 s for those who are asked about.
		begun := time.Now()
		time.Sleep(slotWait)
		synctest.Wait()
		if s := i.Status(); s.Running != maxStrangers || s.Waiting != 0 || s.TurnedAway != 10_000-maxStrangers {
			t.Errorf("2 s later %+v", s)
		}
		release()
		expect(t, "the flood", flood.String(), fmt.Sprintf("map[inactive:%d unavailable:%d]", maxStrangers, 10_000-maxStrangers))
		if took := time.Since(begun); took != slotWait {
			t.Errorf("it took %s", took)
		}
		if d.mostAtOnce() != maxStrangers {
			t.Errorf("%d calls at once", d.mostAtOnce())
		}
	})
}

func TestIntrospectionKnownTokensHaveSlotsOfTheirOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		i := asks(t, d, nil)
		for n := range 300 {
			d.say(opaque(n), nil)
			expect(t, "before", about(i, opaque(n)), "active")
		}
		time.Sleep(knownTime - time.Second) // none is kept any more
		release := d.holds()
		var strangers, known tally
		for n := range 1000 {
			strangers.ask(from(fmt.Sprintf("10.0.%d.1", n%200)), i, opaque(1000+n))
		}
		synctest.Wait()
		for n := range 300 {
			known.ask(from("10.0.0.1"), i, opaque(n)) // from a network that is over its limit
		}
		synctest.Wait()
		if s := i.Status(); s.Running != maxCalls || s.Waiting != maxWaiting {
			t.Errorf("%+v", s)
		}
		if d.mostAtOnce() != maxCalls {
			t.Errorf("%d calls at once", d.mostAtOnce())
		}
		release()
		// 32 at once, and 64 could wait.
		expect(t, "known ones", known.String(), "map[active:96 unavailable:204]")
		expect(t, "strangers", strangers.String(), "map[inactive:224 unavailable:776]")

		time.Sleep(time.Second) // an hour after they were active
		release = d.holds()
		var forgotten tally
		for n := 100; n < 300; n++ {
			forgotten.ask(from(fmt.Sprintf("10.1.%d.1", n-100)), i, opaque(n))
		}
		synctest.Wait()
		if s := i.Status(); s.Running != maxStrangers {
			t.Errorf("after an hour %d calls", s.Running)
		}
		release()
		_ = forgotten.String()
	})
}

func TestIntrospectionATokenThatWasRevokedIsAStranger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		i := asks(t, d, func(c *IntrospectionConfig) { c.Cache = -1 })
		d.say(opaque(1), nil)
		expect(t, "first", about(i, opaque(1)), "active")
		d.revoke(opaque(1))
		expect(t, "then", about(i, opaque(1)), "inactive")
		if len(i.known) != 0 {
			t.Error("it is still known")
		}
	})
}

func TestIntrospectionOneNetworkHasFourSlots(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		addresses []string
		calls     int
	}{
		"one address":                     {[]string{"192.0.2.1"}, 4},
		"one IPv4 /24":                    {[]string{"192.0.2.1", "192.0.2.200", "::ffff:192.0.2.7"}, 4},
		"two of them":                     {[]string{"192.0.2.1", "192.0.3.1"}, 8},
		"one IPv6 /56":                    {[]string{"2001:db8:0:ff00::1", "2001:db8:0:ffff::1"}, 4},
		"two of them, in IPv6":            {[]string{"2001:db8:0:ff00::1", "2001:db8:0:fe00::1"}, 8},
		"one with a zone":                 {[]string{"fe80::1%eth0", "fe80::2%eth1"}, 4},
		"nobody knows":                    {[]string{""}, 4},
		"nobody knows, and somebody does": {[]string{"", "192.0.2.1"}, 8},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := newDesk()
				i := asks(t, d, nil)
				release := d.holds()
				var all tally
				for n := range 40 * len(c.addresses) {
					ctx := context.Background()
					if address := c.addresses[n%len(c.addresses)]; address != "" {
						ctx = from(address)
					}
					all.ask(ctx, i, opaque(n))
				}
				synctest.Wait()
				if s := i.Status(); s.Running != c.calls {
					t.Errorf("%d calls, want %d", s.Running, c.calls)
				}
				var other tally
				other.ask(from("198.51.100.1"), i, opaque(5000))
				synctest.Wait()
				if s := i.Status(); s.Running != c.calls+1 {
					t.Error("another network has to wait")
				}
				release()
				_, _ = all.String(), other.String()
				if len(i.slots.networks) != 0 || i.slots.waiting != 0 || i.slots.strangers != 0 || i.slots.strangersWaiting != 0 || len(i.asking) != 0 {
					t.Errorf("left: %+v", i.slots)
				}
			})
		})
	}
}

func TestIntrospectionOneNetworkDoesNotTakeAllTheWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		i := asks(t, d, nil)
		release := d.holds()
		var flood, other tally
		for n := range 1000 {
			flood.ask(from("192.0.2.1"), i, opaque(n))
		}
		synctest.Wait()
		if s := i.Status(); s.Running != maxOfNetwork || s.Waiting != maxOfNetworkWaiting {
			t.Errorf("%+v", s)
		}
		for n := range 10 {
			other.ask(from("192.0.3.1"), i, opaque(2000+n))
		}
		synctest.Wait()
		release()
		expect(t, "the other network", other.String(), "map[inactive:10]")
		expect(t, "the flood", flood.String(), "map[inactive:68 unavailable:932]")
	})
}

func TestIntrospectionThoseWhoWaitGoOnInTheirOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		i := asks(t, d, nil)
		release := d.holds()
		var all tally
		for n := range 20 {
			all.ask(from("192.0.2.1"), i, opaque(n))
			synctest.Wait()
		}
		// One that has waited goes away, and is not asked about.
		ctx, leaves := context.WithCancel(from("192.0.2.1"))
		var gone tally
		gone.ask(ctx, i, opaque(20))
		synctest.Wait()
		before := i.Status().Waiting
		leaves()
		expect(t, "the one that left", gone.String(), "map[unavailable:1]")
		if after := i.Status().Waiting; before != 17 || after != 16 {
			t.Errorf("%d wait, and then %d", before, after)
		}
		release()
		expect(t, "all", all.String(), "map[inactive:20]")
		if len(d.forms) != 20 {
			t.Errorf("%d calls", len(d.forms))
		}
	})
}

// Those who are known overtake the strangers who wait, and only those of a network that is
// over its limit keep waiting.
func TestIntrospectionWhoIsNext(t *testing.T) {
	t.Parallel()
	var s slots
	stranger := func(network string) *inquiry {
		return &inquiry{network: netip.MustParsePrefix(network), waiters: 1}
	}
	known := func() *inquiry { return &inquiry{known: true, waiters: 1} }
	wait := func(q *inquiry) *inquiry { s.queue(q); s.wait(q, 1); return q }
	var running []*inquiry
	for range maxOfNetwork {
		q := stranger("192.0.2.0/24")
		s.take(q)
		running = append(running, q)
	}
	limited, other, second := wait(stranger("192.0.2.0/24")), wait(stranger("198.51.100.0/24")), wait(known())
	if s.next() != second {
		t.Error("the one that is known is not the next")
	}
	s.take(second)
	if s.next() != other {
		t.Error("the stranger of another network is not the next")
	}
	s.take(other)
	if q := s.next(); q != nil {
		t.Error("a network has more than its slots")
	}
	s.give(running[0])
	if s.next() != limited {
		t.Error("the network's own is not the next when it has a slot again")
	}
	if s.take(limited); s.waiting != 0 || s.strangersWaiting != 0 || s.running != maxOfNetwork+2 || s.strangers != maxOfNetwork+1 {
		t.Errorf("%+v", s)
	}
}

func TestIntrospectionManyMayWaitForOneTokenThatWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		i := asks(t, d, nil)
		release := d.holds()
		var busy, same tally
		for n := range maxOfNetwork {
			busy.ask(from("192.0.2.1"), i, opaque(n))
		}
		synctest.Wait()
		for range 100 { // of which 64 may wait
			same.ask(from("192.0.2.1"), i, opaque(99))
		}
		synctest.Wait()
		if s := i.Status(); s.Waiting != maxOfNetworkWaiting {
			t.Errorf("%d wait", s.Waiting)
		}
		release()
		expect(t, "they", same.String(), "map[inactive:64 unavailable:36]")
		_ = busy.String()
		if i.slots.waiting != 0 || len(i.slots.networks) != 0 {
			t.Errorf("left: %+v", i.slots)
		}
	})
}

func TestIntrospectionWaitsForACallInTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := asks(t, &host{answer: func(r *http.Request) (*http.Response, error) { return hangs(r) }}, nil)
		var all tally
		for range maxJoined + 10 {
			all.ask(context.Background(), i, opaque(1))
		}
		synctest.Wait()
		if s := i.Status(); s.Running != 1 || s.TurnedAway != 10 {
			t.Errorf("%+v", s)
		}
		expect(t, "all", all.String(), fmt.Sprintf("map[unavailable:%d]", maxJoined+10))
	})
}
