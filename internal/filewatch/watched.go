// Package filewatch takes changes of files over: an atomic replacement, a write in
// place, a symbolic link that is swapped, as Kubernetes does. Files are looked at
// rather than watched, since a watch sees neither what a link on the way changes
// nor network file systems. Whatever is wrong with a change, what was read last of
// good files stays in force.
package filewatch

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
)

// SettleTime is how long a file must have been left alone: one that is being
// written in place is not whole yet, and may even parse.
const SettleTime = 500 * time.Millisecond

// Watched is a value that is made of files. Its zero value is opened with Open. It
// is safe for concurrent use. Its life:
//
//	Open ──good──▶ fresh ─────another state, and left alone─────▶ reading
//	                ▲ ▲    or what was read is to be read again     │ │
//	                │ └───────────────good: taken over──────────────┘ │
//	              good                                                │
//	                │               broken, gone, or doubted: the     │
//	             reading ◀─ stale ◀─────value of before serves────────┘
//	                │         ▲
//	                └─broken──┘
//
// A reading that finds the files changing (ErrChanging) or as broken as before
// (ErrSame) leaves everything as it is. From stale the files are read as soon as
// their state is another, or at each look (Insist). Readings come one at a time
// and are numbered. note, fail and take are the only places where anything
// changes; a config that is being loaded reads by Reread and takes over later.
type Watched[T, E any] struct {
	lookout[E]
	c Config[T, E]

	current atomic.Pointer[Reading[T]]

	looking  sync.Mutex // held while the files are read
	readings int        // begun; guarded by looking

	// With the lookout's lock.
	looked State // as they were when they were read last, whole or broken
	// When what was read last is to be read once more, zero for not at all
	// (see Config.Twice).
	unsureUntil time.Time
	differs     time.Time // when they were first seen to be others, zero if they are not
	takenOver   int       // the latest reading that was taken over
	err         error     // of that reading
	errAt       time.Time
	failures    int
}

// Open reads the files; an error means that they can't be used now. It starts
// nothing.
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

// read reads the files. Call with looking, as the readings are numbered.
func (w *Watched[T, E]) read() (*Reading[T], error) {
	w.readings++
	begun := w.clock.Now()
	r, err := w.c.Read()
	r.Begun, r.At, r.number = begun, w.clock.Now(), w.readings
	return &r, err
}

// Value is the value in force.
func (w *Watched[T, E]) Value() T { return w.current.Load().Value }

// Start begins to look for changes. It returns at once, and does nothing if
// called again.
func (w *Watched[T, E]) Start() { w.every(w.c.Pace, w.Look) }

// Close ends it. The value goes on being served.
func (w *Watched[T, E]) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.end()
	w.current.Load().release()
}

// release closes what a reading holds.
func (r *Reading[T]) release() {
	if r.Held != nil {
		_ = r.Held.Close() // nothing was written
	}
}

// Look looks at the files once. It reads them and takes them over, or keeps the
// value in force and tells why, if there is something to read.
func (w *Watched[T, E]) Look() {
	if !w.changed() {
		return
	}
	w.looking.Lock()
	defer w.looking.Unlock()
	r, err := w.read()
	if errors.Is(err, ErrChanging) || errors.Is(err, ErrSame) {
		return
	}
	w.settle(r, err).tell()
}

// changed reports whether there is something to read: the files are others than
// those read last, and have been left alone for a while. One that could not be
// opened or read is tried again each time, as permissions change without a trace.
func (w *Watched[T, E]) changed() bool {
	state, err := Stat(w.c.Paths)
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.clock.Now()
	insists := w.c.Insist && w.err != nil
	switch {
	case err != nil:
		return insists || w.err == nil || w.looked != nil || w.err.Error() != err.Error()
	case state.same(w.looked) && !insists:
		w.differs = time.Time{}
		return w.unsure() && !now.Before(w.unsureUntil) || w.c.Due != nil && w.c.Due(now)
	case w.differs.IsZero():
		w.differs = now
	}
	return !state.settling(now) || w.c.Patience > 0 && now.Sub(w.differs) >= w.c.Patience
}

// unsure reports whether what was read last is to be read once more.
func (w *Watched[T, E]) unsure() bool { return !w.unsureUntil.IsZero() }

// Reread reads the files for a config that is being loaded, and returns what is
// wrong with them. It changes nothing: take takes over what was read, once the
// config is in force; a config that never comes into force drops it. Files that
// have not changed are not read again. There is no doubt here: whoever loads a
// config means the files as they are.
func (w *Watched[T, E]) Reread() (take func(), err error) {
	if w.unchanged() {
		return func() {}, nil
	}
	w.looking.Lock()
	defer w.looking.Unlock()
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
	return err == nil && w.err == nil && !w.unsure() && state.same(w.current.Load().Of)
}

func (w *Watched[T, E]) takeReread(r *Reading[T]) {
	w.looking.Lock()
	defer w.looking.Unlock()
	w.mu.Lock()
	if w.takenOver >= r.number {
		w.mu.Unlock()
		return // something newer serves, or this already
	}
	told := w.take(r)
	w.mu.Unlock()
	told.tell()
}

// settle takes what a look has read, or what is wrong with it.
func (w *Watched[T, E]) settle(r *Reading[T], err error) telling[E] {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.c.Doubt != nil {
		if doubt := w.c.Doubt(w.current.Load(), r, err); doubt != nil && err == nil {
			r.release()
			err = doubt
		}
	}
	if err != nil {
		return w.fail(r, err)
	}
	return w.take(r)
}

// note notes which files were read. Call with the lock.
func (w *Watched[T, E]) note(r *Reading[T]) {
	sure := r.Of.same(w.looked) && !r.Begun.Before(w.unsureUntil)
	w.looked, w.differs, w.unsureUntil = r.Of, time.Time{}, time.Time{}
	if w.c.Twice && !sure && r.Of.unsure(r.Begun) {
		w.unsureUntil = r.At.Add(coarsestTime)
	}
}

// fail keeps the value in force, and tells of each new fault once. Call with the
// lock.
func (w *Watched[T, E]) fail(r *Reading[T], err error) (t telling[E]) {
	w.note(r)
	again := w.err != nil && w.err.Error() == err.Error()
	w.err, w.errAt = err, r.At
	if again {
		return t
	}
	w.failures++
	return telling[E]{w.c.Fail(w.current.Load(), r.At, err), w.observe}
}

// take puts what was read in force. Call with the lock.
func (w *Watched[T, E]) take(r *Reading[T]) (t telling[E]) {
	w.note(r)
	w.takenOver = r.number
	before := w.current.Load()
	event, tell := w.c.Take(before, r, w.err != nil)
	w.err, w.failures = nil, 0
	w.current.Store(r)
	before.release()
	if w.closed {
		r.release()
	}
	if tell {
		t = telling[E]{event, w.observe}
	}
	return t
}

// Status returns the state of the files.
func (w *Watched[T, E]) Status() Status[T] {
	w.mu.Lock()
	defer w.mu.Unlock()
	return Status[T]{Serves: w.current.Load(), Err: w.err, ErrAt: w.errAt, Failures: w.failures}
}
