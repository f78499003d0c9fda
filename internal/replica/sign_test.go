package replica

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
)

func keyed(keys ...string) func(*Config[word]) {
	return func(c *Config[word]) {
		for _, k := range keys {
			c.Keys = append(c.Keys, []byte(k))
		}
	}
}

func TestObjectsWithoutASignatureAreIgnoredWhereThereIsAKey(t *testing.T) {
	t.Parallel()
	m, c := newMemory(), clock.NewFake(noon)
	a, bare, other := begun(m, c, keyed("k")), begun(m, c), begun(m, c, keyed("other"))
	a.turn(t)
	if verifyMAC(m.content(marker), set, [][]byte{[]byte("k")}) != 0 {
		t.Error("the marker is not signed")
	}
	for _, n := range []*node{a, bare, other} {
		if _, err := n.Tighten(t.Context(), []word{w("by %v", n.bound.Load().Keys)}); err != nil && n != bare && n != other {
			t.Fatal(err)
		}
	}
	a.turn(t)
	b := begun(m, c, keyed("new", "k"))
	b.turn(t)
	b.turn(t)
	if s := b.Status(); !s.Ready || s.Unsigned || s.Damaged != 2 || len(b.has) != 1 {
		t.Errorf("%+v, %v", s, b.has)
	}
	if _, e := b.told(Damaged); !errors.Is(e.Err, ErrUnsigned) || e.Object == "" {
		t.Error(e)
	}
	other.turn(t)
	other.turn(t)
	if s := other.Status(); s.Ready || !s.Unsigned {
		t.Errorf("with another key: %+v", s)
	}
	bare.turn(t)
	if len(bare.has) != 3 {
		t.Error("without a key, all count", bare.has)
	}
}

func TestNobodyMergesWhatHeCantSignAlike(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what        string
		write, read []string
	}{
		{"signed, by who has no key", []string{"k"}, nil},
		{"unsigned, by who has one", nil, []string{"k"}},
	} {
		m, fake := newMemory(), clock.NewFake(noon)
		a, b := begun(m, fake, keyed(c.write...)), begun(m, fake)
		a.turn(t)
		for i := range 40 {
			if _, err := a.Tighten(t.Context(), []word{w("%d", i)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		// They were read before there was a key.
		next := Binding{Objects: m, Interval: time.Second}
		for _, k := range c.read {
			next.Keys = append(next.Keys, []byte(k))
		}
		if c.read != nil {
			b.Replica.Rebind(next, true)
		}
		before := len(m.names())
		b.turn(t)
		b.turn(t)
		if n := len(m.names()); n != before {
			t.Errorf("%s: merged, %d objects", c.what, n)
		}
		if n, _ := b.told(Merged); n != 0 {
			t.Errorf("%s: merged", c.what)
		}
	}
}

func TestASetThatWasMadeBeforeTheKeyCountsOnceItIsAccepted(t *testing.T) {
	t.Parallel()
	m, c := newMemory(), clock.NewFake(noon)
	old := begun(m, c)
	old.turn(t)
	for i := range 3 {
		if _, err := old.Tighten(t.Context(), []word{w("%d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	a := begun(m, c, keyed("k"))
	a.turn(t)
	a.turn(t)
	a.turn(t)
	if s := a.Status(); s.Ready || !s.Unsigned || s.Damaged != 3 {
		t.Fatalf("%+v", s)
	}
	if _, err := old.Accept(t.Context()); !errors.Is(err, ErrNoKey) {
		t.Error(err)
	}
	n, err := a.Accept(t.Context())
	if err != nil || n != 3 {
		t.Fatal(n, err)
	}
	a.turn(t)
	if s := a.Status(); !s.Ready || s.Unsigned || s.Damaged != 0 || s.Objects != 3 || !a.holds(w("2")) {
		t.Errorf("%+v", s)
	}
	if n, err := a.Accept(t.Context()); n != 0 || err != nil {
		t.Error("accepted twice:", n, err)
	}
	c.Advance(grace + time.Second)
	a.turn(t)
	for _, name := range m.names() {
		if !strings.Contains(string(m.content(name)), `{"mac":"`) {
			t.Errorf("%s is left", name)
		}
	}
	// Rotation: the new key signs, both verify, and Accept signs the rest.
	b := begun(m, c, keyed("new", "k"))
	b.turn(t)
	if n, err := b.Accept(t.Context()); n != 3 || err != nil {
		t.Error(n, err)
	}
	c.Advance(grace + time.Second)
	b.turn(t)
	b.turn(t)
	only := begun(m, c, keyed("new"))
	only.turn(t)
	only.turn(t)
	if s := only.Status(); !s.Ready || s.Unsigned || s.Damaged != 0 || len(only.has) != 3 {
		t.Errorf("%+v", s)
	}
}

func TestWhatWaitsToBeStoredIsSignedWithTheKeyOfNow(t *testing.T) {
	t.Parallel()
	m, c := newMemory(), clock.NewFake(noon)
	a := begun(m, c, keyed("k"))
	a.turn(t)
	m.on(broken("store"))
	if stored, err := a.Tighten(t.Context(), []word{w("a")}); stored || err != nil {
		t.Fatal(stored, err)
	}
	m.on(nil)
	a.Replica.Rebind(Binding{Objects: m, Interval: time.Second, Keys: [][]byte{[]byte("new")}}, true)
	a.turn(t)
	name := m.names()[0]
	if _, err := open(name, m.content(name), set, [][]byte{[]byte("new")}); err != nil {
		t.Error(err)
	}
	if s := a.Status(); s.Unstored != 0 || s.Objects != 1 {
		t.Errorf("%+v", s)
	}
}
