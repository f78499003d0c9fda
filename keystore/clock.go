package keystore

import "time"

// Clock is the time as Remote sees it, so that a test can turn it forward.
type Clock interface {
	// Now returns the time.
	Now() time.Time
	// AfterFunc runs f in a goroutine of its own once d has passed, unless
	// the returned function is called before; that one tells whether it
	// came in time.
	AfterFunc(d time.Duration, f func()) (stop func() bool)
}

type realClock struct{}

func (realClock) Now() time.Time { return time.Now() }

func (realClock) AfterFunc(d time.Duration, f func()) func() bool {
	return time.AfterFunc(d, f).Stop
}
