package filewatch

import (
	"sync"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
)

// poller calls a function at intervals until it is stopped, and holds the observer of
// events. Its lock also guards the state of the Watched that embeds it.
type poller[E any] struct {
	clock clock.Clock

	mu        sync.Mutex
	observe   func(E)
	stopTimer func() bool
	started   bool
	closed    bool
}

// Observe sets the function that is called for each event; nil for none.
func (p *poller[E]) Observe(observe func(E)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.observe = observe
}

// start starts calling poll, each time an interval after the previous call has ended. It
// does nothing if called again, or after stop.
func (p *poller[E]) start(interval time.Duration, poll func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.started || p.closed {
		return
	}
	p.started = true
	var again func()
	again = func() {
		poll()
		p.mu.Lock()
		defer p.mu.Unlock()
		if !p.closed {
			p.stopTimer = p.clock.AfterFunc(interval, again)
		}
	}
	p.stopTimer = p.clock.AfterFunc(interval, again)
}

// stop stops polling and removes the observer. The caller holds the lock.
func (p *poller[E]) stop() {
	p.closed = true
	p.observe = nil
	if p.stopTimer != nil {
		p.stopTimer()
	}
}

// notification is an event to be delivered to an observer.
type notification[E any] struct {
	event   E
	observe func(E) // nil if there is no observer, or no event
}

// deliver calls the observer. The caller must not hold the lock, so that the observer
// may call Status.
func (n notification[E]) deliver() {
	if n.observe != nil {
		n.observe(n.event)
	}
}
