package replica

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/caddyserver/certmagic"
)

// asNobody runs f without root's rights to files, in a thread that ends with it.
func asNobody(f func()) {
	const nobody = 65534
	done := make(chan struct{})
	go func() {
		defer close(done)
		if os.Getuid() == 0 {
			runtime.LockOSThread() // and never unlock it
			_, _, _ = syscall.RawSyscall(syscall.SYS_SETFSGID, nobody, 0, 0)
			_, _, _ = syscall.RawSyscall(syscall.SYS_SETFSUID, nobody, 0, 0) // takes the capabilities too
		}
		f()
	}()
	<-done
}

// openFolder is a folder that anybody may write to, as that of a test's own is.
func openFolder(t *testing.T) (f *fileFolder, path string) {
	t.Helper()
	root, err := os.MkdirTemp("", "caddy-jwt-test-") // one of t.TempDir is closed to others
	mustDo(t, err)
	t.Cleanup(func() { mustDo(t, os.RemoveAll(root)) })
	path = filepath.Join(root, testPath)
	mustDo(t, os.MkdirAll(path, 0o700))
	for p := path; p != filepath.Dir(root); p = filepath.Dir(p) {
		mustDo(t, os.Chmod(p, 0o777))
	}
	return newFileFolder(&certmagic.FileStorage{Path: root}, testPath), path
}

func TestWhatMayNotBeReadIsNotAbsent(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	f, path := openFolder(t)
	mustDo(t, os.WriteFile(filepath.Join(path, "1-a"), []byte("A"), 0o000))
	asNobody(func() {
		if _, err := f.load(ctx, "1-a"); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("loading a file: %v", err)
		}
	})
	mustDo(t, os.Chmod(path, 0o000))
	defer func() { mustDo(t, os.Chmod(path, 0o700)) }()
	asNobody(func() {
		if names, err := f.list(ctx); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("listing: %q, %v", names, err)
		}
		if _, err := f.load(ctx, "1-a"); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("loading: %v", err)
		}
		if err := f.store(ctx, "1-b", []byte("B")); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("storing: %v", err)
		}
	})
}

// Only root can give files away. Anyone else must not let a group of his own read what the
// marker lets another one read.
func TestAFileThatCantBeGivenAwayIsNotOpenToItsGroup(t *testing.T) {
	t.Parallel()
	f, path := openFolder(t)
	marker := filepath.Join(path, markerName)
	mustDo(t, os.WriteFile(marker, []byte("marker"), 0o600))
	mustDo(t, os.Chmod(marker, 0o664))
	asNobody(func() {
		if err := f.store(context.Background(), "1-a", []byte("A")); err != nil {
			t.Error(err)
		}
	})
	want := os.FileMode(0o604)
	if os.Getuid() != 0 {
		want = 0o664 // the marker is of the same group
	}
	info, err := os.Stat(filepath.Join(path, "1-a"))
	if err != nil || info.Mode().Perm() != want {
		t.Errorf("%v, %v; want %v", info.Mode(), err, want)
	}
}
