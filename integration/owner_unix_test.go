//go:build unix

package integration

import (
	"os"
	"syscall"
	"testing"
)

// checkOwner requires that a file belongs to a user and a group of this number.
func checkOwner(t *testing.T, path string, info os.FileInfo, owner uint32) {
	t.Helper()
	if s, ok := info.Sys().(*syscall.Stat_t); !ok || s.Uid != owner || s.Gid != owner {
		t.Errorf("%s: the owner is %+v; want %d", path, s, owner)
	}
}
