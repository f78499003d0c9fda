package replica

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"
)

// retry is how often what can't be used is tried again. A name without content is tried at
// each sync at first: the Store may be under way.
const retry = time.Minute

// retryNever is how often it is tried again what is whole and invalid: as names come from
// contents, it would have to become a newer version's.
const retryNever = time.Hour

// errNever marks an error of an object that is whole. It adds nothing to the text.
var errNever = errors.New("")

// loaded is an object that was loaded, or what came instead.
type loaded[F any] struct {
	name   string
	stored []byte
	object *object
	facts  []F
	err    error // of the storage
	bad    error // of the object
}

// loadUnseen loads the objects of a listing that this node does not have, takes their facts
// into force, and returns the names that have no content.
func (r *Replica[F]) loadUnseen(ctx context.Context, place int, l listing) (missing []string, err error) {
	names := r.unseen(l)
	if len(names) == 0 {
		return nil, nil
	}
	began := r.clock.Now()
	defer func() {
		r.mu.Lock()
		r.state.loadTime += r.clock.Now().Sub(began)
		r.mu.Unlock()
	}()
	in := intake[F]{r: r, ctx: ctx, place: place, names: l.names}
	r.each(names, func(name string) loaded[F] {
		return r.loadObject(ctx, place, name)
	}, func(got loaded[F]) bool {
		switch {
		case got.err == nil && got.bad == nil:
			in.take(got)
		case errors.Is(got.err, fs.ErrNotExist):
			if !r.stillGhost(got.name) {
				missing = append(missing, got.name)
			}
		case errors.Is(got.err, fs.ErrPermission), errors.Is(got.err, ErrNotObject):
			r.spoiled(got.name, got.err) // what is wrong with one object says nothing of the others
		case got.err != nil:
			err = got.err
			return false
		default:
			r.spoiled(got.name, got.bad)
		}
		return true
	})
	in.flush()
	slices.Sort(missing)
	return missing, err
}

// unseen returns the names of a listing that should be loaded, in their order.
func (r *Replica[F]) unseen(l listing) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.clock.Now()
	var names []string
	for name := range l.names {
		s := &r.state
		_, gone := s.gone[name]
		b := s.bad[name]
		if s.objects[name] == nil && !gone && (b == nil || !now.Before(b.next)) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// each calls load for each of the names, for some at a time, and take for each result, in no
// order, until it returns false.
func (r *Replica[F]) each(names []string, load func(string) loaded[F], take func(loaded[F]) bool) {
	n := min(r.knobs.loads, len(names))
	if n <= 1 {
		for _, name := range names {
			if !take(load(name)) {
				return
			}
		}
		return
	}
	work, results, quit := make(chan string), make(chan loaded[F]), make(chan struct{})
	var workers sync.WaitGroup
	for range n {
		workers.Go(func() {
			for name := range work {
				results <- load(name)
			}
		})
	}
	go func() {
		defer close(results)
		defer workers.Wait()
		defer close(work)
		for _, name := range names {
			select {
			case work <- name:
			case <-quit:
				return
			}
		}
	}()
	going := true
	for got := range results {
		if going && !take(got) {
			going = false
			close(quit)
		}
	}
}

// loadObject loads an object and reads its facts.
func (r *Replica[F]) loadObject(ctx context.Context, place int, name string) loaded[F] {
	stored, err := r.load(ctx, place, name)
	if err != nil {
		return loaded[F]{name: name, err: err}
	}
	return r.read(name, stored)
}

// read reads the facts of an object.
func (r *Replica[F]) read(name string, stored []byte) loaded[F] {
	got := loaded[F]{name: name, stored: stored}
	keys := r.bound.Load().Keys
	o, err := open(name, stored, r.config.Name, keys)
	var facts []F
	var unknown int
	if err == nil {
		facts, unknown, err = r.parse(o)
	}
	if err != nil {
		if got.bad = err; errors.Is(err, ErrDamaged) && nameOf(timeOf(name), stored) == name {
			got.bad = fmt.Errorf("%w%w", err, errNever)
		}
		return got
	}
	got.object = &object{
		name: name, size: len(stored), facts: len(o.lines), unknown: unknown, last: r.last(o, facts, unknown),
		foreign: len(keys) == 0 && o.signed, claims: o.Replaces, verified: r.clock.Now(),
	}
	if r.config.CanForget() {
		facts = slices.DeleteFunc(facts, func(f F) bool { return r.over(r.config.Language.End(f)) })
	}
	got.facts = facts
	return got
}

// intake takes what is loaded into force, some thousands of facts at a time: an object
// counts as known once its facts hold.
type intake[F any] struct {
	r     *Replica[F]
	ctx   context.Context
	place int             // anyPlace for the mirror
	names map[string]bool // the listing, nil for the mirror
	facts []F
	waits []loaded[F]
}

func (in *intake[F]) take(got loaded[F]) {
	in.facts = append(in.facts, got.facts...)
	got.facts = nil
	if len(got.stored) > maxKept && in.place != anyPlace && in.r.bound.Load().Mirror != nil {
		in.r.mirror(in.ctx, got.object, got.stored)
	}
	if len(got.stored) > maxKept {
		got.stored = nil
	}
	in.waits = append(in.waits, got)
	if len(in.facts) >= applyFacts {
		in.flush()
	}
}

func (in *intake[F]) flush() {
	if len(in.facts) > 0 {
		in.r.apply(in.facts)
	}
	in.r.mu.Lock()
	defer in.r.mu.Unlock()
	s := &in.r.state
	if in.place == anyPlace || in.place == in.r.bound.Load().place {
		for _, got := range in.waits {
			o := got.object
			if old := s.objects[o.name]; old != nil { // this node stored it meanwhile
				continue
			}
			o.since = s.listings
			// What it replaces matters as far as it is there or in hand.
			o.claims = slices.Clone(slices.DeleteFunc(o.claims, func(name string) bool {
				return name == o.name || in.names != nil && !in.names[name] && s.objects[name] == nil
			}))
			s.objects[o.name] = o
			delete(s.bad, o.name)
			if got.stored != nil {
				s.keep(o, got.stored)
			}
		}
		s.loaded = s.loaded || len(in.waits) > 0 && !s.unsigned
	}
	clear(in.waits)
	in.facts, in.waits = in.facts[:0], in.waits[:0]
}

// stillGhost reports whether a name without content was known to be one, and notes when
// to look again.
func (r *Replica[F]) stillGhost(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.state.bad[name]
	if b == nil {
		return false
	}
	now := r.clock.Now()
	if b.err != nil { // it could not be used, and is gone
		b.err, b.since = nil, now
	}
	if b.next = now; now.Sub(b.since) > retry {
		b.next = now.Add(retry)
	}
	return true
}

// spoiled notes an object that can't be used.
func (r *Replica[F]) spoiled(name string, err error) {
	r.mu.Lock()
	now := r.clock.Now()
	b := r.state.bad[name]
	if b == nil {
		b = &bad{since: now}
		r.state.bad[name] = b
	}
	tell := !b.told || b.err == nil
	b.err, b.next, b.told = err, now.Add(retry), true
	if errors.Is(err, errNever) {
		b.next = now.Add(retryNever)
	}
	r.mu.Unlock()
	if tell {
		r.publish()
		r.observe(Damaged, name, fmt.Errorf("%s: %w", name, err))
	}
}
