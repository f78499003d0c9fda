package apikey

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/internal/replica"
)

// Usage counts how often keys of a store are used, and when last, and shares that with the
// other nodes. It is safe for concurrent use.
type Usage struct{}

// UsageConfig is the config of a Usage.
type UsageConfig struct {
	// Objects is the folder in which counts are kept.
	Objects replica.Objects
	// Keys is how many keys the store has, which decides how often counts are written.
	Keys func() int
	// Clock is the time. Default: the clock of the process.
	Clock clock.Clock
}

// NewUsage makes a Usage that has counted nothing.
func NewUsage(c UsageConfig) *Usage { return &Usage{} }

// Start begins to write counts, Close writes them once more and ends that.
func (u *Usage) Start()                    {}
func (u *Usage) Close(ctx context.Context) {}

// Rebind replaces the folder in which counts are kept.
func (u *Usage) Rebind(o replica.Objects) {}

// Used counts one use of a key. It costs no lock that other requests hold.
func (u *Usage) Used(k Key, now time.Time) {}

// Total returns the number of uses that were counted by this process.
func (u *Usage) Total() uint64 { return 0 }

// Uses is how a key was used, on all nodes.
type Uses struct {
	// Last is the time of the last use, to the second; zero for none that is known.
	Last time.Time
	// Today and Days30 are the number of uses of this day and of the last 30 days, by UTC.
	Today, Days30 uint64
}

// Read reads the uses of all nodes, by the keys' ids.
func (u *Usage) Read(ctx context.Context) (map[string]Uses, error) { return nil, errors.ErrUnsupported }
