package replica

import (
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
)

func TestWhatOneNodeWritesAnotherReads(t *testing.T) {
	t.Parallel()
	m, c := newMemory(), clock.NewFake(noon)
	a, b := begun(m, c), begun(m, c)
	a.turn(t)
	if stored, err := a.Tighten(t.Context(), []word{w("a"), w("b")}); err != nil || !stored {
		t.Fatal(stored, err)
	}
	if err := a.Loosen(t.Context(), []word{w("c")}); err != nil {
		t.Fatal(err)
	}
	b.turn(t)
	if b.Status().Ready {
		t.Error("ready after one sync")
	}
	b.turn(t)
	if !b.Status().Ready || !b.holds(w("a")) || !b.holds(w("b")) || !b.holds(w("c")) {
		t.Error(b.Status(), b.has)
	}
	select {
	case <-b.Ready():
	default:
		t.Error("the channel is not closed")
	}
	var read []word
	if err := b.Read(t.Context(), "", func(_ string, facts []word) bool { read = append(read, facts...); return true }); err != nil || len(read) != 3 {
		t.Error(read, err)
	}
	if s := b.Status(); s.Objects != 2 || s.Facts != 3 || !s.Newest.Equal(noon) || !s.SyncedAt.Equal(noon) {
		t.Errorf("%+v", s)
	}
}

func TestSmallObjectsAreMergedAndDeletedLater(t *testing.T) {
	t.Parallel()
	m, c := newMemory(), clock.NewFake(noon)
	a, b := begun(m, c), begun(m, c)
	a.turn(t)
	for i := range 40 {
		if stored, err := a.Tighten(t.Context(), []word{w("%d", i)}); err != nil || !stored {
			t.Fatal(stored, err)
		}
	}
	a.turn(t)
	if n := len(m.names()); n != 41 {
		t.Fatalf("%d objects, want the merge too", n)
	}
	b.turn(t)
	if s := b.Status(); s.Objects != 1 || s.Facts != 40 {
		t.Errorf("%+v", s)
	}
	c.Advance(grace - time.Second)
	a.turn(t)
	b.turn(t)
	if n := len(m.names()); n != 41 {
		t.Fatalf("%d objects: something was deleted too early", n)
	}
	c.Advance(2 * time.Second)
	a.turn(t)
	if n := len(m.names()); n != 1 {
		t.Fatalf("%d objects, want the merge", n)
	}
	b.turn(t)
	b.turn(t)
	if n := len(m.names()); n != 1 {
		t.Errorf("%d objects: the other node stored them again", n)
	}
	fresh := begun(m, c)
	fresh.turn(t)
	for i := range 40 {
		if !fresh.holds(w("%d", i)) {
			t.Errorf("%d is lost", i)
		}
	}
}
