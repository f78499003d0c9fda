package replica

import (
	"context"
	"errors"
	"io/fs"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/certmagic"
)

// hungFolder is a folder whose calls return once they are released, whatever the context says.
type hungFolder chan struct{}

func (h hungFolder) list(context.Context) ([]string, error)       { <-h; return []string{"1-a"}, nil }
func (h hungFolder) load(context.Context, string) ([]byte, error) { <-h; return []byte("A"), nil }
func (h hungFolder) store(context.Context, string, []byte) error  { <-h; return nil }
func (h hungFolder) remove(context.Context, string) error         { <-h; return nil }

func TestEachCallEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := make(hungFolder)
		o := &door{folder: h, path: testPath, calls: newCalls()}
		start := time.Now()
		for method, call := range map[string]func(context.Context) error{
			"List":   func(ctx context.Context) error { _, err := o.List(ctx); return err },
			"Load":   func(ctx context.Context) error { _, err := o.Load(ctx, "1-a"); return err },
			"Store":  func(ctx context.Context) error { return o.Store(ctx, "1-a", []byte("A")) },
			"Delete": func(ctx context.Context) error { return o.Delete(ctx, "1-a") },
			"Probe":  o.Probe,
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			before := time.Now()
			if err := call(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(before) != 10*time.Second {
				t.Errorf("%s: %v after %s", method, err, time.Since(before))
			}
			cancel()
			if err := call(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s of a context that has ended: %v", method, err)
			}
		}
		if took := time.Since(start); took != 50*time.Second {
			t.Errorf("%s", took)
		}
		if got := o.calls.abandoned.Load(); got != 5 {
			t.Errorf("%d calls are abandoned, want 5: none with a context that has ended", got)
		}
		close(h)
		synctest.Wait()
		if got := o.calls.abandoned.Load(); got != 0 {
			t.Errorf("%d calls are abandoned after all returned", got)
		}
	})
}

func TestAStorageThatHangsIsNotCalledAgainAndAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := make(hungFolder)
		o := &door{folder: h, path: testPath, calls: newCalls()}
		before := runtime.NumGoroutine()
		list := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := o.List(ctx)
			return err
		}
		for n := range mostCalls {
			if err := list(); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("call %d: %v", n, err)
			}
		}
		start := time.Now()
		for range 100 {
			if err := list(); !errors.Is(err, ErrHangs) {
				t.Fatalf("a call too many: %v", err)
			}
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("they took %s", took)
		}
		// Other tests have some, too.
		if more := runtime.NumGoroutine() - before; more > 2*mostCalls {
			t.Errorf("%d goroutines", more)
		}
		close(h)
		synctest.Wait()
		expectNames(t, o, "1-a")
	})
}

func TestCallsWaitForOthersToReturn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := make(hungFolder)
		o := &door{folder: h, path: testPath, calls: newCalls()}
		returned := make(chan error)
		for range mostCalls + 10 {
			go func() {
				_, err := o.List(t.Context())
				returned <- err
			}()
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := o.Load(ctx, "1-a"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a call that waited: %v", err)
		}
		if got := o.calls.abandoned.Load(); got != 0 {
			t.Errorf("%d calls that never began are abandoned", got)
		}
		close(h)
		for range mostCalls + 10 {
			mustDo(t, <-returned)
		}
	})
}

// late is a folder whose errors are not the context's when that ends.
type late struct{ hungFolder }

func (late) load(ctx context.Context, _ string) ([]byte, error) {
	deadline, _ := ctx.Deadline()
	time.Sleep(time.Until(deadline)) // a connection's own timer for the same moment
	return nil, fs.ErrNotExist
}

// Redis's plugin says so.
func TestWhatWasNotLoadedInTimeIsNotAbsent(t *testing.T) {
	t.Parallel()
	for range 20 { // of two things that happen at once, either may be first
		synctest.Test(t, func(t *testing.T) {
			o := &door{folder: late{}, path: testPath, calls: newCalls()}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := o.Load(ctx, "1-a"); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		})
	}
}

// A config that is loaded again and again must not leave goroutines each time, and a
// storage that hangs must not keep another from being used.
func TestTheCallsOfAStorageAreCountedAcrossItsFolders(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	of := func(s certmagic.Storage, path string) *calls { return Folder(s, path).(*door).calls }
	files := of(&certmagic.FileStorage{Path: dir}, "a")
	plugin := of(&plain{}, "a")
	if files != of(&certmagic.FileStorage{Path: dir + "/."}, "b") || plugin != of(&plain{}, "b") {
		t.Error("two folders of one storage are counted apart")
	}
	if files == plugin || files == of(&certmagic.FileStorage{Path: dir + "/b"}, "a") || plugin == of(&pairs{}, "a") {
		t.Error("two storages are counted together")
	}
}

func TestContentMayBeChangedOnceStoreHasReturned(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		released, stored := make(chan struct{}), make(chan string, 1)
		o := &door{folder: slowStore{hungFolder: released, stored: stored}, path: testPath, calls: newCalls()}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		content := []byte("A")
		if err := o.Store(ctx, "1-a", content); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		content[0] = 'B'
		close(released)
		if got := <-stored; got != "A" {
			t.Errorf("stored %s", got)
		}
	})
}

// slowStore says what was stored once it is released.
type slowStore struct {
	hungFolder
	stored chan string
}

func (s slowStore) store(_ context.Context, _ string, content []byte) error {
	<-s.hungFolder
	s.stored <- string(content)
	return nil
}
