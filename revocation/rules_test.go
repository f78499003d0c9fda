package revocation

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// numbered are rules of a kind for different values, from the first to before the last.
func numbered(k Kind, first, last int) []Rule {
	facts := make([]Rule, 0, last-first)
	for i := first; i < last; i++ {
		facts = append(facts, Rule{ID: uint32(i), Kind: k, Value: fmt.Sprint("value-", i), At: noon})
	}
	return facts
}

func subjectOf(value string) *Subject { return NewSubject(&Token{ID: value, Subject: value}) }

// Random changes in batches of all sizes, beside a plain map that says what must be in force.
func TestRulesStayInForceThroughAllFolds(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(7, 11))
	now := noon
	r := newRules(func() bool { return true }, func() time.Time { return now })
	type model struct{ live, removed map[identity]Rule }
	m := model{map[identity]Rule{}, map[identity]Rule{}}
	var all []Rule
	for step := range 200 {
		var batch []Rule
		size := 1 + random.IntN(4)
		if step%20 == 0 {
			size = 1 + random.IntN(6000)
		}
		for range size {
			switch n := random.IntN(10); {
			case n < 6 || len(all) == 0: // for one of many things, so that there are chains
				f := Rule{ID: random.Uint32(), Kind: KindSub, Value: fmt.Sprint(random.IntN(4_000)), At: noon}
				if random.IntN(3) == 0 {
					f.Issuer = "i"
				}
				all = append(all, f)
				if random.IntN(20) == 0 {
					batch = append(batch, removalOf(f)) // before the rule itself, which comes later or never
				} else {
					batch = append(batch, f)
				}
			case n < 8:
				batch = append(batch, all[random.IntN(len(all))])
			default:
				batch = append(batch, removalOf(all[random.IntN(len(all))]))
			}
		}
		for _, f := range batch {
			if f.Gone {
				m.removed[f.identity()] = f
				delete(m.live, f.identity())
			}
		}
		for _, f := range batch {
			if _, gone := m.removed[f.identity()]; !f.Gone && !gone {
				m.live[f.identity()] = f
			}
		}
		r.apply(batch, nil)
		if step%7 == 0 {
			r.folds.Wait()
		}
		s := r.snapshot.Load()
		if s.Len(KindSub) != len(m.live) {
			t.Fatalf("step %d: %d rules, want %d", step, s.Len(KindSub), len(m.live))
		}
		if step%40 != 39 {
			continue
		}
		want := map[string]bool{} // by value, of no issuer
		limited := map[string]bool{}
		for of := range m.live {
			limited[of.value] = true
			want[of.value] = want[of.value] || of.issuer == ""
		}
		for value := range 4_000 {
			text := fmt.Sprint(value)
			if got := s.Revokes(NewSubject(&Token{Subject: text}), "", now); got != want[text] {
				t.Fatalf("step %d: %s is revoked: %v", step, text, got)
			}
			if got := s.Revokes(NewSubject(&Token{Subject: text, Issuer: "i"}), "", now); got != limited[text] {
				t.Fatalf("step %d: %s of an issuer is revoked: %v", step, text, got)
			}
		}
	}
	r.folds.Wait()
	if n := len(r.snapshot.Load().kinds[KindSub].layers); n > 8 {
		t.Errorf("%d layers", n)
	}
}

// Few layers, whatever the size of changes.
func TestLayersAreFew(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 10, 300, 4000} {
		r := newRules(func() bool { return true }, func() time.Time { return noon })
		most := 0
		n := max(6000, 15*size)
		for first := 0; first < n; first += size {
			r.apply(numbered(KindJTI, first, first+size), nil)
			if first/size%100 == 0 {
				r.folds.Wait()
			}
			most = max(most, len(r.snapshot.Load().kinds[KindJTI].layers))
		}
		if most > 8 {
			t.Errorf("%d layers in steps of %d", most, size)
		}
	}
}

// A snapshot that a request has in hand stays as it is, while rules come and are folded.
func TestASnapshotDoesNotChange(t *testing.T) {
	t.Parallel()
	r := newRules(func() bool { return true }, func() time.Time { return noon })
	r.apply(numbered(KindJTI, 0, 30_000), nil)
	first := r.snapshot.Load()
	var group sync.WaitGroup
	var done atomic.Bool
	for range 2 {
		group.Go(func() {
			last := 0
			for !done.Load() {
				for _, i := range []int{0, 1, 29_999, 15_000} {
					value := fmt.Sprint("value-", i)
					if !first.Revokes(subjectOf(value), "", noon) {
						t.Errorf("%s is no longer revoked in the old snapshot", value)
						return
					}
				}
				s := r.snapshot.Load()
				if first.Len(KindJTI) != 30_000 || first.Revokes(subjectOf("value-30000"), "", noon) || s.Len(KindJTI) < last {
					t.Error("an old snapshot has changed, or a new one has less")
					return
				}
				last = s.Len(KindJTI)
			}
		})
	}
	for i := 30_000; i < 60_000; i += 500 {
		r.apply(numbered(KindJTI, i, i+500), nil)
		if !r.snapshot.Load().Revokes(subjectOf(fmt.Sprint("value-", i+499)), "", noon) {
			t.Fatal("it is not in force when apply returns")
		}
		r.apply([]Rule{removalOf(numbered(KindSub, i, i+1)[0])}, nil)
	}
	r.folds.Wait()
	done.Store(true)
	group.Wait()
	s := r.snapshot.Load()
	if s.Len(KindJTI) != 60_000 {
		t.Errorf("%d rules", s.Len(KindJTI))
	}
	for i := range 60_000 {
		if value := fmt.Sprint("value-", i); !s.Revokes(subjectOf(value), "", noon) {
			t.Fatalf("%s is not revoked", value)
		}
	}
}

// held is how many cells all layers of a kind hold.
func held(s *Snapshot, k Kind) (n int) {
	for _, l := range s.kinds[k].layers {
		n += l.cells.Len()
	}
	return n
}

func TestWhatEndedLeavesTheMemory(t *testing.T) {
	t.Parallel()
	for _, forget := range []bool{true, false} {
		now := noon
		r := newRules(func() bool { return forget }, func() time.Time { return now })
		facts := numbered(KindSub, 0, 6000)
		for i := range facts {
			facts[i].End = noon.Add(time.Hour)
			if i%2 == 0 {
				facts[i].End = noon.Add(100 * time.Hour)
			}
		}
		// Chains, whose first and whose second end.
		for i := range 1000 {
			f := facts[i]
			f.ID += 10_000
			if f.End = noon.Add(time.Hour); i%2 == 1 {
				f.End = time.Time{}
			}
			facts = append(facts, f)
		}
		gone := removalOf(facts[0])
		r.apply(append(facts, gone, removalOf(facts[1])), nil)
		if n := r.snapshot.Load().Len(KindSub); n != 6998 {
			t.Fatalf("%d rules, want 6998", n)
		}
		now = noon.Add(25*time.Hour - time.Second)
		r.apply([]Rule{{ID: 1, Kind: KindSub, Value: "other"}}, nil)
		if n := r.snapshot.Load().Len(KindSub); n != 6999 {
			t.Fatalf("%d rules before their margin has passed, want 6999", n)
		}
		now = noon.Add(27 * time.Hour)
		r.apply([]Rule{{ID: 2, Kind: KindSub, Value: "other"}}, nil)
		s := r.snapshot.Load()
		live, cells := s.Len(KindSub), held(s, KindSub)
		if forget {
			// Half of 6,000 end, one of which was removed; and of the further thousand half.
			if live != 7000-2999-500 || cells > live+1+500+2 {
				t.Errorf("%d rules in %d cells", live, cells)
			}
		} else if live != 7000 {
			t.Errorf("%d rules, though nothing may be forgotten", live)
		}
		for i := range 6000 {
			subject := subjectOf(fmt.Sprint("value-", i))
			want := i%2 == 0 && i > 0 || i%2 == 1 && i < 1000
			if s.Revokes(subject, "", now) != want {
				t.Fatalf("rule %d: %v", i, !want)
			}
		}
		// What has ended does not come back from an old object.
		r.apply(facts[2:1000], nil)
		if n := r.snapshot.Load().Len(KindSub); n != live {
			t.Errorf("%d rules, of %d, after an old object", n, live)
		}
	}
}

// A rule that was removed leaves the memory with the next fold. Its removal stays, as an old
// object may still bring the rule.
func TestWhatWasRemovedLeavesTheMemory(t *testing.T) {
	t.Parallel()
	now := noon
	r := newRules(func() bool { return true }, func() time.Time { return now })
	facts := numbered(KindSub, 0, 3000)
	for i := range facts[:2000] {
		facts = append(facts, facts[i])
		facts[len(facts)-1].ID += 10_000
	}
	r.apply(facts, nil)
	for i := range 2000 { // the first of the chain, and all of what has no chain
		r.apply([]Rule{removalOf(facts[i+1000])}, nil)
	}
	now = now.Add(2 * time.Hour)
	r.apply([]Rule{{ID: 1, Kind: KindSub, Value: "other"}}, nil)
	s := r.snapshot.Load()
	if live := s.Len(KindSub); live != 3001 || held(s, KindSub) > 3001+2000+1000 {
		t.Errorf("%d rules in %d cells", live, held(s, KindSub))
	}
	r.apply(facts, nil)
	s = r.snapshot.Load()
	if s.Len(KindSub) != 3001 {
		t.Errorf("%d rules after an old object", s.Len(KindSub))
	}
	for i := range 3000 {
		if got, want := s.Revokes(subjectOf(fmt.Sprint("value-", i)), "", now), i < 2000; got != want {
			t.Fatalf("rule %d: %v", i, got)
		}
	}
}

// What was removed while a fold ran, which left it out as it had ended, is counted once.
func TestARemovalBesideAFold(t *testing.T) {
	t.Parallel()
	now := noon
	r := newRules(func() bool { return true }, func() time.Time { return now })
	facts := numbered(KindSub, 0, 10)
	facts[3].End = noon.Add(time.Hour)
	r.apply(facts, nil)
	w := &r.kinds[KindSub]
	now = noon.Add(30 * time.Hour)
	w.folding = len(w.layers)
	f := newFold(w, now, true)
	now = noon.Add(20 * time.Hour) // by a clock that was set back, it has not ended
	r.apply([]Rule{removalOf(facts[3]), removalOf(facts[4])}, nil)
	f.run()
	w.install(f)
	r.publish()
	s := r.snapshot.Load()
	if s.Len(KindSub) != 8 || len(w.removals) != 1 {
		t.Errorf("%d rules, and %d removals to come", s.Len(KindSub), len(w.removals))
	}
	for i := range 10 {
		if got, want := s.Revokes(subjectOf(fmt.Sprint("value-", i)), "", now), i != 3 && i != 4; got != want {
			t.Errorf("rule %d: %v", i, got)
		}
	}
}

// What comes while a fold runs goes into a layer that the fold does not read, however small the
// newest of those is that it reads.
func TestAChangeBesideAFold(t *testing.T) {
	t.Parallel()
	r := newRules(func() bool { return true }, func() time.Time { return noon })
	r.apply(numbered(KindSub, 0, 3000), nil)
	r.apply(numbered(KindSub, 3000, 3010), nil)
	w := &r.kinds[KindSub]
	w.folding = len(w.layers)
	f := newFold(w, noon, true)
	r.apply(numbered(KindSub, 3010, 3020), nil)
	r.apply(numbered(KindSub, 3020, 3030), nil)
	f.run()
	w.install(f)
	r.publish()
	s := r.snapshot.Load()
	if s.Len(KindSub) != 3030 || len(w.layers) != 2 {
		t.Errorf("%d rules in %d layers", s.Len(KindSub), len(w.layers))
	}
	for i := range 3030 {
		if !s.Revokes(subjectOf(fmt.Sprint("value-", i)), "", noon) {
			t.Fatalf("rule %d is lost", i)
		}
	}
}

// A rule that is forgotten leaves a gap if there is another for the same thing behind it.
// The gap has no effect, is filled, and keeps nobody from making the rule again.
func TestGaps(t *testing.T) {
	t.Parallel()
	now := noon
	r := newRules(func() bool { return true }, func() time.Time { return now })
	folded := func() *Snapshot { // an hour later, another thing's rule starts a fold
		now = now.Add(2 * time.Hour)
		r.apply([]Rule{{ID: uint32(now.Unix()), Kind: KindSub, Value: "other", End: now.Add(time.Minute)}}, nil)
		return r.snapshot.Load()
	}
	cells := func(s *Snapshot, value string) (n int) {
		for at := hashOf(KindSub, value); s.kinds[KindSub].layers[0].find(at) != nil; at = at.next() {
			n++
		}
		return n
	}
	ends := func(id uint32, end time.Duration) Rule {
		return Rule{ID: id, Kind: KindSub, Value: "alice", End: noon.Add(end)}
	}
	lasting := Rule{ID: 100, Kind: KindSub, Value: "alice", Issuer: "i"}
	r.apply([]Rule{ends(1, time.Minute), ends(2, time.Hour), lasting, ends(3, time.Minute), ends(4, time.Minute)}, nil)
	revoked := func(s *Snapshot, issuer string) bool {
		return s.Revokes(NewSubject(&Token{Subject: "alice", Issuer: issuer}), "", noon)
	}
	if s := folded(); !revoked(s, "") || !revoked(s, "i") || cells(s, "alice") != 5 {
		t.Fatalf("it does not hold, or has %d cells", cells(s, "alice"))
	}
	now = noon.Add(48 * time.Hour)
	s := folded()
	if revoked(s, "") || !revoked(s, "i") || cells(s, "alice") != 3 {
		t.Errorf("revoked %v, of the issuer %v, in %d cells", revoked(s, ""), revoked(s, "i"), cells(s, "alice"))
	}
	// By a clock that was set right again, one has not ended, and comes from an old object.
	now = noon
	r.apply([]Rule{ends(2, time.Hour)}, nil)
	if !revoked(r.snapshot.Load(), "") {
		t.Error("a rule that was forgotten can't come back")
	}
	r.apply([]Rule{{ID: 101, Kind: KindSub, Value: "alice", Issuer: "j"}}, nil)
	s = folded()
	if !revoked(s, "") || !revoked(s, "i") || !revoked(s, "j") || cells(s, "alice") != 3 {
		t.Errorf("%d cells, two of which were gaps", cells(s, "alice"))
	}
}

// A removal is no rule, not even where a rule is looked for.
func TestARemovalRefusesNothing(t *testing.T) {
	t.Parallel()
	l := newLayer(1, nil)
	h := hashOf(KindSub, "alice")
	l.place(h, cell{notBefore: isRemoval, id: 5})
	l.filter.add(h)
	x := &index{layers: []*layer{l}, live: 1}
	if x.refuses(h, NewSubject(&alice), noon.Unix(), 0) || x.has(h, 5, 0) || x.count(h, noon.Unix(), 0) != 0 {
		t.Error("a removal is taken for a rule")
	}
}

func TestOnlyWhatIsNewIsLearned(t *testing.T) {
	t.Parallel()
	r := newRules(func() bool { return true }, func() time.Time { return noon })
	facts := numbered(KindJTI, 0, 3)
	for _, step := range []struct {
		facts []Rule
		want  int
	}{
		{facts[:2], 2}, {facts, 1}, {facts, 0}, {[]Rule{removalOf(facts[0])}, 1}, {[]Rule{removalOf(facts[0]), facts[0]}, 0},
		{[]Rule{{ID: 9, Kind: KindJTI, Value: "ended", End: noon.Add(-25 * time.Hour)}}, 0}, {[]Rule{facts[0], removalOf(Rule{ID: 8, Kind: KindJTI, Value: "x"})}, 1},
	} {
		before, n := r.snapshot.Load(), 0
		r.apply(step.facts, func(*Rule) { n++ })
		if n != step.want {
			t.Errorf("%d are learned of %+v", n, step.facts)
		}
		if n == 0 && r.snapshot.Load() != before {
			t.Error("a snapshot is published though nothing has changed")
		}
	}
}
