//go:build unix

package filewatch

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestAFolderThatCantBeSyncedIsNoError(t *testing.T) {
	t.Parallel()
	for _, err := range []error{syscall.EINVAL, syscall.ENOTSUP} {
		if got := syncError(&os.PathError{Op: "sync", Path: "/data", Err: err}); got != nil {
			t.Error(got)
		}
	}
	if syncError(syscall.EIO) == nil || SyncFolder(filepath.Join(t.TempDir(), "none")) == nil {
		t.Error("a broken disk is no error")
	}
	if err := SyncFolder(t.TempDir()); err != nil {
		t.Error(err)
	}
}
