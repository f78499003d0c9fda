package replica

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"slices"
	"time"
)

const (
	smallestLimit = 32 << 10 // to which the limit of objects falls where a storage cuts them off
	ghostAge      = 24 * time.Hour
)

// errCutOff: what was stored is not what came back.
var errCutOff = errors.New("the storage returned another content than was stored: it may cut off what is long; smaller objects are stored from now on")

// maintain merges and prunes.
func (r *Replica[F]) maintain(ctx context.Context) {
	r.running.Lock()
	defer r.running.Unlock()
	if r.mergeTime() {
		_ = r.merge(ctx) // what failed is done later, by this node or another
	}
	_ = r.prune(ctx)
	r.publish()
}

// mergeTime reports whether to merge now: some time after there was reason to, which differs
// from node to node, so that they don't all do the same work.
func (r *Replica[F]) mergeTime() bool {
	enough := len(r.small()) >= r.knobs.from
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.state
	now := r.clock.Now()
	switch {
	case !enough:
		s.mergeAt = time.Time{}
		return false
	case s.mergeAt.IsZero():
		s.mergeAt = now.Add(time.Duration(rand.Int64N(int64(r.knobs.spread) + 1)))
	}
	return !now.Before(s.mergeAt)
}

// small returns the objects that can be merged, the oldest first.
func (r *Replica[F]) small() []*object {
	r.mu.Lock()
	defer r.mu.Unlock()
	var small []*object
	for _, o := range r.state.objects {
		if o.listed && !o.unstored && !o.foreign && o.size < r.state.limit/2 && (o.by == nil || o.replacement() == nil) {
			small = append(small, o)
		}
	}
	slices.SortFunc(small, byName)
	return small
}

// merge merges the oldest small objects into one. The caller holds running.
func (r *Replica[F]) merge(ctx context.Context) error {
	began := r.clock.Now()
	r.mu.Lock()
	place, limit := r.bound.Load().place, r.state.limit
	r.state.mergeAt = time.Time{}
	r.mu.Unlock()
	var inputs []*object
	var contents []*opened
	size := 0
	for _, o := range r.small() {
		if size += o.size; size > limit || len(inputs) == maxReplaces {
			break
		}
		content, err := r.reopen(ctx, place, o)
		if errors.Is(err, fs.ErrNotExist) {
			continue // another node was faster
		}
		if errors.Is(err, ErrUnsigned) || errors.Is(err, ErrDamaged) || err == nil && len(r.bound.Load().Keys) == 0 && content.signed {
			r.mu.Lock()
			o.foreign = true
			r.mu.Unlock()
			continue
		}
		if err != nil {
			return err
		}
		inputs, contents = append(inputs, o), append(contents, content)
	}
	for len(inputs) >= 2 {
		out, err := r.combine(inputs, contents)
		if err != nil {
			return err
		}
		if out.took > maxFacts || len(out.stored) > limit {
			n := max(1, len(inputs)*9/10)
			if n == 1 { // the oldest goes with none, and must not keep the others from merging
				r.mu.Lock()
				inputs[0].foreign = true
				r.mu.Unlock()
			}
			inputs, contents = inputs[:n], contents[:n]
			continue
		}
		if err := r.storeMerge(ctx, place, out, inputs); err != nil {
			return err
		}
		r.mu.Lock()
		r.state.mergeTime += r.clock.Now().Sub(began)
		r.mu.Unlock()
		r.publish()
		r.observe(Merged, out.object.name, nil)
		return nil
	}
	return nil
}

// reopen reads an object again.
func (r *Replica[F]) reopen(ctx context.Context, place int, o *object) (*opened, error) {
	stored, err := r.content(ctx, place, o)
	if err != nil {
		return nil, err
	}
	return open(o.name, stored, r.config.Name, r.bound.Load().Keys)
}

// combine makes one object of some.
func (r *Replica[F]) combine(inputs []*object, contents []*opened) (packed, error) {
	var u union[F]
	h := header{}
	for i, o := range contents {
		if err := r.add(&u, o, false); err != nil {
			return packed{}, err
		}
		h.T = max(h.T, o.T)
		h.Replaces = append(h.Replaces, inputs[i].name)
	}
	lines, last := r.merged(&u)
	h.Last = last
	name, stored := seal(h, lines, r.config.Name, r.bound.Load().Keys)
	if len(lines) == 0 {
		last = h.T
	}
	o := &object{name: name, size: len(stored), facts: len(lines), unknown: len(u.whole), last: last}
	return packed{o, stored, len(lines)}, nil
}

// storeMerge stores a merge and reads it back.
func (r *Replica[F]) storeMerge(ctx context.Context, place int, out packed, inputs []*object) error {
	name := out.object.name
	if err := r.store(ctx, place, name, out.stored); err != nil {
		return err
	}
	back, err := r.load(ctx, place, name)
	if err != nil {
		return err
	}
	if !bytes.Equal(back, out.stored) {
		r.cutOff(ctx, name)
		return errCutOff
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bound.Load().place != place {
		return errMoved
	}
	s := &r.state
	o := s.objects[name]
	if o == nil { // else another node made the same merge
		o = out.object
		s.objects[name] = o
		s.keep(o, out.stored)
	}
	o.since = s.listings
	if o.verified.IsZero() {
		o.verified = r.clock.Now()
	}
	for _, in := range inputs {
		in.by = o
	}
	return nil
}

// cutOff notes that the storage does not take objects as large as one that was stored.
func (r *Replica[F]) cutOff(ctx context.Context, name string) {
	_ = r.delete(ctx, anyPlace, name)
	r.mu.Lock()
	r.state.limit = max(smallestLimit, r.state.limit/2)
	r.mu.Unlock()
	r.observe(Damaged, name, errCutOff)
}
