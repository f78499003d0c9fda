package replica

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"
)

// syncs is the sync that waits for the one before it to end.
type syncs struct {
	mu   sync.Mutex
	next *synced
}

type synced struct {
	done  chan struct{}
	err   error
	calls int // that share it
}

// Sync brings the set up to date with the storage now. It returns once that is done or
// has failed. Calls at the same time share one sync that began after they came. On a
// replica that was not started it reads, and makes nothing in the storage.
func (r *Replica[F]) Sync(ctx context.Context) error {
	r.syncs.mu.Lock()
	s := r.syncs.next
	if s == nil {
		s = &synced{done: make(chan struct{})}
		r.syncs.next = s
		go r.runSync(s) // others wait for it too, so it does not end with ctx
	}
	s.calls++
	r.syncs.mu.Unlock()
	select {
	case <-s.done:
		return s.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (r *Replica[F]) runSync(s *synced) {
	r.running.Lock()
	r.syncs.mu.Lock()
	r.syncs.next = nil
	r.syncs.mu.Unlock()
	s.err = r.sync(r.life)
	r.running.Unlock()
	close(s.done)
}

// sync makes one sync. The caller holds running.
func (r *Replica[F]) sync(ctx context.Context) error {
	var err error
	for {
		place := r.bound.Load().place
		if err = r.syncPlace(ctx, place); !errors.Is(err, errMoved) || ctx.Err() != nil {
			break
		}
	}
	r.mu.Lock()
	s := &r.state
	s.err = err
	was := s.failing
	s.failing = err != nil
	join := s.isReady && !s.joined
	s.joined = s.joined || join
	r.mu.Unlock()
	r.publish()
	switch {
	case ctx.Err() != nil: // the end, which is no failure
	case err != nil && !was:
		r.observe(Failing, "", err)
	case err == nil && was:
		r.observe(Recovered, "", nil)
	}
	if join {
		r.observe(Joined, "", nil)
	}
	return err
}

// Errors of syncs.
var (
	errCutShort = errors.New("the storage listed the set without its marker, which exists: the listing is incomplete")
	errNoMarker = errors.New("the storage did not list the set's marker after it was written")
	errVanish   = errors.New("objects vanish faster than they can be read")
)

// syncPlace makes one sync with the storage of now.
func (r *Replica[F]) syncPlace(ctx context.Context, place int) error {
	began := r.clock.Now()
	l, err := r.list(ctx, place)
	if err != nil {
		return err
	}
	if !l.marker && r.knobs.marker {
		if l, err = r.makeSet(ctx, place, l); err != nil {
			return err
		}
	}
	if err := r.checkMarker(ctx, place); err != nil {
		return err
	}
	if l, err = r.loadNew(ctx, place, l); err != nil {
		return err
	}
	becomesReady := r.complete(place, l, began)
	r.publish()
	if becomesReady {
		close(r.ready) // after publish: who waited for it looks at the status next
	}
	// From here on it is about the storage, not about this node: what fails is tried again.
	if r.bound.Load().place != place {
		return errMoved
	}
	r.settle(ctx, place)
	r.forget(ctx)
	r.heal(ctx, place)
	_ = r.push(ctx, place)
	r.fillMirror(ctx, place)
	return nil
}

// lists is how often a sync lists if what was listed can't be found.
const lists = 4

// loadNew loads the objects of a listing that this node has not seen. A name without content
// can be an object that was merged and deleted just now; then the next listing has the
// merge. It returns the last listing.
func (r *Replica[F]) loadNew(ctx context.Context, place int, l listing) (listing, error) {
	lacked := map[string]int{}
	for try := 1; ; try++ {
		missing, err := r.loadUnseen(ctx, place, l)
		if err != nil || len(missing) == 0 {
			return l, err
		}
		if err := r.probe(ctx, place); err != nil {
			return l, fmt.Errorf("the storage lists objects that it does not have, nor can the set's marker be read: %w", err)
		}
		for _, name := range missing {
			lacked[name]++
		}
		if try == lists {
			for _, name := range missing {
				if lacked[name] != lists {
					return l, errVanish
				}
			}
			r.mu.Lock()
			for _, name := range missing {
				now := r.clock.Now()
				r.state.bad[name] = &bad{since: now, next: now}
			}
			r.mu.Unlock()
			return l, nil
		}
		if l, err = r.list(ctx, place); err != nil {
			return l, err
		}
		if !l.marker && r.knobs.marker {
			return l, errCutShort
		}
	}
}

// complete notes what a complete listing has, and makes the set ready if it is time. It
// reports whether it became ready now.
func (r *Replica[F]) complete(place int, l listing, began time.Time) (becomesReady bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.state
	b := r.bound.Load()
	if b.place != place {
		return false
	}
	for name, o := range s.objects {
		switch o.listed = l.names[name]; {
		case o.listed:
			o.missing = 0
		case o.since < l.number && !o.unstored:
			o.verified = time.Time{}
			o.missing++
		}
	}
	for name := range s.bad {
		if !l.names[name] {
			delete(s.bad, name)
		}
	}
	for name, since := range s.gone {
		if began.Sub(since) > goneTime {
			delete(s.gone, name)
		}
	}
	s.complete++
	s.syncedAt = began
	s.loaded = true
	waits := !s.wroteAt.IsZero() && !b.Local && began.Sub(s.wroteAt) < 2*b.Interval+2*time.Second
	if s.complete >= 2 && !s.unsigned && !waits && !s.isReady {
		s.isReady = true
		return true
	}
	return false
}

// goneTime is how long a listing may show an object that was deleted.
const goneTime = 10 * time.Minute

// again reports whether the next sync should come at once: a set counts after two.
func (r *Replica[F]) again() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state.complete == 1
}

// makeSet makes the set in a folder whose listing lacks the marker, and returns a listing
// that has it.
func (r *Replica[F]) makeSet(ctx context.Context, place int, l listing) (listing, error) {
	switch _, err := r.load(ctx, place, marker); {
	case err == nil:
		return l, errCutShort
	case !errors.Is(err, fs.ErrNotExist):
		return l, err
	case !r.started.Load():
		return l, ErrNoSet
	}
	// The storage has lost the set, if this node has anything of it. Others may start at any
	// time and believe a listing with a marker, so it is the last to be stored.
	if err := r.restore(ctx, place, func(o *object) bool { return !l.names[o.name] }); err != nil {
		return l, err
	}
	if err := r.store(ctx, place, marker, markerContent(r.config.Name, r.bound.Load().Keys)); err != nil {
		return l, fmt.Errorf("the storage has no such set, and it can't be made: %w", err)
	}
	r.mu.Lock()
	if s := &r.state; !s.isReady {
		s.wroteAt, s.complete = r.clock.Now(), 0
	}
	r.mu.Unlock()
	l, err := r.list(ctx, place)
	if err == nil && !l.marker {
		err = errNoMarker
	}
	return l, err
}

// checkMarker looks, if there are keys, whether the marker is signed, until it is.
func (r *Replica[F]) checkMarker(ctx context.Context, place int) error {
	keys := r.bound.Load().Keys
	r.mu.Lock()
	done := len(keys) == 0 || r.state.signed
	r.mu.Unlock()
	if done || !r.knobs.marker {
		return nil
	}
	content, err := r.load(ctx, place, marker)
	if err != nil {
		return fmt.Errorf("the set's marker can't be read: %w", err)
	}
	signed := verifyMAC(content, r.config.Name, keys) >= 0
	r.mu.Lock()
	r.state.signed, r.state.unsigned = signed, !signed
	r.mu.Unlock()
	return nil
}
