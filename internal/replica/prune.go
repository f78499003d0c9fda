package replica

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"
)

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
			if !right && err == nil {
				_ = r.replace(ctx, place, g.by)
			}
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
		// The node that failed to store it may have done so since.
		if _, err := r.load(ctx, place, name); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
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
