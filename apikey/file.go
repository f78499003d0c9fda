package apikey

import (
	"fmt"
	"os"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/internal/filewatch"
)

// pollInterval is how often key files are polled. A change is in force after at most
// this, filewatch.SettleTime, and the time that reading takes.
const pollInterval = 200 * time.Millisecond

const (
	// maxSettleWait is how long to wait for a file that is written to all the
	// time. After that the keys are still protected: a file must not change while
	// it is read, and must end with a newline.
	maxSettleWait = 5 * time.Second
	// cutOffDelay is how long a file that has lost its end in place is rejected
	// as cut off.
	cutOffDelay = 5 * time.Minute
)

// File holds the API keys of a file and reloads them when it changes. If the changed
// file is broken, the last good keys stay in force.
//
// A file that lost its last records in place and is otherwise unchanged looks like one
// that was cut off, by a full disk or a writer that died. It is an error, until the file
// has been unchanged for 5 minutes: then it is accepted, since somebody may have removed
// the last line by hand.
//
// It is safe for concurrent use.
type File struct {
	watched filewatch.Watched[*Set, Event]
	path    string
	open    func(path string) (openedFile, error)

	// Guarded by the lock of watched.
	cutSince time.Time // when the file was first seen to be cut off, zero if it is not
	cutTo    int       // how many keys it had then
}

// reading is a reading of the file.
type reading = filewatch.Reading[*Set]

// FileConfig is the config of a File.
type FileConfig struct {
	// Path is the file.
	Path string
	// Clock is the time. Default: the clock of the process.
	Clock clock.Clock
}

// NewFile loads the file; an error, with the line, means that it can't be used now. It
// does not start polling.
func NewFile(c FileConfig) (*File, error) {
	f := &File{path: c.Path, open: openFile}
	err := f.watched.Open(filewatch.Config[*Set, Event]{
		Paths: []string{c.Path}, Interval: pollInterval, MaxWait: maxSettleWait, RereadUncertain: true, Clock: c.Clock,
		Read: f.read, Review: f.review, ReviewDue: f.cutOffDue, Take: f.take, Fail: f.fail,
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Set returns the keys in force.
func (f *File) Set() *Set { return f.watched.Value() }

// Observe sets the function that is called for each change; nil for none.
func (f *File) Observe(observe func(Event)) { f.watched.Observe(observe) }

// Start starts polling for changes. It returns at once, and does nothing if called
// again.
func (f *File) Start() { f.watched.Start() }

// Close stops polling. Requests in flight are still served.
func (f *File) Close() { f.watched.Close() }

// Reread reads the file for a config that is being loaded, and returns what is wrong
// with it. It changes nothing: the config calls take once it is in force, and drops it if
// it fails to load. A file that has not changed is not read again. A file that has lost
// its end is accepted here: anyone who loads a config means the files as they are.
func (f *File) Reread() (take func(), err error) { return f.watched.Reread() }

func (f *File) read() (reading, error) {
	keys, info, held, err := loadSet(f.path, f.open)
	r := reading{Value: keys, Held: held}
	if info != nil {
		r.State = filewatch.State{info}
	}
	return r, err
}

// doubt is an error for a file that was cut off, but not long ago.
func (f *File) review(current, read *reading, err error) error {
	switch {
	case err != nil || !os.SameFile(read.State[0], current.State[0]) || !current.Value.beginsWith(read.Value):
		f.cutSince = time.Time{}
		return err
	case f.cutSince.IsZero() || f.cutTo != read.Value.Len():
		// What is left is a beginning of what was there, so that its length says
		// all of it. That it is written again, as it is, starts nothing over.
		f.cutSince, f.cutTo = read.Begun, read.Value.Len()
	case f.cutOffDue(read.Begun):
		f.cutSince = time.Time{}
		return nil
	}
	return fmt.Errorf("%s: %w", f.path, cutOffError(current.Value.Len()-read.Value.Len()))
}

// cutOffDue reports whether a file that was cut off has stood so for long.
func (f *File) cutOffDue(now time.Time) bool {
	return !f.cutSince.IsZero() && now.Sub(f.cutSince) >= cutOffDelay
}

// cutOffError is the error for a file that has lost its end in place, as an interrupted
// writer leaves it.
func cutOffError(lost int) error {
	return fmt.Errorf("it has lost its last records (%d) and is otherwise unchanged, like a file that was cut off; to remove them, use `caddy jwt api-key delete`, replace the file, or run `caddy reload --force`; otherwise it is accepted after %d minutes", lost, int(cutOffDelay.Minutes()))
}

// take reports an event if the keys have changed.
func (f *File) take(current, read *reading, recovered bool) (Event, bool) {
	f.cutSince = time.Time{}
	read.Value.indexLike(current.Value)
	e := Event{Kind: Changed, File: f.path, Keys: read.Value.Len()}
	switch {
	case recovered:
		e.Kind = Recovered
	case read.State.Unwritten(current.State) && current.Value.equal(read.Value):
		// The file was read once more and is unchanged.
		read.Value, read.At = current.Value, current.At
		return e, false
	}
	return e, true
}

// fail returns the event for an error.
func (f *File) fail(current *reading, _ time.Time, err error) Event {
	return Event{Kind: Failing, File: f.path, Keys: current.Value.Len(), Err: err}
}
