package keystore

import (
	"context"
	"errors"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/key"
)

// Remote holds the keys of one issuer, fetched over the network and kept
// fresh. It is safe for concurrent use. Its states:
//
//	new ──Start or first Keys──▶ empty ──good answer──▶ serving ─┐ refresh,
//	                              ▲  │ retries                ▲  └─┘ unknown kid
//	                              │  └─ every ≤ 5 s           │
//	                 older than MaxStale                 good answer
//	                              │                           │
//	                              └──── serving, failing ◀────┘ bad answer
//	                                    retries every ≤ 5 min
//
// Fetches come one at a time (flight), each begun under the lock by begin and
// ended by finish, the only place where the set in hand changes; so an older
// answer never replaces a newer one. After each, schedule sets the timer for
// the next. Requests come in at Keys; only those that the set in hand cannot
// serve go on to wait.go.
type Remote struct {
	client *client

	// current is the set in hand, or nil. Requests read it without a lock.
	current atomic.Pointer[held]
	started atomic.Bool

	mu         sync.Mutex
	observe    func(Event)
	events     []Event       // not yet observed, in order
	observing  bool          // a goroutine is calling observe
	delivered  chan struct{} // closed when all events are observed; nil if nobody waits for that
	flight     *flight       // in progress, or nil
	fetches    uint64        // begun so far, which is the number of the latest
	succeeded  uint64        // the number of fetches that succeeded
	failed     uint64        // the number that failed
	failures   int           // in a row
	lastErr    error         // of the latest flight, nil if it succeeded
	lastErrAt  time.Time
	keysURL    *url.URL  // of the latest good answer
	discovered time.Time // when the metadata was last asked for it
	next       time.Time // when the next fetch is due; if failing and empty, no fetch begins before
	notBefore  time.Time // the source asked for a pause until then (Retry-After)
	expired    bool      // KeysExpired was observed
	stopTimer  func() bool
	timers     uint64 // set so far, which is the number of the latest
	closed     bool
	waiters    int
	lastNow    time.Time // the latest result of monotonic
	bucket     bucket
	misses     misses
	cancel     func() // ends the flight; set while there is one

	distrusted atomic.Int64 // when Distrust last began a fetch, in ns since 1970
}

// held is a set in use. It is immutable.
type held struct {
	set       *Set
	fetchedAt time.Time // when its latest fetch began
	until     time.Time // when it is too old to be used
	fetch     uint64    // the number of that fetch, zero for a seed
	lifetime  time.Duration
	etag      etag
	version   uint64 // unique, even if the set is the same as before
}

// flight is a fetch in progress. Its results are written before done is
// closed and read after.
type flight struct {
	number uint64
	begun  time.Time
	base   *held // in use when it began, or nil
	// discover reports whether it reads the key set's URL from the metadata.
	discover bool
	done     chan struct{}
	err      error
}

// NewRemote makes a Remote. It neither touches the network nor starts a
// goroutine. The errors are those of RemoteConfig.Check.
func NewRemote(c RemoteConfig) (*Remote, error) {
	s, err := c.source()
	if err != nil {
		return nil, err
	}
	return &Remote{client: newClient(s), observe: c.Observe, bucket: newBucket()}, nil
}

// Start begins to fetch in the background. It returns at once, and does
// nothing if called again. Without it, the first call of Keys starts.
func (r *Remote) Start() {
	if r.started.Load() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.started.Swap(true) && !r.closed && r.flight == nil {
		r.begin(true)
	}
}

// Close ends refreshing. Requests in flight are still served by the set in hand
// and, if necessary, by a last fetch; nothing is left running 10 s later.
func (r *Remote) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.started.Store(true)
	r.closed = true
	r.observe = nil
	if r.stopTimer != nil {
		r.stopTimer()
	}
	if r.flight != nil && r.waiters == 0 {
		r.cancel()
	}
}

// Keys returns the keys that a token with this kid may have been signed with:
// those with the kid, else (after a fetch) those without any; all where kid is
// empty. The errors are key.ErrUnknown, if the source is up to date and has no
// such key, and key.ErrUnavailable, if that cannot be known now. A kid of the
// set in hand costs no lock and no allocation; another one may wait for a
// fetch, 2 s at most.
func (r *Remote) Keys(ctx context.Context, kid string) ([]key.Key, error) {
	if !r.started.Load() {
		r.Start()
	}
	now := r.client.Clock.Now()
	if h := r.serving(now); h != nil {
		if keys, ok := h.set.exact(kid); ok {
			return keys, nil
		}
	}
	return r.wait(ctx, kid, now)
}

// Version returns the version of the set in hand. It returns 0 if there is none, if it is
// older than MaxStale, if it was not started yet, or if it has no key with this kid, as
// only a call of Keys can then discover a rotation.
func (r *Remote) Version(kid string, now time.Time) uint64 {
	if r.started.Load() {
		if h := r.serving(now); h != nil && h.set.names(kid) {
			return h.version
		}
	}
	return 0
}

// distrustPause is the time between two fetches that Distrust begins. Anybody can send
// tokens with a known kid and an invalid signature.
const distrustPause = 5 * time.Minute

// Distrust begins a fetch, as a token with a known kid has an invalid signature: a
// provider that was set up again may have a new key under the old kid. It does not wait,
// and does nothing if it began one within the last 5 minutes.
func (r *Remote) Distrust() {
	now := r.client.Clock.Now()
	last := r.distrusted.Load()
	if since := now.UnixNano() - last; since >= 0 && since < int64(distrustPause) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.flight == nil && !r.closed && r.failures == 0 && r.serving(now) != nil && r.distrusted.CompareAndSwap(last, now.UnixNano()) {
		r.begin(false)
	}
}

// serving returns the set in hand unless it is too old.
func (r *Remote) serving(now time.Time) *held {
	if h := r.current.Load(); h != nil && clock.Age(now, h.fetchedAt) < r.client.MaxStale {
		return h
	}
	return nil
}

// begin starts a flight; there must be none. With discover it reads the key set's URL
// from the metadata again; a fetch for an unknown kid uses the last URL. The caller
// holds the lock.
func (r *Remote) begin(discover bool) *flight {
	now := r.client.Clock.Now()
	r.fetches++
	f := &flight{number: r.fetches, begun: now, base: r.current.Load(), done: make(chan struct{})}
	r.flight = f

	want := wanted{headerTimeout: r.headerTimeout(now)}
	if f.base != nil {
		want.have = f.base.etag
	}
	// The URL is not used forever: unknown kids, which anybody can send, delay the
	// scheduled fetch, and must not keep an abandoned URL in use.
	if !discover && r.lastErr == nil && now.Sub(r.discovered) < r.client.RefreshInterval {
		want.keysURL = r.keysURL
	}
	f.discover = want.keysURL == nil
	// The fetch is shared, so it must not end with one request's context.
	ctx, cancel := context.WithCancelCause(context.Background())
	r.cancel = func() { cancel(errClosed) }
	go func() {
		stop := r.client.Clock.AfterFunc(fetchTimeout, func() { cancel(errTimeout) })
		a, err := r.client.fetch(ctx, want)
		stop()
		cancel(nil)
		r.finish(f, a, err)
	}()
	return f
}

// headerTimeout returns how long a flight may wait for an answer's header. While there
// is no usable set it is short, so that a connection that hangs does not delay the
// attempt that would succeed. Every fourth attempt waits longer, for a source that is
// merely slow.
func (r *Remote) headerTimeout(now time.Time) time.Duration {
	if r.serving(now) != nil || r.failures%4 == 3 {
		return fetchTimeout
	}
	return shortHeaderTimeout
}

// finish ends a flight: it accepts the answer or counts the failure, wakes the waiting
// requests, and schedules the next fetch.
func (r *Remote) finish(f *flight, a answer, err error) {
	r.mu.Lock()
	now := r.monotonic(r.client.Clock.Now())
	f.err = err
	if err == nil {
		r.accept(f, a, now)
	} else {
		r.reject(f, err, now)
	}
	r.flight, r.cancel = nil, nil
	close(f.done)
	r.mu.Unlock()
	r.deliver()
}

// accept puts a good answer in use. The caller holds the lock.
func (r *Remote) accept(f *flight, a answer, now time.Time) {
	before := r.current.Load()
	h := &held{
		set: a.set, fetchedAt: f.begun, until: f.begun.Add(r.client.MaxStale),
		fetch: f.number, lifetime: a.lifetime, etag: a.etag, version: versions.Add(1),
	}
	if a.notModified {
		h.set = f.base.set
		if !a.limited {
			h.lifetime = f.base.lifetime
		}
	} else if !a.limited {
		h.lifetime = r.client.RefreshInterval
	}
	changed := before == nil || before.set.fingerprint != h.set.fingerprint
	if before != nil && before.set.same(h.set) {
		h.set = before.set
	}
	r.current.Store(h)
	if changed {
		r.misses.forget(now)
		// Keys that are no longer in the set count as looked for: clients that
		// lag behind a rotation must not use up the fetches that the next
		// rotation needs.
		if before != nil {
			for id := range before.set.byID {
				if _, ok := h.set.byID[id]; !ok {
					r.misses.add(id, true, now)
				}
			}
		}
	}
	recovered := r.failures > 0
	r.succeeded++
	r.failures, r.lastErr, r.keysURL = 0, nil, a.keysURL
	if f.discover {
		r.discovered = f.begun
	}
	r.notBefore, r.expired = time.Time{}, false
	r.schedule(now, f.begun.Add(refreshAfter(h.lifetime, r.client.RefreshInterval)))

	r.queue(now, Event{Kind: KeysFetched})
	if recovered {
		r.queue(now, Event{Kind: SourceRecovered})
	}
	switch {
	case before == nil:
		r.queue(now, Event{Kind: KeysLoaded, Added: difference(h.set, nil)})
	case changed:
		r.queue(now, Event{Kind: KeysChanged, Added: difference(h.set, before.set), Removed: difference(before.set, h.set)})
	}
	if len(h.set.problems) > 0 && (before == nil || !before.set.same(h.set)) {
		r.queue(now, Event{Kind: KeysUnusable, Problems: h.set.problems})
	}
}

// reject counts a failed fetch; the set in hand stays. The caller holds the lock.
func (r *Remote) reject(f *flight, err error, now time.Time) {
	if errors.Is(err, errClosed) {
		r.lastErr = err
		return
	}
	r.failures++
	r.failed++
	r.lastErr, r.lastErrAt = err, now
	h := r.serving(now)
	var asked time.Duration
	if failed := (*fetchError)(nil); errors.As(err, &failed) {
		asked = failed.retryAfter
	}
	pause := backoff(r.failures, asked, h != nil)
	next := now.Add(pause)
	if asked > 0 {
		r.notBefore = next
	}
	if h != nil {
		// Once the set is too old every request is refused, so from then on
		// attempts must be as frequent as without a set.
		if next.After(h.until) {
			next = later(h.until, now.Add(firstBackoff))
		}
	} else if asked == 0 {
		// The time that the attempt took counts as part of the pause, so that
		// attempts begin at most maxBackoffEmpty apart.
		next = later(f.begun.Add(pause), now.Add(firstBackoff/4))
	}
	r.schedule(now, next)

	if r.failures == 1 {
		r.queue(now, Event{Kind: SourceFailing, Err: err})
	}
	if h == nil && r.current.Load() != nil && !r.expired {
		r.expired = true
		r.queue(now, Event{Kind: KeysExpired, Err: err})
	}
}

// schedule sets the timer for the next fetch. The caller holds the lock.
func (r *Remote) schedule(now, next time.Time) {
	r.next = next
	if r.stopTimer != nil {
		r.stopTimer()
	}
	if r.closed {
		return
	}
	r.timers++
	number := r.timers
	r.stopTimer = r.client.Clock.AfterFunc(next.Sub(now), func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		// A fetch in progress sets the timer again when it ends, and may have
		// done so already.
		if r.flight == nil && !r.closed && number == r.timers {
			r.begin(true)
		}
	})
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
