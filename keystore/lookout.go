package keystore

import (
	"sync"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
)

// lookout looks at files from time to time, until it is closed. Its lock guards
// what its owner knows of them too.
type lookout struct {
	clock clock.Clock

	mu        sync.Mutex
	observe   func(Event)
	stopTimer func() bool
	started   bool
	closed    bool
}

// Observe replaces the function that hears of changes; nil for none.
func (l *lookout) Observe(observe func(Event)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.observe = observe
}

// every begins to look at this pace, each time counted from the end of the look
// before. It does nothing if called again, or closed.
func (l *lookout) every(pace time.Duration, look func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.started || l.closed {
		return
	}
	l.started = true
	var again func()
	again = func() {
		look()
		l.mu.Lock()
		defer l.mu.Unlock()
		if !l.closed {
			l.stopTimer = l.clock.AfterFunc(pace, again)
		}
	}
	l.stopTimer = l.clock.AfterFunc(pace, again)
}

// end ends the looking, and that anybody hears of it. Call with the lock.
func (l *lookout) end() {
	l.closed = true
	l.observe = nil
	if l.stopTimer != nil {
		l.stopTimer()
	}
}

// tell tells an observer of an event, if there is both.
func tell(e *Event, observe func(Event)) {
	if e != nil && observe != nil {
		observe(*e)
	}
}
