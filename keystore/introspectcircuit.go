package keystore

import (
	"errors"
	"time"
)

// The pauses after failures.
const (
	// failuresToOpen is how many failures in a row begin a pause.
	failuresToOpen = 5
	firstPause     = time.Second
	// maxPause also bounds the Retry-After that is honoured: once the issuer is back, requests
	// pass within this time.
	maxPause = 30 * time.Second
	// announceEvery is the least time between two announcements of failures. A server that
	// fails for some tokens alone must not let those who send them fill the log.
	announceEvery = time.Minute
)

// circuit keeps calls from a server that fails. It is open in pauses and until the one call
// after a pause, the probe, has succeeded. The caller holds the lock of the Introspection.
type circuit struct {
	failures int
	open     bool
	probing  bool // the probe is under way
	pause    time.Duration
	until    time.Time
	// epoch changes with each pause: the failures of calls that began before it say nothing
	// new.
	epoch     uint64
	announced bool // that it is failing
	refused   bool // it was announced that our client is refused
	last      time.Time
}

// pausing reports whether no call may begin.
func (c *circuit) pausing(now time.Time) bool {
	if !c.open {
		return false
	}
	// An end that is farther away than any pause was set before the clock was set back.
	return c.probing || now.Before(c.until) && c.until.Sub(now) <= maxPause
}

// begin notes that a call begins.
func (c *circuit) begin(q *inquiry) {
	q.epoch = c.epoch
	c.probing = c.open
}

// succeed notes an answer and reports whether it is news.
func (c *circuit) succeed() bool {
	news := c.announced
	*c = circuit{epoch: c.epoch, last: c.last}
	return news
}

// fail notes a failure and reports whether it is to be announced.
func (c *circuit) fail(q *inquiry, err error, now time.Time) bool {
	var failed *callError
	if errors.As(err, &failed) && failed.ofToken {
		// The server works, and does not like this token. Otherwise anybody could keep others'
		// tokens from being asked about.
		if q.epoch == c.epoch {
			c.probing = false
		}
		return false
	}
	c.failures++
	wished := time.Duration(0)
	if failed != nil {
		wished = min(failed.retryAfter, maxPause)
	}
	switch {
	case q.epoch != c.epoch:
	case c.open || c.failures >= failuresToOpen:
		c.pause = min(max(2*c.pause, firstPause), maxPause)
		c.begins(now, max(c.pause, wished))
	case wished > 0:
		c.begins(now, wished)
	}
	if c.failures < failuresToOpen {
		return false
	}
	refused := failed != nil && failed.refused
	if c.announced && refused == c.refused || !c.last.IsZero() && now.Sub(c.last) < announceEvery && now.After(c.last) {
		return false
	}
	c.announced, c.refused, c.last = true, refused, now
	return true
}

// begins begins a pause.
func (c *circuit) begins(now time.Time, pause time.Duration) {
	c.open, c.probing = true, false
	c.until = now.Add(pause)
	c.epoch++
}
