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

// wait serves a request whose kid the set in hand does not have, or that
// there is no set for. It waits for at most two flights: one that was under
// way when it came, which may have missed a key published since, and one
// begun after. now is asked for once where nothing is waited for, as telling the
// time is no small part of what a flood of such requests costs.
func (r *Remote) wait(ctx context.Context, kid string, now time.Time) ([]key.Key, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now = r.abreast(now)
	asked := r.fetches
	if r.flight != nil && r.current.Load() == nil {
		// Without any set there is no old one to have missed a change of.
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
			return r.otherwise(key.ErrUnavailable, now)
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
		now = r.abreast(r.client.Clock.Now())
		if !inTime {
			return r.otherwise(key.ErrUnavailable, now)
		}
	}
}

// abreast returns the time for whoever has the lock and has told it before: no earlier
// than that of those who had the lock before, as if it had been told just now. Where a
// clock was set back for long, it begins anew. Call with the lock.
func (r *Remote) abreast(now time.Time) time.Time {
	if behind := r.told.Sub(now); behind > 0 && behind < time.Minute {
		return r.told
	}
	r.told = now
	return now
}

// after returns a channel that is closed once d has passed.
func (r *Remote) after(d time.Duration) (<-chan struct{}, func() bool) {
	c := make(chan struct{})
	return c, r.client.Clock.AfterFunc(d, func() { close(c) })
}

// decide answers a request or names the flight to wait for. asked is the
// number of the latest fetch begun before the request came, failed whether
// the one it has waited for failed. Call with the lock.
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

// unknown is what a kid that the set in hand does not have means: nothing is
// known for sure while the source fails.
func (r *Remote) unknown() error {
	if r.lastErr != nil {
		return key.ErrUnavailable
	}
	return key.ErrUnknown
}

func (r *Remote) answer(err error, now time.Time) ([]key.Key, *flight, error) {
	keys, err := r.otherwise(err, now)
	return keys, nil, err
}

// otherwise falls back to the keys without kid: an issuer may publish its keys
// without one and still name one in its tokens. Call with the lock.
func (r *Remote) otherwise(err error, now time.Time) ([]key.Key, error) {
	if h := r.serving(now); h != nil && len(h.set.withoutID) > 0 {
		return h.set.withoutID, nil
	}
	return nil, err
}

// Refresh fetches now, whatever the schedule says, and returns how it went.
// It is for operators. The fetch goes on if ctx ends before.
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
		// One that was under way before may have missed what the operator
		// knows of.
		if f.number > asked {
			return f.err
		}
		r.mu.Lock()
	}
}

// errClosed ends a fetch that nobody waits for any more.
var errClosed = errors.New("the source is closed")
