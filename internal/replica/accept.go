package replica

import (
	"context"
	"errors"
	"slices"
)

// ErrNoKey: there is no key to sign with.
var ErrNoKey = errors.New("the config has no key with which objects could be signed")

// Accept signs the set's marker and all objects that are not signed with the first key, and
// returns how many objects those were. It takes them into force, so it is for people who
// know where they come from.
func (r *Replica[F]) Accept(ctx context.Context) (int, error) {
	r.running.Lock()
	defer r.running.Unlock()
	b := r.bound.Load()
	if len(b.Keys) == 0 {
		return 0, ErrNoKey
	}
	l, err := r.list(ctx, b.place)
	if err != nil {
		return 0, err
	}
	if !l.marker {
		return 0, ErrNoSet
	}
	names := make([]string, 0, len(l.names))
	for name := range l.names {
		names = append(names, name)
	}
	slices.Sort(names)
	signed := 0
	for _, name := range names {
		if r.isReplaced(name) {
			continue // by its signed form, say
		}
		stored, err := r.load(ctx, b.place, name)
		if err != nil {
			if err := r.probe(ctx, b.place); err != nil {
				return signed, err
			}
			continue // the next sync tells of it
		}
		o, err := open(name, stored, r.config.Name, b.Keys)
		if o == nil || err == nil && o.first || len(o.Replaces) >= maxReplaces && err == nil {
			continue
		}
		if err := r.sign(ctx, b, name, o); err != nil {
			return signed, err
		}
		signed++
	}
	if err := r.store(ctx, b.place, marker, markerContent(r.config.Name, b.Keys)); err != nil {
		return signed, err
	}
	err = r.sync(ctx)
	return signed, err
}

func (r *Replica[F]) isReplaced(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	o := r.state.objects[name]
	return o != nil && o.by != nil && o.replacement() != nil
}

// sign stores a signed object in place of another one.
func (r *Replica[F]) sign(ctx context.Context, b *bound, name string, o *opened) error {
	h := o.header
	h.Replaces = append(slices.Clone(h.Replaces), name)
	if len(h.Replaces) > maxReplaces {
		h.Replaces = []string{name}
	}
	out, stored := seal(h, o.lines, r.config.Name, b.Keys)
	return r.store(ctx, b.place, out, stored)
}
