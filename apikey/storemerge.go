package apikey

import (
	"bytes"
	"cmp"
	"slices"
)

// factPlace is what facts are about. Of the facts of one place, one implies the others.
type factPlace struct {
	key  string
	kind factKind
	hash Digest
	id   uint64
}

func (f *fact) place() factPlace {
	p := factPlace{f.key, f.kind, f.hash, f.id}
	if f.kind == factOn {
		p.kind = factOff
	}
	return p
}

// Merge keeps, of a deleted key, that it is deleted; of any other its latest profile, its
// secrets, the earliest end of each, and its disablings or their removals. Secrets stay
// though their time is over: the retirement has to stay anyway, as a copy of the secret may
// be elsewhere, and so it does not depend on this node's clock what is left out.
func (storeLanguage) Merge(facts []fact) []fact {
	first, dead := map[factPlace]*fact{}, map[string]bool{}
	for i := range facts {
		f := &facts[i]
		if known := first[f.place()]; known == nil || f.beats(known) {
			first[f.place()] = f
		}
		if f.kind == factDead {
			dead[f.key] = true
		}
	}
	merged := make([]fact, 0, len(first))
	for _, f := range first {
		if f.kind == factDead || !dead[f.key] {
			merged = append(merged, *f)
		}
	}
	// Sorted, so that nodes that merge the same make the same object.
	slices.SortFunc(merged, func(a, b fact) int {
		return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.kind, b.kind),
			bytes.Compare(a.hash[:], b.hash[:]), cmp.Compare(a.id, b.id))
	})
	return merged
}

// beats reports whether f is the fact to keep of two about one place. It is an order, so
// that it does not matter which are compared first.
func (f *fact) beats(other *fact) bool {
	var order int
	switch f.kind {
	case factKey:
		order = cmp.Or(cmp.Compare(f.rev, other.rev), bytes.Compare(profileOf(f.record), profileOf(other.record)))
	case factRetire:
		order = cmp.Compare(other.end, f.end)
	case factOff, factOn:
		order = cmp.Compare(f.kind, other.kind)
	}
	// The oldest is the one to blame.
	return cmp.Or(order, cmp.Compare(other.at, f.at), cmp.Compare(f.by, other.by), cmp.Compare(f.node, other.node)) > 0
}
