//go:build unix

package command_test

import (
	"syscall"
	"testing"
)

// Whatever command runs, its process leaves no core file afterwards.
func TestACommandLeavesNoCoreFile(t *testing.T) {
	runJWT(t, "", "decode", "--json").want(t, 1)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &limit); err != nil || limit.Cur != 0 || limit.Max != 0 {
		t.Errorf("%+v %v", limit, err)
	}
}
