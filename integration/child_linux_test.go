package integration

import "syscall"

// A test binary that is killed (by -timeout, by a hand) runs no cleanup; the
// kernel then ends its children.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
