//go:build !unix

package integration

import "testing"

// makePipe removes the file, as there are no pipes in folders here.
func makePipe(t *testing.T, path string) { removeFile(t, path) }
