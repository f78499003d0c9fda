package apikey

import (
	"fmt"
	"testing"
	"unsafe"

	"github.com/caddy-jwt/caddy-jwt/internal/table"
)

// What a request needs of a key comes into the processor's cache as a whole.
func TestAKeyFillsALineOfTheCache(t *testing.T) {
	t.Parallel()
	if size := unsafe.Sizeof(table.Cell[Digest, entry]{}); size != 64 {
		t.Errorf("%d bytes", size)
	}
}

// Whether two sets are the same is a matter of their keys and not of where these lie.
func TestSetsAreComparedByTheirKeys(t *testing.T) {
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
