// Package filewatch reloads files when they change: by an atomic replacement, a write
// in place, or a swapped symbolic link, as in Kubernetes. Files are polled rather than
// watched, since a watch sees neither a changed link in the path nor network file
// systems. If the changed files are broken, the last good value stays in force.
package filewatch

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
)

// SettleTime is how long a file must not have been written to before it is read. A file
// that is being written in place is incomplete, and may parse nevertheless.
const SettleTime = 500 * time.Millisecond

// Watched is a value that is read from files. Open must be called first. It is safe
// for concurrent use. Its states:
//
//	Open ──good──▶ fresh ─────files changed and settled, or─────▶ reading
//	                ▲ ▲         another read is due                 │ │
//	                │ └───────────────good: put in force────────────┘ │
//	              good                                                │
//	                │               broken, gone, or rejected by      │
//	             reading ◀─ stale ◀───Review: the old value stays─────┘
//	                │         ▲
//	                └─broken──┘
//
// A reading that finds the files changing (ErrChanging) or unchanged since they were
// found broken (ErrSame), or of files that were written since the poll, changes nothing.
// In the stale state the files are read again
// as soon as they change, or at each poll (RetryBroken). Readings are sequential and
// numbered. Only note, fail and take change the state; a config that is being loaded
// reads by Reread and puts the value in force later.
type Watched[T, E any] struct {
	poller[E]
	c Config[T, E]

	current atomic.Pointer[Reading[T]]

	readMu   sync.Mutex // held while the files are read
	readings int        // started so far; guarded by readMu

	// Guarded by the poller's lock.
	lastState State // of the files when they were last read, good or broken
	// When the files must be read once more, zero if they need not be
	// (see Config.RereadUncertain).
	uncertainUntil time.Time
	changedAt      time.Time // when the files were first seen to have changed since they were read, zero if they have not
	takenOver      int       // the number of the latest reading that was put in force
	err            error     // of the latest reading
	errAt          time.Time
	failures       int
}

// Open reads the files; an error means that they can't be used now. It does not start
// polling.
func (w *Watched[T, E]) Open(c Config[T, E]) error {
	if c.Clock == nil {
		c.Clock = clock.System()
	}
	w.c, w.clock = c, c.Clock
	r, err := w.read()
	if err != nil {
		return err
	}
	w.note(r)
	w.current.Store(r)
	return nil
}

// read reads the files. The caller holds readMu.
func (w *Watched[T, E]) read() (*Reading[T], error) {
	w.readings++
	begun := w.clock.Now()
	r, err := w.c.Read()
	r.Begun, r.At, r.number = begun, w.clock.Now(), w.readings
	return &r, err
}

// Value returns the value in force.
func (w *Watched[T, E]) Value() T { return w.current.Load().Value }

// Start starts polling for changes. It returns at once, and does nothing if called
// again.
func (w *Watched[T, E]) Start() { w.start(w.c.Interval, w.Look) }

// Close stops polling. The value remains available.
func (w *Watched[T, E]) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stop()
	w.current.Load().release()
}

// release closes Held.
func (r *Reading[T]) release() {
	if r.Held != nil {
		_ = r.Held.Close() // nothing was written
	}
}

// Look polls the files once. If they are to be read, it puts the new value in force, or
// keeps the old one and reports why.
func (w *Watched[T, E]) Look() {
	polled, due := w.changed()
	if !due {
		return
	}
	w.readMu.Lock()
	defer w.readMu.Unlock()
	r, err := w.read()
	if errors.Is(err, ErrChanging) || errors.Is(err, ErrSame) {
		return
	}
	if w.unsettled(polled, r) {
		r.release()
		return
	}
	w.finish(r, err).deliver()
}

// changed returns the state of the files, nil if it can't be had, and reports whether
// they are to be read: they have changed since they were last read, and have settled.
// Files that could not be opened or read are tried again at each poll, as a change of
// permissions may leave the state the same.
func (w *Watched[T, E]) changed() (state State, due bool) {
	state, err := Stat(w.c.Paths)
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.clock.Now()
	retry := w.c.RetryBroken && w.err != nil
	switch {
	case err != nil:
		return nil, retry || w.err == nil || w.lastState != nil || w.err.Error() != err.Error()
	case state.same(w.lastState) && !retry:
		w.changedAt = time.Time{}
		return state, w.uncertain() && !now.Before(w.uncertainUntil) || w.c.ReviewDue != nil && w.c.ReviewDue(now)
	case w.changedAt.IsZero():
		w.changedAt = now
	}
	return state, !state.settling(now) || w.overdue(now)
}

// overdue reports whether the files are to be read although they have not settled. The
// caller holds the lock.
func (w *Watched[T, E]) overdue(now time.Time) bool {
	return w.c.MaxWait > 0 && !w.changedAt.IsZero() && now.Sub(w.changedAt) >= w.c.MaxWait
}

// unsettled reports whether the files were written between a poll that found them in a
// state, and their reading. A later poll sees when they have settled.
func (w *Watched[T, E]) unsettled(polled State, r *Reading[T]) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return r.State != nil && !r.State.same(polled) && !w.overdue(r.Begun)
}

// uncertain reports whether the files must be read once more.
func (w *Watched[T, E]) uncertain() bool { return !w.uncertainUntil.IsZero() }

// Reread reads the files for a config that is being loaded, and returns what is wrong
// with them. It changes nothing: the config calls take once it is in force, and drops
// it if it fails to load. Files that have not changed are not read again. Review is not
// asked: anyone who loads a config means the files as they are.
func (w *Watched[T, E]) Reread() (take func(), err error) {
	if w.unchanged() {
		return func() {}, nil
	}
	w.readMu.Lock()
	defer w.readMu.Unlock()
	r, err := w.read()
	if err != nil {
		return nil, err
	}
	return func() { w.takeReread(r) }, nil
}

func (w *Watched[T, E]) unchanged() bool {
	state, err := Stat(w.c.Paths)
	w.mu.Lock()
	defer w.mu.Unlock()
	return err == nil && w.err == nil && !w.uncertain() && state.same(w.current.Load().State)
}

func (w *Watched[T, E]) takeReread(r *Reading[T]) {
	w.readMu.Lock()
	defer w.readMu.Unlock()
	w.mu.Lock()
	if w.takenOver >= r.number {
		w.mu.Unlock()
		return // this reading or a newer one is in force
	}
	n := w.take(r)
	w.mu.Unlock()
	n.deliver()
}

// finish puts what a poll has read in force, or records its error.
func (w *Watched[T, E]) finish(r *Reading[T], err error) notification[E] {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.c.Review != nil {
		if rejected := w.c.Review(w.current.Load(), r, err); rejected != nil && err == nil {
			r.release()
			err = rejected
		}
	}
	if err != nil {
		return w.fail(r, err)
	}
	return w.take(r)
}

// note records the state of the files that were read. The caller holds the lock.
func (w *Watched[T, E]) note(r *Reading[T]) {
	certain := r.State.same(w.lastState) && !r.Begun.Before(w.uncertainUntil)
	w.lastState, w.changedAt, w.uncertainUntil = r.State, time.Time{}, time.Time{}
	if w.c.RereadUncertain && !certain && r.State.uncertain(r.Begun) {
		w.uncertainUntil = r.At.Add(coarsestTime)
	}
}

// fail keeps the value in force, and reports each new error once. The caller holds the
// lock.
func (w *Watched[T, E]) fail(r *Reading[T], err error) (n notification[E]) {
	w.note(r)
	again := w.err != nil && w.err.Error() == err.Error()
	w.err, w.errAt = err, r.At
	if again {
		return n
	}
	w.failures++
	return notification[E]{w.c.Fail(w.current.Load(), r.At, err), w.observe}
}

// take puts a reading in force. The caller holds the lock.
func (w *Watched[T, E]) take(r *Reading[T]) (n notification[E]) {
	w.note(r)
	w.takenOver = r.number
	before := w.current.Load()
	event, notify := w.c.Take(before, r, w.err != nil)
	w.err, w.failures = nil, 0
	w.current.Store(r)
	before.release()
	if w.closed {
		r.release()
	}
	if notify {
		n = notification[E]{event, w.observe}
	}
	return n
}

// Status returns the state of the files.
func (w *Watched[T, E]) Status() Status[T] {
	w.mu.Lock()
	defer w.mu.Unlock()
	return Status[T]{Current: w.current.Load(), Err: w.err, ErrAt: w.errAt, Failures: w.failures}
}
