package clock

import (
	"slices"
	"sync"
	"time"
	"unsafe"
)

// Fake is a clock for tests that moves only when a test moves it. It is safe for
// concurrent use.
type Fake struct {
	mu     sync.Mutex
	now    time.Time
	timers []*timer // in the order in which they were set
}

type timer struct {
	at time.Time
	f  func()
}

// NewFake makes a clock that is set to now.
func NewFake(now time.Time) *Fake { return &Fake{now: now} }

// Now returns the time that the clock is set to.
func (c *Fake) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// AfterFunc sets a timer. Only Advance runs f, even if it is due at once.
func (c *Fake) AfterFunc(d time.Duration, f func()) func() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &timer{c.now.Add(d), f}
	c.timers = append(c.timers, t)
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.remove(t)
	}
}

// remove removes a timer and reports whether it was set. The caller holds the lock.
func (c *Fake) remove(t *timer) bool {
	n := slices.Index(c.timers, t)
	if n >= 0 {
		c.timers = slices.Delete(c.timers, n, n+1)
	}
	return n >= 0
}

// Set sets the time, which may be an earlier one. It runs no timer.
func (c *Fake) Set(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}

// Advance moves the clock forward. It runs the timers that become due in order, each at
// its own time, including those that they set, and returns when the last one has ended.
func (c *Fake) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	until := c.now.Add(d)
	for {
		t := c.due(until)
		if t == nil {
			c.now = until
			return
		}
		c.remove(t)
		if t.at.After(c.now) {
			c.now = t.at
		}
		c.mu.Unlock()
		t.f()
		c.mu.Lock()
	}
}

// due returns the first timer that is due by until, or nil. The caller holds the lock.
func (c *Fake) due(until time.Time) *timer {
	var first *timer
	for _, t := range c.timers {
		if !t.at.After(until) && (first == nil || t.at.Before(first.at)) {
			first = t
		}
	}
	return first
}

// Timers returns how many timers are set.
func (c *Fake) Timers() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.timers)
}

// AfterSleep returns the time of the operating system after a sleep of the machine, for tests:
// the clock that can be set has gone on, the one that can't has stood still.
func AfterSleep(d time.Duration) time.Time {
	t := time.Now().Add(d)
	// Package time has no way to make such a time.
	inside := (*struct {
		wall      uint64
		monotonic int64
		zone      *time.Location
	})(unsafe.Pointer(&t))
	inside.monotonic -= int64(d)
	if time.Until(t).Abs() > time.Hour || t.Round(0).Sub(time.Now().Round(0)).Abs() < d.Abs()-time.Hour {
		panic("time.Time is not what it was")
	}
	return t
}
