//go:build unix

package integration

import (
	"syscall"
	"testing"
)

// makePipe puts a pipe that nobody writes to in the place of a file.
func makePipe(t *testing.T, path string) {
	t.Helper()
	removeFile(t, path)
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
}
