package replica

import (
	"context"
	"errors"
	"slices"
)

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
