package shared

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/internal/storagetest"
	"github.com/caddy-jwt/caddy-jwt/revocation"
)

// holding is a storage whose listings wait, or fail, as long as a test wants.
type holding struct {
	certmagic.Storage
	hold atomic.Pointer[chan struct{}] // nil for none
	down atomic.Bool
	full atomic.Bool
}

func (h *holding) Store(ctx context.Context, key string, value []byte) error {
	if h.full.Load() {
		return errors.New("the storage is full")
	}
	return h.Storage.Store(ctx, key, value)
}

func (h *holding) List(ctx context.Context, prefix string, recursive bool) ([]string, error) {
	if c := h.hold.Load(); c != nil {
		select {
		case <-*c:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if h.down.Load() {
		return nil, errors.New("the storage is down")
	}
	return h.Storage.List(ctx, prefix, recursive)
}

func (h *holding) Load(ctx context.Context, key string) ([]byte, error) {
	if h.down.Load() {
		return nil, errors.New("the storage is down")
	}
	return h.Storage.Load(ctx, key)
}

// stateOf makes the state of a config that is released when the test ends.
func stateOf(t *testing.T, storage certmagic.Storage, change func(*StateSettings)) (*Sources, *State, *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	s := New(zap.New(core), storage, nil)
	settings := StateSettings{Interval: 20 * time.Millisecond, MaxStale: time.Hour, StorageModule: "caddy.storage.file_system"}
	change(&settings)
	st, err := s.NewState(settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.StopState(false)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, st, logs
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 12_000 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("never: " + what)
}

// revoke makes a rule for a jti.
func revoke(t *testing.T, st *State, jti string) {
	t.Helper()
	r, err := revocation.New(revocation.Rule{Kind: revocation.KindJTI, Value: jti})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Revocations().Add(t.Context(), []revocation.Rule{r}); err != nil {
		t.Fatal(err)
	}
}

func revokes(st *State, jti string) bool {
	return st.Rules().Revokes(revocation.NewSubject(&revocation.Token{ID: jti}), "", time.Now())
}

// What is revoked outlives the config in which it was, as long as another uses the set, and
// is in the storage for the next process.
func TestStateOutlivesConfigs(t *testing.T) {
	t.Parallel()
	storage := storagetest.Files(t)
	cluster := func(s *StateSettings) { s.Cluster = "outlives"; s.Stores = []string{"partners"} }
	first, st1, _ := stateOf(t, storage, cluster)
	if st1.Revocations() != nil || st1.Store("partners") != nil || st1.Rules() != nil || st1.Usage("partners") != nil {
		t.Error("there is something before the start")
	}
	if files, err := os.ReadDir(storage.Path); err != nil || len(files) > 0 {
		t.Errorf("%v, %v are in the storage before the start", files, err)
	}
	first.StartState(false)
	until(t, "ready", func() bool { return !st1.AwaitRevocations(t.Context(), time.Now()) })
	revoke(t, st1, "a")
	rules := st1.Revocations()

	second, st2, _ := stateOf(t, storage, cluster)
	second.StartState(false)
	first.StopState(true)
	if st2.Revocations() != rules || !revokes(st2, "a") {
		t.Error("a reload has forgotten what is in memory")
	}
	revoke(t, st2, "b")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second.StopState(false)
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}

	third, st3, logs := stateOf(t, storage, cluster)
	third.StartState(false)
	until(t, "ready", func() bool { return !st3.AwaitRevocations(t.Context(), time.Now()) })
	if st3.Revocations() == rules || !revokes(st3, "a") || !revokes(st3, "b") || revokes(st3, "c") {
		t.Error("the storage has not what was revoked")
	}
	until(t, "told", func() bool { return logs.FilterMessage("joined the shared state").Len() == 2 })
	joined := logs.FilterMessage("joined the shared state").FilterField(zap.Int("rules", 2))
	if joined.Len() != 1 || joined.All()[0].ContextMap()["cluster"] != "outlives" {
		t.Errorf("%v", logs.All())
	}
}

// What could not be stored until the end is in the log, as nobody else will tell of it.
func TestWhatIsLostIsTold(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		full, mirrored bool
		want           int
	}{
		"stored": {}, "lost": {full: true, want: 1}, "kept in the mirror": {full: true, mirrored: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storage := &holding{Storage: storagetest.Files(t)}
			sources, st, logs := stateOf(t, storage, func(s *StateSettings) {
				s.Cluster = "lost-" + strings.ReplaceAll(name, " ", "-")
				if c.mirrored {
					s.MirrorFolder = t.TempDir()
				}
			})
			sources.StartState(false)
			<-st.Revocations().Ready()
			storage.full.Store(c.full)
			revoke(t, st, "a")
			sources.StopState(false)
			lost := logs.FilterMessageSnippet("are lost")
			if lost.Len() != c.want || c.want > 0 && lost.All()[0].ContextMap()["objects"] != int64(1) {
				t.Errorf("%v", lost.All())
			}
		})
	}
}

// The newest config that runs says where the set is kept. What was revoked stays so, but is
// nothing of the other storage.
func TestStateMovesToAnotherStorage(t *testing.T) {
	t.Parallel()
	cluster := func(s *StateSettings) { s.Cluster = "moves" }
	one, two := storagetest.Files(t), storagetest.Files(t)
	first, st1, _ := stateOf(t, one, cluster)
	first.StartState(false)
	until(t, "ready", func() bool { return !st1.AwaitRevocations(t.Context(), time.Now()) })
	revoke(t, st1, "a")
	second, st2, logs := stateOf(t, two, cluster)
	second.StartState(false)
	if !revokes(st2, "a") || st2.AwaitRevocations(t.Context(), time.Now()) {
		t.Error("the reload has made something looser, or refuses")
	}
	if logs.FilterLevelExact(zap.WarnLevel).Len() != 1 {
		t.Errorf("%v", logs.All())
	}
	revoke(t, st2, "b")
	second.StopState(true) // it failed to load, say
	revoke(t, st1, "c")
	objects := func(path string) (n int) {
		names, err := os.ReadDir(filepath.Join(path, "jwt", "moves", "revocations"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if !strings.HasPrefix(name.Name(), "zz-") { // the marker, which comes with a sync and not with what is revoked
				n++
			}
		}
		return n
	}
	until(t, "stored", func() bool { return objects(one.Path) == 2 && objects(two.Path) == 1 })
	if !revokes(st1, "a") || !revokes(st1, "b") || !revokes(st1, "c") {
		t.Error("something is revoked no more")
	}
}

// Requests are refused while it is not known what is revoked, but for those that the config
// says.
func TestRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		serve, lenient bool
		maxStale       time.Duration
		down, started  bool
		slept          time.Duration
		want           bool
	}{
		"in step":                  {started: true, maxStale: time.Hour},
		"not started":              {maxStale: time.Hour, want: true},
		"not started, serve":       {maxStale: time.Hour, serve: true, want: true},
		"down at the start":        {started: true, down: true, maxStale: time.Hour, want: true},
		"down at the start, serve": {started: true, down: true, serve: true, maxStale: time.Hour, want: true},
		"down at the start, after a config without state": {started: true, down: true, lenient: true, maxStale: time.Hour},
		"too old":        {started: true, maxStale: -time.Hour, want: true},
		"after a nap":    {started: true, maxStale: 3 * time.Hour, slept: time.Hour},
		"after a sleep":  {started: true, maxStale: time.Hour, slept: 48 * time.Hour, want: true},
		"too old, serve": {started: true, maxStale: -time.Hour, serve: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storage := &holding{Storage: storagetest.Files(t)}
			storage.down.Store(c.down)
			sources, st, _ := stateOf(t, storage, func(s *StateSettings) {
				s.Cluster = "refuses-" + strings.Map(func(r rune) rune {
					if r >= 'a' && r <= 'z' {
						return r
					}
					return '-'
				}, name)[:min(len(name), 24)]
				s.Serve, s.MaxStale, s.Stores = c.serve, c.maxStale, []string{"partners"}
			})
			if c.started {
				sources.StartState(c.lenient)
				if !c.down {
					<-st.Revocations().Ready()
					<-st.Store("partners").Ready()
				}
			}
			now := clock.AfterSleep(c.slept)
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if got := st.AwaitRevocations(ctx, now); got != c.want {
				t.Errorf("revocations: refuses %v, want %v", got, c.want)
			}
			// A store of keys that a reload has added is one that nobody could have used before.
			if got, want := st.AwaitStore(ctx, "partners", now), c.want || c.lenient; got != want {
				t.Errorf("keys: refuses %v, want %v", got, want)
			}
			for _, s := range st.Sets(now) {
				if want := c.want || c.lenient && s.Name != "revocations"; s.Refuses != want || s.RefusesAt.IsZero() != (c.serve || !c.started || c.down) {
					t.Errorf("%+v", s)
				}
			}
		})
	}
}

// Requests wait for a set that is being loaded, but not too many.
func TestAwait(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	storage := &holding{Storage: storagetest.Files(t)}
	// The set is there: one that a node has to make is believed a little later.
	before, made, _ := stateOf(t, storage.Storage, func(s *StateSettings) { s.Cluster = "awaits" })
	before.StartState(false)
	<-made.Revocations().Ready()
	before.StopState(false)
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	storage.hold.Store(&release)
	sources, st, _ := stateOf(t, storage, func(s *StateSettings) { s.Cluster = "awaits" })
	var waiting sync.WaitGroup
	var refused, served atomic.Int64
	for range readyQueue + 10 {
		waiting.Go(func() {
			if st.AwaitRevocations(t.Context(), time.Now()) {
				refused.Add(1)
			} else {
				served.Add(1)
			}
		})
	}
	until(t, "the queue is full", func() bool { return refused.Load() == 10 })
	sources.StartState(false)
	close(release)
	waiting.Wait()
	if served.Load() != readyQueue {
		t.Errorf("%d of those that waited are served", served.Load())
	}
}

// A set that is not in step for long is told of once, with the time at which requests will be
// refused; and a node is listed until it stops.
func TestWatch(t *testing.T) {
	t.Parallel()
	storage := &holding{Storage: storagetest.Files(t)}
	sources, st, _ := stateOf(t, storage, func(s *StateSettings) { s.Cluster = "watched"; s.Interval = time.Second })
	var mu sync.Mutex
	var told []map[string]any
	st.emit = func(name string, data func() map[string]any) {
		mu.Lock()
		defer mu.Unlock()
		if name == "state_stale" {
			told = append(told, data())
		}
	}
	sources.StartState(false)
	<-st.Revocations().Ready()
	until(t, "listed", func() bool { return slices.Equal(st.Nodes(t.Context(), time.Now()), []string{st.Node()}) })
	content, err := json.Marshal(seenNode{"another", time.Now()})
	if err == nil {
		err = st.watch.nodes.Store(t.Context(), "seen-0000beef", content)
	}
	if err != nil {
		t.Fatal(err)
	}
	for after, want := range map[time.Duration]int{0: 2, 8 * 24 * time.Hour: 1} {
		if n := st.Nodes(t.Context(), time.Now().Add(after)); len(n) != want || !slices.Contains(n, st.Node()) {
			t.Errorf("after %s %v are listed", after, n)
		}
	}
	w := &watch{state: st, nodes: st.watch.nodes, stale: map[string]bool{}, seen: time.Now().Add(time.Hour)}
	for _, after := range []time.Duration{0, 9 * time.Second, 12 * time.Second, 13 * time.Second, 0, 12 * time.Second} {
		w.review(st.revocations, time.Now().Add(after))
	}
	if len(told) != 2 || told[0]["set"] != "revocations" || told[0]["age_seconds"].(float64) < 10 || told[0]["refuses_at"] == nil {
		t.Errorf("told %v", told)
	}
	sources.StopState(false)
	if names, err := os.ReadDir(filepath.Join(storage.Storage.(*certmagic.FileStorage).Path, "jwt", "watched", "nodes")); err != nil || len(names) != 1 || names[0].Name() != "seen-0000beef" {
		t.Errorf("%v, %v are listed after the stop", names, err)
	}
}

// What other nodes change is told of, with events.
func TestLearned(t *testing.T) {
	t.Parallel()
	files := storagetest.Files(t)
	var mu sync.Mutex
	var events []string
	var rules, keys int
	node := func() (*Sources, *State) {
		s, st, _ := stateOf(t, &certmagic.FileStorage{Path: files.Path}, func(s *StateSettings) {
			s.Cluster, s.Stores = "learned", []string{"partners"}
			s.LearnedRules = func(r []revocation.Rule) { mu.Lock(); rules += len(r); mu.Unlock() }
			s.LearnedKeys = func(_ string, c []apikey.StoreChange) { mu.Lock(); keys += len(c); mu.Unlock() }
		})
		st.emit = func(name string, data func() map[string]any) {
			mu.Lock()
			defer mu.Unlock()
			events = append(events, name)
			_ = data()
		}
		return s, st
	}
	sources, st := node()
	sources.StartState(false)
	<-st.Revocations().Ready()
	<-st.Store("partners").Ready()
	// Another process: sets of its own on the same folder.
	binding := st.binding(RevocationsPlace("learned"))
	other := revocation.NewSet(revocation.Config{Name: RevocationsPlace("learned"), Binding: binding})
	other.Start()
	defer other.Close(context.Background())
	<-other.Ready()
	r, err := revocation.New(revocation.Rule{Kind: revocation.KindJTI, Value: "x", Node: "other"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Add(t.Context(), []revocation.Rule{r}); err != nil {
		t.Fatal(err)
	}
	binding.Objects = st.binding(KeysPlace("learned", "partners")).Objects
	store := apikey.NewStore(apikey.StoreConfig{Name: "partners", Place: KeysPlace("learned", "partners"), Binding: binding})
	store.Start()
	defer store.Close(context.Background())
	<-store.Ready()
	text, id := apikey.New("t")
	if err := store.Create(t.Context(), apikey.Record{ID: id, Hash: apikey.DigestOf(text)}, apikey.Actor{By: "me", Node: "other"}); err != nil {
		t.Fatal(err)
	}
	until(t, "learned", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return rules == 1 && keys == 1 && slices.Contains(events, "revoked") && slices.Contains(events, "api_key_changed")
	})
	if k, code := st.KeysOf("partners").Find(apikey.DigestOf(text), time.Now()); code != "" || k.ID() != id || k.Store() != "partners" {
		t.Errorf("%v %q", k, code)
	}
	st.Used(mustFind(t, st, text), time.Now())
	if n := st.Usage("partners").Total(); n != 1 {
		t.Errorf("%d uses", n)
	}
}

func mustFind(t *testing.T, st *State, text string) apikey.Key {
	t.Helper()
	k, code := st.KeysOf("partners").Find(apikey.DigestOf(text), time.Now())
	if code != "" {
		t.Fatal(code)
	}
	return k
}
