package keystore

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/internal/filewatch"
	"github.com/caddy-jwt/caddy-jwt/key"
)

// pollInterval is how often files are polled. A change is in force within this plus
// filewatch.SettleTime.
const pollInterval = 500 * time.Millisecond

// File holds the keys of local files and reloads them when the files change. If the
// changed files are broken, the last good keys stay in force. It is safe for concurrent
// use.
type File struct {
	watched filewatch.Watched[*Set, Event]
	paths   []string
	parse   func(contents [][]byte) (*Set, error)
	// broken is the digest of the contents if the last reading could not parse
	// them, else zero. It is used by one reading at a time. The watcher may have
	// dropped that reading.
	broken [sha256.Size]byte
}

// FileConfig is the config of a File.
type FileConfig struct {
	// Paths are the files, at least one.
	Paths []string
	// Read parses the contents, in the order of Paths.
	Read func(contents [][]byte) (*Set, error)
	// Clock is the time. Default: the clock of the process.
	Clock clock.Clock
}

// NewFile loads the files; an error means that they can't be used now. It does not
// start polling.
func NewFile(c FileConfig) (*File, error) {
	f := &File{paths: c.Paths, parse: c.Read}
	err := f.watched.Open(filewatch.Config[*Set, Event]{
		Paths: c.Paths, Interval: pollInterval, RetryBroken: true, Clock: c.Clock,
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

// Version returns the version of the keys in force, which is the same for every kid.
func (f *File) Version(string, time.Time) uint64 { return f.Set().version }

// Set returns the keys in force.
func (f *File) Set() *Set { return f.watched.Value() }

// Observe sets the function that is called for each change; nil for none.
func (f *File) Observe(observe func(Event)) { f.watched.Observe(observe) }

// Start starts polling for changes. It returns at once, and does nothing if called
// again.
func (f *File) Start() { f.watched.Start() }

// Close stops polling. Requests in flight are still served.
func (f *File) Close() { f.watched.Close() }

// read reads the files, and their state before that.
func (f *File) read() (r filewatch.Reading[*Set], err error) {
	broken := f.broken
	f.broken = [sha256.Size]byte{}
	if r.State, err = filewatch.Stat(f.paths); err != nil {
		return r, err
	}
	contents := make([][]byte, len(f.paths))
	for i, path := range f.paths {
		if contents[i], err = filewatch.ReadFile(path); err != nil {
			return r, err
		}
	}
	read := digest(contents)
	if read == broken && f.watched.Status().Err != nil {
		f.broken = broken
		return r, filewatch.ErrSame
	}
	if r.Value, err = f.parse(contents); err != nil {
		f.broken = read
	}
	return r, err
}

// take reports an event if the keys have changed.
func (f *File) take(current, read *filewatch.Reading[*Set], recovered bool) (Event, bool) {
	before, set := current.Value, read.Value
	e := Event{Source: f.paths[0], At: read.At, Keys: len(set.all), FetchedAt: read.At, Problems: set.problems}
	if before.same(set) {
		read.Value = before
		e.Kind = SourceRecovered
		return e, recovered
	}
	e.Kind, e.Added, e.Removed = KeysChanged, difference(set, before), difference(before, set)
	return e, true
}

// fail returns the event for an error.
func (f *File) fail(current *filewatch.Reading[*Set], at time.Time, err error) Event {
	return Event{
		Kind: SourceFailing, Source: f.paths[0], At: at, Keys: len(current.Value.all), Err: err, FetchedAt: current.At,
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
	set := w.Current.Value
	s := Status{
		State: "fresh", Source: f.paths[0], Keys: set.info(), Problems: set.problems, FetchedAt: w.Current.At,
		LastError: describe(w.Err), Failures: w.Failures,
	}
	if w.Err != nil {
		s.State, s.LastErrorAt = "stale", w.ErrAt
	}
	return s
}
