package apikey

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/internal/replica"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

var (
	ann = Actor{By: "ann", Node: "host-1"}
	bob = Actor{By: "bob", Node: "host-2"}
)

// changes collects what a node has learned.
type changes struct {
	mu  sync.Mutex
	all []string
}

func (c *changes) learned(changes []StoreChange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range changes {
		c.all = append(c.all, fmt.Sprintf("%s %s by %s on %s", l.ID, l.Change, l.By, l.Node))
	}
}

func (c *changes) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.all
	c.all = nil
	return all
}

// newNode makes a node that is ready. It syncs when it is told to, and when the clock is
// moved.
func newNode(t testing.TB, folder replica.Objects, c clock.Clock, learned ...func([]StoreChange)) *Store {
	t.Helper()
	config := StoreConfig{
		Name: "partners", Place: "jwt/default/keys-partners", Clock: c,
		Binding: replica.Binding{Objects: folder, Interval: time.Hour, Local: true},
	}
	if len(learned) > 0 {
		config.Learned = learned[0]
	}
	paused := make(chan struct{})
	config.Clock = &pausing{Clock: c, pause: config.Binding.Interval * 8 / 10, paused: paused}
	s := NewStore(config)
	s.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		s.Close(ctx)
	})
	<-paused // from here on it syncs only when it is told to
	for !s.Status().Ready {
		synced(t, s)
	}
	<-s.Ready()
	return s
}

// pausing tells when the first sync that a node makes by itself is over: the node then sets
// a timer for the next one.
type pausing struct {
	clock.Clock
	pause  time.Duration
	once   sync.Once
	paused chan struct{}
}

func (p *pausing) AfterFunc(d time.Duration, f func()) func() bool {
	stop := p.Clock.AfterFunc(d, f)
	if d >= p.pause {
		p.once.Do(func() { close(p.paused) })
	}
	return stop
}

func synced(t testing.TB, nodes ...*Store) {
	t.Helper()
	for _, s := range nodes {
		if err := s.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// valid is the reason for a key that is none.
const valid reason.Code = ""

// wants checks what nodes say of the key with the text "key of " and an id.
func wants(t *testing.T, what, text string, now time.Time, want reason.Code, nodes ...*Store) {
	t.Helper()
	for i, s := range nodes {
		_, code := s.Find(DigestOf(text), now)
		if code != want {
			t.Errorf("%s, node %d: %q, want %q", what, i, code, want)
		}
		if has := s.Has(DigestOf(text)); has != (want != reason.UnknownAPIKey) {
			t.Errorf("%s, node %d: has it %v", what, i, has)
		}
	}
}

func TestAKeyIsOnAllNodes(t *testing.T) {
	t.Parallel()
	c, folder := clock.NewFake(noon), newMemory()
	var learned changes
	one, two := newNode(t, folder, c), newNode(t, folder, c, learned.learned)
	a := record("a")
	a.Name, a.Consumer, a.Scopes, a.Expires = "Orders", "customer", []string{"orders:read"}, noon.Add(time.Hour)
	if err := one.Create(t.Context(), a, ann); err != nil {
		t.Fatal(err)
	}
	wants(t, "made", "key of a", noon, valid, one)
	wants(t, "not synced", "key of a", noon, reason.UnknownAPIKey, two)
	synced(t, two)
	third := newNode(t, folder, c)
	wants(t, "synced", "key of a", noon, valid, one, two, third)
	wants(t, "at its end", "key of a", noon.Add(time.Hour), reason.APIKeyExpired, one, two, third)
	wants(t, "another", "key of b", noon, reason.UnknownAPIKey, one, two, third)
	k, _ := two.Find(a.Hash, noon)
	if k.ID() != "a" || k.Consumer() != "customer" || !slices.Equal(k.Scopes(), a.Scopes) || k.Store() != "partners" || !k.Expires().Equal(a.Expires) {
		t.Errorf("%s %s %v %s %s", k.ID(), k.Consumer(), k.Scopes(), k.Store(), k.Expires())
	}
	if file, _ := must(NewSet([]Record{a})).Find(a.Hash); file.Store() != "" || (Key{}).Store() != "" {
		t.Error("a key of a file is of a store")
	}
	got := must(two.Get("a", noon))
	a.Hash, a.Created = Digest{}, noon
	if fmt.Sprint(got.Record) != fmt.Sprint(a) || got.Secrets != 1 || !got.OldUntil.IsZero() {
		t.Errorf("%+v, want %+v", got, a)
	}
	if two.Len() != 1 || two.Name() != "partners" {
		t.Errorf("%d keys of %s", two.Len(), two.Name())
	}

	stored := must(one.Disable(t.Context(), "a", bob))
	if !stored {
		t.Error("it is not stored")
	}
	synced(t, two)
	wants(t, "disabled", "key of a", noon, reason.APIKeyDisabled, one, two)
	if got := must(two.Get("a", noon)); !got.Disabled {
		t.Error("it is not shown as disabled")
	}
	if err := two.Enable(t.Context(), "a", bob); err != nil {
		t.Fatal(err)
	}
	wants(t, "enabled", "key of a", noon, valid, two)
	synced(t, one)
	wants(t, "enabled", "key of a", noon, valid, one)
	_, err := one.Roll(t.Context(), "a", DigestOf("new"), 0, ann)
	if _, edited := one.Edit(t.Context(), "a", func(r *Record) error { r.Name = "x"; return nil }, ann); err != nil || edited != nil {
		t.Fatal(err, edited)
	}
	must(one.Delete(t.Context(), "a", ann))
	synced(t, two)
	wants(t, "deleted", "key of a", noon, reason.UnknownAPIKey, one, two, newNode(t, folder, c))
	want := []string{
		"a created by ann on host-1", "a disabled by bob on host-2",
		"a rolled by ann on host-1", "a edited by ann on host-1", "a deleted by ann on host-1",
	}
	// What the node itself has done, and what is merged or read again, is nothing new.
	if all := learned.take(); len(all) < 2 || !slices.Equal(all[:2], want[:2]) || all[len(all)-1] != want[4] ||
		slices.ContainsFunc(all, func(l string) bool { return !slices.Contains(want, l) }) {
		t.Errorf("learned %q", all)
	}
	if two.Len() != 0 {
		t.Errorf("%d keys", two.Len())
	}
}

func TestNothingIsLearnedOfWhatWasThereBefore(t *testing.T) {
	t.Parallel()
	c, folder := clock.NewFake(noon), newMemory()
	if err := newNode(t, folder, c).Create(t.Context(), record("a"), ann); err != nil {
		t.Fatal(err)
	}
	var learned changes
	s := newNode(t, folder, c, learned.learned)
	if all := learned.take(); s.Len() != 1 || len(all) > 0 {
		t.Errorf("learned %q", all)
	}
}

func TestWhatTightensHoldsWithoutAStorageAndWhatLoosensDoesNot(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	edit := func(change func(*Record)) func(*Store) (bool, error) {
		return func(s *Store) (bool, error) {
			return s.Edit(ctx, "a", func(r *Record) error { change(r); return nil }, ann)
		}
	}
	loosens := func(change func(s *Store) error) func(*Store) (bool, error) {
		return func(s *Store) (bool, error) { return true, change(s) }
	}
	for what, row := range map[string]struct {
		change   func(*Store) (bool, error)
		tightens bool
		after    reason.Code // at noon, of one that tightens
	}{
		"disable":        {func(s *Store) (bool, error) { return s.Disable(ctx, "a", ann) }, true, reason.APIKeyDisabled},
		"delete":         {func(s *Store) (bool, error) { return s.Delete(ctx, "a", ann) }, true, reason.UnknownAPIKey},
		"fewer scopes":   {edit(func(r *Record) { r.Scopes = r.Scopes[1:] }), true, valid},
		"no scopes":      {edit(func(r *Record) { r.Scopes = nil }), true, valid},
		"a sooner end":   {edit(func(r *Record) { r.Expires = noon }), true, reason.APIKeyExpired},
		"both":           {edit(func(r *Record) { r.Scopes, r.Expires = nil, noon }), true, reason.APIKeyExpired},
		"more scopes":    {edit(func(r *Record) { r.Scopes = append(r.Scopes, "z") }), false, valid},
		"other scopes":   {edit(func(r *Record) { r.Scopes = []string{"z"} }), false, valid},
		"a later end":    {edit(func(r *Record) { r.Expires = r.Expires.Add(1) }), false, valid},
		"no end":         {edit(func(r *Record) { r.Expires = time.Time{} }), false, valid},
		"a name":         {edit(func(r *Record) { r.Name = "B" }), false, valid},
		"a consumer":     {edit(func(r *Record) { r.Consumer = "b" }), false, valid},
		"less, and name": {edit(func(r *Record) { r.Scopes, r.Name = nil, "B" }), false, valid},
		"less, and more": {edit(func(r *Record) { r.Scopes, r.Expires = nil, time.Time{} }), false, valid},
		"enable":         {loosens(func(s *Store) error { return s.Enable(ctx, "off", ann) }), false, valid},
		"create":         {loosens(func(s *Store) error { return s.Create(ctx, record("b"), ann) }), false, valid},
		"import":         {loosens(func(s *Store) error { return s.Import(ctx, []Record{record("b")}, ann) }), false, valid},
		"roll": {loosens(func(s *Store) error {
			_, err := s.Roll(ctx, "a", DigestOf("new"), 0, ann)
			return err
		}), false, valid},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			c, folder := clock.NewFake(noon), newMemory()
			s := newNode(t, folder, c)
			a, off := record("a"), record("off")
			a.Scopes, a.Expires, off.Disabled = []string{"x", "y"}, noon.Add(time.Hour), true
			if err := s.Import(ctx, []Record{a, off}, ann); err != nil {
				t.Fatal(err)
			}
			wants(t, "off", "key of off", noon, reason.APIKeyDisabled, s)
			before, seen := s.dump(), s.view.Load()
			folder.setDown(true)
			stored, err := row.change(s)
			if !row.tightens {
				if !errors.Is(err, replica.ErrNotStored) {
					t.Errorf("error %v", err)
				}
				if s.dump() != before || s.view.Load() != seen {
					t.Error("it was changed all the same")
				}
				folder.setDown(false)
				if _, err := row.change(s); err != nil || s.dump() == before {
					t.Errorf("with a storage: %v", err)
				}
				return
			}
			if err != nil || stored || s.dump() == before {
				t.Errorf("stored %v, error %v", stored, err)
			}
			wants(t, "at once", "key of a", noon, row.after, s)
			folder.setDown(false)
			synced(t, s)
			other := newNode(t, folder, c)
			wants(t, "later", "key of a", noon, row.after, other)
			if other.dump() != s.dump() {
				t.Errorf("%s\n%s", other.dump(), s.dump())
			}
		})
	}
}

func TestRoll(t *testing.T) {
	t.Parallel()
	c, folder := clock.NewFake(noon), newMemory()
	one, two := newNode(t, folder, c), newNode(t, folder, c)
	if err := one.Create(t.Context(), record("a"), ann); err != nil {
		t.Fatal(err)
	}
	roll := func(s *Store, text string, overlap time.Duration) time.Time {
		t.Helper()
		before := len(folder.take())
		until, err := s.Roll(t.Context(), "a", DigestOf(text), overlap, ann)
		if err != nil {
			t.Fatal(err)
		}
		if after := folder.take(); before >= 0 && len(after) != 1 {
			t.Errorf("a roll is %d objects", len(after))
		}
		synced(t, one, two)
		return until
	}
	hour := noon.Add(time.Hour)
	if until := roll(one, "second", time.Hour); !until.Equal(hour) {
		t.Errorf("until %s", until)
	}
	for _, text := range []string{"key of a", "second"} {
		wants(t, "in the overlap "+text, text, hour.Add(-time.Millisecond), valid, one, two)
	}
	wants(t, "then the old", "key of a", hour, reason.APIKeyExpired, one, two)
	wants(t, "and the new", "second", hour, valid, one, two)
	if got := must(two.Get("a", noon)); got.Secrets != 2 || !got.OldUntil.Equal(hour) {
		t.Errorf("%d until %s", got.Secrets, got.OldUntil)
	}
	if got := must(two.Get("a", hour)); got.Secrets != 1 || !got.OldUntil.IsZero() {
		t.Errorf("%d until %s", got.Secrets, got.OldUntil)
	}
	// The earlier end holds, whichever comes later.
	c.Advance(time.Minute)
	if until := roll(two, "third", 2*time.Hour); !until.Equal(c.Now().Add(2 * time.Hour)) {
		t.Errorf("until %s", until)
	}
	wants(t, "the first", "key of a", hour, reason.APIKeyExpired, one, two)
	wants(t, "the second", "second", hour, valid, one, two)
	if until := roll(one, "fourth", 0); !until.Equal(c.Now()) {
		t.Errorf("until %s", until)
	}
	for _, text := range []string{"key of a", "second", "third"} {
		wants(t, "without overlap "+text, text, c.Now(), reason.APIKeyExpired, one, two)
		wants(t, "where the clock is behind "+text, text, c.Now().Add(-mostSkew), reason.APIKeyExpired, one, two)
	}
	wants(t, "the fourth", "fourth", c.Now(), valid, one, two)
	// An old secret can't be made the new one.
	for _, text := range []string{"key of a", "fourth"} {
		if _, err := one.Roll(t.Context(), "a", DigestOf(text), 0, ann); !errors.Is(err, ErrKeyExists) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := one.Roll(t.Context(), "a", Digest{}, 0, ann); err == nil {
		t.Error("no hash is one")
	}
}

func TestTwoRollsAtOnceOnTwoNodes(t *testing.T) {
	t.Parallel()
	c, folder := clock.NewFake(noon), newMemory()
	one := newNode(t, folder, c)
	if err := one.Create(t.Context(), record("a"), ann); err != nil {
		t.Fatal(err)
	}
	two := newNode(t, folder, c)
	must(one.Roll(t.Context(), "a", DigestOf("one's"), 2*time.Hour, ann))
	must(two.Roll(t.Context(), "a", DigestOf("two's"), time.Hour, bob))
	synced(t, one, two)
	for at, want := range map[time.Duration]reason.Code{time.Hour - 1: valid, time.Hour: reason.APIKeyExpired} {
		wants(t, "the old one", "key of a", noon.Add(at), want, one, two)
		wants(t, "one's", "one's", noon.Add(at), valid, one, two)
		wants(t, "two's", "two's", noon.Add(1000*time.Hour), valid, one, two)
	}
	if got := must(one.Get("a", noon.Add(2*time.Hour))); got.Secrets != 2 || !got.OldUntil.IsZero() {
		t.Errorf("%+v", got)
	}
}

// A node that slept through a roll, the overlap, a day and the merges stores again what the
// others have replaced long ago.
func TestAnOldSecretStaysOut(t *testing.T) {
	t.Parallel()
	c, folder := clock.NewFake(noon), newMemory()
	one := newNode(t, folder, c)
	for _, id := range []string{"a", "b"} {
		if err := one.Create(t.Context(), record(id), ann); err != nil {
			t.Fatal(err)
		}
	}
	asleep := newNode(t, folder, c)
	old := folder.copied()
	must(one.Roll(t.Context(), "a", DigestOf("new"), time.Hour, ann))
	must(one.Delete(t.Context(), "b", ann))
	for n := range 40 {
		c.Advance(time.Minute)
		_, err := one.Edit(t.Context(), "a", func(r *Record) error { r.Name = fmt.Sprint(n); return nil }, ann)
		if err != nil {
			t.Fatal(err)
		}
	}
	c.Advance(25 * time.Hour)
	// The node merges and prunes in its own goroutine, when the clock says so.
	for deadline := time.Now().Add(30 * time.Second); len(must(folder.List(t.Context()))) > 5 && time.Now().Before(deadline); {
		c.Advance(time.Minute)
		runtime.Gosched()
	}
	folder.mu.Lock()
	left := len(folder.content)
	for name, content := range old.content {
		if !strings.HasPrefix(name, "zz-") {
			if _, there := folder.content[name]; there {
				t.Error("nothing was merged, so that the test shows nothing")
			}
			folder.content[name] = content // as asleep would
		}
	}
	folder.mu.Unlock()
	if left > 5 {
		t.Errorf("%d objects are left", left)
	}
	fresh := newNode(t, folder, c)
	synced(t, one, asleep)
	wants(t, "the old", "key of a", c.Now(), reason.APIKeyExpired, one, asleep, fresh)
	wants(t, "the new", "new", c.Now(), valid, one, asleep, fresh)
	wants(t, "the deleted", "key of b", c.Now(), reason.UnknownAPIKey, one, asleep, fresh)
}

func TestADisablingThatWasNotSeenStays(t *testing.T) {
	t.Parallel()
	c, folder := clock.NewFake(noon), newMemory()
	one := newNode(t, folder, c)
	if err := one.Create(t.Context(), record("a"), ann); err != nil {
		t.Fatal(err)
	}
	must(one.Disable(t.Context(), "a", ann))
	two := newNode(t, folder, c)
	// Ann disables it again, as she knows why, while bob enables it.
	must(one.Disable(t.Context(), "a", ann))
	if err := two.Enable(t.Context(), "a", bob); err != nil {
		t.Fatal(err)
	}
	wants(t, "bob's node", "key of a", noon, valid, two)
	synced(t, one, two)
	wants(t, "both", "key of a", noon, reason.APIKeyDisabled, one, two, newNode(t, folder, c))
	if err := two.Enable(t.Context(), "a", bob); err != nil {
		t.Fatal(err)
	}
	synced(t, one)
	wants(t, "bob insists", "key of a", noon, valid, one, two)
	if err := two.Enable(t.Context(), "a", bob); err != nil {
		t.Errorf("one that is enabled: %v", err)
	}
}

// unlisted is a folder that can't be listed while it is down.
type unlisted struct {
	*memory
	down atomic.Bool
}

func (u *unlisted) List(ctx context.Context) ([]string, error) {
	if u.down.Load() {
		return nil, errors.New("the storage is away")
	}
	return u.memory.List(ctx)
}

// An edit builds on what other nodes have done just before.
func TestAnEditUndoesNoOtherNodesEdit(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c, folder := clock.NewFake(noon), newMemory()
	one := newNode(t, folder, c)
	if err := one.Create(ctx, Record{ID: "a", Hash: DigestOf("key of a"), Scopes: []string{"read", "admin"}}, ann); err != nil {
		t.Fatal(err)
	}
	two := newNode(t, folder, c)
	must(one.Edit(ctx, "a", func(r *Record) error { r.Scopes = []string{"read"}; return nil }, ann))
	must(two.Edit(ctx, "a", func(r *Record) error { r.Description = "of Bob"; return nil }, bob))
	synced(t, one, two)
	for _, s := range []*Store{one, two} {
		k, err := s.Get("a", noon)
		if err != nil || k.Description != "of Bob" || len(k.Scopes) != 1 {
			t.Errorf("%+v, %v", k, err)
		}
	}
}

func TestADeletedKeyStaysDeleted(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c, folder := clock.NewFake(noon), newMemory()
	one := newNode(t, folder, c)
	if err := one.Create(ctx, record("a"), ann); err != nil {
		t.Fatal(err)
	}
	away := &unlisted{memory: folder}
	two := newNode(t, away, c)
	must(one.Delete(ctx, "a", ann))
	// Another node has not heard of it yet, and can't.
	away.down.Store(true)
	must(two.Edit(ctx, "a", func(r *Record) error { r.Scopes = []string{"x"}; return nil }, bob))
	must(two.Roll(ctx, "a", DigestOf("new"), time.Hour, bob))
	must(two.Disable(ctx, "a", bob))
	if err := two.Enable(ctx, "a", bob); err != nil {
		t.Fatal(err)
	}
	away.down.Store(false)
	synced(t, one, two)
	wants(t, "the old", "key of a", noon, reason.UnknownAPIKey, one, two, newNode(t, folder, c))
	wants(t, "the new", "new", noon, reason.UnknownAPIKey, one, two, newNode(t, folder, c))
	for id, want := range map[string]error{"a": ErrKeyDeleted, "none": ErrNoKey} {
		_, edit := two.Edit(ctx, id, func(*Record) error { return nil }, ann)
		_, roll := two.Roll(ctx, id, DigestOf("x"), 0, ann)
		_, disable := two.Disable(ctx, id, ann)
		_, remove := two.Delete(ctx, id, ann)
		_, get := two.Get(id, noon)
		for what, err := range map[string]error{
			"edit": edit, "roll": roll, "disable": disable, "enable": two.Enable(ctx, id, ann), "delete": remove, "get": get,
		} {
			if !errors.Is(err, want) {
				t.Errorf("%s of %s: %v", what, id, err)
			}
		}
	}
	if err := two.Create(ctx, record("a"), ann); !errors.Is(err, ErrKeyDeleted) {
		t.Errorf("made again: %v", err)
	}
	if err := two.Import(ctx, []Record{record("b"), record("a")}, ann); !errors.Is(err, ErrKeyDeleted) || two.Len() != 0 {
		t.Errorf("imported again: %v", err)
	}
}
