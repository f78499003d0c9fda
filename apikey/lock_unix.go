//go:build unix && !solaris && !illumos && !aix

package apikey

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// lockWait is how long a command waits for another one; a test sets it.
var lockWait = 10 * time.Second

// lockFile locks a file that is about to be replaced, through one beside it: the
// lock of a file would go with it. It ends with the process, however that ends.
func lockFile(path string) (unlock func() error, err error) {
	name := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".lock")
	f, err := openLock(name, path)
	if err != nil {
		return nil, siblingError(path, err)
	}
	for deadline := time.Now().Add(lockWait); ; time.Sleep(20 * time.Millisecond) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return f.Close, nil
		case !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR):
			return nil, errors.Join(fmt.Errorf("locking %s: %w", name, err), f.Close())
		case time.Now().After(deadline):
			return nil, errors.Join(fmt.Errorf("%s is being changed by another command, which has taken longer than %s", path, lockWait), f.Close())
		}
	}
}

// openLock opens the lock of a key file, and makes it where it is not there yet. A
// link in its place could lead anywhere, and is not followed.
func openLock(name, path string) (*os.File, error) {
	const flags = os.O_RDWR | syscall.O_NOFOLLOW | syscall.O_NONBLOCK
	f, err := os.OpenFile(name, flags|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		if err := ownLock(f, path); err != nil {
			return nil, errors.Join(err, f.Close(), os.Remove(name))
		}
		return f, nil
	}
	if !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	if f, err = os.OpenFile(name, flags, 0); err != nil {
		if info, statErr := os.Lstat(name); statErr == nil && !info.Mode().IsRegular() {
			return nil, fmt.Errorf("%s: the lock of the key file is not a regular file; remove it", name)
		}
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: the lock of the key file is not a regular file; remove it", name)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// ownLock gives a new lock to the owner of the key file, or of the folder where
// that is not there yet: a command that root runs once must not lock the owner
// out.
func ownLock(f *os.File, path string) error {
	of, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		of, err = os.Stat(filepath.Dir(path))
	}
	if err != nil {
		return err
	}
	if err := copyOwner(f, of); err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil // anyone who may not give files away is not root
}

// holdFile keeps a file open, and so its number from being given to another file:
// one that replaces it is never taken for it.
func holdFile(f io.Closer) io.Closer { return f }

func copyOwner(f *os.File, from os.FileInfo) error {
	old, ok := from.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if now, ok := info.Sys().(*syscall.Stat_t); ok && now.Uid == old.Uid && now.Gid == old.Gid {
		return nil
	}
	return f.Chown(int(old.Uid), int(old.Gid))
}
