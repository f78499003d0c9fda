//go:build container

package packaging

import (
	"io/fs"
	"os"
	"syscall"
)

// changesUsers reports whether this process may give files away and run commands as others.
var changesUsers = os.Geteuid() == 0

// asUser runs a command as another user, if this process may.
func asUser(uid int) *syscall.SysProcAttr {
	if !changesUsers || uid == 0 {
		return nil
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
}

// owner is the user that a file belongs to.
func owner(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }
