package shared

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap/zapcore"
	logcapture "go.uber.org/zap/zaptest/observer"
)

// memory is a storage in memory.
type memory struct {
	certmagic.Storage // for the methods that nothing here calls

	mu      sync.Mutex
	objects map[string][]byte
	hang    chan struct{} // if not nil, reading waits for it
	slow    chan struct{} // if not nil, writing waits for it
	err     error
}

func (m *memory) Store(_ context.Context, name string, value []byte) error {
	if m.slow != nil {
		<-m.slow
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	if m.objects == nil {
		m.objects = map[string][]byte{}
	}
	m.objects[name] = value
	return nil
}

func (m *memory) Load(_ context.Context, name string) ([]byte, error) {
	if m.hang != nil {
		<-m.hang
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return nil, m.err
	}
	if v, ok := m.objects[name]; ok {
		return v, nil
	}
	return nil, fs.ErrNotExist
}

func (m *memory) has(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.objects[name] != nil
}

func TestKeysAreKeptInStorageForARestart(t *testing.T) {
	t.Parallel()
	issuer, store := newIssuerServer(t), &memory{}
	settings := issuer.settings()
	name := storedName(settings.identity())
	first, _ := config(t, store)
	if !hasKey(mustRemote(t, first, "i", settings), "a") {
		t.Fatal("no key")
	}
	eventually(t, "the keys are stored", func() bool { return store.has(name) })
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	issuer.down.Store(true)

	restart := func(t *testing.T, store *memory) (*Remote, *logcapture.ObservedLogs) {
		t.Helper()
		a, logs := config(t, store)
		t.Cleanup(func() { _ = a.Close() })
		return mustRemote(t, a, "i", settings), logs
	}
	t.Run("they serve at once, and say so", func(t *testing.T) {
		r, _ := restart(t, store)
		if !hasKey(r, "a") || !r.Status().Restored {
			t.Errorf("status %+v", r.Status())
		}
	})
	change := func(f func(*storedKeys)) *memory {
		var kept storedKeys
		if err := json.Unmarshal(store.objects[name], &kept); err != nil {
			t.Fatal(err)
		}
		f(&kept)
		object, err := json.Marshal(kept)
		if err != nil {
			t.Fatal(err)
		}
		return &memory{objects: map[string][]byte{name: object}}
	}
	for what, bad := range map[string]*memory{
		"of other settings":   change(func(s *storedKeys) { s.Source = "other" }),
		"from the future":     change(func(s *storedKeys) { s.FetchedAt = time.Now().Add(time.Hour) }),
		"too old":             change(func(s *storedKeys) { s.FetchedAt = time.Now().Add(-25 * time.Hour) }),
		"without a time":      change(func(s *storedKeys) { s.FetchedAt = time.Time{} }),
		"a secret":            change(func(s *storedKeys) { s.Keys = json.RawMessage(`{"keys":[{"kty":"oct","kid":"a","k":"AAAA"}]}`) }),
		"empty":               change(func(s *storedKeys) { s.Keys = json.RawMessage(`{"keys":[]}`) }),
		"no JSON":             {objects: map[string][]byte{name: []byte("{")}},
		"not to be read":      {err: errors.New("broken")},
		"none":                {},
		"no storage to speak": nil,
	} {
		t.Run(what+": it is not used", func(t *testing.T) {
			r, _ := restart(t, bad)
			if hasKey(r, "a") {
				t.Error("it is used")
			}
		})
	}
	t.Run("the first good answer replaces them", func(t *testing.T) {
		r, _ := restart(t, store)
		if !hasKey(r, "a") {
			t.Fatal("not restored")
		}
		issuer.down.Store(false)
		if err := r.Refresh(context.Background()); err != nil {
			t.Fatal(err)
		}
		if r.Status().Restored {
			t.Error("the status still says restored")
		}
	})
}

func TestAStorageThatHangsHoldsRequestsUpForNoLongerThanAFetch(t *testing.T) {
	t.Parallel()
	issuer := newIssuerServer(t)
	store := &memory{hang: make(chan struct{})}
	defer close(store.hang)
	a, logs := config(t, store)
	r := mustRemote(t, a, "i", issuer.settings())
	start := time.Now()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if !hasKey(r, "a") {
				t.Error("no key")
			}
		})
	}
	wg.Wait()
	if took := time.Since(start); took > 2*storageReadTime {
		t.Errorf("took %v", took)
	}
	if n := logs.FilterLevelExact(zapcore.WarnLevel).Len(); n != 1 {
		t.Errorf("%d warnings", n)
	}
}

func TestAWriteThatFailsIsALineAndNothingElse(t *testing.T) {
	t.Parallel()
	issuer := newIssuerServer(t)
	store := &memory{}
	a, logs := config(t, store)
	r := mustRemote(t, a, "i", issuer.settings())
	store.err = errors.New("disk full")
	if !hasKey(r, "a") {
		t.Error("no key")
	}
	eventually(t, "a warning", func() bool { return logs.FilterMessageSnippet("can't be saved").Len() == 1 })
}

// A new key serves from the moment when its fetch ends. A stop just after that waits
// until it is stored, and so the tokens that were accepted are accepted after a restart.
func TestAStopWaitsForKeysThatAreBeingStored(t *testing.T) {
	t.Parallel()
	issuer := newIssuerServer(t)
	store := &memory{slow: make(chan struct{})}
	settings := issuer.settings()
	a, _ := config(t, store)
	if !hasKey(mustRemote(t, a, "i", settings), "a") {
		t.Fatal("no key")
	}
	stopped := make(chan error, 1)
	go func() { stopped <- a.Close() }()
	select {
	case <-stopped:
		close(store.slow)
		t.Fatal("the stop did not wait")
	case <-time.After(200 * time.Millisecond):
	}
	close(store.slow)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	if !store.has(storedName(settings.identity())) {
		t.Error("the keys are not stored")
	}
	issuer.down.Store(true)
	b, _ := config(t, &memory{objects: store.objects})
	t.Cleanup(func() { _ = b.Close() })
	if !hasKey(mustRemote(t, b, "i", settings), "a") {
		t.Error("the key is gone after a restart")
	}
}

func TestAStopWaitsForAStorageThatHangsForNoLongerThanSettleTime(t *testing.T) {
	t.Parallel()
	store := &memory{slow: make(chan struct{})}
	defer close(store.slow)
	a, _ := config(t, store)
	for range 3 {
		if !hasKey(mustRemote(t, a, "i", newIssuerServer(t).settings()), "a") {
			t.Fatal("no key")
		}
	}
	start := time.Now()
	a.Settle() // as Stop does, and Cleanup after it
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took < settleTime-100*time.Millisecond || took > settleTime+2*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestAReloadDoesNotWaitForTheStorage(t *testing.T) {
	t.Parallel()
	issuer := newIssuerServer(t)
	store := &memory{slow: make(chan struct{})}
	defer close(store.slow)
	before, _ := config(t, store)
	if !hasKey(mustRemote(t, before, "i", issuer.settings()), "a") {
		t.Fatal("no key")
	}
	after, _ := config(t, store)
	t.Cleanup(func() { _ = after.Close() })
	mustRemote(t, after, "i", issuer.settings())
	start := time.Now()
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > settleTime/2 {
		t.Errorf("took %v", took)
	}
}
