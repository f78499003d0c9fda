package apikey

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/internal/replica"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// listed counts listings, one of which is a sync, and can hold them up.
type listed struct {
	*memory
	mu   sync.Mutex
	n    int
	hold chan struct{}
}

func (l *listed) List(ctx context.Context) ([]string, error) {
	l.mu.Lock()
	l.n++
	hold := l.hold
	l.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return l.memory.List(ctx)
}

func (l *listed) take() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.n
	l.n = 0
	return n
}

var _ replica.Objects = (*listed)(nil)

func TestANewKeyBringsASyncForward(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c, folder := clock.NewFake(noon), &listed{memory: newMemory()}
	one, two := newNode(t, folder, c), newNode(t, folder, c)
	text, id := New(DefaultPrefix)
	if err := one.Create(ctx, Record{ID: id, Hash: DigestOf(text)}, ann); err != nil {
		t.Fatal(err)
	}
	wants(t, "before", text, noon, reason.UnknownAPIKey, two)
	folder.take()
	if !two.AwaitNews(ctx, text) || folder.take() == 0 {
		t.Error("it is not worth to look again")
	}
	wants(t, "after", text, noon, valid, two)
	// One that is known and refused takes the same time, and may be enabled elsewhere.
	must(two.Disable(ctx, id, ann))
	folder.take()
	if !two.AwaitNews(ctx, text) || folder.take() == 0 {
		t.Error("a key that is disabled is told from an unknown one")
	}
	// Whatever has another form is none of ours.
	for _, other := range []string{"", "key of a", text[:len(text)-1], text + "0", "x" + text[1:]} {
		if two.AwaitNews(ctx, other) || folder.take() != 0 {
			t.Errorf("%q brings a sync forward", other)
		}
	}
	// Strangers can make texts of that form.
	strangers := func(n int) int {
		syncs := 0 // not listings, of which the nodes make some of their own
		for range n {
			if ended := two.early.Begin(); ended != nil {
				<-ended
				syncs++
			}
		}
		return syncs
	}
	if n := strangers(50); n != 3 {
		t.Errorf("%d syncs, with two before", n)
	}
	c.Set(c.Now().Add(5 * time.Second))
	if n := strangers(50); n != 1 {
		t.Errorf("%d syncs after 5 s", n)
	}
	c.Set(c.Now().Add(time.Hour))
	if n := strangers(50); n != 5 {
		t.Errorf("%d syncs after an hour", n)
	}
	c.Set(c.Now().Add(-24 * time.Hour))
	if n := strangers(50); n != 0 {
		t.Errorf("%d syncs when the clock was set back", n)
	}
	c.Set(c.Now().Add(5 * time.Second))
	if n := strangers(50); n != 1 {
		t.Errorf("%d syncs 5 s after the clock was set back", n)
	}
}

func TestRequestsWaitASecondForASyncAndAreNotMany(t *testing.T) {
	t.Parallel()
	c, folder := clock.NewFake(noon), &listed{memory: newMemory()}
	s := newNode(t, folder, c)
	hold := make(chan struct{})
	folder.mu.Lock()
	folder.hold = hold
	folder.mu.Unlock()
	text, _ := New(DefaultPrefix)
	var waiting sync.WaitGroup
	for range replica.EarlyWaiters {
		waiting.Go(func() {
			if s.AwaitNews(t.Context(), text) {
				t.Error("it is worth to look again")
			}
		})
	}
	for s.early.Waiting() < replica.EarlyWaiters {
		runtime.Gosched()
	}
	if s.AwaitNews(t.Context(), text) { // which does not wait
		t.Error("it is worth to look again")
	}
	ended := make(chan struct{})
	go func() { waiting.Wait(); close(ended) }()
	for done := false; !done; {
		select {
		case <-ended:
			done = true
		default:
			c.Advance(time.Second) // some may not have set their timer yet
			runtime.Gosched()
		}
	}
	// Nor longer than the request lives.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if s.AwaitNews(ctx, text) {
		t.Error("it is worth to look again")
	}
	close(hold)
}

func TestAKeyInAStoreAndInAFileMustBeGoodInBoth(t *testing.T) {
	t.Parallel()
	c, folder := clock.NewFake(noon), newMemory()
	s, other := newNode(t, folder, c), newNode(t, newMemory(), c)
	off := record("b")
	off.Disabled = true
	if err := s.Import(t.Context(), []Record{record("a"), off, record("c"), record("d")}, ann); err != nil {
		t.Fatal(err)
	}
	if err := other.Create(t.Context(), Record{ID: "d", Hash: record("d").Hash, Expires: noon}, ann); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "keys.jsonl")
	if err := os.WriteFile(path, []byte(keyLines("b", "f")), 0o600); err != nil {
		t.Fatal(err)
	}
	file := must(NewFile(FileConfig{Path: path}))
	gone := record("c")
	gone.Disabled = true
	l := &Lookup{Written: must(NewSet([]Record{gone})), Files: []*File{file}, Stores: []Stored{opened{s}, opened{other}}, Clock: c}
	for id, want := range map[string]struct {
		code  reason.Code
		store string
	}{
		"a": {valid, "partners"}, "b": {reason.APIKeyDisabled, "partners"}, "c": {reason.APIKeyDisabled, ""},
		"d": {reason.APIKeyExpired, "partners"}, "e": {reason.UnknownAPIKey, ""}, "f": {valid, ""},
	} {
		k, code := l.Find(t.Context(), "key of "+id)
		if code != want.code || k.Store() != want.store {
			t.Errorf("%s: %q in %q", id, code, k.Store())
		}
		if l.Has("key of "+id) != (code != reason.UnknownAPIKey) {
			t.Errorf("%s: %v", id, l.Has("key of "+id))
		}
	}
}

// opened is a store whose keys count as known.
type opened struct{ *Store }

func (opened) Unavailable(context.Context, time.Time) bool { return false }
