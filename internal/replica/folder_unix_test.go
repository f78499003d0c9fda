//go:build unix

package replica

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
)

// rights are the owner, group and mode of a file.
func rights(t *testing.T, path string) string {
	t.Helper()
	info, err := os.Lstat(path)
	mustDo(t, err)
	s := info.Sys().(*syscall.Stat_t)
	return fmt.Sprintf("%d:%d %04o", s.Uid, s.Gid, info.Mode().Perm())
}

// somebody is whom this process may give files to: for root somebody else, for anyone else
// a group that it is in.
func somebody(t *testing.T) (uid, gid int) {
	t.Helper()
	if os.Getuid() == 0 {
		return 12345, 54321
	}
	groups, err := os.Getgroups()
	mustDo(t, err)
	if len(groups) > 0 {
		return os.Getuid(), groups[len(groups)-1]
	}
	return os.Getuid(), os.Getgid()
}

// A command that root runs once must not leave files that Caddy can't read.
func TestNewFilesAndFoldersBelongToWhomTheOthersBelong(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	uid, gid := somebody(t)
	root := t.TempDir()
	mustDo(t, os.Mkdir(filepath.Join(root, "jwt"), 0o750))
	mustDo(t, os.Chown(filepath.Join(root, "jwt"), uid, gid))
	o := Folder(&certmagic.FileStorage{Path: root}, "jwt/a/b")
	at := func(path ...string) string {
		return rights(t, filepath.Join(append([]string{root, "jwt"}, path...)...))
	}

	mustDo(t, o.Store(ctx, markerName, []byte("marker")))
	folder, file := fmt.Sprintf("%d:%d 0750", uid, gid), fmt.Sprintf("%d:%d 0600", uid, gid)
	for what, got := range map[string]string{"a": at("a"), "a/b": at("a", "b")} {
		if got != folder {
			t.Errorf("a new folder %s: %s, want %s as the one around it", what, got, folder)
		}
	}
	if got := at("a", "b", markerName); got != file {
		t.Errorf("the marker: %s, want %s as the folder", got, file)
	}

	marker := filepath.Join(root, "jwt/a/b", markerName)
	mustDo(t, os.Chmod(marker, 0o640))
	mustDo(t, os.Chown(marker, uid, os.Getgid()))
	mustDo(t, o.Store(ctx, "1-a", []byte("A")))
	if got, want := at("a", "b", "1-a"), at("a", "b", markerName); got != want {
		t.Errorf("an object: %s, want %s as the marker", got, want)
	}

	// A link in the marker's place could lead to a file of anybody.
	mustDo(t, os.Chmod(filepath.Join(root, "jwt/a/b", "1-a"), 0o666))
	mustDo(t, os.Remove(marker))
	mustDo(t, os.Symlink("1-a", marker))
	mustDo(t, o.Store(ctx, "1-b", []byte("B")))
	if got := at("a", "b", "1-b"); got != file {
		t.Errorf("beside a link: %s, want %s as the folder", got, file)
	}
}

func TestAPipeDoesNotKeepAnyoneWaiting(t *testing.T) {
	t.Parallel()
	o, path := files(t)
	mustDo(t, os.MkdirAll(path, 0o700))
	mustDo(t, syscall.Mkfifo(filepath.Join(path, "1-a"), 0o600))
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := o.Load(ctx, "1-a"); !errors.Is(err, ErrNotObject) {
		t.Error(err)
	}
}
