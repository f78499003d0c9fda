package keystore

import (
	"hash/maphash"
	"maps"
	"time"

	"golang.org/x/time/rate"
)

// The limits on fetches for kids that a set does not have. Whoever sends
// tokens chooses their kid, so without limits a stranger decides how often
// the identity provider is asked.
const (
	bucketSize   = 5
	bucketRefill = 10 * time.Second
	// missWindow is how long a kid that was looked for and not found is
	// refused from memory.
	missWindow = 10 * time.Second
	// maxMisses bounds that memory to some 100 KiB.
	maxMisses = 1024
)

// bucket grants fetches.
type bucket struct {
	limiter *rate.Limiter
	last    time.Time // that was asked for
}

// newBucket makes a full bucket.
func newBucket() bucket {
	return bucket{limiter: rate.NewLimiter(rate.Every(bucketRefill), bucketSize)}
}

// take spends one fetch, or reports that there is none left.
func (b *bucket) take(now time.Time) bool {
	if now.Before(b.last) {
		// The clock was set back. The limiter would stay empty until the time
		// of its latest grant comes again.
		b.limiter.SetBurstAt(now, bucketSize)
	}
	b.last = now
	return b.limiter.AllowN(now, 1)
}

// misses remembers kids that were just looked for. It keeps 8 bytes of each,
// hashed with a seed of its own, so that nobody can make up a kid that
// collides with another's.
type misses struct {
	seed  maphash.Seed
	until map[uint64]miss
}

type miss struct {
	until time.Time
	gone  bool // it was in the set before
}

// holds tells whether it is still to be refused. One that seems to come from the
// future is of before the clock was set back.
func (known miss) holds(now time.Time) bool {
	return now.Before(known.until) && known.until.Sub(now) <= missWindow
}

func (m *misses) has(kid string, now time.Time) bool {
	return len(m.until) > 0 && m.until[maphash.String(m.seed, kid)].holds(now)
}

// add remembers a kid, and that it was in the set before if gone. Where there
// is no room it is not remembered: it then asks the bucket, which bounds the
// fetches anyway.
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

// forget drops what was only looked for: with another set it may be about to
// come. What went with a set of late stays: clients that lag behind two
// rotations must not use up the fetches that the next one needs either.
func (m *misses) forget(now time.Time) {
	maps.DeleteFunc(m.until, func(_ uint64, known miss) bool { return !known.gone || !known.holds(now) })
	if len(m.until) == 0 {
		m.until = nil // with its room
	}
}
