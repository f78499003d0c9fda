package keystore

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/internal/filewatch"
	"github.com/caddy-jwt/caddy-jwt/key"
)

// pollInterval is the pace at which files are looked at. A change is taken over
// within this plus filewatch.SettleTime.
const pollInterval = 500 * time.Millisecond

// File holds keys of files on this machine and takes changes of them over, as
// package filewatch does. A change that is broken leaves the last good keys in
// place. It is safe for concurrent use.
type File struct {
	watched filewatch.Watched[*Set, Event]
	paths   []string
	parse   func(contents [][]byte) (*Set, error)
	// broken identifies the contents that could not be parsed last, zero if
	// there are none. One reading at a time has it.
	broken [sha256.Size]byte
}

// FileConfig is the config of a File.
type FileConfig struct {
	// Paths are the files, at least one.
	Paths []string
	// Read makes keys of the contents, in the order of Paths.
	Read func(contents [][]byte) (*Set, error)
	// Clock is the time; nil for that of the process.
	Clock clock.Clock
}

// NewFile loads the files; an error means that they can't be used now. It
// starts nothing.
func NewFile(c FileConfig) (*File, error) {
	f := &File{paths: c.Paths, parse: c.Read}
	err := f.watched.Open(filewatch.Config[*Set, Event]{
		Paths: c.Paths, Pace: pollInterval, Insist: true, Clock: c.Clock,
		Read: f.read, Take: f.take, Fail: f.fail,
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Keys returns the keys that a token with this kid may have been signed with
// (see Set.find), or key.ErrUnknown if there is none. It never waits.
func (f *File) Keys(_ context.Context, kid string) ([]key.Key, error) {
	if keys := f.Set().find(kid); len(keys) > 0 {
		return keys, nil
	}
	return nil, key.ErrUnknown
}

// Version is that of the keys in hand. It holds for every kid.
func (f *File) Version(string, time.Time) uint64 { return f.Set().version }

// Set returns the keys in hand.
func (f *File) Set() *Set { return f.watched.Value() }

// Observe replaces the function that hears of changes; nil for none.
func (f *File) Observe(observe func(Event)) { f.watched.Observe(observe) }

// Start begins to look for changes. It returns at once, and does nothing if
// called again.
func (f *File) Start() { f.watched.Start() }

// Close ends it. Requests in flight go on being served.
func (f *File) Close() { f.watched.Close() }

// read reads the files, and their state as it was before.
func (f *File) read() (r filewatch.Reading[*Set], err error) {
	broken := f.broken
	f.broken = [sha256.Size]byte{}
	if r.Of, err = filewatch.Stat(f.paths); err != nil {
		return r, err
	}
	contents := make([][]byte, len(f.paths))
	for i, path := range f.paths {
		if contents[i], err = filewatch.ReadFile(path); err != nil {
			return r, err
		}
	}
	read := digest(contents)
	if read == broken {
		f.broken = broken
		return r, filewatch.ErrSame
	}
	if r.Value, err = f.parse(contents); err != nil {
		f.broken = read
	}
	return r, err
}

// take tells of keys that are others.
func (f *File) take(serves, read *filewatch.Reading[*Set], recovered bool) (Event, bool) {
	before, set := serves.Value, read.Value
	e := Event{Source: f.paths[0], At: read.At, Keys: len(set.all), FetchedAt: read.At, Problems: set.problems}
	if before.same(set) {
		read.Value = before
		e.Kind = SourceRecovered
		return e, recovered
	}
	e.Kind, e.Added, e.Removed = KeysChanged, difference(set, before), difference(before, set)
	return e, true
}

// fail tells of a fault.
func (f *File) fail(serves *filewatch.Reading[*Set], at time.Time, err error) Event {
	return Event{
		Kind: SourceFailing, Source: f.paths[0], At: at, Keys: len(serves.Value.all), Err: err, FetchedAt: serves.At,
	}
}

func digest(contents [][]byte) [sha256.Size]byte {
	h := sha256.New()
	for _, c := range contents {
		sum := sha256.Sum256(c)
		h.Write(sum[:])
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// Status returns the state of the files.
func (f *File) Status() Status {
	w := f.watched.Status()
	set := w.Serves.Value
	s := Status{
		State: "fresh", Source: f.paths[0], Keys: set.info(), Problems: set.problems, FetchedAt: w.Serves.At,
		LastError: describe(w.Err), Failures: w.Failures,
	}
	if w.Err != nil {
		s.State, s.LastErrorAt = "stale", w.ErrAt
	}
	return s
}
