package shared

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-jwt/caddy-jwt/internal/storagetest"
	"github.com/caddy-jwt/caddy-jwt/revocation"
)

// A handler of an event may ask and change what the event is about, and may hang: changes
// take effect all the same.
func TestAnEventKeepsNoChangeWaiting(t *testing.T) {
	t.Parallel()
	storage := storagetest.Files(t)
	s, st, _ := stateOf(t, storage, func(s *StateSettings) { s.Cluster = "events" })
	handled, hang := make(chan error, 1), make(chan struct{})
	defer close(hang)
	calls := 0
	st.emit = func(string, func() map[string]any) {
		if calls++; calls > 1 {
			return // the end of the test
		}
		rule, err := revocation.New(revocation.Rule{Kind: revocation.KindJTI, Value: "by the handler"})
		if err == nil {
			_, err = st.Revocations().Add(context.Background(), []revocation.Rule{rule})
		}
		handled <- err
		<-hang
	}
	s.StartState(false)
	until(t, "ready", func() bool { return !st.AwaitRevocations(t.Context(), time.Now()) })
	until(t, "two nodes", func() bool { return st.Revocations().Status().Ready })

	other := revocation.NewSet(revocation.Config{Name: RevocationsPlace("events"), Binding: st.binding(RevocationsPlace("events"))})
	if err := other.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	add := func(jti string) {
		rule, err := revocation.New(revocation.Rule{Kind: revocation.KindJTI, Value: jti})
		if err == nil {
			_, err = other.Add(t.Context(), []revocation.Rule{rule})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	add("first")
	select {
	case err := <-handled:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the handler waits for itself")
	}
	add("second") // while the handler hangs
	until(t, "revoked", func() bool { return revokes(st, "first") && revokes(st, "second") && revokes(st, "by the handler") })
}

func TestEventQueue(t *testing.T) {
	t.Parallel()
	var q eventQueue
	hang, done, got := make(chan struct{}), make(chan struct{}), []int{}
	q.add(func() { <-hang })
	until(t, "it hangs", func() bool { q.mu.Lock(); defer q.mu.Unlock(); return len(q.waiting) == 0 })
	for i := range maxEvents + 5 {
		q.add(func() {
			if got = append(got, i); len(got) == maxEvents {
				close(done)
			}
		})
	}
	close(hang)
	<-done
	if !slices.IsSorted(got) || got[maxEvents-1] != maxEvents-1 {
		t.Error("not in order, or not the first", got)
	}
	until(t, "it has ended", func() bool { q.mu.Lock(); defer q.mu.Unlock(); return !q.running })
	again := make(chan struct{})
	q.add(func() { close(again) })
	<-again
}

// hung is a storage whose Store of nodes never returns.
type hung struct {
	certmagic.Storage
	began chan struct{}
	end   chan struct{}
}

func (h hung) Store(ctx context.Context, key string, value []byte) error {
	if strings.Contains(key, "/nodes/") {
		select {
		case h.began <- struct{}{}:
		default:
		}
		<-h.end
		return errors.New("it hung")
	}
	return h.Storage.Store(ctx, key, value)
}

// The end of a config does not wait for a storage that hangs longer than it was given.
func TestStopWhileTheStorageHangs(t *testing.T) {
	t.Parallel()
	storage := hung{storagetest.Files(t), make(chan struct{}, 1), make(chan struct{})}
	defer close(storage.end)
	_, st, _ := stateOf(t, storage, func(s *StateSettings) { s.Cluster = "hangs" })
	st.start(false)
	<-storage.began
	until(t, "synced", func() bool { return !st.Revocations().Status().SyncedAt.IsZero() })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	stopped := make(chan struct{})
	go func() { st.stop(ctx, false); close(stopped) }()
	select {
	case <-stopped:
	case <-time.After(nodeTime / 2):
		t.Error("it waits")
		<-stopped
	}
}
