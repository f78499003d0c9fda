//go:build unix

package filewatch

import (
	"errors"
	"os"
	"syscall"
)

// SyncFolder makes names that are new in a folder survive a loss of power.
func SyncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(syncError(d.Sync()), d.Close())
}

// syncError passes over file systems that can't sync a folder: the file is in place there
// too.
func syncError(err error) error {
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		return nil
	}
	return err
}
