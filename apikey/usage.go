package apikey

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"math/big"
	"slices"
	"sync"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/internal/replica"
)

// Usage counts how often keys of a store are used, and when last, and shares that with the
// other nodes. It is safe for concurrent use.
//
// Each process writes what it has counted on a day into objects of its own, again whenever
// that changes, so nothing needs a lock. Some day any node rolls them up.
type Usage struct {
	table  *usageTable
	keys   func() int
	clock  clock.Clock
	ctx    context.Context // ends when Close begins
	cancel context.CancelFunc

	storing sync.Mutex // held while counts are written or rolled up; taken first

	mu      sync.Mutex // of all that follows
	objects replica.Objects
	days    []*usageDay // the oldest first
	started bool
	closed  bool
	stop    func() bool
	rollAt  time.Time // when to look whether there is something to roll up
}

// UsageConfig is the config of a Usage.
type UsageConfig struct {
	// Objects is the folder in which counts are kept.
	Objects replica.Objects
	// Keys is how many keys the store has, which decides how often counts are written.
	Keys func() int
	// Clock is the time. Default: the clock of the process.
	Clock clock.Clock
}

const (
	usageInterval = time.Minute
	// Above manyKeys, writing takes longer and is done each slowInterval.
	manyKeys     = 20_000
	slowInterval = 5 * time.Minute
	// usageLimit is how long one object may take.
	usageLimit = 10 * time.Second
	// keptDays is how long what could not be stored waits for a storage.
	keptDays = 7
)

// NewUsage makes a Usage that has counted nothing.
func NewUsage(c UsageConfig) *Usage {
	if c.Clock == nil {
		c.Clock = clock.System()
	}
	u := &Usage{table: newUsageTable(), keys: c.Keys, clock: c.Clock, objects: c.Objects}
	u.ctx, u.cancel = context.WithCancel(context.Background())
	u.rollAt = u.clock.Now().Add(rollDelay() / 4)
	return u
}

// Start begins to write counts, Close writes them once more and ends that.
func (u *Usage) Start() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.started && !u.closed {
		u.started = true
		u.stop = u.clock.AfterFunc(u.interval(), u.tick)
	}
}

// Close writes the counts once more, until ctx is done, and ends that.
func (u *Usage) Close(ctx context.Context) {
	u.mu.Lock()
	u.closed = true
	if u.stop != nil {
		u.stop()
	}
	u.mu.Unlock()
	u.cancel()
	_ = u.write(ctx) // there is nobody left who could try again
}

// Rebind replaces the folder in which counts are kept.
func (u *Usage) Rebind(o replica.Objects) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.objects = o
	// It may be another one, which has nothing of this process.
	for _, d := range u.days {
		for i := range d.parts {
			d.parts[i].changed = true
		}
	}
}

// Used counts one use of a key. It costs no lock that other requests hold.
func (u *Usage) Used(k Key, now time.Time) { u.table.add(k.ID(), now.Unix()) }

// Total returns the number of uses that were counted by this process.
func (u *Usage) Total() uint64 { return u.table.total() }

func (u *Usage) interval() time.Duration {
	if u.keys != nil && u.keys() > manyKeys {
		return slowInterval
	}
	return usageInterval
}

// tick writes counts, and rolls up at some time of the day.
func (u *Usage) tick() {
	if err := u.write(u.ctx); err == nil {
		u.mu.Lock()
		now := u.clock.Now()
		due := !now.Before(u.rollAt) || now.Add(25*time.Hour).Before(u.rollAt) // the clock was set back
		u.mu.Unlock()
		if due && u.rollUp(u.ctx) == nil {
			u.mu.Lock()
			midnight := now.UTC().Truncate(24 * time.Hour).Add(24 * time.Hour)
			u.rollAt = midnight.Add(rollDelay())
			u.mu.Unlock()
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.closed {
		u.stop = u.clock.AfterFunc(u.interval(), u.tick)
	}
}

// rollDelay is up to two hours, so that most nodes find that one has rolled up.
func rollDelay() time.Duration {
	n, err := rand.Int(rand.Reader, big.NewInt(int64(2*time.Hour)))
	if err != nil {
		panic(err) // crypto/rand never fails
	}
	return time.Duration(n.Int64())
}

// collect takes what requests have counted into the days' tallies. The caller holds mu.
func (u *Usage) collect(now time.Time) {
	today := day(now.Unix())
	u.table.collect(func(c *usageCounter, odd int, n uint64) {
		at, last := today, c.last.Load()
		if int(today&1) != odd {
			at = today - 1
			last = min(last, today*secondsOfDay-1)
		}
		u.day(at).count(c, n, last)
	})
}

// day returns the tally of a day.
func (u *Usage) day(n int64) *usageDay {
	for _, d := range u.days {
		if d.day == n {
			return d
		}
	}
	// Each tally has its own names: if the clock is set back, one that is stored already is
	// not overwritten.
	d := &usageDay{day: n, writer: randomWriter()}
	u.days = append(u.days, d)
	slices.SortFunc(u.days, func(a, b *usageDay) int { return int(a.day - b.day) })
	return d
}

func randomWriter() string {
	var id [4]byte
	if _, err := rand.Read(id[:]); err != nil {
		panic(err) // crypto/rand never fails
	}
	return hex.EncodeToString(id[:])
}

// write stores what has changed, part after part, so that a part is there only if those
// before it are. It ends at the first error.
func (u *Usage) write(ctx context.Context) error {
	u.storing.Lock()
	defer u.storing.Unlock()
	u.mu.Lock()
	now := u.clock.Now()
	u.collect(now)
	today := day(now.Unix())
	u.days = slices.DeleteFunc(u.days, func(d *usageDay) bool {
		stored := !slices.ContainsFunc(d.parts, func(p usagePart) bool { return p.changed })
		return d.day < today-1 && stored || d.day < today-keptDays
	})
	days, objects := slices.Clone(u.days), u.objects
	u.mu.Unlock()
	for _, d := range days {
		for i := 0; ; i++ {
			u.mu.Lock()
			if i >= len(d.parts) {
				u.mu.Unlock()
				break
			}
			changed := d.parts[i].changed
			var content []byte
			if changed {
				content = appendUses(make([]byte, 0, d.parts[i].size), d.part(i))
			}
			d.parts[i].changed = false
			u.mu.Unlock()
			if !changed {
				continue
			}
			if err := u.store(ctx, objects, usageName{d.day, d.writer, i}.String(), content); err != nil {
				u.mu.Lock()
				d.parts[i].changed = true
				u.mu.Unlock()
				return err
			}
		}
	}
	return nil
}

func (u *Usage) store(ctx context.Context, objects replica.Objects, name string, content []byte) error {
	ctx, cancel := context.WithTimeout(ctx, usageLimit)
	defer cancel()
	return objects.Store(ctx, name, content)
}
