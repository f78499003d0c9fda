//go:build unix

package replica

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// dontBlock opens a pipe without waiting for a writer.
const dontBlock = syscall.O_NONBLOCK

// copyOwnerAndMode gives a new file or folder a mode, and the owner and group of another.
// Only root may give files away; anyone else keeps it, and what the mode has for the group
// is left out unless the group is the right one.
func copyOwnerAndMode(f *os.File, from os.FileInfo, mode fs.FileMode) error {
	if of, ok := from.Sys().(*syscall.Stat_t); ok {
		err := copyOwner(f, of)
		if errors.Is(err, fs.ErrPermission) {
			mode &^= 0o070 | fs.ModeSetgid
		} else if err != nil {
			return err
		}
	}
	return f.Chmod(mode)
}

// copyOwner returns fs.ErrPermission if not even the group could be copied.
func copyOwner(f *os.File, from *syscall.Stat_t) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	now, ok := info.Sys().(*syscall.Stat_t)
	if ok && now.Uid == from.Uid && now.Gid == from.Gid {
		return nil
	}
	err = f.Chown(int(from.Uid), int(from.Gid))
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	if ok && now.Gid == from.Gid {
		return nil
	}
	return f.Chown(-1, int(from.Gid)) // allowed to a member of the group
}
