package replica

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// forget drops what the storage has no more and needs no more, from the mirror too.
func (r *Replica[F]) forget(ctx context.Context) {
	may := r.config.CanForget()
	r.mu.Lock()
	var names []string
	for name, o := range r.state.objects {
		if !o.listed && !o.unstored && o.missing >= 2 && (o.replacement() != nil || may && r.over(o.last)) {
			names = append(names, name)
		}
	}
	r.mu.Unlock()
	slices.Sort(names)
	for _, name := range names {
		r.dropped(ctx, name)
	}
}

// dropped forgets an object that the storage does not have any more.
func (r *Replica[F]) dropped(ctx context.Context, name string) {
	r.mu.Lock()
	r.state.drop(name)
	r.state.gone[name] = r.clock.Now()
	r.mu.Unlock()
	if m := r.bound.Load().Mirror; m != nil {
		_ = r.limited(ctx, r.bound.Load().ctx, func(ctx context.Context) error { return m.Delete(ctx, name) })
	}
}

// heal stores again what the storage has lost.
func (r *Replica[F]) heal(ctx context.Context, place int) {
	_ = r.restore(ctx, place, func(o *object) bool { return !o.listed && o.missing >= 2 })
}

// restore stores those objects again that are lost, as far as this node has their content,
// they are not replaced, and something of them still matters.
func (r *Replica[F]) restore(ctx context.Context, place int, lost func(*object) bool) error {
	may := r.config.CanForget()
	r.mu.Lock()
	var objects []*object
	for _, o := range r.state.objects {
		// What has ended is stored again once at most: others delete it, and only this node's
		// clock may not be trusted.
		over := r.over(o.last) && (may || o.healed)
		if !o.unstored && lost(o) && o.replacement() == nil && !over {
			objects = append(objects, o)
		}
	}
	r.mu.Unlock()
	slices.SortFunc(objects, func(a, b *object) int { return cmp.Compare(a.name, b.name) })
	for _, o := range objects {
		if err := r.replace(ctx, place, o); err != nil {
			return err
		}
	}
	return nil
}

// replace stores an object again, if this node has its content.
func (r *Replica[F]) replace(ctx context.Context, place int, o *object) error {
	stored := r.inHand(ctx, o)
	if stored == nil {
		return nil
	}
	if err := r.store(ctx, place, o.name, stored); err != nil {
		return err
	}
	r.mu.Lock()
	o.missing, o.since, o.verified, o.healed = 0, r.state.listings, time.Time{}, true
	r.mu.Unlock()
	r.observe(Healed, o.name, nil)
	return nil
}

// inHand returns the content of an object without asking the storage, or nil.
func (r *Replica[F]) inHand(ctx context.Context, o *object) []byte {
	r.mu.Lock()
	stored := o.raw
	r.mu.Unlock()
	b := r.bound.Load()
	if stored != nil || b.Mirror == nil {
		return stored
	}
	_ = r.limited(ctx, b.ctx, func(ctx context.Context) (err error) {
		stored, err = b.Mirror.Load(ctx, o.name)
		return err
	})
	if nameOf(timeOf(o.name), stored) != o.name {
		return nil
	}
	return stored
}

// content returns the content of an object from wherever it can be had.
func (r *Replica[F]) content(ctx context.Context, place int, o *object) ([]byte, error) {
	if stored := r.inHand(ctx, o); stored != nil {
		return stored, nil
	}
	return r.load(ctx, place, o.name)
}
