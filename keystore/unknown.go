package keystore

import (
	"hash/maphash"
	"maps"
	"time"

	"golang.org/x/time/rate"
)

// The limits on fetches for kids that a set does not have. Anyone who sends a token
// chooses its kid, so without limits an attacker decides how often the identity
// provider is asked.
const (
	bucketSize   = 5
	bucketRefill = 10 * time.Second
	// missWindow is how long a kid that was not found is refused without
	// another fetch.
	missWindow = 10 * time.Second
	// maxMisses limits the memory for such kids to some 100 KiB.
	maxMisses = 1024
)

// bucket grants fetches.
type bucket struct {
	limiter *rate.Limiter
	last    time.Time // of the latest take
}

// newBucket makes a full bucket.
func newBucket() bucket {
	return bucket{limiter: rate.NewLimiter(rate.Every(bucketRefill), bucketSize)}
}

// take reports whether a fetch may begin now, and counts it.
func (b *bucket) take(now time.Time) bool {
	if now.Before(b.last) {
		// The clock was set back. Without a reset the limiter would stay empty
		// until the time of its latest grant is reached again.
		b.limiter.SetBurstAt(now, bucketSize)
	}
	b.last = now
	return b.limiter.AllowN(now, 1)
}

// misses remembers kids that were recently looked for. It keeps 8 bytes of each,
// hashed with a random seed, so that an attacker can't construct a kid that collides
// with another.
type misses struct {
	seed  maphash.Seed
	until map[uint64]miss
}

type miss struct {
	until time.Time
	gone  bool // it was in the set before
}

// holds reports whether the kid is still to be refused. A miss that lies in the future
// was recorded before the clock was set back, and no longer counts.
func (known miss) holds(now time.Time) bool {
	return now.Before(known.until) && known.until.Sub(now) <= missWindow
}

func (m *misses) has(kid string, now time.Time) bool {
	return len(m.until) > 0 && m.until[maphash.String(m.seed, kid)].holds(now)
}

// add remembers a kid; gone reports whether it was in the set before. If there is no
// room it is not remembered: the bucket limits the fetches anyway.
func (m *misses) add(kid string, gone bool, now time.Time) {
	if m.until == nil {
		m.seed, m.until = maphash.MakeSeed(), make(map[uint64]miss)
	}
	if len(m.until) >= maxMisses {
		maps.DeleteFunc(m.until, func(_ uint64, known miss) bool { return !known.holds(now) })
		if len(m.until) >= maxMisses {
			return
		}
	}
	id := maphash.String(m.seed, kid)
	before := m.until[id]
	m.until[id] = miss{now.Add(missWindow), gone || before.gone && before.holds(now)}
}

// forget drops the kids that were never in a set, as a new set may announce them. Kids
// that were recently removed stay: clients that lag behind two rotations must not use
// up the fetches that the next rotation needs.
func (m *misses) forget(now time.Time) {
	maps.DeleteFunc(m.until, func(_ uint64, known miss) bool { return !known.gone || !known.holds(now) })
	if len(m.until) == 0 {
		m.until = nil // frees its memory
	}
}
