//go:build !unix || solaris || illumos || aix

package apikey

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// lockWait is how long a command waits for another one; a test sets it.
var lockWait = 10 * time.Second

// lockFile locks a file that is about to be replaced by making one beside it.
func lockFile(path string) (unlock func() error, err error) {
	name := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".lock")
	for deadline := time.Now().Add(lockWait); ; time.Sleep(20 * time.Millisecond) {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		switch {
		case err == nil:
			return func() error { return errors.Join(f.Close(), os.Remove(name)) }, nil
		case !errors.Is(err, fs.ErrExist):
			return nil, siblingError(path, err)
		case time.Now().After(deadline):
			return nil, fmt.Errorf("%s is being changed by another command; if there is none, remove %s", path, name)
		}
	}
}

// holdFile closes the file: an open one could not be replaced here.
func holdFile(f io.Closer) io.Closer {
	_ = f.Close() // nothing was written
	return f
}

// copyOwner does nothing: owners are no numbers here, and a new file has that of
// its folder.
func copyOwner(*os.File, os.FileInfo) error { return nil }
