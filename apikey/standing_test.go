package apikey

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
)

// stands checks how nodes say that a key stands.
func stands(t *testing.T, what, id string, now time.Time, want Standing, nodes ...*Store) {
	t.Helper()
	for i, s := range nodes {
		if got := s.FindID(id, now); got != want {
			t.Errorf("%s: node %d says %d, want %d", what, i, got, want)
		}
	}
}

// What a store says of an id is the same whether it is asked from the beginning, or made
// to say it only now.
func TestHowAKeyOfAStoreStands(t *testing.T) {
	t.Parallel()
	ctx, folder, c := t.Context(), newMemory(), clock.NewFake(noon)
	one, two := newNode(t, folder, c), newNode(t, folder, c)
	stands(t, "of an empty store", "a", noon, StandingUnknown, one, two)
	check := func(what, id string, now time.Time, want Standing) {
		t.Helper()
		synced(t, one, two)
		stands(t, what, id, now, want, one, two, newNode(t, folder, c))
	}
	create := func(r Record) {
		t.Helper()
		if err := one.Create(ctx, r, ann); err != nil {
			t.Fatal(err)
		}
	}
	create(record("a"))
	check("made", "a", noon, StandingValid)
	check("another", "b", noon, StandingUnknown)
	check("another case", "A", noon, StandingUnknown)

	must(two.Disable(ctx, "a", bob))
	check("disabled", "a", noon, StandingDisabled)
	if err := one.Enable(ctx, "a", ann); err != nil {
		t.Fatal(err)
	}
	check("enabled", "a", noon, StandingValid)

	hour, day := noon.Add(time.Hour), noon.Add(24*time.Hour)
	must(one.Edit(ctx, "a", func(r *Record) error { r.Expires = day; return nil }, ann))
	check("with an end, before it", "a", day.Add(-time.Millisecond), StandingValid)
	check("at its end", "a", day, StandingExpired)

	// Two secrets for an hour: the key is valid with any of them.
	must(one.Roll(ctx, "a", DigestOf("second"), time.Hour, ann))
	check("rolled, in the overlap", "a", noon, StandingValid)
	check("rolled, behind it", "a", hour, StandingValid)
	check("rolled, at its end", "a", day, StandingExpired)

	create(Record{ID: "born-disabled", Hash: DigestOf("x"), Disabled: true})
	check("disabled from the beginning", "born-disabled", noon, StandingDisabled)
	create(Record{ID: "born-expired", Hash: DigestOf("y"), Expires: noon.Add(-time.Hour)})
	check("expired from the beginning", "born-expired", noon, StandingExpired)

	must(two.Delete(ctx, "a", bob))
	check("deleted", "a", noon, StandingDeleted)
	must(one.Disable(ctx, "born-expired", ann))
	must(one.Delete(ctx, "born-expired", ann))
	check("disabled and deleted", "born-expired", noon, StandingDeleted)
}

// A key of which only a part has come is not known yet, rather than retired.
func TestHalfAKeyIsUnknown(t *testing.T) {
	t.Parallel()
	ctx, s := t.Context(), newNode(t, newMemory(), clock.NewFake(noon))
	stands(t, "none", "a", noon, StandingUnknown, s)
	r := record("a")
	facts := must(s.imported(r, ann, false))
	for i, f := range facts {
		if _, err := s.tighten(ctx, f); err != nil {
			t.Fatal(err)
		}
		want := StandingUnknown
		if i == len(facts)-1 {
			want = StandingValid
		}
		stands(t, fmt.Sprint("after ", i), "a", noon, want, s)
	}
	// All of its secrets are retired: none of what it vouched for is good.
	retire := s.fact(factRetire, "a", ann)
	retire.hash, retire.end = r.Hash, noon.UnixMilli()
	must(s.tighten(ctx, retire))
	stands(t, "all retired", "a", noon, StandingExpired, s)
}

// Enough changes make a new base; none of them gets lost.
func TestStandingsOutliveFolds(t *testing.T) {
	t.Parallel()
	ctx, s := t.Context(), newNode(t, newMemory(), clock.NewFake(noon))
	id := func(i int) string { return fmt.Sprintf("key-%05d", i) }
	stands(t, "none", id(0), noon, StandingUnknown, s)
	const n = minFold + 500
	for part := range slices.Chunk(slices.Collect(func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}), 500) {
		var records []Record
		for _, i := range part {
			records = append(records, record(id(i)))
		}
		if err := s.Import(ctx, records, ann); err != nil {
			t.Fatal(err)
		}
	}
	if base := s.byID.Load().base.Len(); base < minFold {
		t.Fatalf("the base has %d: this test shows nothing", base)
	}
	want := map[int]Standing{3: StandingDisabled, 7: StandingDeleted, n - 1: StandingDisabled}
	must(s.Disable(ctx, id(3), ann))
	must(s.Delete(ctx, id(7), ann))
	must(s.Disable(ctx, id(n-1), ann))
	for range 2 {
		for i := range n {
			w, ok := want[i]
			if !ok {
				w = StandingValid
			}
			stands(t, id(i), id(i), noon, w, s)
		}
		s.mu.Lock()
		s.byID.Store(s.byID.Load().fold())
		s.mu.Unlock()
	}
	if x := s.byID.Load(); x.n != 0 || x.base.Len() != n {
		t.Errorf("%d and %d of %d", x.base.Len(), x.n, n)
	}
}

func TestAnUnknownIDBringsASyncForward(t *testing.T) {
	t.Parallel()
	ctx, c, folder := t.Context(), clock.NewFake(noon), &listed{memory: newMemory()}
	one, two := newNode(t, folder, c), newNode(t, folder, c)
	if err := one.Create(ctx, record("a"), ann); err != nil {
		t.Fatal(err)
	}
	l := &Lookup{Stores: []Stored{requested{two}}}
	if st, _ := l.FindID(ctx, "a", noon); st != StandingUnknown {
		t.Fatal(st)
	}
	if !l.AwaitID(ctx, "a") {
		t.Error("it is not worth to look again")
	}
	if st, store := l.FindID(ctx, "a", noon); st != StandingValid || store != "partners" {
		t.Errorf("%d of %q", st, store)
	}
	folder.take()
	if l.AwaitID(ctx, "no id: spaces") || folder.take() != 0 {
		t.Error("a text that is no id brings a sync forward")
	}
	// Keys and ids share the few syncs that there are.
	for range 20 {
		text, _ := New(DefaultPrefix)
		two.AwaitID(ctx, "b")
		two.AwaitNews(ctx, text)
	}
	if two.AwaitID(ctx, "b") {
		t.Error("there is no limit on the syncs")
	}
	c.Advance(5 * time.Second)
	if !two.AwaitID(ctx, "b") {
		t.Error("no sync after a while")
	}
}

// requested is a store as requests use it.
type requested struct{ *Store }

func (requested) Unavailable(context.Context, time.Time) bool { return false }

// notThere is a store that is not available.
type notThere struct{ inOne }

func (notThere) Unavailable(context.Context, time.Time) bool { return true }

func TestTheFirstPlaceThatKnowsAnIDDecides(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	set := func(records ...Record) *Set { return must(NewSet(records)) }
	disabled := record("a")
	disabled.Disabled = true
	expired := record("b")
	expired.Expires = noon
	path := filepath.Join(t.TempDir(), "keys.jsonl")
	if err := os.WriteFile(path, []byte(keyLines("a", "b", "c", "f")), 0o600); err != nil {
		t.Fatal(err)
	}
	b := newStoreSet("partners", 1, 100)
	b.add(DigestOf("s"), &Record{ID: "s"}, false)
	inStore, _ := b.set().Find(DigestOf("s"))
	l := &Lookup{
		Written: set(disabled), Placed: must(NewPlaced(PlacedConfig{Paths: []string{path}, Build: func([][]byte) (*Set, error) { return set(expired), nil }})),
		Files: []*File{must(NewFile(FileConfig{Path: path}))}, Stores: []Stored{inOne{inStore}},
	}
	for id, want := range map[string]struct {
		Standing
		store string
	}{
		"a": {StandingDisabled, ""}, "b": {StandingExpired, ""}, "c": {StandingValid, ""}, "f": {StandingValid, ""},
		"s": {StandingValid, "partners"}, "": {StandingUnknown, ""}, "aa": {StandingUnknown, ""},
	} {
		if st, store := l.FindID(ctx, id, noon); st != want.Standing || store != want.store {
			t.Errorf("%q: %d of %q, want %d of %q", id, st, store, want.Standing, want.store)
		}
	}
	// A store that is away hides what it knows, but not what is known without it.
	l.Stores = []Stored{notThere{}}
	if st, _ := l.FindID(ctx, "s", noon); st != StandingUnavailable {
		t.Errorf("a store that is not available: %d", st)
	}
	if st, _ := l.FindID(ctx, "c", noon); st != StandingValid {
		t.Errorf("a key in a file: %d", st)
	}
	if st, _ := new(Lookup).FindID(ctx, "a", noon); st != StandingUnknown {
		t.Errorf("no place at all: %d", st)
	}
}

// A file that is read again is indexed before it is in force, if it was asked by ids.
func TestAKeyFileIsIndexedOnlyIfItIsAsked(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.replace(t, keyLines("a", "b"))
	s.look()
	if s.Set().Len() != 2 || s.Set().ids.made.Load() != nil {
		t.Fatal("it is indexed though nobody asks")
	}
	if _, ok := s.Set().FindID("b"); !ok {
		t.Error("b is not found")
	}
	s.replace(t, keyLines("a", "c"))
	s.look()
	if s.Set().ids.made.Load() == nil {
		t.Error("the next request has to wait for an index")
	}
	for id, want := range map[string]bool{"a": true, "b": false, "c": true} {
		if k, ok := s.Set().FindID(id); ok != want || ok && k.ID() != id {
			t.Errorf("%s: %v", id, ok)
		}
	}
}

func TestManyAskForAnIndexAtOnce(t *testing.T) {
	t.Parallel()
	var ids []Record
	for i := range 1000 {
		ids = append(ids, record(fmt.Sprint("id-", i)))
	}
	s := must(NewSet(ids))
	var asking sync.WaitGroup
	for g := range 4 {
		asking.Go(func() {
			for i := range 1000 {
				id := fmt.Sprint("id-", (i+250*g)%1000)
				if k, ok := s.FindID(id); !ok || k.ID() != id {
					t.Errorf("%s: %v", id, ok)
				}
			}
		})
	}
	asking.Wait()
}

func TestFindingAnIDAllocatesNothing(t *testing.T) { // not parallel, for AllocsPerRun
	ctx, s := t.Context(), newNode(t, newMemory(), clock.NewFake(noon))
	if err := s.Create(ctx, record("a"), ann); err != nil {
		t.Fatal(err)
	}
	l := &Lookup{Written: must(NewSet([]Record{record("w")})), Stores: []Stored{requested{s}}}
	for _, id := range []string{"a", "w", "unknown"} {
		if n := testing.AllocsPerRun(100, func() { l.FindID(ctx, id, noon) }); n != 0 {
			t.Errorf("%s: %v allocations", id, n)
		}
	}
}

// BenchmarkFindID is a look-up by id in key files of 10 and of 1,000,000 keys, and the
// memory that the index takes.
func BenchmarkFindID(b *testing.B) {
	for _, n := range []int{10, 1_000_000} {
		records := make([]Record, n)
		for i := range records {
			records[i] = Record{ID: fmt.Sprintf("key-%07d", i), Hash: DigestOf(nthKey(i))}
		}
		s := must(NewSet(records))
		before := heap()
		s.FindID("")
		memory := float64(heap() - before)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			i := 0
			for b.Loop() {
				i = (i + 7919) % n
				if _, ok := s.FindID(records[i].ID); !ok {
					b.Fatal("it is not found")
				}
			}
			b.ReportMetric(memory/float64(n), "B/key")
		})
	}
}
