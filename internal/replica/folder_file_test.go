package replica

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-jwt/caddy-jwt/internal/storagetest"
)

// files is a folder of file storage, and its path.
func files(t *testing.T) (o Objects, path string) {
	t.Helper()
	root := filepath.Join(t.TempDir(), "caddy")
	return Folder(&certmagic.FileStorage{Path: root}, testPath), filepath.Join(root, testPath)
}

// FileStorage.List fails for every third of these listings.
func TestAListingMissesNothingWhileOthersWrite(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	storage := storagetest.Files(t)
	o := Folder(storage, testPath)
	throughout := []string{"1-a", "5-e", markerName}
	for _, name := range throughout {
		mustDo(t, o.Store(ctx, name, []byte("x")))
	}
	stop, stopped := make(chan struct{}), make(chan error, 2)
	for w, store := range []func(context.Context, string, []byte) error{
		o.Store,
		func(ctx context.Context, name string, content []byte) error { // as certmagic writes its own files
			return storage.Store(ctx, testPath+"/"+name, content)
		},
	} {
		go func() {
			for n := 0; ; n++ {
				name := fmt.Sprintf("%d-w%d", n%10, w)
				if err := errors.Join(store(ctx, name, []byte("y")), o.Delete(ctx, name)); err != nil {
					stopped <- err
					return
				}
				select {
				case <-stop:
					stopped <- nil
					return
				default:
				}
			}
		}()
	}
	for n := range 500 {
		names, err := o.List(ctx)
		if err != nil {
			t.Fatalf("listing %d: %v", n, err)
		}
		for _, name := range throughout {
			if !slices.Contains(names, name) {
				t.Fatalf("listing %d has no %s: %q", n, name, names)
			}
		}
	}
	close(stop)
	mustDo(t, errors.Join(<-stopped, <-stopped))
}

func TestWhatElseIsInAFolderIsHidden(t *testing.T) {
	t.Parallel()
	o, path := files(t)
	mustDo(t, o.Store(context.Background(), "1-a", []byte("A")))
	for _, name := range []string{"1234567890", ".new-123", "1-A", "a.lock", "a b", "desktop.ini", strings.Repeat("a", 65)} {
		mustDo(t, os.WriteFile(filepath.Join(path, name), []byte("x"), 0o600))
	}
	expectNames(t, o, "1-a")
}

func TestAFolderThatCantBeReadIsNotEmpty(t *testing.T) {
	t.Parallel()
	o, path := files(t)
	expectNames(t, o)
	mustDo(t, os.MkdirAll(filepath.Dir(path), 0o700))
	expectNames(t, o)
	mustDo(t, os.WriteFile(path, nil, 0o600)) // in its place
	if names, err := o.List(context.Background()); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%q, %v", names, err)
	}
}

func TestAStoredFileSurvivesALossOfPower(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	root := t.TempDir()
	f := newFileFolder(&certmagic.FileStorage{Path: root}, "jwt/a/b")
	var synced []string
	var failure error
	f.sync = func(path string) error {
		// What is synced must have its new name already.
		if path == f.path && len(synced) == 0 {
			if _, err := os.Stat(filepath.Join(path, "1-a")); err != nil {
				t.Error("synced before the file had its name:", err)
			}
		}
		rel, err := filepath.Rel(root, path)
		mustDo(t, err)
		synced = append(synced, rel)
		return failure
	}
	expect := func(when string, want ...string) {
		t.Helper()
		mustDo(t, f.store(ctx, "1-a", []byte("x")))
		if !slices.Equal(synced, want) {
			t.Errorf("%s: synced %q, want %q", when, synced, want)
		}
		synced = nil
	}
	all := []string{"jwt/a/b", "jwt/a", "jwt", ".", ".."}
	expect("with new folders", all...)
	expect("in a folder that is placed", "jwt/a/b")
	mustDo(t, os.RemoveAll(filepath.Join(root, "jwt")))
	expect("with folders that were deleted", all...)

	// The process that made the folders may have been killed before it synced them.
	f.placed.Store(false)
	failure = errors.New("no")
	if err := f.store(ctx, "1-a", []byte("x")); !errors.Is(err, failure) {
		t.Errorf("what was not synced: %v", err)
	}
	synced, failure = nil, nil
	expect("after a failure", all...)
}

func TestARelativePathOfTheStorageIsItsFolder(t *testing.T) {
	t.Chdir(t.TempDir()) // not parallel
	for _, root := range []string{"", ".", "data", "../data", "./a/b/"} {
		storage := &certmagic.FileStorage{Path: root}
		mustDo(t, Folder(storage, testPath).Store(context.Background(), "1-a", []byte(root+"!")))
		content, err := storage.Load(context.Background(), testPath+"/1-a")
		if err != nil || string(content) != root+"!" {
			t.Errorf("%q: %q, %v", root, content, err)
		}
	}
}

func TestAFailedStoreLeavesNothing(t *testing.T) {
	t.Parallel()
	o, path := files(t)
	mustDo(t, os.MkdirAll(filepath.Join(path, "1-a", "b"), 0o700)) // can't be replaced
	if err := o.Store(context.Background(), "1-a", []byte("x")); err == nil {
		t.Error("a folder was replaced")
	}
	entries, err := os.ReadDir(path)
	if err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
	if err := o.Delete(context.Background(), "1-a"); err == nil {
		t.Error("a folder was deleted with what is in it")
	}
	if _, err := os.Stat(filepath.Join(path, "1-a", "b")); err != nil {
		t.Error(err)
	}
}

func TestWhatIsNoObjectIsNotRead(t *testing.T) {
	t.Parallel()
	o, path := files(t)
	ctx := context.Background()
	mustDo(t, o.Store(ctx, "1-a", bytes.Repeat([]byte("x"), 300_000)))
	if got := len(mustLoad(t, o, "1-a")); got != 300_000 {
		t.Errorf("%d bytes", got)
	}
	mustDo(t, os.Truncate(filepath.Join(path, "1-a"), mostContent+1)) // sparse
	mustDo(t, os.Mkdir(filepath.Join(path, "1-b"), 0o700))
	for _, name := range []string{"1-a", "1-b"} {
		if _, err := o.Load(ctx, name); !errors.Is(err, ErrNotObject) || !strings.Contains(err.Error(), filepath.Join(path, name)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
