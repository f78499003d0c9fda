package table

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"testing"
)

func digest(n int, of string) [32]byte { return sha256.Sum256(fmt.Append(nil, of, n)) }

// Tables of all sizes find each cell and no other. Of so many, some share the byte
// that is looked at first, and some searches go on at the beginning of the table.
func TestATableFindsItsCellsAlone(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 2, 3, 4, 5, 7, 8, 9, 100, 5000} {
		for i := range 1 + 50/(n+1) { // each with a secret of its own
			table := New[[32]byte, int](i % 2 * n)
			for i := range n {
				table.Add(digest(i, "known"), i)
			}
			finds(t, table, n)
			table.Compact()
			finds(t, table, n)
			if places := n + n/4 + 1; len(table.tags) != places || len(table.cells) != places {
				t.Fatalf("%d cells take %d places, want %d", n, len(table.tags), places)
			}
		}
	}
}

func finds(t *testing.T, table *Table[[32]byte, int], n int) {
	t.Helper()
	empty := bytes.Count(table.tags, []byte{0})
	if table.Len() != n || len(table.tags)-empty != n || empty == 0 || 5*empty < len(table.tags)-4 {
		t.Fatalf("%d cells: %d, with %d empty ones of %d", n, table.Len(), empty, len(table.tags))
	}
	for i := range n {
		d := digest(i, "known")
		if v := table.Find(&d); v == nil || *v != i {
			t.Fatalf("%d cells: %d is not found", n, i)
		}
	}
	for i := range 1000 {
		d := digest(i, "unknown")
		if v := table.Find(&d); v != nil {
			t.Fatalf("%d cells: an unknown digest is taken for %d", n, *v)
		}
	}
	seen := map[int]bool{}
	for c := range table.All() {
		if seen[c.Value] || c.Digest != digest(c.Value, "known") {
			t.Fatalf("%d cells: %d is visited twice, or has another's digest", n, c.Value)
		}
		seen[c.Value] = true
	}
	if len(seen) != n {
		t.Fatalf("%d cells: %d are visited", n, len(seen))
	}
	for range table.All() {
		break
	}
	for place, c := range table.Places() {
		if table.At(place) != c || !seen[c.Value] {
			t.Fatalf("%d cells: another one at the place of %d", n, c.Value)
		}
		delete(seen, c.Value)
	}
	if len(seen) > 0 {
		t.Fatalf("%d cells: %d have no place", n, len(seen))
	}
	for range table.Places() {
		break
	}
}

// Digests may be short, and differ in one bit.
func TestShortDigests(t *testing.T) {
	t.Parallel()
	table := New[[8]byte, uint32](0)
	key := func(n uint64) (d [8]byte) {
		binary.LittleEndian.PutUint64(d[:], n)
		return d
	}
	for n := range uint64(10_000) {
		table.Add(key(n), uint32(n))
	}
	for n := range uint64(20_000) {
		d := key(n)
		if v := table.Find(&d); (v != nil) != (n < 10_000) || v != nil && *v != uint32(n) {
			t.Fatalf("%d: %v", n, v)
		}
	}
}

// Two tables hash differently: nobody can make digests that meet in ours.
func TestTablesHashWithTheirOwnSecret(t *testing.T) {
	t.Parallel()
	alike := 0
	first, second := New[[32]byte, int](1<<20), New[[32]byte, int](1<<20)
	for i := range 100 {
		d := digest(i, "")
		a, _ := first.begin(&d)
		if b, _ := second.begin(&d); a == b {
			alike++
		}
	}
	if alike > 2 {
		t.Errorf("%d of 100 begin at the same place", alike)
	}
}

func TestALookUpCostsNoAllocation(t *testing.T) { // not parallel, for AllocsPerRun
	table := New[[32]byte, int](0)
	table.Add(digest(1, ""), 1)
	known, unknown := digest(1, ""), digest(2, "")
	if n := testing.AllocsPerRun(1000, func() {
		if table.Find(&known) == nil || table.Find(&unknown) != nil {
			t.Fatal("it finds another")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A table that is made for a copy hashes the same way, so that copying goes from one end to
// the other.
func TestAnEmptyTableKeepsTheOrder(t *testing.T) {
	t.Parallel()
	table := New[[32]byte, int](0)
	for i := range 1000 {
		table.Add(digest(i, "known"), i)
	}
	other := table.Empty(500)
	if other.Len() != 0 || len(other.tags) != 626 {
		t.Fatalf("%d cells in %d places", other.Len(), len(other.tags))
	}
	for i := range 1000 {
		d := digest(i, "known")
		place, tag := table.begin(&d)
		there, same := other.begin(&d)
		if near := place * len(other.tags) / len(table.tags); tag != same || there < near || there > near+1 {
			t.Fatalf("%d begins at %d of %d, and at %d of %d", i, place, len(table.tags), there, len(other.tags))
		}
	}
}
