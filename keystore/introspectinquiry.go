package keystore

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-jwt/caddy-jwt/claims"
)

// join returns the inquiry that will have the answer about a token, which was not kept, and
// begins or queues it if there is none. Without an inquiry the error says why there is no
// answer; it may also be that one came meanwhile.
func (i *Introspection) join(ctx context.Context, token string, d tokenDigest, now time.Time) (*inquiry, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	q := i.asking[d]
	if q != nil {
		if q.begun && q.waiters >= maxJoined || !q.begun && !i.slots.mayWait(q) {
			return nil, i.turnAway(errBusy)
		}
		i.count(q, 1)
		return q, nil
	}
	// Its call may have ended since the answer was looked for.
	if answer, active, ok := i.kept.look(d, now); ok {
		return finished(judged{value: answer, active: active}), nil
	}
	q = &inquiry{digest: d, token: token, network: networkOf(ctx), known: i.known.has(d, now), done: make(chan struct{})}
	switch free := i.slots.free(q); {
	case i.circuit.pausing(now), i.circuit.open && !free:
		return nil, i.turnAway(i.paused())
	case free:
		i.asking[d] = q
		q.waiters = 1
		i.begin(q, now)
	case !i.slots.mayWait(q):
		return nil, i.turnAway(errBusy)
	default:
		i.asking[d] = q
		i.slots.queue(q)
		i.count(q, 1)
		q.stop = i.client.Clock.AfterFunc(slotWait, func() {
			i.mu.Lock()
			defer i.mu.Unlock()
			if i.asking[d] == q && !q.begun {
				i.counts.TurnedAway += uint64(q.waiters)
				i.drop(q, errBusy)
			}
		})
	}
	return q, nil
}

// finished is an inquiry whose answer is there.
func finished(a judged) *inquiry {
	q := &inquiry{answer: a, begun: true, waiters: 1, done: make(chan struct{})}
	close(q.done)
	return q
}

// count changes how many requests wait for an inquiry. The caller holds the lock.
func (i *Introspection) count(q *inquiry, n int) {
	q.waiters += n
	if !q.begun {
		i.slots.wait(q, n)
	}
}

// leave is called when a request no longer waits. A question that nobody waits for any more
// is only asked if it has begun.
func (i *Introspection) leave(q *inquiry) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if q.begun {
		q.waiters--
		return
	}
	if i.asking[q.digest] != q {
		return // dropped, and all its waiters counted
	}
	if i.count(q, -1); q.waiters == 0 {
		i.drop(q, errBusy)
	}
}

// begin asks; there must be a slot. The caller holds the lock.
func (i *Introspection) begin(q *inquiry, now time.Time) {
	i.slots.take(q)
	i.circuit.begin(q)
	q.at = now
	if q.stop != nil {
		q.stop()
	}
	// The answer is for everybody who waits, so it must not end with one request's context.
	ctx, cancel := context.WithCancelCause(context.Background())
	q.cancel = func() { cancel(errClosed) }
	token := q.token
	q.token = ""
	go func() {
		stop := i.client.Clock.AfterFunc(callTimeout, func() { cancel(errCallTimeout) })
		answer, err := i.call(ctx, token)
		stop()
		cancel(nil)
		i.finish(q, answer, err)
	}()
}

// drop ends an inquiry that has not begun. The caller holds the lock.
func (i *Introspection) drop(q *inquiry, err error) {
	i.slots.unqueue(q)
	delete(i.asking, q.digest)
	q.stop()
	q.token = ""
	q.err = err
	close(q.done)
}

// finish ends a call: it keeps the answer or counts the failure, and begins the calls that
// there is a slot for now.
func (i *Introspection) finish(q *inquiry, a judged, err error) {
	i.mu.Lock()
	now := i.client.Clock.Now()
	i.slots.give(q)
	delete(i.asking, q.digest)
	q.answer, q.err = a, err
	if err != nil {
		i.fail(q, err, now)
	} else {
		i.succeed(q, a, now)
	}
	close(q.done)
	if i.circuit.open {
		for _, waiting := range i.slots.queued() {
			i.counts.TurnedAway += uint64(waiting.waiters)
			i.drop(waiting, i.paused())
		}
	}
	for next := i.slots.next(); next != nil; next = i.slots.next() {
		i.begin(next, now)
	}
	idle := i.closed && i.slots.running == 0
	i.mu.Unlock()
	if idle {
		i.client.closeIdle()
	}
	i.events.deliver(&i.mu)
}

// succeed keeps an answer. The caller holds the lock.
func (i *Introspection) succeed(q *inquiry, a judged, now time.Time) {
	i.lastErr, i.counts.LastSuccess = nil, now
	switch {
	case a.active:
		i.counts.Active++
		i.known.add(q.digest, now)
		// What the issuer said may be older than its answer.
		until := q.at.Add(i.config.Cache)
		if !a.expires.IsZero() && a.expires.Before(until) {
			until = a.expires
		}
		if i.config.Cache > 0 && now.Before(until) {
			i.kept.addActive(q.digest, a.value, a.bytes, now, until)
		}
	default:
		if a.value.Kind() == claims.Object {
			i.counts.Refused++
		} else {
			i.counts.Inactive++
		}
		i.known.forget(q.digest)
		i.kept.addInactive(q.digest, a.value, now)
	}
	if i.circuit.succeed() {
		i.events.queue(i.event(IntrospectionRecovered, now, nil))
	}
}

// fail counts a failure. The caller holds the lock.
func (i *Introspection) fail(q *inquiry, err error, now time.Time) {
	if errors.Is(err, errClosed) { // nobody waited for it
		i.circuit.probing = false
		return
	}
	i.counts.Failed++
	i.lastErr, i.counts.LastErrorAt = err, now
	i.place.doubt()
	if i.circuit.fail(q, err, now) {
		i.events.queue(i.event(IntrospectionFailing, now, err))
	}
}
