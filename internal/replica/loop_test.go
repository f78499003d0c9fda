package replica

import (
	"context"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
)

// until advances the clock by steps of a second until something is so.
func until(t *testing.T, c *clock.Fake, what string, so func() bool) (took time.Duration) {
	t.Helper()
	from := c.Now()
	for end := time.Now().Add(20 * time.Second); !so(); {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(time.Millisecond) // for the loop to come so far
		c.Advance(100 * time.Millisecond)
	}
	return c.Now().Sub(from)
}

func TestStartKeepsTheSetInStep(t *testing.T) {
	t.Parallel()
	m, c := newMemory(), clock.NewFake(noon)
	ready(t, m, c)
	a, b := newNode(m, c), newNode(m, c)
	a.Start()
	a.Start()
	select {
	case <-a.Ready(): // the second sync follows the first at once: the clock stands still
	case <-time.After(10 * time.Second):
		t.Fatal("never ready")
	}
	if s := a.Status(); !s.StartedAt.Equal(noon) || !s.Ready {
		t.Errorf("%+v", s)
	}
	b.Start()
	if _, err := b.Tighten(t.Context(), []word{w("new")}); err != nil {
		t.Fatal(err)
	}
	until(t, c, "the other node has it", func() bool { return a.holds(w("new")) })
	other := newMemory()
	x := ready(t, other, c)
	if _, err := x.Tighten(t.Context(), []word{w("elsewhere")}); err != nil {
		t.Fatal(err)
	}
	a.Rebind(Binding{Objects: other, Interval: 5 * time.Second}, false)
	until(t, c, "what the new storage has", func() bool { return a.holds(w("elsewhere")) })
	for _, n := range []*node{a, b} {
		n.Close(t.Context())
		n.Close(t.Context())
	}
	lists := m.count("list") + other.count("list")
	c.Advance(time.Hour)
	if n := m.count("list") + other.count("list"); n != lists {
		t.Error("it goes on after Close")
	}
}

func TestCloseStoresWhatWaits(t *testing.T) {
	t.Parallel()
	m, c := newMemory(), clock.NewFake(noon)
	a := ready(t, m, c)
	m.on(broken("store"))
	if stored, err := a.Tighten(t.Context(), []word{w("late")}); stored || err != nil {
		t.Fatal(stored, err)
	}
	m.on(nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a.Close(ctx)
	if n := len(m.names()); n != 1 {
		t.Error("it does not heed its context")
	}
	a.Close(t.Context())
	if n := len(m.names()); n != 2 {
		t.Error("it is not stored")
	}
}

func TestReadGoesThroughTheObjectsInUse(t *testing.T) {
	t.Parallel()
	m, c := newMemory(), clock.NewFake(noon)
	a := ready(t, m, c)
	for i := range 40 {
		c.Advance(time.Second)
		gone := w("x%d", i)
		gone.Gone = true
		if _, err := a.Tighten(t.Context(), []word{w("%d", i), w("x%d", i), gone}); err != nil {
			t.Fatal(err)
		}
	}
	m.on(broken("store"))
	if _, err := a.Tighten(t.Context(), []word{w("unstored")}); err != nil {
		t.Fatal(err)
	}
	m.on(nil)
	read := func(after string, limit int) (words []word, objects []string) {
		err := a.Read(t.Context(), after, func(object string, facts []word) bool {
			words, objects = append(words, facts...), append(objects, object)
			return len(objects) < limit
		})
		if err != nil {
			t.Fatal(err)
		}
		return words, objects
	}
	all, objects := read("", 1000)
	if len(all) != 2+2*40 || len(objects) != 42 {
		t.Errorf("%d words in %d objects", len(all), len(objects))
	}
	page, first := read("", 20)
	rest, _ := read(first[19], 1000)
	if len(first) != 20 || len(page)+len(rest) != len(all) {
		t.Errorf("%d and %d words", len(page), len(rest))
	}
	a.turn(t)
	if all, objects = read("", 1000); len(objects) > 3 || len(all) != 2+2*40 {
		t.Errorf("%d words in %d objects after the merge", len(all), len(objects))
	}
	// What vanishes while it is read is in the merge.
	b := begun(m, c)
	for i := range 32 {
		if _, err := a.Tighten(t.Context(), []word{w("y%d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.Replica.mu.Lock()
	for _, o := range b.state.objects {
		b.state.letGo(o)
	}
	b.Replica.mu.Unlock()
	a.turn(t)
	c.Advance(grace + time.Second)
	a.turn(t)
	seen := map[word]bool{}
	if err := b.Read(t.Context(), "", func(_ string, facts []word) bool {
		for _, f := range facts {
			seen[f] = true
		}
		return true
	}); err != nil {
		t.Fatal(err)
	}
	if len(seen) != 2+2*40+32 {
		t.Errorf("%d words", len(seen))
	}
}

func TestWhatIsKeptForHealingIsBounded(t *testing.T) {
	t.Parallel()
	s := newState()
	for i := range 1000 {
		o := &object{name: nameOf(int64(i), nil), unstored: i == 0}
		s.objects[o.name] = o
		s.keep(o, make([]byte, maxKept))
	}
	if s.kept > maxKeptAll || s.objects[nameOf(0, nil)].raw == nil || s.objects[nameOf(999, nil)].raw == nil || s.objects[nameOf(1, nil)].raw != nil {
		t.Errorf("%d bytes are kept, or the wrong ones", s.kept)
	}
	if len(s.keepers) > maxKeptAll/maxKept+1 {
		t.Errorf("%d keepers", len(s.keepers))
	}
	for name := range s.objects {
		s.drop(name)
	}
	for i := range 200 {
		o := &object{name: nameOf(int64(i), nil)}
		s.objects[o.name] = o
		s.keep(o, []byte{1})
		s.drop(o.name)
	}
	if s.kept != 0 || len(s.keepers) > 100 {
		t.Errorf("%d bytes of %d keepers, although all are gone", s.kept, len(s.keepers))
	}
	o := &object{name: nameOf(5000, nil)}
	s.objects[o.name] = o
	if s.keep(o, make([]byte, maxKept+1)); o.raw != nil {
		t.Error("a large one is kept")
	}
}
