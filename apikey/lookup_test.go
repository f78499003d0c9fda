package apikey

import (
	"bytes"
	"fmt"
	"testing"
)

// Tables of all sizes find each key and no other. Of so many, some share the byte that
// is looked at first, and some searches go on at the beginning of the table.
func TestATableFindsItsKeysAlone(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 2, 3, 4, 5, 7, 8, 9, 100, 5000} {
		for range 1 + 200/(n+1) { // each with a secret of its own
			b := newBuilder(0, 0)
			for i := range n {
				r := record(fmt.Sprintf("k%d", i))
				r.Hash = DigestOf(r.ID)
				if err := b.add(&r, i+1); err != nil {
					t.Fatal(err)
				}
			}
			s := b.set()
			empty := bytes.Count(s.table.tags, []byte{0})
			if s.Len() != n || len(s.table.tags)-empty != n || empty == 0 || 5*empty < n {
				t.Fatalf("%d keys: %d, with %d empty cells of %d", n, s.Len(), empty, len(s.table.tags))
			}
			for i := range n {
				id := fmt.Sprintf("k%d", i)
				if k, ok := s.Find(DigestOf(id)); !ok || k.ID() != id {
					t.Fatalf("%d keys: %s is not found", n, id)
				}
			}
			for i := range 2000 {
				if k, ok := s.Find(DigestOf(fmt.Sprintf("unknown %d", i))); ok {
					t.Fatalf("%d keys: an unknown key is taken for %s", n, k.ID())
				}
			}
		}
	}
}

// Whether two sets are the same is a matter of their keys and not of where these lie.
func TestTablesAreComparedByTheirKeys(t *testing.T) {
	t.Parallel()
	const n = 300
	keysOf := func(n int, change func(i int, r *Record)) *Set {
		records := []Record{}
		for i := range n {
			r := record(fmt.Sprintf("k%d", i))
			if i == 20 {
				r.Consumer = "holder-a"
			}
			if change(i, &r); r.ID != "" {
				records = append(records, r)
			}
		}
		return must(NewSet(records))
	}
	same := func(int, *Record) {}
	all := keysOf(n, same)
	for what, c := range map[string]struct {
		other         *Set
		equal, begins bool
	}{
		"the same":             {keysOf(n, same), true, false},
		"the first":            {keysOf(n-1, same), false, true},
		"the first half":       {keysOf(n/2, same), false, true},
		"none":                 {keysOf(0, same), false, true},
		"one more":             {keysOf(n+1, same), false, false},
		"without the first":    {keysOf(n, func(i int, r *Record) { r.ID = map[bool]string{false: r.ID}[i == 0] }), false, false},
		"without one":          {keysOf(n, func(i int, r *Record) { r.ID = map[bool]string{false: r.ID}[i == 150] }), false, false},
		"without the last":     {keysOf(n, func(i int, r *Record) { r.ID = map[bool]string{false: r.ID}[i == n-1] }), false, true},
		"one that is disabled": {keysOf(n, func(i int, r *Record) { r.Disabled = i == 200 }), false, false},
		"half, one disabled":   {keysOf(n/2, func(i int, r *Record) { r.Disabled = i == 20 }), false, false},
		"half, another hash":   {keysOf(n/2, func(i int, r *Record) { r.Hash[31] ^= map[bool]byte{true: 1}[i == 20] }), false, false},
		"half, another holder": {keysOf(n/2, func(i int, r *Record) { r.Consumer += map[bool]string{true: "x"}[i == 20] }), false, false},
		"half, holders as long": {keysOf(n/2, func(i int, r *Record) {
			r.Consumer = map[bool]string{false: r.Consumer, true: "holder-b"}[i == 20]
		}), false, false},
		"half, with a scope": {keysOf(n/2, func(i int, r *Record) { r.Scopes = map[bool][]string{true: {"a"}}[i == 20] }), false, false},
		"half, another expires": {keysOf(n/2, func(i int, r *Record) {
			r.Expires = map[bool]Record{true: {Expires: noon}}[i == 20].Expires
		}), false, false},
	} {
		if all.equal(c.other) != c.equal || c.other.equal(all) != c.equal {
			t.Errorf("%s: equal is not %t", what, c.equal)
		}
		if all.beginsWith(c.other) != c.begins {
			t.Errorf("%s: beginsWith is not %t", what, c.begins)
		}
	}
}
