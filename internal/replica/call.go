package replica

import (
	"context"
	"errors"
	"fmt"
)

// anyPlace is the place for calls that may be made again on another storage.
const anyPlace = -1

// errMoved: the storage was replaced by another one, so what was begun must begin again.
var errMoved = errors.New("the set is kept in another storage now")

// errSlow is why a call was ended.
var errSlow = fmt.Errorf("the storage did not answer within %v", callLimit)

// call makes one call of the storage, which may take callLimit. If the binding is replaced
// meanwhile, it is made again: for anyPlace even on another storage, where errMoved is the
// answer otherwise. A call that succeeded on a storage that is in use no more counts for
// nothing.
func (r *Replica[F]) call(ctx context.Context, place int, f func(context.Context, Objects) error) error {
	for {
		b := r.bound.Load()
		if place != anyPlace && b.place != place {
			return errMoved
		}
		err := r.limited(ctx, b.ctx, func(ctx context.Context) error { return f(ctx, b.Objects) })
		now := r.bound.Load()
		if now == b || ctx.Err() != nil || err == nil && now.place == b.place {
			return err
		}
	}
}

// limited runs f until it has taken callLimit, or until also is done.
func (r *Replica[F]) limited(ctx, also context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer r.clock.AfterFunc(callLimit, func() { cancel(errSlow) })()
	defer context.AfterFunc(also, func() { cancel(errMoved) })()
	err := f(ctx)
	if err != nil && errors.Is(context.Cause(ctx), errSlow) {
		return errSlow
	}
	return err
}

// list lists the storage and returns the number of the listing, by which is known what was
// stored after it began.
func (r *Replica[F]) list(ctx context.Context, place int) (l listing, err error) {
	r.mu.Lock()
	r.state.listings++
	l.number = r.state.listings
	r.mu.Unlock()
	err = r.call(ctx, place, func(ctx context.Context, o Objects) error {
		names, err := o.List(ctx)
		if err == nil {
			err = ctx.Err() // some storages return what they have when the context ends
		}
		if err != nil {
			return err
		}
		l.names, l.marker = make(map[string]bool, len(names)), false
		for _, name := range names {
			if name == marker {
				l.marker = true
			} else if isName(name) {
				l.names[name] = true
			}
		}
		return nil
	})
	return l, err
}

// listing is what a storage says that it has.
type listing struct {
	number uint64
	names  map[string]bool // of objects
	marker bool
}

func (r *Replica[F]) load(ctx context.Context, place int, name string) (stored []byte, err error) {
	err = r.call(ctx, place, func(ctx context.Context, o Objects) (err error) {
		stored, err = o.Load(ctx, name)
		return err
	})
	return stored, err
}

func (r *Replica[F]) store(ctx context.Context, place int, name string, stored []byte) error {
	return r.call(ctx, place, func(ctx context.Context, o Objects) error { return o.Store(ctx, name, stored) })
}

func (r *Replica[F]) delete(ctx context.Context, place int, name string) error {
	return r.call(ctx, place, func(ctx context.Context, o Objects) error { return o.Delete(ctx, name) })
}

func (r *Replica[F]) probe(ctx context.Context, place int) error {
	return r.call(ctx, place, func(ctx context.Context, o Objects) error { return o.Probe(ctx) })
}
