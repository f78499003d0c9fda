package replica

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
)

func TestWhoHadToMakeTheSetWaitsForOthersToHeal(t *testing.T) {
	t.Parallel()
	for _, local := range []bool{false, true} {
		m, c := newMemory(), clock.NewFake(noon)
		a := begun(m, c, func(c *Config[word]) { c.Local = local })
		a.turn(t)
		a.turn(t)
		if a.Status().Ready != local {
			t.Errorf("local %v: ready is %v after two syncs", local, a.Status().Ready)
		}
		c.Advance(12*time.Second - 1)
		a.turn(t)
		if a.Status().Ready != local {
			t.Errorf("local %v: ready is %v too early", local, a.Status().Ready)
		}
		c.Advance(1)
		a.turn(t)
		if !a.Status().Ready {
			t.Errorf("local %v: never ready", local)
		}
	}
}

func TestAnEmptiedStorageIsFilledAgainBeforeAnybodyBelievesIt(t *testing.T) {
	t.Parallel()
	m, c := newMemory(), clock.NewFake(noon)
	a := begun(m, c)
	a.turn(t)
	c.Advance(time.Minute)
	a.turn(t)
	if _, err := a.Tighten(t.Context(), []word{w("a")}); err != nil {
		t.Fatal(err)
	}
	a.turn(t)
	m.mu.Lock()
	clear(m.objects)
	m.mu.Unlock()
	// The marker is what makes a listing count, so it comes last.
	m.on(func(call, name string) error {
		if call == "store" && name == marker && len(m.names()) == 0 {
			t.Error("the marker is there before the objects")
		}
		return nil
	})
	a.turn(t)
	if n, _ := a.told(Healed); n != 1 || !a.Status().Ready {
		t.Error("healed", n, a.Status())
	}
	b := begun(m, c)
	b.turn(t)
	if !b.holds(w("a")) {
		t.Error("who starts then lacks something")
	}
}

func TestWhatTheStorageLostIsStoredAgain(t *testing.T) {
	t.Parallel()
	m, c := newMemory(), clock.NewFake(noon)
	a, b := begun(m, c), begun(m, c)
	a.turn(t)
	if _, err := a.Tighten(t.Context(), []word{w("a"), {W: "ended", End: noon.Add(-48 * time.Hour).Unix()}}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Tighten(t.Context(), []word{{W: "ended", End: noon.Add(-48 * time.Hour).Unix()}}); err != nil {
		t.Fatal(err)
	}
	b.turn(t)
	names := m.names()
	for _, name := range names {
		_ = m.Delete(t.Context(), name)
	}
	b.turn(t)
	if len(m.names()) != 0 {
		t.Error("one listing is no proof")
	}
	b.turn(t)
	if left := m.names(); len(left) != 1 || !strings.Contains(string(m.content(left[0])), `"a"`) {
		t.Errorf("%q is there, want what still matters", left)
	}
}

// While this node's clock may be wrong, what has ended by it is stored again, once: others,
// whose clocks are right, may delete it.
func TestWhatHasEndedIsHealedOnceIfTheClockIsNotTrusted(t *testing.T) {
	t.Parallel()
	m, c := newMemory(), clock.NewFake(noon)
	a := begun(m, c, func(c *Config[word]) { c.CanForget = func() bool { return false } })
	a.turn(t)
	if _, err := a.Tighten(t.Context(), []word{{W: "ended", End: noon.Add(-48 * time.Hour).Unix()}}); err != nil {
		t.Fatal(err)
	}
	a.turn(t)
	for want := 1; want >= 0; want-- {
		for _, name := range m.names() {
			_ = m.Delete(t.Context(), name)
		}
		for range 3 {
			a.turn(t)
		}
		if n := len(m.names()); n != want {
			t.Errorf("%d objects, want %d", n, want)
		}
	}
}

func TestListingsThatCountForNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what  string
		short func(names []string) []string
		fail  func(call, name string) error
		want  error
	}{
		{"cut short", func(names []string) []string { return names[:1] }, nil, errCutShort},
		{"an error", nil, broken("list"), errBroken},
		{"a marker that can't be written", func([]string) []string { return nil }, func(call, name string) error {
			if name == marker && call == "load" {
				return fs.ErrNotExist
			}
			return broken("store")(call, name)
		}, errBroken},
		{"an object that can't be loaded", nil, func(call, name string) error {
			if call == "load" && isName(name) {
				return errBroken
			}
			return nil
		}, errBroken},
		{"objects that are not there while the marker is not either", nil, func(call, name string) error {
			switch {
			case call == "load" && isName(name):
				return fs.ErrNotExist
			case call == "probe":
				return errBroken
			}
			return nil
		}, errBroken},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			m, clock := newMemory(), clock.NewFake(noon)
			a := begun(m, clock)
			a.turn(t)
			if _, err := a.Tighten(t.Context(), []word{w("a")}); err != nil {
				t.Fatal(err)
			}
			b := begun(m, clock)
			m.mu.Lock()
			m.short, m.fail = c.short, c.fail
			m.mu.Unlock()
			if err := b.Sync(t.Context()); !errors.Is(err, c.want) || !errors.Is(b.Status().Err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if n, e := b.told(Failing); n != 1 || !errors.Is(e.Err, c.want) || !b.Status().SyncedAt.IsZero() {
				t.Error("it was not told of", n, e)
			}
			_ = b.Sync(t.Context())
			m.mu.Lock()
			m.short, m.fail = nil, nil
			m.mu.Unlock()
			b.turn(t)
			if n, _ := b.told(Failing); n != 1 {
				t.Error("it was told of twice")
			}
			if n, _ := b.told(Recovered); n != 1 || b.Status().Ready || b.Status().Err != nil {
				t.Error("it has not recovered", n)
			}
			if b.turn(t); !b.Status().Ready || !b.holds(w("a")) {
				t.Error("not ready")
			}
			if n, _ := b.told(Joined); n != 1 {
				t.Error("joined", n)
			}
		})
	}
}

func TestNamesWithoutContent(t *testing.T) {
	t.Parallel()
	m, c := newMemory(), clock.NewFake(noon)
	a := begun(m, c)
	a.turn(t)
	name, stored := seal(header{T: noon.Unix()}, lines(1), set, nil)
	m.put(name, nil)
	m.objects[name] = nil
	a.turn(t)
	if s := a.Status(); s.Damaged != 0 || s.Err != nil {
		t.Errorf("%+v", s)
	}
	lists := m.count("list")
	a.turn(t)
	if n := m.count("list") - lists; n != 1 {
		t.Errorf("%d listings, although nothing is new", n)
	}
	m.put(name, stored)
	a.turn(t)
	if !a.holds(w("word 0")) {
		t.Error("its content is not read when it comes")
	}
	// Without content for a day, it is deleted.
	old := nameOf(noon.Unix(), []byte("x"))
	m.objects[old] = nil
	a.turn(t)
	c.Advance(ghostAge - time.Second)
	a.turn(t)
	if !slices.Contains(m.names(), old) {
		t.Error("deleted too early")
	}
	c.Advance(2 * time.Second)
	a.turn(t)
	if slices.Contains(m.names(), old) {
		t.Error("not deleted")
	}
}

// An object that is merged and deleted between the listing and its loading is in the merge,
// which the next listing has.
func TestAnObjectThatVanishesIsLookedForInTheNextListing(t *testing.T) {
	t.Parallel()
	m, c := newMemory(), clock.NewFake(noon)
	a, b := begun(m, c), begun(m, c)
	a.turn(t)
	if _, err := a.Tighten(t.Context(), []word{w("a")}); err != nil {
		t.Fatal(err)
	}
	old := m.names()[0]
	name, stored := seal(header{T: noon.Unix(), Replaces: []string{old}}, [][]byte{[]byte(`{"w":"a"}`)}, set, nil)
	m.on(func(call, n string) error {
		if call == "load" && n == old {
			m.put(name, stored)
			_ = m.Delete(context.Background(), old)
		}
		return nil
	})
	b.turn(t)
	if !b.holds(w("a")) {
		t.Error("it is lost")
	}
}

func TestObjectsThatCantBeUsed(t *testing.T) {
	t.Parallel()
	m, c := newMemory(), clock.NewFake(noon)
	a := begun(m, c)
	a.turn(t)
	if _, err := a.Tighten(t.Context(), []word{w("a")}); err != nil {
		t.Fatal(err)
	}
	secret := nameOf(noon.Unix(), []byte("secret"))
	m.put(secret, []byte("secret"))
	torn := nameOf(noon.Unix(), []byte("torn"))
	m.put(torn, []byte("tor"))
	_, newer := seal(header{T: noon.Unix()}, lines(1), set, nil)
	newer = []byte(strings.Replace(string(newer), `"jwt":1`, `"jwt":9`, 1))
	tomorrow := nameOf(noon.Unix(), newer)
	m.put(tomorrow, newer)
	m.put("something-else", nil)
	m.on(func(call, name string) error {
		if call == "load" && name == secret {
			return &fs.PathError{Op: "open", Path: "/var/lib/caddy/" + name, Err: fs.ErrPermission}
		}
		return nil
	})
	b := begun(m, c)
	b.turn(t)
	b.turn(t)
	if s := b.Status(); s.Damaged != 3 || !s.Ready || s.Objects != 1 || !b.holds(w("a")) {
		t.Errorf("%+v", s)
	}
	told := map[string]error{}
	for _, e := range b.events {
		if e.Kind == Damaged {
			if told[e.Object] != nil {
				t.Errorf("%s is told of twice", e.Object)
			}
			told[e.Object] = e.Err
		}
	}
	if !errors.Is(told[secret], fs.ErrPermission) || !strings.Contains(told[secret].Error(), "/var/lib/caddy") ||
		!errors.Is(told[torn], ErrDamaged) || !errors.Is(told[tomorrow], ErrUnknownVersion) {
		t.Error(told)
	}
	// What is repaired is used, and what goes is no more counted.
	m.on(nil)
	content, _ := m.Load(t.Context(), a.inUse("")[0].name)
	m.put(torn, []byte("torn"))
	_ = m.Delete(t.Context(), tomorrow)
	name, more := seal(header{T: noon.Unix()}, lines(1), set, nil)
	m.put(name, more[:5])
	b.turn(t)
	m.put(name, more)
	c.Advance(retry)
	b.turn(t)
	if s := b.Status(); s.Damaged != 2 || s.Objects != 2 || !b.holds(w("word 0")) || len(content) == 0 {
		t.Errorf("%+v", s)
	}
}

func TestSyncsAtTheSameTimeShareOne(t *testing.T) {
	t.Parallel()
	m := newMemory()
	a := begun(m, clock.NewFake(noon))
	a.turn(t)
	first, hold := make(chan struct{}), make(chan struct{})
	var once sync.Once
	m.on(func(call, _ string) error {
		if call == "list" {
			once.Do(func() { close(first); <-hold })
		}
		return nil
	})
	before := m.count("list")
	var all sync.WaitGroup
	sync := func() {
		if err := a.Sync(t.Context()); err != nil {
			t.Error(err)
		}
	}
	all.Go(sync)
	<-first
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Sync(ctx); !errors.Is(err, context.Canceled) {
		t.Error("who gives up waits all the same:", err)
	}
	for range 50 {
		all.Go(sync)
	}
	calls := func() int {
		a.syncs.mu.Lock()
		defer a.syncs.mu.Unlock()
		return a.syncs.next.calls
	}
	for calls() < 51 { // with the one that gave up
		time.Sleep(time.Millisecond)
	}
	close(hold)
	all.Wait()
	if n := m.count("list") - before; n != 2 { // the first, and one for what came while it was under way
		t.Errorf("%d listings for 52 syncs", n)
	}
}

func TestUnknownKindsAreKeptAndCounted(t *testing.T) {
	t.Parallel()
	m, c := newMemory(), clock.NewFake(noon)
	a := begun(m, c)
	a.turn(t)
	// A newer version writes kinds of facts, and words with more to them.
	for i := range 40 {
		name, stored := seal(header{T: noon.Unix(), Last: 5}, distinct([][]byte{
			fmt.Appendf(nil, `{"k":"new","x":%d}`, i),
			fmt.Appendf(nil, `{"w":"word %d","colour":"red"}`, i),
		}), set, nil)
		m.put(name, stored)
	}
	a.turn(t)
	if s := a.Status(); s.Unknown != 40 || s.Facts != 80 || s.Damaged != 0 {
		t.Errorf("%+v", s)
	}
	c.Advance(grace + time.Second)
	a.turn(t)
	names := m.names()
	if len(names) != 1 {
		t.Fatalf("%d objects", len(names))
	}
	plain, err := unpack(m.content(names[0]))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		for _, line := range []string{fmt.Sprintf("\n{\"k\":\"new\",\"x\":%d}\n", i), fmt.Sprintf("\n{\"w\":\"word %d\",\"colour\":\"red\"}\n", i)} {
			if !strings.Contains(string(plain), line) {
				t.Errorf("the merge lacks %s", line)
			}
		}
	}
	if s := a.Status(); s.Unknown != 40 || s.Objects != 1 {
		t.Errorf("%+v", s)
	}
}
