package replica

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
)

// halfMade is a storage in which the node that made the set was killed when the marker had a name and
// no content yet.
func halfMade() *memory {
	m := newMemory()
	m.objects[marker] = nil
	return m
}

func TestAMarkerWithoutContentIsStoredAgain(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		with func(*Config[word])
		keys [][]byte
		have func(m *memory) // besides
	}{
		"with a key": {keyed("k"), [][]byte{[]byte("k")}, func(*memory) {}},
		"with a key and a signed object": {keyed("k"), [][]byte{[]byte("k")}, func(m *memory) {
			name, stored := seal(header{T: noon.Unix()}, lines(1), set, [][]byte{[]byte("k")})
			m.put(name, stored)
		}},
		"with an object that has no content either": {func(*Config[word]) {}, nil, func(m *memory) {
			m.objects[nameOf(noon.Unix(), []byte("x"))] = nil
		}},
	} {
		m, fake := halfMade(), clock.NewFake(noon)
		c.have(m)
		a := begun(m, fake, c.with)
		a.turn(t)
		if got, want := string(m.content(marker)), string(markerContent(set, c.keys)); got != want {
			t.Errorf("%s: the marker has %q", what, got)
		}
		// As after making the set: others may be about to heal it.
		a.turn(t)
		if a.Status().Ready {
			t.Errorf("%s: ready at once", what)
		}
		fake.Advance(13 * time.Second)
		a.turn(t)
		if s := a.Status(); !s.Ready || s.Err != nil {
			t.Errorf("%s: %+v", what, s)
		}
	}
}

// Only a set all of whose objects are signed gets a signed marker.
func TestAMarkerIsNotSignedForObjectsThatAreNot(t *testing.T) {
	t.Parallel()
	for what, m := range map[string]*memory{"it has no content": halfMade(), "it is not there": newMemory()} {
		c := clock.NewFake(noon)
		name, stored := seal(header{T: noon.Unix()}, lines(1), set, nil)
		m.put(name, stored)
		name, stored = seal(header{T: noon.Unix()}, lines(2)[1:], set, [][]byte{[]byte("k")})
		m.put(name, stored)
		a := begun(m, c, keyed("k"))
		a.turn(t)
		c.Advance(time.Minute)
		a.turn(t)
		a.turn(t)
		if s := a.Status(); s.Ready || s.Loaded || !s.Unsigned || string(m.content(marker)) != markerText {
			t.Errorf("%s: %+v, and the marker has %q", what, s, m.content(marker))
		}
		if n, err := a.Accept(t.Context()); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		a.turn(t)
		if !a.Status().Ready || !a.holds(w("word 0")) {
			t.Errorf("%s: not ready after it was accepted", what)
		}
	}
}

func TestAMarkerThatCantBeReadIsLeftAlone(t *testing.T) {
	t.Parallel()
	down := errors.New("down")
	for what, fail := range map[string]func(m *memory) func(call, name string) error{
		"the storage is down": func(m *memory) func(call, name string) error {
			return func(call, name string) error {
				if call == "load" && name == marker {
					return down
				}
				return nil
			}
		},
		"it is down as soon as it has been listed": func(m *memory) func(call, name string) error {
			return func(call, _ string) error {
				switch {
				case call == "load":
					return fs.ErrNotExist
				case call == "list" && m.calls["list"] > 1:
					return down
				}
				return nil
			}
		},
		"it is listed no longer": func(m *memory) func(call, name string) error {
			m.short = func(names []string) []string {
				if m.calls["list"] > 1 {
					return nil
				}
				return names
			}
			return func(call, _ string) error {
				if call == "load" {
					return fs.ErrNotExist
				}
				return nil
			}
		},
	} {
		m := newMemory()
		m.put(marker, markerContent(set, [][]byte{[]byte("k")}))
		m.fail = fail(m)
		a := begun(m, clock.NewFake(noon), keyed("k"))
		if err := a.Sync(t.Context()); err == nil || m.count("store") != 0 || a.Status().Loaded {
			t.Errorf("%s: %v, and %d objects were stored", what, err, m.count("store"))
		}
	}
	// Who only reads makes no set.
	m := halfMade()
	a := New(Config[word]{Name: set, Binding: Binding{Objects: m, Interval: time.Second, Keys: [][]byte{[]byte("k")}}, Language: words{}, Apply: func([]word) {}})
	if err := a.Sync(t.Context()); !errors.Is(err, ErrNoSet) || m.count("store") != 0 {
		t.Errorf("not started: %v, and %d objects were stored", err, m.count("store"))
	}
}

// A rule that was made while nothing could be loaded is not the state in hand.
func TestAChangeIsNotWhatWasLoaded(t *testing.T) {
	t.Parallel()
	m := newMemory()
	m.on(broken("list", "load", "store", "probe"))
	a := begun(m, clock.NewFake(noon))
	_ = a.Sync(t.Context())
	if stored, err := a.Tighten(t.Context(), []word{w("a")}); stored || err != nil {
		t.Fatal(stored, err)
	}
	if a.Status().Loaded {
		t.Error("loaded")
	}
}

// What is no object does not keep the others from being read.
func TestAFolderWithTheNameOfAnObject(t *testing.T) {
	t.Parallel()
	m := newMemory()
	odd := nameOf(noon.Unix(), []byte("a folder"))
	a := begun(m, clock.NewFake(noon))
	a.turn(t)
	name, stored := seal(header{T: noon.Unix()}, lines(1), set, nil)
	m.put(odd, []byte("x"))
	m.put(name, stored)
	m.on(func(call, name string) error {
		if call == "load" && name == odd {
			return fmt.Errorf("%w", ErrNotObject)
		}
		return nil
	})
	a.turn(t)
	if s := a.Status(); s.Damaged != 1 || s.Err != nil || !a.holds(w("word 0")) {
		t.Errorf("%+v", s)
	}
}

// A Store that did not end may be made again a day later, a moment before the name would be
// deleted.
func TestANameThatGotItsContentLateIsNotDeleted(t *testing.T) {
	t.Parallel()
	m, c := newMemory(), clock.NewFake(noon)
	a := begun(m, c)
	a.turn(t)
	name, stored := seal(header{T: noon.Unix()}, lines(1), set, nil)
	m.objects[name] = nil
	a.turn(t)
	c.Advance(2 * retry)
	a.turn(t)
	c.Advance(ghostAge - 2*retry - time.Second)
	a.turn(t)
	m.on(func(call, _ string) error {
		if call == "list" { // behind it, the sync does not look at the name, as it did a moment ago
			m.put(name, stored)
		}
		return nil
	})
	c.Advance(2 * time.Second)
	a.turn(t)
	if m.content(name) == nil {
		t.Error("deleted")
	}
}
