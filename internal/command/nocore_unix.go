//go:build unix

package command

import "syscall"

// noCoreFiles keeps this process from leaving a core file, which would have the secrets in
// it that a command reads or makes. It is called before that, and can't be undone.
func noCoreFiles() {
	// A failure is no reason to stop: the limit can always be lowered, and anyone who forbids
	// even that decides what becomes of the process.
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
}
