package replica

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// queue is where changes wait for being stored together. The first that comes while a batch
// is stored makes the next one and stores it for all that come until then.
type queue[F any] struct {
	mu      sync.Mutex
	next    *batch[F]
	storing sync.Mutex
}

// batch is changes that are stored together.
type batch[F any] struct {
	facts  []F
	lines  []line
	size   int
	done   chan struct{}
	stored bool
	err    error
}

const (
	tightening, loosening = 0, 1

	batchFacts = 4_000
	batchSize  = maxStored - reserve // of the plain text, so that one object takes it however badly it compresses
)

// Tighten takes facts into force that only make the node refuse more: at once, whether
// they can be stored or not. What could not be stored is stored later. An error means that
// nothing was changed.
//
// The facts of one call are in one object, so that a node that has one of them has all, if
// they fit: 4,000 facts of together 255 KiB do. If ctx ends first, stored is false, although
// they may be stored a moment later.
func (r *Replica[F]) Tighten(ctx context.Context, facts []F) (stored bool, err error) {
	lines, err := r.prepare(facts)
	if err != nil || len(facts) == 0 {
		return err == nil, err
	}
	r.apply(facts)
	b := r.submit(ctx, tightening, facts, lines)
	return b != nil && b.stored, nil
}

// Loosen stores facts that let the node accept more, and takes them into force once they
// are stored. On error, which is ErrNotStored if it is the storage's, nothing was changed;
// of facts that don't fit into one object, a part may have been.
func (r *Replica[F]) Loosen(ctx context.Context, facts []F) error {
	lines, err := r.prepare(facts)
	if err != nil || len(facts) == 0 {
		return err
	}
	b := r.submit(ctx, loosening, facts, lines)
	if b == nil {
		return fmt.Errorf("%w: %w", ErrNotStored, context.Cause(ctx))
	}
	return b.err
}

// line is a fact as it is written, and when it ends.
type line struct {
	text []byte
	end  int64
}

// prepare returns the lines of facts.
func (r *Replica[F]) prepare(facts []F) ([]line, error) {
	if !r.started.Load() {
		if s := r.Status(); s.SyncedAt.IsZero() {
			return nil, ErrNoSet
		}
	}
	lines := make([]line, len(facts))
	for i, f := range facts {
		text := r.config.Language.Append(nil, f)
		lines[i] = line{text, r.config.Language.End(f)}
		if n := len(text); n == 0 || n > maxFact || bytes.IndexByte(text, '\n') >= 0 {
			return nil, fmt.Errorf("%w: %d bytes, and at most %d on one line can be stored", ErrTooLarge, n, maxFact)
		}
	}
	return lines, nil
}

// submit has facts stored, and returns the batch in which they were, or nil if ctx ended
// first.
func (r *Replica[F]) submit(ctx context.Context, kind int, facts []F, lines []line) *batch[F] {
	size := 0
	for _, l := range lines {
		size += len(l.text) + 1
	}
	q := &r.writes[kind]
	q.mu.Lock()
	b := q.next
	join := b != nil && len(b.facts)+len(facts) <= batchFacts && b.size+size <= batchSize
	if !join {
		b = &batch[F]{done: make(chan struct{}), size: 1 << 10} // for the header
		q.next = b                                              // one that was full waits for its turn without more
	}
	b.facts = append(b.facts, facts...)
	b.lines = append(b.lines, lines...)
	b.size += size
	q.mu.Unlock()
	if join {
		return b.wait(ctx)
	}
	// Others wait for it too, so it does not end with the first one's context.
	if whole := context.WithoutCancel(ctx); ctx.Done() == nil {
		r.lead(whole, kind, b)
	} else {
		go r.lead(whole, kind, b)
	}
	return b.wait(ctx)
}

// wait returns the batch once it is done, or nil if ctx ends first.
func (b *batch[F]) wait(ctx context.Context) *batch[F] {
	select {
	case <-b.done:
		return b
	case <-ctx.Done():
		return nil
	}
}

// lead stores a batch when it is its turn, with all that has joined until then.
func (r *Replica[F]) lead(ctx context.Context, kind int, b *batch[F]) {
	q := &r.writes[kind]
	q.storing.Lock()
	defer q.storing.Unlock()
	q.mu.Lock()
	if q.next == b {
		q.next = nil
	}
	q.mu.Unlock()
	r.write(ctx, kind, b)
	close(b.done)
}

// write stores a batch: one object, unless it is a large change that came alone.
func (r *Replica[F]) write(ctx context.Context, kind int, b *batch[F]) {
	b.stored = true
	facts, lines := b.facts, b.lines
	for len(lines) > 0 {
		r.mu.Lock()
		limit := r.state.limit
		r.mu.Unlock()
		p := r.pack(lines, limit)
		n := p.took
		p.object.unstored = true
		var err error
		if kind == tightening && !b.stored {
			err = b.err // the storage was away a moment ago
		} else {
			err = r.confirm(ctx, p)
			if errors.Is(err, errCutOff) && limit > smallestLimit {
				continue // in smaller ones
			}
		}
		if err != nil {
			b.stored, b.err = false, fmt.Errorf("%w: %w", ErrNotStored, err)
			if kind == loosening {
				return
			}
		} else if p.object.unstored = false; kind == loosening {
			r.apply(facts[:n])
		}
		r.adopt(ctx, p)
		facts, lines = facts[n:], lines[n:]
	}
}

// confirm stores an object of this node's, and reads a large one back: a storage that cuts
// off what is too long for it says nothing.
func (r *Replica[F]) confirm(ctx context.Context, p packed) error {
	if err := r.store(ctx, anyPlace, p.object.name, p.stored); err != nil {
		return err
	}
	if len(p.stored) <= smallestLimit || r.bound.Load().Local {
		return nil
	}
	back, err := r.load(ctx, anyPlace, p.object.name)
	if err != nil {
		return err
	}
	if !bytes.Equal(back, p.stored) {
		r.cutOff(ctx, p.object.name)
		return errCutOff
	}
	return nil
}

// adopt enters an object that this node made, whose facts are in force.
func (r *Replica[F]) adopt(ctx context.Context, p packed) {
	o := p.object
	r.mu.Lock()
	s := &r.state
	if old := s.objects[o.name]; old != nil { // a sync was faster, or the same was stored before
		if !o.unstored && old.unstored {
			old.unstored, old.since = false, s.listings
		}
		o = old
	} else {
		o.since = s.listings
		s.objects[o.name] = o
	}
	delete(s.bad, o.name)
	s.keep(o, p.stored)
	tell := o.unstored && !s.unstored
	if o.unstored {
		s.unstored = true
	}
	mirror := o.unstored && !o.mirrored
	r.mu.Unlock()
	if mirror { // so that it outlives this process
		r.mirror(ctx, o, p.stored)
	}
	r.publish()
	if tell {
		r.observe(Unstored, o.name, nil)
	}
}

// turn is about how long one task of a sync may keep the next sync waiting. The rest is done
// after that one.
const turn = time.Second

// push stores what is not stored yet. A storage that is full does not keep anybody from
// reading, so its error is no one's but the caller's.
func (r *Replica[F]) push(ctx context.Context, place int) error {
	began := r.clock.Now()
	for _, o := range r.unstored() {
		if r.clock.Now().Sub(began) > turn {
			return nil
		}
		o, stored := r.resign(ctx, o)
		err := r.store(ctx, place, o.name, stored)
		if err != nil {
			return err
		}
		r.mu.Lock()
		o.unstored, o.since, o.missing = false, r.state.listings, 0
		r.mu.Unlock()
	}
	r.mu.Lock()
	tell := r.state.unstored
	for _, o := range r.state.objects {
		tell = tell && !o.unstored
	}
	if tell {
		r.state.unstored = false
	}
	r.mu.Unlock()
	r.publish()
	if tell {
		r.observe(Stored, "", nil)
	}
	return nil
}

// resign returns an object that is not stored yet, and its content, with a signature of the
// keys of now: those of when it was made may have been others.
func (r *Replica[F]) resign(ctx context.Context, o *object) (*object, []byte) {
	r.mu.Lock()
	stored := o.raw
	r.mu.Unlock()
	keys := r.bound.Load().Keys
	opened, err := open(o.name, stored, r.config.Name, keys)
	if opened == nil || err == nil && (len(keys) > 0 || !opened.signed) {
		return o, stored
	}
	name, stored := seal(opened.header, opened.lines, r.config.Name, keys)
	r.mu.Lock()
	next := &object{name: name, size: len(stored), facts: o.facts, unknown: o.unknown, last: o.last, unstored: true, since: o.since}
	r.state.drop(o.name)
	r.state.objects[name] = next
	r.state.keep(next, stored)
	r.mu.Unlock()
	r.mirror(ctx, next, stored)
	return next, stored
}

// unstored returns the objects that the storage has not confirmed, in the order of their
// names.
func (r *Replica[F]) unstored() []*object {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.state.unstored {
		return nil
	}
	var objects []*object
	for _, o := range r.state.objects {
		if o.unstored {
			objects = append(objects, o)
		}
	}
	slices.SortFunc(objects, byName)
	return objects
}
