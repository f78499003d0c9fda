package replica

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
)

// ready makes a node with a set that has a word.
func ready(t *testing.T, m *memory, c *clock.Fake, change ...func(*Config[word])) *node {
	t.Helper()
	n := begun(m, c, append(change, func(c *Config[word]) { c.Local = true })...)
	n.turn(t)
	n.turn(t)
	if _, err := n.Tighten(t.Context(), []word{w("a")}); err != nil || !n.Status().Ready {
		t.Fatal(err, n.Status())
	}
	return n
}

func TestWithTheSameStorageNothingIsForgotten(t *testing.T) {
	t.Parallel()
	m, c := newMemory(), clock.NewFake(noon)
	a := ready(t, m, c)
	loads := m.count("load")
	a.Rebind(Binding{Objects: m, Interval: time.Second}, true)
	a.turn(t)
	if s := a.Status(); !s.Ready || s.Objects != 1 || m.count("load") != loads {
		t.Errorf("%+v, %d loads", s, m.count("load")-loads)
	}
}

func TestWithAnotherStorageWhatIsInMemoryStaysInForce(t *testing.T) {
	t.Parallel()
	m, c := newMemory(), clock.NewFake(noon)
	a := ready(t, m, c)
	m.on(broken("store"))
	if stored, err := a.Tighten(t.Context(), []word{w("unstored")}); err != nil || stored {
		t.Fatal(stored, err)
	}
	other := newMemory()
	b := ready(t, other, c)
	if _, err := b.Tighten(t.Context(), []word{w("b")}); err != nil {
		t.Fatal(err)
	}
	a.Rebind(Binding{Objects: other, Interval: time.Second}, false)
	for range 5 {
		if !a.Status().Ready {
			t.Error("requests would be refused")
		}
		a.turn(t)
		c.Advance(5 * time.Second)
	}
	for _, f := range []word{w("a"), w("b"), w("unstored")} {
		if !a.holds(f) {
			t.Errorf("%v does not hold", f)
		}
	}
	fresh := begun(other, c)
	fresh.turn(t)
	if !fresh.holds(w("unstored")) || !fresh.holds(w("b")) || len(other.names()) != 3 {
		t.Error("what waited is not stored, or what was in the other storage is", fresh.has)
	}
	if s := a.Status(); s.Objects != 3 || s.Unstored != 0 {
		t.Errorf("%+v", s)
	}
}

func TestANodeThatIsNotReadyNeedsTwoSyncsWithTheNewStorage(t *testing.T) {
	t.Parallel()
	m, other, c := newMemory(), newMemory(), clock.NewFake(noon)
	ready(t, m, c)
	ready(t, other, c)
	a := begun(m, c)
	a.turn(t)
	a.Rebind(Binding{Objects: other, Interval: time.Second}, false)
	a.turn(t)
	if a.Status().Ready {
		t.Error("ready after one sync with it")
	}
	if a.turn(t); !a.Status().Ready {
		t.Error("never ready")
	}
}

// A reload closes the storage while calls are under way. They end with it, and are made again
// on the new one.
func TestCallsUnderWayAreMadeAgainOnTheNewStorage(t *testing.T) {
	t.Parallel()
	for _, same := range []bool{true, false} {
		m, other, c := newMemory(), newMemory(), clock.NewFake(noon)
		a := ready(t, m, c)
		ready(t, other, c)
		began := make(chan string, 10)
		a.Rebind(Binding{Objects: stuck{m, began}, Interval: time.Second}, true)
		wrote, synced := make(chan error), make(chan error)
		go func() { wrote <- a.Loosen(t.Context(), []word{w("late")}) }()
		go func() { synced <- a.Sync(t.Context()) }()
		<-began
		<-began
		a.Rebind(Binding{Objects: other, Interval: time.Second}, same)
		if err := <-wrote; err != nil {
			t.Errorf("same %v: the write: %v", same, err)
		}
		if err := <-synced; err != nil {
			t.Errorf("same %v: the sync: %v", same, err)
		}
		b := begun(other, c)
		b.turn(t)
		if !b.holds(w("late")) {
			t.Errorf("same %v: it is not in the new storage", same)
		}
	}
}

// stuck is a storage that was closed: its calls end only with their context.
type stuck struct {
	*memory
	began chan<- string
}

func (s stuck) wait(ctx context.Context, call string) error {
	s.began <- call
	<-ctx.Done()
	return errors.New("the storage is closed")
}

func (s stuck) List(ctx context.Context) ([]string, error) { return nil, s.wait(ctx, "list") }

func (s stuck) Store(ctx context.Context, _ string, _ []byte) error { return s.wait(ctx, "store") }
