package filewatch

import (
	"sync"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
)

// lookout looks at files from time to time, until it is closed, and has somebody
// who hears of events. Its lock guards what its owner knows of the files too.
type lookout[E any] struct {
	clock clock.Clock

	mu        sync.Mutex
	observe   func(E)
	stopTimer func() bool
	started   bool
	closed    bool
}

// Observe replaces the function that hears of changes; nil for none.
func (l *lookout[E]) Observe(observe func(E)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.observe = observe
}

// every begins to look at this pace, each time counted from the end of the look
// before. It does nothing if called again, or closed.
func (l *lookout[E]) every(pace time.Duration, look func()) {
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
func (l *lookout[E]) end() {
	l.closed = true
	l.observe = nil
	if l.stopTimer != nil {
		l.stopTimer()
	}
}

// telling is an event on its way to whoever hears of it.
type telling[E any] struct {
	event   E
	observe func(E) // nil for nobody, or no event
}

// tell tells of the event. Call without the lock, so that whoever hears of it may
// ask for the status.
func (t telling[E]) tell() {
	if t.observe != nil {
		t.observe(t.event)
	}
}
