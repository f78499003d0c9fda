package apikey

import (
	"fmt"
	"os"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/internal/filewatch"
)

// pollInterval is the pace at which key files are looked at. A change is
// taken over within this, filewatch.SettleTime, and the time that it takes to read.
const pollInterval = 200 * time.Millisecond

const (
	// settlePatience is how long a file that never is left alone is waited
	// for. What guards the keys then is that a file must stand still while it
	// is read, and end with a newline.
	settlePatience = 5 * time.Second
	// cutOffPatience is how long a file that has lost its end in place is
	// taken for one that was cut off.
	cutOffPatience = 5 * time.Minute
)

// File holds the API keys of a file and takes changes of it over, as package
// filewatch does: whatever is wrong with a change, the last good keys stay in place.
//
// A file that lost its last records in place and is the same otherwise looks like
// one that was cut off, by a full disk or a writer that died. It is a fault, until
// it has stood unchanged for 5 minutes: then it is taken over, as whoever removed
// the last line by hand means it.
//
// It is safe for concurrent use.
type File struct {
	watched filewatch.Watched[*Set, Event]
	path    string
	open    func(path string) (openedFile, error)

	// With the lock of watched.
	cutSince time.Time // when the file was first seen to be cut off, zero if it is not
	cutTo    int       // how many keys it had then
}

// reading is a reading of the file.
type reading = filewatch.Reading[*Set]

// FileConfig is the config of an File.
type FileConfig struct {
	// Path is the file.
	Path string
	// Clock is the time; nil for that of the process.
	Clock clock.Clock
}

// NewFile loads the file; an error, with the line, means that it can't be
// used now. It starts nothing.
func NewFile(c FileConfig) (*File, error) {
	f := &File{path: c.Path, open: openFile}
	err := f.watched.Open(filewatch.Config[*Set, Event]{
		Paths: []string{c.Path}, Pace: pollInterval, Patience: settlePatience, Twice: true, Clock: c.Clock,
		Read: f.read, Doubt: f.doubt, Due: f.due, Take: f.take, Fail: f.fail,
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Set returns the keys in hand.
func (f *File) Set() *Set { return f.watched.Value() }

// Observe replaces the function that hears of changes; nil for none.
func (f *File) Observe(observe func(Event)) { f.watched.Observe(observe) }

// Start begins to look for changes. It returns at once, and does nothing if
// called again.
func (f *File) Start() { f.watched.Start() }

// Close ends it. Requests in flight go on being served.
func (f *File) Close() { f.watched.Close() }

// Reread reads the file for a config that is being loaded, and returns what is
// wrong with it. It changes nothing: take takes over what was read, once the
// config is in force; a config that never comes into force drops it. A file that
// has not changed is not read again. What stands in the way of taking a change
// over by itself, that the file has lost its end, does not here: whoever loads a
// config means the files as they are.
func (f *File) Reread() (take func(), err error) { return f.watched.Reread() }

func (f *File) read() (reading, error) {
	keys, info, held, err := loadSet(f.path, f.open)
	r := reading{Value: keys, Held: held}
	if info != nil {
		r.Of = filewatch.State{info}
	}
	return r, err
}

// doubt is an error for a file that was cut off, but not long ago.
func (f *File) doubt(serves, read *reading, err error) error {
	switch {
	case err != nil || !os.SameFile(read.Of[0], serves.Of[0]) || !serves.Value.beginsWith(read.Value):
		f.cutSince = time.Time{}
		return err
	case f.cutSince.IsZero() || f.cutTo != read.Value.Len():
		// What is left is a beginning of what was there, so that its length says
		// all of it. That it is written again, as it is, begins nothing anew.
		f.cutSince, f.cutTo = read.Begun, read.Value.Len()
	case f.due(read.Begun):
		f.cutSince = time.Time{}
		return nil
	}
	return fmt.Errorf("%s: %w", f.path, cutOffError(serves.Value.Len()-read.Value.Len()))
}

// due reports whether a file that was cut off has stood so for long.
func (f *File) due(now time.Time) bool {
	return !f.cutSince.IsZero() && now.Sub(f.cutSince) >= cutOffPatience
}

// cutOffError tells of a file that has lost its end in place. A writer that was
// interrupted leaves such a file; whoever means to remove keys replaces it.
func cutOffError(lost int) error {
	return fmt.Errorf("it has lost its last records (%d) and is the same otherwise, as a file that was cut off; if they are to go, remove them with `caddy jwt api-key delete`, replace the file by another, or run `caddy reload --force`; as it is it counts after %d minutes", lost, int(cutOffPatience.Minutes()))
}

// take tells of keys that are others.
func (f *File) take(serves, read *reading, recovered bool) (Event, bool) {
	f.cutSince = time.Time{}
	e := Event{Kind: Changed, File: f.path, Keys: read.Value.Len()}
	switch {
	case recovered:
		e.Kind = Recovered
	case read.Of.Unwritten(serves.Of) && serves.Value.equal(read.Value):
		// The same once more, to be sure.
		read.Value, read.At = serves.Value, serves.At
		return e, false
	}
	return e, true
}

// fail tells of a fault.
func (f *File) fail(serves *reading, _ time.Time, err error) Event {
	return Event{Kind: Failing, File: f.path, Keys: serves.Value.Len(), Err: err}
}
