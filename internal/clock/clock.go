// Package clock provides the time and timers, so that a test can control them.
package clock

import "time"

// Clock tells the time and waits for it.
type Clock interface {
	// Now returns the time.
	Now() time.Time
	// AfterFunc runs f in a goroutine of its own once d has passed, unless
	// the returned function is called before; it reports whether it
	// stopped the timer.
	AfterFunc(d time.Duration, f func()) (stop func() bool)
}

// Real is the clock of the operating system.
type Real struct{}

// Now returns the time.
func (Real) Now() time.Time { return time.Now() }

// AfterFunc runs f once d has passed.
func (Real) AfterFunc(d time.Duration, f func()) func() bool {
	return time.AfterFunc(d, f).Stop
}

// At returns a clock that stands still at a time, and whose timers are those of the operating
// system.
func At(at time.Time) Clock { return stopped{at: at} }

type stopped struct {
	Real
	at time.Time
}

// Now returns the time at which it stands.
func (s stopped) Now() time.Time { return s.at }

// system has no lock: System must be cheap, and Set is called before it.
var system Clock = Real{}

// System returns the clock of the process: that of the operating system, unless
// a test binary has set another.
func System() Clock { return system }

// Set replaces the clock of the process. It is for the main function of a test
// binary, which calls it before anything asks for System; no option of the
// program leads here.
func Set(c Clock) { system = c }
