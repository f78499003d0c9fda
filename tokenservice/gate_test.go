package tokenservice

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestTheGateLetsFewIn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &gate{slots: 2}
		var (
			mu  sync.Mutex
			ran []rank
		)
		// Two with failures: one slot is kept for those without.
		first, second := &turn{gate: g, rank: unknownFailing}, &turn{gate: g, rank: knownFailing}
		if !first.begin(t.Context()) {
			t.Fatal("it waits although nobody is there")
		}
		enter := func(r rank) *turn {
			turn := &turn{gate: g, rank: r}
			go func() {
				if turn.begin(t.Context()) {
					mu.Lock()
					ran = append(ran, r)
					mu.Unlock()
				}
			}()
			synctest.Wait()
			return turn
		}
		go second.begin(t.Context())
		synctest.Wait()
		if second.held || g.busy != 1 {
			t.Fatal("those with failures take all slots")
		}
		clean := enter(unknownClean)
		if !clean.held {
			t.Fatal("one without failures waits for one with them")
		}
		// All wait now, and come by their rank.
		waiting := []*turn{enter(unknownFailing), enter(knownFailing), enter(unknownClean), enter(knownClean), enter(knownClean)}
		clean.end()
		synctest.Wait()
		first.end()
		synctest.Wait()
		for range 10 {
			for _, turn := range append(waiting, second) {
				if turn.held {
					turn.end()
					synctest.Wait()
				}
			}
		}
		want := []rank{unknownClean, knownClean, knownClean, unknownClean, knownFailing, unknownFailing}
		if !slices.Equal(ran, want) {
			t.Errorf("they came in the order %v, want %v", ran, want)
		}
		if g.busy != 0 || g.failing != 0 {
			t.Errorf("%d slots are left, %d of failures", g.busy, g.failing)
		}
	})
}

func TestTheGateIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &gate{slots: 1}
		held := &turn{gate: g, rank: unknownFailing}
		held.begin(t.Context())
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for range maxWaiting {
			all.Go(func() {
				turn := &turn{gate: g, rank: unknownFailing}
				if turn.begin(ctx) || !turn.refused {
					t.Error("it does not wait")
				}
			})
		}
		synctest.Wait()
		more := &turn{gate: g, rank: unknownFailing}
		if more.begin(t.Context()) || !more.refused {
			t.Error("any number waits")
		}
		// Others are not refused because of them.
		other := &turn{gate: g, rank: knownClean}
		go other.begin(t.Context())
		synctest.Wait()
		cancel()
		all.Wait()
		if n := len(g.waiting[unknownFailing]); n != 0 {
			t.Errorf("%d of those that are gone still wait", n)
		}
		held.end()
		synctest.Wait()
		if !other.held {
			t.Error("it does not come")
		}
		other.end()
		other.end()
		if g.busy != 0 {
			t.Errorf("%d slots are in use", g.busy)
		}
	})
}

// TestABusyGateRefuses: with 429, and it counts as nobody's failure.
func TestABusyGateRefuses(t *testing.T) {
	t.Parallel()
	a := &attempts{world: newWorld(t, federates)}
	g := &a.service.config.Memory.gate
	for range g.slots {
		if turn := (&turn{gate: g, rank: knownClean}); !turn.begin(t.Context()) {
			t.Fatal("no slot")
		}
	}
	for range maxWaiting {
		g.waiting[unknownClean] = append(g.waiting[unknownClean], &waiter{turn: make(chan struct{})})
	}
	for range 2 * maxFailures {
		a.want(429, "192.0.2.1", true)
		a.federated = !a.federated
	}
	if n := len(a.service.config.Memory.pairs.all); n != 0 {
		t.Errorf("%d failures were counted", n)
	}
	g.busy, g.waiting[unknownClean] = 0, nil
	a.want(200, "192.0.2.1", true)
}

// Whose turn comes first depends on what came of the sender's assertions before: those of
// strangers who fail come last, and then not at all, and never those of one who is known.
func TestThreat72RanksByWhatCameBefore(t *testing.T) {
	t.Parallel()
	m, p, other := NewMemory(), pairOf("client", testIssuer, "deploy-bot", address), pairOf("client", testIssuer, "other", address)
	turn := func(p pair, now time.Time) any {
		got, refused := m.turn(p, now)
		if refused != nil {
			return refused
		}
		return got.rank
	}
	failed := invalidClient("it is wrong")
	for _, step := range []struct {
		what   string
		before func()
		want   any
	}{
		{"new", func() {}, unknownClean},
		{"the service was away", func() { m.note(p, clientKeysAway, noon) }, unknownClean},
		{"one failed", func() { m.note(p, failed, noon) }, unknownFailing},
		{"nearly too many failed", func() {
			for range maxFailures - 2 {
				m.note(p, failed, noon)
			}
		}, unknownFailing},
		{"too many failed", func() { m.note(p, failed, noon) }, tooManyFailures},
	} {
		step.before()
		if got := turn(p, noon); got != step.want {
			t.Errorf("%s: %v, want %v", step.what, got, step.want)
		}
		if got := turn(other, noon); got != unknownClean {
			t.Errorf("%s: another client is %v", step.what, got)
		}
	}
	m.note(p, nil, noon)
	if got := turn(p, noon); got != knownFailing {
		t.Errorf("one that succeeds among failures: %v", got)
	}
	for range 10 * maxFailures {
		m.note(p, failed, noon)
	}
	if got := turn(p, noon); got != knownFailing {
		t.Errorf("one that is known, and fails: %v", got)
	}
	m.note(other, nil, noon)
	if got := turn(other, noon); got != knownClean {
		t.Errorf("one that only succeeds: %v", got)
	}
	if got := turn(p, noon.Add(time.Hour)); got == knownFailing || got == unknownFailing {
		t.Errorf("failures of an hour ago still count: %v", got)
	}
}
