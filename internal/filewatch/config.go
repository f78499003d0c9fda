package filewatch

import (
	"errors"
	"io"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
)

// Reading is a value that was read, and the files that it was read from.
type Reading[T any] struct {
	Value T
	// Begun and At are when the reading began and ended.
	Begun, At time.Time
	// State is the state of the files before they were read; nil if an error is not
	// the files' fault and they may be read at the next poll.
	State State
	// Held is closed when the reading is no longer in force; may be nil.
	Held io.Closer

	number int
}

// Config says what is watched, and what is done with it. All functions but Read are
// called with the lock of the Watched held, so their owner may use it to guard fields.
type Config[T, E any] struct {
	// Paths are the files, at least one.
	Paths []string
	// Interval is how often the files are polled. A change is in force after at
	// most Interval, SettleTime, and the time that reading takes.
	Interval time.Duration
	// MaxWait is how long to wait for files that never settle before they are read
	// nevertheless; zero for no limit.
	MaxWait time.Duration
	// RetryBroken reads broken files again at each poll, because on some systems a
	// write leaves the whole state unchanged. It is meant for small files.
	RetryBroken bool
	// RereadUncertain reads files once more whose timestamps are too coarse to show
	// a change that follows a reading closely.
	RereadUncertain bool
	// Clock is the time. Default: the clock of the process.
	Clock clock.Clock

	// Read reads the files and sets Value, State and Held.
	Read func() (Reading[T], error)
	// Review sees each polled reading. It returns err if there is one, or why a good
	// reading is not put in force for now. Optional.
	Review func(current, read *Reading[T], err error) error
	// ReviewDue reports whether unchanged files are to be read again because Review
	// may accept them now. Optional.
	ReviewDue func(now time.Time) bool
	// Take is called when a reading is put in force, which it may change. It returns
	// the event to report, if any. recovered reports whether the previous reading had
	// failed.
	Take func(current, read *Reading[T], recovered bool) (event E, notify bool)
	// Fail returns the event that reports an error. It is called once for each error.
	Fail func(current *Reading[T], at time.Time, err error) E
}

// Errors of Read that change nothing.
var (
	// ErrChanging is for a file that was written to while it was read.
	ErrChanging = errors.New("it is being written")
	// ErrSame is for broken files whose content is unchanged.
	ErrSame = errors.New("it is unchanged")
)

// Status is the state of watched files.
type Status[T any] struct {
	// Current is the reading in force.
	Current *Reading[T]
	// Err is the error of the latest reading, nil if it succeeded, and ErrAt is when
	// it occurred.
	Err   error
	ErrAt time.Time
	// Failures is the number of errors since the last success.
	Failures int
}
