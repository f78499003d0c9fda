package replica

import (
	"slices"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
)

func mirrored(m Objects) func(*Config[word]) {
	return func(c *Config[word]) { c.Mirror = m }
}

// restart makes a node that has loaded its mirror, as Start does.
func restart(t *testing.T, m Objects, mirror Objects, c clock.Clock) *node {
	n := begun(m, c, mirrored(mirror))
	n.loadMirror(t.Context())
	return n
}

func TestTheMirrorHasWhatTheStorageHas(t *testing.T) {
	t.Parallel()
	m, mirror, c := newMemory(), newMemory(), clock.NewFake(noon)
	a := ready(t, m, c, mirrored(mirror))
	b := begun(m, c)
	b.turn(t)
	for i := range 40 {
		if _, err := b.Tighten(t.Context(), []word{w("%d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	same := func() bool { return slices.Equal(m.names(), mirror.names()) }
	if a.turn(t); len(mirror.names()) < 41 {
		t.Errorf("%d and %d objects", len(m.names()), len(mirror.names()))
	}
	a.turn(t)
	c.Advance(grace + time.Second)
	a.turn(t)
	a.turn(t)
	if len(m.names()) != 1 || !same() {
		t.Errorf("%q and %q", m.names(), mirror.names())
	}
	// What others merged and deleted goes too.
	for i := range 40 {
		if _, err := b.Tighten(t.Context(), []word{w("more %d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.turn(t)
	b.turn(t)
	if err := a.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.Advance(grace + time.Second)
	b.turn(t)
	for range 2 {
		if err := a.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(m.names()) != 1 || !same() {
		t.Errorf("%q and %q", m.names(), mirror.names())
	}
}

func TestANodeStartsFromItsMirrorWhileTheStorageIsAway(t *testing.T) {
	t.Parallel()
	m, mirror, c := newMemory(), newMemory(), clock.NewFake(noon)
	a := ready(t, m, c, mirrored(mirror))
	a.turn(t)
	m.on(broken("list", "load", "store", "probe"))
	b := restart(t, m, mirror, c)
	if err := b.Sync(t.Context()); err == nil {
		t.Error("no error")
	}
	if s := b.Status(); s.Ready || !s.Loaded || s.Objects != 1 || !b.holds(w("a")) {
		t.Errorf("%+v", s)
	}
	m.on(nil)
	loads := m.count("load")
	b.turn(t)
	b.turn(t)
	if !b.Status().Ready || m.count("load") != loads {
		t.Error("not ready, or read again what the mirror has")
	}
}

func TestAnUnstoredChangeOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	m, mirror, c := newMemory(), newMemory(), clock.NewFake(noon)
	a := ready(t, m, c, mirrored(mirror))
	a.turn(t)
	m.on(broken("store"))
	if stored, err := a.Tighten(t.Context(), []word{w("202")}); stored || err != nil {
		t.Fatal(stored, err)
	}
	m.on(nil)
	b := restart(t, m, mirror, c) // a was killed
	for range 3 {
		b.turn(t)
	}
	fresh := begun(m, c)
	fresh.turn(t)
	if !fresh.holds(w("202")) {
		t.Error("it is lost")
	}
}

func TestTheMirrorFillsAnEmptiedStorageBeforeTheMarkerIsThere(t *testing.T) {
	t.Parallel()
	mirror, c := newMemory(), clock.NewFake(noon)
	a := ready(t, newMemory(), c, mirrored(mirror))
	a.turn(t)
	empty := newMemory()
	b := restart(t, empty, mirror, c)
	empty.on(func(call, name string) error {
		if call == "store" && name == marker && len(empty.names()) == 0 {
			t.Error("the marker is there first")
		}
		return nil
	})
	b.turn(t)
	if len(empty.names()) != 1 {
		t.Error("not filled")
	}
}

// noise returns facts that don't compress.
func noise(n int) []word {
	var facts []word
	for i := range n {
		facts = append(facts, w("%s%s", nameOf(1, []byte{1, byte(i), byte(i >> 8)}), nameOf(2, []byte{2, byte(i), byte(i >> 8)})))
	}
	return facts
}

func TestALargeObjectIsHealedFromTheMirror(t *testing.T) {
	t.Parallel()
	m, mirror, c := newMemory(), newMemory(), clock.NewFake(noon)
	a, b := begun(m, c), begun(m, c, mirrored(mirror))
	a.turn(t)
	if err := a.Loosen(t.Context(), noise(3000)); err != nil {
		t.Fatal(err)
	}
	name := m.names()[0]
	if len(m.content(name)) <= maxKept {
		t.Fatal("it is not large")
	}
	b.turn(t)
	_ = m.Delete(t.Context(), name)
	b.turn(t)
	b.turn(t)
	if nameOf(noon.Unix(), m.content(name)) != name {
		t.Error("it is lost")
	}
}

func TestAMirrorThatIsOldBringsNothingBack(t *testing.T) {
	t.Parallel()
	m, mirror, c := newMemory(), newMemory(), clock.NewFake(noon)
	ready(t, m, c, mirrored(mirror)).turn(t)
	b := begun(m, c)
	b.turn(t)
	for i := range 40 {
		if _, err := b.Tighten(t.Context(), []word{w("%d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	b.turn(t)
	c.Advance(grace + time.Second)
	b.turn(t)
	left := m.names()
	late := restart(t, m, mirror, c)
	for range 4 {
		late.turn(t)
	}
	if !slices.Equal(m.names(), left) || !slices.Equal(mirror.names(), left) {
		t.Errorf("%q and %q, want %q", m.names(), mirror.names(), left)
	}
}

func TestAMirrorThatFailsChangesNothing(t *testing.T) {
	t.Parallel()
	m, mirror, c := newMemory(), newMemory(), clock.NewFake(noon)
	mirror.on(broken("list", "load", "store", "delete"))
	a := ready(t, m, c, mirrored(mirror))
	b := restart(t, m, mirror, c)
	b.turn(t)
	b.turn(t)
	if !a.Status().Ready || !b.Status().Ready || !b.holds(w("a")) {
		t.Error("not ready")
	}
	// A damaged object of it is as none, and one that is lost is healed from the other nodes.
	mirror.on(nil)
	mirror.put(m.names()[0], []byte("torn"))
	d := restart(t, m, mirror, c)
	if s := d.Status(); s.Loaded || s.Objects != 0 {
		t.Errorf("%+v", s)
	}
	if d.turn(t); !d.holds(w("a")) || string(mirror.content(m.names()[0])) == "torn" {
		t.Error("the mirror is not repaired")
	}
}
