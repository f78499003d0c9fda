package tokenservice

import (
	"context"
	"sync"
)

// rank is how soon an assertion has its turn: the smaller the sooner.
type rank int

// The ranks, by whether the client is known to come from that network, and whether
// assertions from there have failed lately.
const (
	knownClean rank = iota
	unknownClean
	knownFailing
	unknownFailing
	ranks
)

// maxWaiting is how many assertions of a rank wait for their turn. Beyond it they are
// refused, and nobody waits for longer than it takes to verify as many.
const maxWaiting = 256

// gate lets a few assertions at a time have their signatures verified, so that nobody who
// sends false ones takes the processors from all others. Those of networks with failures
// come last and never take all slots.
type gate struct {
	slots int

	mu      sync.Mutex
	busy    int // slots in use
	failing int // of them by ranks with failures
	waiting [ranks][]*waiter
}

type waiter struct {
	turn  chan struct{} // closed when it is its turn
	begun bool
}

// turn is the turn of one assertion to have its signature verified.
type turn struct {
	gate    *gate
	rank    rank
	held    bool
	refused bool // too many are waiting
}

// turnKey is the key of a turn in a context.
type turnKey struct{}

// begin waits for the turn, and reports false if it does not come.
func (t *turn) begin(ctx context.Context) bool {
	if t.held {
		return true
	}
	g := t.gate
	g.mu.Lock()
	// If there is a slot, nobody waits who comes before: end hands slots over at once.
	if g.free(t.rank) {
		g.take(t.rank)
		g.mu.Unlock()
		t.held = true
		return true
	}
	if len(g.waiting[t.rank]) >= maxWaiting {
		g.mu.Unlock()
		t.refused = true
		return false
	}
	w := &waiter{turn: make(chan struct{})}
	g.waiting[t.rank] = append(g.waiting[t.rank], w)
	g.mu.Unlock()
	select {
	case <-w.turn:
		t.held = true
		return true
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if w.begun {
		t.held = true
		return true
	}
	g.forget(t.rank, w)
	t.refused = true
	return false
}

// end ends the turn, and lets the next one begin.
func (t *turn) end() {
	if !t.held {
		return
	}
	t.held = false
	g := t.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	g.busy--
	if t.rank >= knownFailing {
		g.failing--
	}
	for r := range ranks {
		for len(g.waiting[r]) > 0 && g.free(r) {
			w := g.waiting[r][0]
			g.waiting[r] = g.waiting[r][1:]
			g.take(r)
			w.begun = true
			close(w.turn)
		}
	}
}

// free reports whether there is a slot for a rank. One is kept for those without failures,
// if there is more than one.
func (g *gate) free(r rank) bool {
	return g.busy < g.slots && (r < knownFailing || g.failing < max(1, g.slots-1))
}

func (g *gate) take(r rank) {
	g.busy++
	if r >= knownFailing {
		g.failing++
	}
}

func (g *gate) forget(r rank, gone *waiter) {
	for i, w := range g.waiting[r] {
		if w == gone {
			g.waiting[r] = append(g.waiting[r][:i:i], g.waiting[r][i+1:]...)
			return
		}
	}
}
