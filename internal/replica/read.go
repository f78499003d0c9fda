package replica

import (
	"context"
	"errors"
	"io/fs"
	"slices"
)

// Read visits the facts of the objects that are in use, in the order of their names, read
// from the storage or from what this node keeps. after is the name of the object to continue
// behind, empty for the first. It ends when visit returns false.
func (r *Replica[F]) Read(ctx context.Context, after string, visit func(object string, facts []F) bool) error {
	objects := r.inUse(after)
	for i := 0; i < len(objects); i++ {
		o := objects[i]
		stored, err := r.content(ctx, anyPlace, o)
		if errors.Is(err, fs.ErrNotExist) {
			// It was merged and deleted meanwhile: the rest of the set is where it is now.
			if err := r.Sync(ctx); err != nil {
				return err
			}
			known := objects[:i+1]
			objects = append(slices.Clip(known), slices.DeleteFunc(r.inUse(""), func(o *object) bool {
				return slices.ContainsFunc(known, func(k *object) bool { return k.name == o.name })
			})...)
			continue
		}
		if err != nil {
			return err
		}
		got := r.read(o.name, stored)
		if got.bad != nil && !errors.Is(got.bad, ErrUnsigned) {
			return got.bad
		}
		if got.bad == nil && !visit(o.name, r.config.Language.Merge(got.facts)) {
			return nil
		}
	}
	return nil
}

// inUse returns the objects behind one that nothing replaces.
func (r *Replica[F]) inUse(after string) []*object {
	r.mu.Lock()
	defer r.mu.Unlock()
	var objects []*object
	for name, o := range r.state.objects {
		if name > after && (o.by == nil || o.replacement() == nil) {
			objects = append(objects, o)
		}
	}
	slices.SortFunc(objects, byName)
	return objects
}
