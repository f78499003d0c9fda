package replica

import (
	"bytes"
	"cmp"
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

// settle finds out for what objects say that they replace whether that is true: whether
// this node itself finds all that matters of the replaced in them. What can't be told yet
// is tried again later. The caller holds running.
func (r *Replica[F]) settle(ctx context.Context, place int) {
	r.mu.Lock()
	now := r.clock.Now()
	var claiming []*object
	for _, o := range r.state.objects {
		if len(o.claims) > 0 && !now.Before(o.claim) {
			claiming = append(claiming, o)
		}
	}
	r.mu.Unlock()
	slices.SortFunc(claiming, byName)
	for _, o := range claiming {
		if ctx.Err() != nil {
			return
		}
		r.settleOne(ctx, place, o)
	}
	if len(claiming) > 0 {
		r.publish()
	}
}

func (r *Replica[F]) settleOne(ctx context.Context, place int, by *object) {
	var old []*object
	var unsigned []string // which this node ignores, and which the object may be the signed form of
	r.mu.Lock()
	s := &r.state
	by.claim = r.clock.Now().Add(retry)
	by.claims = slices.DeleteFunc(by.claims, func(name string) bool {
		o := s.objects[name]
		if o == nil {
			b := s.bad[name]
			if b != nil && errors.Is(b.err, ErrUnsigned) {
				unsigned = append(unsigned, name)
			}
			return b == nil
		}
		if o.by != nil && o.replacement() != nil {
			return true
		}
		old = append(old, o)
		return false
	})
	r.mu.Unlock()
	if len(old)+len(unsigned) == 0 {
		return
	}
	whole, err := r.reopen(ctx, place, by)
	if err != nil {
		return
	}
	var found []*object
	var contents []*opened
	for _, o := range old {
		content, err := r.reopen(ctx, place, o)
		if err == nil || content != nil {
			found, contents = append(found, o), append(contents, content)
		}
	}
	for _, name := range unsigned {
		o := &object{name: name, listed: true, foreign: true}
		content, _ := r.reopen(ctx, place, o)
		if content != nil {
			found, contents = append(found, o), append(contents, content)
		}
	}
	found = r.replaced(whole, found, contents)
	r.mu.Lock()
	for _, o := range found {
		o.by = by
		if s.objects[o.name] == nil && s.bad[o.name] != nil {
			delete(s.bad, o.name)
			s.objects[o.name] = o
		}
	}
	by.claims = slices.DeleteFunc(by.claims, func(name string) bool {
		return slices.ContainsFunc(found, func(o *object) bool { return o.name == name })
	})
	if len(by.claims) == 0 {
		by.claims = nil
	}
	r.mu.Unlock()
}

// replaced returns those of some objects of which one holds all that matters. If all of them
// together leave nothing that is not in it, each of them does.
func (r *Replica[F]) replaced(by *opened, old []*object, contents []*opened) []*object {
	if len(old) == 0 {
		return nil
	}
	if ok, err := r.implied(by, contents); err == nil && ok {
		return old
	}
	if len(old) == 1 {
		return nil
	}
	n := len(old) / 2
	return slices.Concat(r.replaced(by, old[:n], contents[:n]), r.replaced(by, old[n:], contents[n:]))
}

// prune deletes what was replaced long enough ago, what has ended, and names of a day ago
// that never got a content. The caller holds running.
func (r *Replica[F]) prune(ctx context.Context) error {
	place := r.bound.Load().place
	groups, over := r.prunable()
	began := r.clock.Now()
	late := func() bool { return r.clock.Now().Sub(began) > turn }
	for _, g := range groups {
		if r.knobs.look || g.by.verified.IsZero() {
			stored, err := r.load(ctx, place, g.by.name)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			right := err == nil && nameOf(timeOf(g.by.name), stored) == g.by.name
			r.mu.Lock()
			fresh := g.by.verified.IsZero()
			if !right {
				g.by.verified = time.Time{}
			} else if fresh {
				g.by.verified = r.clock.Now()
			}
			r.mu.Unlock()
			if !right || fresh {
				continue
			}
		}
		for _, o := range g.old {
			if late() {
				return nil
			}
			if err := r.delete(ctx, place, o.name); err != nil {
				return err
			}
			r.dropped(ctx, o.name)
		}
	}
	for _, o := range over {
		if late() {
			return nil
		}
		if err := r.delete(ctx, place, o.name); err != nil {
			return err
		}
		r.dropped(ctx, o.name)
	}
	for _, name := range r.deadGhosts() {
		if err := r.delete(ctx, place, name); err != nil {
			return err
		}
	}
	return nil
}

// group is what one object replaces.
type group struct {
	by  *object
	old []*object
}

// prunable returns what may be deleted as replaced, with what to look at before, and what
// has ended.
func (r *Replica[F]) prunable() (groups []group, over []*object) {
	forget := r.config.CanForget()
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.clock.Now()
	found := map[*object][]*object{}
	for _, o := range r.state.objects {
		if !o.listed {
			continue
		}
		if forget && r.over(o.last) {
			over = append(over, o)
			continue
		}
		for by := o.by; by != nil; by = by.by {
			if by.listed && (by.verified.IsZero() || now.Sub(by.verified) >= r.knobs.grace) {
				found[by] = append(found[by], o)
				break
			}
		}
	}
	for by, old := range found {
		slices.SortFunc(old, byName)
		groups = append(groups, group{by, old})
	}
	slices.SortFunc(groups, func(a, b group) int { return cmp.Compare(a.by.name, b.by.name) })
	slices.SortFunc(over, byName)
	return groups, over
}

// deadGhosts returns the names without content that are a day old. A younger one may be a
// Store under way on a node that is being held up.
func (r *Replica[F]) deadGhosts() []string {
	if !r.config.CanForget() {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.clock.Now()
	var names []string
	for name, b := range r.state.bad {
		if b.err == nil && now.Sub(b.since) > r.knobs.grace && now.Sub(time.Unix(timeOf(name), 0)) > ghostAge {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
