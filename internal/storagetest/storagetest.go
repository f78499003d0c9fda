// Package storagetest helps tests that keep shared state in files.
package storagetest

import (
	"os"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
)

// Files makes an empty storage of files, which is removed when the test has ended. Unlike
// testing.T.TempDir it waits for calls of the storage that were given up, as when a config
// stops, and still run: a folder into which they write can't be removed yet.
func Files(t testing.TB) *certmagic.FileStorage {
	t.Helper()
	dir, err := os.MkdirTemp("", "caddy-jwt-storage-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 1000 {
			if err = os.RemoveAll(dir); err == nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Error(err)
	})
	return &certmagic.FileStorage{Path: dir}
}
