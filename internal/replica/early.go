package replica

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
)

// The limits on syncs that are brought forward for a request: anybody can make up what looks
// like a new key.
const (
	earlySyncs  = 5
	earlyRefill = 5 * time.Second
	earlyWait   = time.Second // how long a request waits for one
	// EarlyWaiters is how many requests wait at a time.
	EarlyWaiters = 64
	earlyLimit   = 10 * time.Second // how long one may take
)

// Early brings syncs forward for what a request names and this node does not know, as it may
// have been made on another node a moment ago: five at once, and one in 5 s. Requests
// share them, 64 wait at a time, each a second at most.
type Early struct {
	clock   clock.Clock
	sync    func(ctx context.Context)
	waiters chan struct{}

	mu      sync.Mutex
	limiter *rate.Limiter
	last    time.Time
	running chan struct{} // closed when it has ended
}

// NewEarly returns one that makes syncs by a function, whose context ends after 10 s.
func NewEarly(c clock.Clock, sync func(ctx context.Context)) *Early {
	return &Early{
		clock: c, sync: sync, waiters: make(chan struct{}, EarlyWaiters),
		limiter: rate.NewLimiter(rate.Every(earlyRefill), earlySyncs),
	}
}

// Waiting returns how many requests wait.
func (e *Early) Waiting() int { return len(e.waiters) }

// Begin returns the sync to wait for, a channel that is closed at its end: the one that is
// running, a new one, or nil if none may be begun now.
func (e *Early) Begin() <-chan struct{} {
	now := e.clock.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.running != nil {
		return e.running
	}
	if now.Before(e.last) {
		// The clock was set back: without this the limiter would stay empty until the
		// time of its latest grant is reached again.
		e.limiter.SetBurstAt(now, earlySyncs)
	}
	e.last = now
	if !e.limiter.AllowN(now, 1) {
		return nil
	}
	ended := make(chan struct{})
	e.running = ended
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), earlyLimit)
		defer cancel()
		e.sync(ctx)
		e.mu.Lock()
		e.running = nil
		e.mu.Unlock()
		close(ended)
	}()
	return ended
}

// Await brings a sync forward and waits for its end. began is false if the limits did not
// allow it, ended if it did not end within a second or ctx.
func (e *Early) Await(ctx context.Context) (began, ended bool) {
	select {
	case e.waiters <- struct{}{}:
		defer func() { <-e.waiters }()
	default:
		return false, false
	}
	over := e.Begin()
	if over == nil {
		return false, false
	}
	late := make(chan struct{})
	stop := e.clock.AfterFunc(earlyWait, func() { close(late) })
	defer stop()
	select {
	case <-over:
		return true, true
	case <-late:
	case <-ctx.Done():
	}
	return true, false
}
