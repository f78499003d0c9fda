package replica

import (
	"context"
	"slices"
	"time"
)

// loadMirror loads what this machine has kept of the set. It does not make the set ready:
// others may have gone on since.
func (r *Replica[F]) loadMirror(ctx context.Context) {
	b := r.bound.Load()
	if b.Mirror == nil {
		return
	}
	r.running.Lock()
	defer r.running.Unlock()
	var names []string
	if err := r.limited(ctx, b.ctx, func(ctx context.Context) (err error) {
		names, err = b.Mirror.List(ctx)
		return err
	}); err != nil {
		return // as if there were none: the storage has the truth
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !isName(name) })
	slices.Sort(names)
	in := intake[F]{r: r, ctx: ctx, place: anyPlace}
	r.each(names, func(name string) (got loaded[F]) {
		err := r.limited(ctx, b.ctx, func(ctx context.Context) (err error) {
			got.stored, err = b.Mirror.Load(ctx, name)
			return err
		})
		if err != nil {
			return loaded[F]{name: name, err: err}
		}
		return r.read(name, got.stored)
	}, func(got loaded[F]) bool {
		if got.err == nil && got.bad == nil {
			got.object.mirrored, got.object.verified = true, time.Time{}
			in.take(got)
		}
		return ctx.Err() == nil
	})
	in.flush()
	r.publish()
}

// mirror stores an object in the mirror, if there is one. That it can't is no reason to do
// anything otherwise: the mirror is a help for when the storage is away.
func (r *Replica[F]) mirror(ctx context.Context, o *object, stored []byte) (ok bool) {
	b := r.bound.Load()
	if b.Mirror == nil {
		return true
	}
	if err := r.limited(ctx, b.ctx, func(ctx context.Context) error { return b.Mirror.Store(ctx, o.name, stored) }); err != nil {
		return false
	}
	r.mu.Lock()
	o.mirrored = true
	r.mu.Unlock()
	return true
}

// fillMirror stores in the mirror what it does not have yet.
func (r *Replica[F]) fillMirror(ctx context.Context, place int) {
	if r.bound.Load().Mirror == nil {
		return
	}
	r.mu.Lock()
	var objects []*object
	for _, o := range r.state.objects {
		if !o.mirrored && (o.by == nil || o.replacement() == nil) {
			objects = append(objects, o)
		}
	}
	r.mu.Unlock()
	slices.SortFunc(objects, byName)
	began := r.clock.Now()
	for _, o := range objects {
		if r.clock.Now().Sub(began) > turn {
			return
		}
		stored, err := r.content(ctx, place, o)
		if err != nil || !r.mirror(ctx, o, stored) {
			return // it is tried again after the next sync
		}
	}
}
