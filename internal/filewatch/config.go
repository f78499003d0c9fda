package filewatch

import (
	"errors"
	"io"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
)

// Reading is what was read, and of which files.
type Reading[T any] struct {
	Value T
	// Begun and At are when the reading began and ended.
	Begun, At time.Time
	// Of is the state of the files, of before they were read; nil where they are
	// not to blame for an error, and may be read the next time.
	Of State
	// Held is closed when the reading is no longer in force; nil for nothing.
	Held io.Closer

	number int
}

// Config says what is watched, and what becomes of it. The functions but Read are
// called with the lock that guards the Watched: they may share fields of their
// owner.
type Config[T, E any] struct {
	// Paths are the files, at least one.
	Paths []string
	// Pace is how often they are looked at. A change is taken over within this,
	// SettleTime, and the time that it takes to read.
	Pace time.Duration
	// Patience is how long files that never are left alone are waited for, zero
	// for ever.
	Patience time.Duration
	// Insist has files that were broken read again at each look: on some systems
	// a write leaves the whole state as it was. For small ones.
	Insist bool
	// Twice has files that may change and look the same read once more when that
	// is over.
	Twice bool
	// Clock is the time; nil for that of the process.
	Clock clock.Clock

	// Read reads the files: Value, Of and Held.
	Read func() (Reading[T], error)
	// Doubt hears of each reading at a look and returns the error, if there is
	// one, or why a good reading is not taken over for now. Nil for no doubt.
	Doubt func(serves, read *Reading[T], err error) error
	// Due reports whether unchanged files are to be read again, because a doubt
	// is over. Nil for never.
	Due func(now time.Time) bool
	// Take hears that a reading is taken over, which it may change, and returns
	// what there is to tell. recovered says that the one before had failed.
	Take func(serves, read *Reading[T], recovered bool) (event E, tell bool)
	// Fail returns what there is to tell of a fault. It is called once for each.
	Fail func(serves *Reading[T], at time.Time, err error) E
}

// Errors of Read that leave everything as it is.
var (
	// ErrChanging tells of a file that was written while it was read.
	ErrChanging = errors.New("it is being written")
	// ErrSame tells that files are as broken as they were.
	ErrSame = errors.New("it is as it was")
)

// Status is the state of watched files.
type Status[T any] struct {
	// Serves is the reading in force.
	Serves *Reading[T]
	// Err is why the latest reading failed, nil if it did not, and ErrAt when.
	Err   error
	ErrAt time.Time
	// Failures is how many faults there have been in a row.
	Failures int
}
