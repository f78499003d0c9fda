package replica

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
)

// The listing of a node is slow: it looks at half of the names, others merge and delete what
// they merged, and it looks at the rest. It must have everything all the same, which is what
// the grace is for.
func TestASlowListingMissesNothingThanksToTheGrace(t *testing.T) {
	t.Parallel()
	for _, without := range []bool{false, true} {
		m, c := newMemory(), clock.NewFake(noon)
		writer := begun(m, c)
		if without {
			writer.knobs.grace = 0
		}
		writer.turn(t)
		const n = 58
		for i := range n {
			if _, err := writer.Tighten(t.Context(), []word{w("%d", i)}); err != nil {
				t.Fatal(err)
			}
		}
		all := m.names()
		const half = 26 // are looked at in time, and not merged
		for _, name := range all[n-half:] {
			writer.state.objects[name].foreign = true
		}
		first := true
		slow := &memory{objects: m.objects, calls: m.calls}
		slow.short = func(names []string) []string {
			if !first {
				return names
			}
			first = false
			seen := slices.Clone(names[n-half:])
			for range 3 {
				c.Advance(3 * time.Second)
				writer.turn(t)
			}
			for _, name := range names[:n-half] {
				if m.content(name) != nil {
					seen = append(seen, name)
				}
			}
			return seen
		}
		reader := begun(slow, c)
		reader.turn(t)
		has := 0
		for i := range n {
			if reader.holds(w("%d", i)) {
				has++
			}
		}
		if without && has == n {
			t.Error("nothing is lost without a grace, so this test tests nothing")
		}
		if !without && has != n {
			t.Errorf("%d of %d words", has, n)
		}
	}
}

// That one object replaces another is believed only once this node has found it to be so.
func TestAReplacementThatLacksSomethingReplacesNothing(t *testing.T) {
	t.Parallel()
	m, c := newMemory(), clock.NewFake(noon)
	old, stored := seal(header{T: noon.Unix()}, lines(2), set, nil)
	m.put(old, stored)
	m.put(marker, markerContent(set, nil))
	end := noon.Add(-margin + time.Minute).Unix() // which others count as over already
	ended, endedStored := seal(header{T: noon.Unix(), Last: end}, [][]byte{words{}.Append(nil, word{W: "ended", End: end})}, set, nil)
	m.put(ended, endedStored)
	liar, lie := seal(header{T: noon.Unix(), Replaces: []string{old, ended}}, lines(1), set, nil)
	m.put(liar, lie)
	a := begun(m, c)
	for range 4 {
		a.turn(t)
		c.Advance(grace)
	}
	names := m.names()
	if !slices.Contains(names, old) || a.Status().Objects != 2 {
		t.Errorf("%q are left, %d in use", names, a.Status().Objects)
	}
	if slices.Contains(names, ended) {
		t.Error("what has ended keeps an object from being replaced")
	}
}

// In a cluster of two versions, the older one leaves alone what only the newer one knows.
func TestAnObjectOfANewerVersionIsNeitherMergedNorReplaced(t *testing.T) {
	t.Parallel()
	m, c := newMemory(), clock.NewFake(noon)
	m.put(marker, markerContent(set, nil))
	_, newer := seal(header{T: noon.Unix()}, lines(1), set, nil)
	newer = []byte(strings.Replace(string(newer), `"jwt":1`, `"jwt":2`, 1))
	tomorrow := nameOf(noon.Unix(), newer)
	m.put(tomorrow, newer)
	name, stored := seal(header{T: noon.Unix(), Replaces: []string{tomorrow}}, lines(2), set, nil)
	m.put(name, stored)
	a := begun(m, c)
	for i := range 40 {
		if _, err := a.Tighten(t.Context(), []word{w("%d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	for range 4 {
		a.turn(t)
		c.Advance(grace)
	}
	if names := m.names(); len(names) != 2 || !slices.Contains(names, tomorrow) {
		t.Errorf("%q are left", names)
	}
	if s := a.Status(); s.Damaged != 1 || s.Objects != 1 || s.Facts != 42 {
		t.Errorf("%+v", s)
	}
}

func TestWhatReplacesAReplacementReplacesAll(t *testing.T) {
	t.Parallel()
	m, c := newMemory(), clock.NewFake(noon)
	m.put(marker, markerContent(set, nil))
	one, stored := seal(header{T: noon.Unix()}, lines(1), set, nil)
	m.put(one, stored)
	two, stored := seal(header{T: noon.Unix(), Replaces: []string{one}}, lines(2), set, nil)
	m.put(two, stored)
	three, stored := seal(header{T: noon.Unix(), Replaces: []string{two}}, lines(3), set, nil)
	m.put(three, stored)
	a := begun(m, c)
	a.turn(t)
	if s := a.Status(); s.Objects != 1 || s.Facts != 3 {
		t.Errorf("%+v", s)
	}
	_ = m.Delete(t.Context(), two) // as another node does
	c.Advance(grace + time.Second)
	a.turn(t)
	a.turn(t)
	if names := m.names(); len(names) != 1 || names[0] != three {
		t.Errorf("%q are left", names)
	}
}

// What replaced an object and is lost replaces it no more.
func TestAReplacementThatIsLostReplacesNothing(t *testing.T) {
	t.Parallel()
	m, c := newMemory(), clock.NewFake(noon)
	m.put(marker, markerContent(set, nil))
	one, stored := seal(header{T: noon.Unix()}, lines(1), set, nil)
	m.put(one, stored)
	two, stored := seal(header{T: noon.Unix(), Replaces: []string{one}}, lines(2), set, nil)
	m.put(two, stored)
	a := begun(m, c)
	a.turn(t)
	a.Replica.mu.Lock()
	a.state.letGo(a.state.objects[two]) // so that it can't be healed
	a.Replica.mu.Unlock()
	_ = m.Delete(t.Context(), two)
	for range 3 {
		c.Advance(grace)
		a.turn(t)
	}
	if names := m.names(); len(names) != 1 || names[0] != one || a.isReplaced(one) {
		t.Errorf("%q are left", names)
	}
}

func TestNothingIsDeletedWithoutALookAtWhatReplacesIt(t *testing.T) {
	t.Parallel()
	m, c := newMemory(), clock.NewFake(noon)
	a := begun(m, c)
	a.turn(t)
	for i := range 32 {
		if _, err := a.Tighten(t.Context(), []word{w("%d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	a.turn(t)
	_, e := a.told(Merged)
	c.Advance(grace + time.Second)
	if err := a.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.put(e.Object, []byte("torn")) // after it was listed
	a.maintain(t.Context())
	if n := len(m.names()); n != 33 {
		t.Errorf("%d objects, want all", n)
	}
	// This node has its content, and repairs it.
	if n, _ := a.told(Healed); n != 1 || nameOf(noon.Unix(), m.content(e.Object)) != e.Object {
		t.Error("the merge is left torn")
	}
}

func TestWhatHasEndedIsForgottenUnlessTheClockIsNotTrusted(t *testing.T) {
	t.Parallel()
	for _, trust := range []bool{true, false} {
		m, c := newMemory(), clock.NewFake(noon)
		a := begun(m, c, func(c *Config[word]) { c.CanForget = func() bool { return trust } })
		a.turn(t)
		end := noon.Add(time.Hour).Unix()
		for i := range 33 {
			facts := []word{{W: fmt.Sprint("ends", i), End: end}}
			if i > 0 {
				facts = append(facts, w("%d", i))
			}
			if _, err := a.Tighten(t.Context(), facts); err != nil {
				t.Fatal(err)
			}
		}
		c.Advance(time.Hour + margin)
		a.Replica.knobs.from = 1000
		a.turn(t)
		if n := len(m.names()); n != 33 {
			t.Errorf("trusted %v: %d objects are left before the margin is over", trust, n)
		}
		c.Advance(2 * time.Second)
		a.turn(t)
		want := 33
		if trust {
			want = 32
		}
		if n := len(m.names()); n != want {
			t.Errorf("trusted %v: %d objects are left, want %d", trust, n, want)
		}
		a.Replica.knobs.from = 32
		a.turn(t)
		c.Advance(grace + time.Second)
		a.turn(t)
		want = 65
		if trust {
			want = 32
		}
		if s := a.Status(); s.Objects != 1 || s.Facts != want {
			t.Errorf("trusted %v: %d facts in %d objects, want %d", trust, s.Facts, s.Objects, want)
		}
		b := begun(m, c, func(c *Config[word]) { c.CanForget = func() bool { return trust } })
		b.turn(t)
		if len(b.has) != want {
			t.Errorf("trusted %v: a node that starts takes %d facts into force", trust, len(b.has))
		}
	}
}

func TestTwoNodesMakeTheSameMerge(t *testing.T) {
	t.Parallel()
	m, c := newMemory(), clock.NewFake(noon)
	a, b := begun(m, c), begun(m, c)
	a.turn(t)
	for i := range 40 {
		if _, err := a.Tighten(t.Context(), []word{w("%d", 39-i), w("same")}); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range []*node{a, b} {
		if err := n.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	a.maintain(t.Context())
	b.maintain(t.Context())
	_, one := a.told(Merged)
	_, two := b.told(Merged)
	if one.Object == "" || one.Object != two.Object || len(m.names()) != 41 {
		t.Errorf("%q and %q", one.Object, two.Object)
	}
	a.turn(t)
	if s := a.Status(); s.Objects != 1 || s.Facts != 41 {
		t.Errorf("%+v", s)
	}
}

func TestAMergeIsNoLargerThanAnObjectMayBe(t *testing.T) {
	t.Parallel()
	m, c := newMemory(), clock.NewFake(noon)
	a := begun(m, c)
	a.turn(t)
	for part := range slices.Chunk(noise(8000), 200) {
		if err := a.Loosen(t.Context(), part); err != nil {
			t.Fatal(err)
		}
	}
	a.Replica.knobs.from = 2
	for range 4 {
		a.turn(t)
		c.Advance(grace + time.Second)
	}
	s := a.Status()
	if s.Facts != 8000 || s.Objects < 2 || s.Objects > 4 {
		t.Errorf("%+v", s)
	}
	for _, name := range m.names() {
		if n := len(m.content(name)); n > maxStored-reserve {
			t.Errorf("%d bytes", n)
		}
	}
}

func TestObjectsThatFitIntoNoMergeKeepNoneFromMerging(t *testing.T) {
	t.Parallel()
	m, c := newMemory(), clock.NewFake(noon)
	a := begun(m, c)
	a.turn(t)
	n := 0
	for _, size := range []int{maxFacts * 6 / 10, maxFacts * 6 / 10, 1000, 1000} {
		var facts []word
		for range size {
			n++
			facts = append(facts, w("%d", n))
		}
		if err := a.Loosen(t.Context(), facts); err != nil {
			t.Fatal(err)
		}
		c.Advance(time.Second)
	}
	if len(m.names()) != 4 {
		t.Fatalf("%d objects", len(m.names()))
	}
	a.Replica.knobs.from = 2
	for range 6 {
		a.turn(t)
		c.Advance(grace + time.Second)
	}
	if s := a.Status(); s.Facts != n || s.Objects != 2 {
		t.Errorf("%+v", s)
	}
}

func TestAMergeThatDoesNotComeBackIsTakenAway(t *testing.T) {
	t.Parallel()
	m, c := newMemory(), clock.NewFake(noon)
	a := begun(m, c)
	a.turn(t)
	for i := range 40 {
		if _, err := a.Tighten(t.Context(), []word{w("%d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	m.cut = 300
	a.turn(t)
	if n := len(m.names()); n != 40 {
		t.Errorf("%d objects", n)
	}
	if _, e := a.told(Damaged); e.Err != errCutOff || a.state.limit >= maxStored/2 {
		t.Error(e.Err, a.state.limit)
	}
}

func TestAMergeWaitsForSomeTimeThatIsDrawn(t *testing.T) {
	t.Parallel()
	m, c := newMemory(), clock.NewFake(noon)
	a := begun(m, c)
	a.knobs.spread = time.Minute
	a.turn(t)
	for i := range 40 {
		if _, err := a.Tighten(t.Context(), []word{w("%d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	a.turn(t)
	a.Replica.mu.Lock()
	at := a.state.mergeAt
	a.Replica.mu.Unlock()
	if at.Before(noon) || at.After(noon.Add(time.Minute)) {
		t.Fatal(at)
	}
	c.Set(at.Add(-1))
	a.turn(t)
	if n, _ := a.told(Merged); n != 0 && at.After(noon) {
		t.Error("too early")
	}
	c.Set(at)
	a.turn(t)
	if n, _ := a.told(Merged); n != 1 {
		t.Error("not merged")
	}
}
