package shared

import (
	"sync/atomic"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
)

// A node with a wrong clock would take rules for ended that are not, and remove them from
// the storage for all nodes. So ended facts are removed only by a node whose clock there
// is no reason to doubt.
const (
	// forgetAfter is how long a process runs before it removes ended facts: by then a
	// clock that was wrong at the start of the machine is set.
	forgetAfter = time.Hour
	// maxJump is how far the clock may have been set since the start.
	maxJump = time.Minute
	// maxSkew is how far the clock may differ from that of an issuer's server.
	maxSkew = 5 * time.Minute
)

// trust is what is known of this machine's clock.
type trust struct {
	start time.Time    // by the clock that can't be set, too
	wall  time.Time    // the same by the clock that can
	skew  atomic.Int64 // the last difference to an issuer's server, in ns; noSkew for none
}

const noSkew = -1 << 63

// clockTrust is that of this process.
var clockTrust = newTrust()

func newTrust() *trust {
	now := time.Now()
	t := &trust{start: now, wall: now.Round(0)}
	t.skew.Store(noSkew)
	return t
}

// compared notes how far the clock of an issuer's server is ahead.
func (t *trust) compared(ahead time.Duration) { t.skew.Store(int64(ahead)) }

// ClockSkew returns how far the clock of the issuer's server that was asked last is ahead
// of this machine's; false if none has told.
func ClockSkew() (time.Duration, bool) {
	d := clockTrust.skew.Load()
	return time.Duration(d), d != noSkew
}

// jumped returns how far the clock has been set since the start, by the clock that can't be
// set.
func (t *trust) jumped(now time.Time) time.Duration {
	return now.Round(0).Sub(t.wall) - now.Sub(t.start)
}

// doubt returns by how much the clock is wrong as far as that is known: 0 if there is no
// reason to doubt it.
func (t *trust) doubt(now time.Time) time.Duration {
	if d := t.jumped(now); d > maxJump || d < -maxJump {
		return d
	}
	if d := t.skew.Load(); d != noSkew && (d > int64(maxSkew) || d < -int64(maxSkew)) {
		return time.Duration(d)
	}
	return 0
}

// canForget reports whether ended facts may be removed.
func (t *trust) canForget() bool { return t.canForgetAt(clock.System().Now()) }

func (t *trust) canForgetAt(now time.Time) bool {
	return now.Sub(t.start) >= forgetAfter && t.doubt(now) == 0
}
