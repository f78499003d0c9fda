//go:build unix

package apikey

import "syscall"

// openNoWait keeps the opening of a pipe from waiting for somebody who writes.
const openNoWait = syscall.O_NONBLOCK
