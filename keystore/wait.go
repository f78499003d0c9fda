package keystore

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-jwt/caddy-jwt/key"
)

// The limits on requests that wait for a fetch.
const (
	// maxWait is the longest a request waits.
	maxWait = 2 * time.Second
	// maxWaiters is how many requests of one source wait at a time. Each
	// holds a connection and a goroutine.
	maxWaiters = 256
)

// wait returns the keys for a kid that the set in hand does not have, or for which there
// is no set. It waits for at most two flights: one that was in progress at the start,
// which may have missed a key published since, and one begun later. The caller passes
// now, since reading the clock is a notable part of what a flood of such requests costs.
func (r *Remote) wait(ctx context.Context, kid string, now time.Time) ([]key.Key, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now = r.monotonic(now)
	asked := r.fetches
	if r.flight != nil && r.current.Load() == nil {
		// Without a set, the flight in progress can't have missed a change.
		asked--
	}
	var timeout <-chan struct{}
	var failed bool
	for {
		keys, f, err := r.decide(kid, asked, failed, now)
		if f == nil {
			return keys, err
		}
		if r.waiters >= maxWaiters {
			return r.fallback(key.ErrUnavailable, now)
		}
		if timeout == nil {
			var stop func() bool
			timeout, stop = r.after(maxWait)
			defer stop()
		}
		r.waiters++
		r.mu.Unlock()
		inTime := true
		select {
		case <-f.done:
			failed = f.err != nil
		case <-timeout:
			inTime = false
		case <-ctx.Done():
			inTime = false
		}
		r.mu.Lock()
		r.waiters--
		now = r.monotonic(r.client.Clock.Now())
		if !inTime {
			return r.fallback(key.ErrUnavailable, now)
		}
	}
}

// monotonic returns now, or the latest time returned before if that is later: now was
// read before the lock was taken, and others may have held the lock since. A clock that
// was set back by a minute or more is accepted. The caller holds the lock.
func (r *Remote) monotonic(now time.Time) time.Time {
	if behind := r.lastNow.Sub(now); behind > 0 && behind < time.Minute {
		return r.lastNow
	}
	r.lastNow = now
	return now
}

// after returns a channel that is closed once d has passed.
func (r *Remote) after(d time.Duration) (<-chan struct{}, func() bool) {
	c := make(chan struct{})
	return c, r.client.Clock.AfterFunc(d, func() { close(c) })
}

// decide returns the answer, or the flight to wait for. asked is the number of the latest
// fetch begun before the request came, and failed reports whether the fetch that it
// waited for failed. The caller holds the lock.
func (r *Remote) decide(kid string, asked uint64, failed bool, now time.Time) ([]key.Key, *flight, error) {
	h := r.serving(now)
	if h != nil {
		if keys, ok := h.set.exact(kid); ok {
			return keys, nil, nil
		}
		if h.fetch > asked { // looked for, and not there
			r.misses.add(kid, false, now)
			return r.answer(key.ErrUnknown, now)
		}
		if r.misses.has(kid, now) {
			return r.answer(r.unknown(), now)
		}
	}
	switch {
	case failed:
		return r.answer(key.ErrUnavailable, now)
	case r.flight != nil:
		return nil, r.flight, nil
	case h == nil:
		if r.failures > 0 && now.Before(r.next) {
			return r.answer(key.ErrUnavailable, now)
		}
		return nil, r.begin(true), nil
	case now.Before(r.notBefore):
		return r.answer(key.ErrUnavailable, now)
	case !r.bucket.take(now):
		return r.answer(r.unknown(), now)
	default:
		return nil, r.begin(false), nil
	}
}

// unknown returns the error for a kid that the set in hand does not have. While the
// source fails, the key may exist.
func (r *Remote) unknown() error {
	if r.lastErr != nil {
		return key.ErrUnavailable
	}
	return key.ErrUnknown
}

func (r *Remote) answer(err error, now time.Time) ([]key.Key, *flight, error) {
	keys, err := r.fallback(err, now)
	return keys, nil, err
}

// fallback returns the keys without a kid: an issuer may publish its keys
// without one and still name one in its tokens. The caller holds the lock.
func (r *Remote) fallback(err error, now time.Time) ([]key.Key, error) {
	if h := r.serving(now); h != nil && len(h.set.withoutID) > 0 {
		return h.set.withoutID, nil
	}
	return nil, err
}

// Refresh fetches now, independently of the schedule, and returns the fetch's error.
// It is for operators. The fetch continues if ctx ends before.
func (r *Remote) Refresh(ctx context.Context) error {
	r.mu.Lock()
	asked := r.fetches
	for {
		if r.closed {
			r.mu.Unlock()
			return errClosed
		}
		r.started.Store(true)
		f := r.flight
		if f == nil {
			f = r.begin(true)
		}
		r.mu.Unlock()
		select {
		case <-f.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		// A fetch that was in progress before may have missed a change that
		// the operator knows of.
		if f.number > asked {
			return f.err
		}
		r.mu.Lock()
	}
}

// errClosed cancels a fetch that no request waits for any more.
var errClosed = errors.New("the source is closed")
