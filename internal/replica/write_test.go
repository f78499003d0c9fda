package replica

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
)

var errBroken = errors.New("the disk is full")

// broken fails calls of the given names.
func broken(calls ...string) func(call, name string) error {
	return func(call, name string) error {
		for _, c := range calls {
			if c == call {
				return errBroken
			}
		}
		return nil
	}
}

func TestManyWritersShareObjectsAndNoneIsLost(t *testing.T) {
	t.Parallel()
	m := newMemory()
	m.on(func(call, _ string) error { // as a disk takes its time
		if call == "store" {
			time.Sleep(time.Millisecond)
		}
		return nil
	})
	a, b := begun(m, clock.Real{}), begun(m, clock.Real{})
	a.turn(t)
	b.turn(t)
	var writers sync.WaitGroup
	for i := range 1000 {
		for at, n := range []*node{a, b} {
			writers.Go(func() {
				if stored, err := n.Tighten(t.Context(), []word{{W: "tight", ID: uint32(2*i + at + 1)}}); err != nil || !stored {
					t.Error(stored, err)
				}
			})
		}
	}
	writers.Wait()
	if n := m.count("store"); n > 1000 {
		t.Errorf("%d calls of Store for 2,000 changes", n)
	}
	fresh := begun(m, clock.Real{})
	fresh.turn(t)
	for i := range 2000 {
		if !fresh.holds(word{W: "tight", ID: uint32(i + 1)}) {
			t.Fatalf("%d is lost", i+1)
		}
	}
}

func TestWhatTightensAndWhatLoosensIsNeverInOneObject(t *testing.T) {
	t.Parallel()
	m := newMemory()
	a := begun(m, clock.NewFake(noon))
	a.turn(t)
	hold := make(chan struct{})
	m.on(func(call, _ string) error {
		if call == "store" {
			<-hold
		}
		return nil
	})
	var writers sync.WaitGroup
	for i := range 20 {
		writers.Go(func() { _, _ = a.Tighten(t.Context(), []word{w("tight%d", i)}) })
		writers.Go(func() { _ = a.Loosen(t.Context(), []word{w("loose%d", i)}) })
	}
	close(hold)
	writers.Wait()
	for _, name := range m.names() {
		content := string(m.content(name))
		if strings.Contains(content, "tight") && strings.Contains(content, "loose") {
			t.Errorf("%s has both:\n%s", name, content)
		}
	}
}

func TestWhatTightensHoldsAtOnceAndIsStoredLater(t *testing.T) {
	t.Parallel()
	m := newMemory()
	a, b := begun(m, clock.NewFake(noon)), begun(m, clock.NewFake(noon))
	a.turn(t)
	m.on(broken("store"))
	if stored, err := a.Tighten(t.Context(), []word{w("a")}); err != nil || stored {
		t.Fatal(stored, err)
	}
	if n, e := a.told(Unstored); !a.holds(w("a")) || n != 1 || e.Status.Unstored != 1 {
		t.Error("it should hold, and be told of as unstored", n, e.Status)
	}
	// A full disk keeps nobody from reading.
	if err := a.Sync(t.Context()); err != nil {
		t.Error(err)
	}
	m.on(nil)
	a.turn(t)
	if n, _ := a.told(Stored); n != 1 || a.Status().Unstored != 0 {
		t.Error("it should be told of as stored")
	}
	b.turn(t)
	if !b.holds(w("a")) {
		t.Error("the other node does not have it")
	}
}

func TestWhatLoosensHoldsOnlyOnceItIsStored(t *testing.T) {
	t.Parallel()
	m := newMemory()
	a := begun(m, clock.NewFake(noon))
	a.turn(t)
	m.on(broken("store"))
	if err := a.Loosen(t.Context(), []word{w("a")}); !errors.Is(err, ErrNotStored) || !errors.Is(err, errBroken) {
		t.Fatal(err)
	}
	m.on(nil)
	a.turn(t)
	a.turn(t)
	if a.holds(w("a")) || len(m.names()) != 0 || a.Status().Unstored != 0 {
		t.Error("it was kept all the same")
	}
	if err := a.Loosen(t.Context(), []word{w("a")}); err != nil || !a.holds(w("a")) {
		t.Error(err)
	}
}

func TestAStorageThatHangsEndsAWriteAfterItsTime(t *testing.T) {
	t.Parallel()
	m, c := newMemory(), clock.NewFake(noon)
	a := begun(hanging{m}, c)
	done := make(chan error, 1)
	if err := begun(m, c).Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	go func() { done <- a.Loosen(t.Context(), []word{w("a")}) }()
	for {
		select {
		case err := <-done:
			if !errors.Is(err, ErrNotStored) || !errors.Is(err, errSlow) {
				t.Error(err)
			}
			return
		default:
			c.Advance(callLimit / 4)
		}
	}
}

// hanging is a storage whose Store never ends of itself.
type hanging struct{ *memory }

func (hanging) Store(ctx context.Context, _ string, _ []byte) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

func TestWhoGivesUpWaitingLosesNothing(t *testing.T) {
	t.Parallel()
	m := newMemory()
	a := begun(m, clock.NewFake(noon))
	a.turn(t)
	hold, began := make(chan struct{}), make(chan struct{}, 10)
	m.on(func(call, _ string) error {
		if call == "store" {
			began <- struct{}{}
			<-hold
		}
		return nil
	})
	var writers sync.WaitGroup
	writers.Go(func() { _, _ = a.Tighten(t.Context(), []word{w("first")}) })
	<-began
	writers.Go(func() { _, _ = a.Tighten(context.Background(), []word{w("leader")}) })
	for a.writes[tightening].waiting() == 0 {
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if stored, err := a.Tighten(ctx, []word{w("impatient")}); err != nil || stored {
		t.Error(stored, err)
	}
	if err := a.Loosen(ctx, []word{w("impatient too")}); !errors.Is(err, ErrNotStored) || !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	close(hold)
	writers.Wait()
	for !a.holds(w("impatient too")) { // it may still appear, and does
		time.Sleep(time.Millisecond)
	}
	b := begun(m, clock.NewFake(noon))
	b.turn(t)
	for _, f := range []word{w("first"), w("leader"), w("impatient")} {
		if !b.holds(f) {
			t.Errorf("%v is not stored", f)
		}
	}
}

// waiting returns how many facts wait for their turn.
func (q *queue[F]) waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.next == nil {
		return 0
	}
	return len(q.next.facts)
}

func TestAFactThatFitsNowhereChangesNothing(t *testing.T) {
	t.Parallel()
	m := newMemory()
	a := begun(m, clock.NewFake(noon))
	a.turn(t)
	large := w("%s", strings.Repeat("a", maxFact))
	if _, err := a.Tighten(t.Context(), []word{w("a"), large}); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	if err := a.Loosen(t.Context(), []word{large}); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	if len(a.has) != 0 || len(m.names()) != 0 {
		t.Error("something was changed")
	}
}

func TestAStorageThatCutsOffGetsSmallerObjects(t *testing.T) {
	t.Parallel()
	m, c := newMemory(), clock.NewFake(noon)
	m.cut = 64 << 10
	a, b := begun(m, c), begun(m, c)
	a.turn(t)
	var facts []word
	for i := range 2000 {
		facts = append(facts, w("%d%s", i, strings.Repeat(string(rune('a'+i%26)), 20)))
	}
	for i := range facts { // texts that don't compress
		facts[i].W += nameOf(int64(i), []byte(facts[i].W)) + nameOf(int64(i), []byte("b"+facts[i].W))
	}
	if stored, err := a.Tighten(t.Context(), facts); err != nil || !stored {
		t.Fatal(stored, err)
	}
	if n, e := a.told(Damaged); n == 0 || !errors.Is(e.Err, errCutOff) {
		t.Error("nobody was told")
	}
	b.turn(t)
	for _, f := range facts {
		if !b.holds(f) {
			t.Fatalf("%v is lost", f)
		}
	}
	if s := b.Status(); s.Damaged != 0 {
		t.Errorf("%d damaged objects are left", s.Damaged)
	}
}

func TestApplyGetsSomeThousandsOfFactsAtMost(t *testing.T) {
	t.Parallel()
	m, c := newMemory(), clock.NewFake(noon)
	a, b := begun(m, c), begun(m, c)
	a.turn(t)
	var facts []word
	for i := range 30_000 {
		facts = append(facts, w("%d", i))
	}
	if err := a.Loosen(t.Context(), facts); err != nil {
		t.Fatal(err)
	}
	b.turn(t)
	if b.Status().Facts != len(facts) || a.most > applyFacts || b.most > applyFacts {
		t.Error(b.Status().Facts, a.most, b.most)
	}
}

func TestNothingIsWrittenWhereThereIsNoSet(t *testing.T) {
	t.Parallel()
	m := newMemory()
	a := newNode(m, clock.NewFake(noon)) // not started, as a command is
	if err := a.Sync(t.Context()); !errors.Is(err, ErrNoSet) {
		t.Error(err)
	}
	if _, err := a.Tighten(t.Context(), []word{w("a")}); !errors.Is(err, ErrNoSet) {
		t.Error(err)
	}
	if err := a.Loosen(t.Context(), []word{w("a")}); !errors.Is(err, ErrNoSet) {
		t.Error(err)
	}
	if n := m.count("store"); n != 0 || len(a.has) != 0 {
		t.Error("something was changed")
	}
	begun(m, clock.NewFake(noon)).turn(t)
	if err := a.Sync(t.Context()); err != nil {
		t.Error(err)
	}
	if stored, err := a.Tighten(t.Context(), []word{w("a")}); err != nil || !stored {
		t.Error(stored, err)
	}
}
