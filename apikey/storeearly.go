package apikey

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// The limits on syncs for keys that are refused: the checksum of a key is public, so that
// anybody can make texts that look like new keys.
const (
	earlySyncs   = 5
	earlyRefill  = 5 * time.Second
	earlyWait    = time.Second // how long a request waits for one
	earlyWaiters = 64
	earlyLimit   = 10 * time.Second // how long one may take
)

// earlySync brings syncs forward.
type earlySync struct {
	waiters chan struct{}

	mu      sync.Mutex
	limiter *rate.Limiter
	last    time.Time
	running chan struct{} // closed when it has ended
}

func newEarlySync() earlySync {
	return earlySync{
		waiters: make(chan struct{}, earlyWaiters), limiter: rate.NewLimiter(rate.Every(earlyRefill), earlySyncs),
	}
}

// begin returns the sync to wait for: the one that is running, a new one, or nil if none
// may be begun now.
func (e *earlySync) begin(now time.Time, sync func()) <-chan struct{} {
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
		sync()
		e.mu.Lock()
		e.running = nil
		e.mu.Unlock()
		close(ended)
	}()
	return ended
}

// AwaitNews is called for a key that is refused, and reports whether it is worth to look
// again. If the text has the form of a key, it may have been made or enabled on another node
// a moment ago: then one sync is brought forward, within limits, and awaited for a second
// at most. It does not depend on whether the key is known, so that nobody can tell a
// disabled key from an unknown one by the time.
func (s *Store) AwaitNews(ctx context.Context, text string) bool {
	_, ok := IDOf(text)
	return ok && s.awaitSync(ctx)
}

// AwaitID is AwaitNews for the id of a key that is unknown, which may have been made on
// another node a moment ago. Of what is asked for by a text and by an id, no more syncs are
// brought forward than of one of them.
func (s *Store) AwaitID(ctx context.Context, id string) bool {
	return CheckID(id) == nil && s.awaitSync(ctx)
}

// awaitSync brings a sync forward, and reports whether it ended soon.
func (s *Store) awaitSync(ctx context.Context) bool {
	select {
	case s.early.waiters <- struct{}{}:
		defer func() { <-s.early.waiters }()
	default:
		return false
	}
	ended := s.early.begin(s.config.Clock.Now(), func() {
		ctx, cancel := context.WithTimeout(context.Background(), earlyLimit)
		defer cancel()
		_ = s.replica.Sync(ctx) // its error is in the set's status
	})
	if ended == nil {
		return false
	}
	late := make(chan struct{})
	stop := s.config.Clock.AfterFunc(earlyWait, func() { close(late) })
	defer stop()
	select {
	case <-ended:
		return true
	case <-late:
	case <-ctx.Done():
	}
	return false
}
