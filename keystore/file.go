package keystore

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/key"
)

// The pace at which files are looked at. A change is taken over within
// pollInterval plus settleTime.
const (
	pollInterval = 500 * time.Millisecond
	// settleTime is how long a file must have been left alone: one that is
	// being written in place is not whole yet, and may even parse.
	settleTime = 500 * time.Millisecond
)

// File holds keys of files on this machine and takes changes of them over: an
// atomic replacement, a write in place, a symbolic link that is swapped, as
// Kubernetes does. Files are looked at rather than watched, since a watch sees
// neither what a link on the way changes nor network file systems. A change
// that is broken leaves the last good keys in place. It is safe for concurrent
// use.
type File struct {
	lookout
	paths []string
	read  func(contents [][]byte) (*Set, error)

	current atomic.Pointer[fileSet]

	// With the lookout's lock.
	seen     [sha256.Size]byte // contents looked at last, good or bad
	states   []fileState
	err      error // of the contents looked at last
	errAt    time.Time
	failures int
}

type fileSet struct {
	set *Set
	at  time.Time
}

// fileState is what changes when a file does. os.SameFile tells of another
// file under the same name, the times and size of a write in place. Whoever
// writes can put the time of the last write back (cp -p, rsync -t), but not that
// of the last change.
type fileState struct {
	info os.FileInfo
}

func (s fileState) same(other fileState) bool {
	return s.unwritten(other) && changeTime(s.info).Equal(changeTime(other.info))
}

// unwritten is same for a file that may have got another name or mode.
func (s fileState) unwritten(other fileState) bool {
	return s.info != nil && other.info != nil && os.SameFile(s.info, other.info) &&
		s.info.ModTime().Equal(other.info.ModTime()) && s.info.Size() == other.info.Size()
}

// lastChange is when a file was changed last, by whichever of its times.
func lastChange(info os.FileInfo) time.Time {
	if at := changeTime(info); at.After(info.ModTime()) {
		return at
	}
	return info.ModTime()
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
	if c.Clock == nil {
		c.Clock = clock.System()
	}
	f := &File{lookout: lookout{clock: c.Clock}, paths: c.Paths, read: c.Read}
	states, contents, err := f.load()
	if err != nil {
		return nil, err
	}
	set, err := f.read(contents)
	if err != nil {
		return nil, err
	}
	f.states, f.seen = states, digest(contents)
	f.current.Store(&fileSet{set, f.clock.Now()})
	return f, nil
}

// Keys returns the keys that a token with this kid may have been signed with
// (see Set.find), or key.ErrUnknown if there is none. It never waits.
func (f *File) Keys(_ context.Context, kid string) ([]key.Key, error) {
	if keys := f.current.Load().set.find(kid); len(keys) > 0 {
		return keys, nil
	}
	return nil, key.ErrUnknown
}

// Version is that of the keys in hand. It holds for every kid.
func (f *File) Version(string, time.Time) uint64 { return f.current.Load().set.version }

// Set returns the keys in hand.
func (f *File) Set() *Set { return f.current.Load().set }

// Start begins to look for changes. It returns at once, and does nothing if
// called again.
func (f *File) Start() {
	f.every(pollInterval, func() { tell(f.check()) })
}

// Close ends it. Requests in flight go on being served.
func (f *File) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.end()
}

// check looks at the files once, and returns what there is to tell.
func (f *File) check() (*Event, func(Event)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	states, err := f.stat()
	if err != nil {
		return f.fail(err, [sha256.Size]byte{}), f.observe
	}
	// While the last look found something broken every look reads again: a
	// write may leave time and size as they were.
	if f.err == nil && sameStates(states, f.states) {
		return nil, nil
	}
	now := f.clock.Now()
	for _, s := range states {
		if age := now.Sub(s.info.ModTime()); age >= 0 && age < settleTime {
			return nil, nil
		}
	}
	states, contents, err := f.load()
	if err != nil {
		return f.fail(err, [sha256.Size]byte{}), f.observe
	}
	seen := digest(contents)
	if f.err != nil && seen == f.seen {
		return nil, nil // broken as before
	}
	set, err := f.read(contents)
	if err != nil {
		return f.fail(err, seen), f.observe
	}
	recovered := f.err != nil
	before := f.current.Load()
	f.states, f.seen, f.err, f.failures = states, seen, nil, 0
	e := &Event{Source: f.paths[0], At: now, Keys: len(set.all), FetchedAt: now, Problems: set.problems}
	if before.set.same(set) {
		f.current.Store(&fileSet{before.set, now})
		if !recovered {
			return nil, nil
		}
		e.Kind = SourceRecovered
		return e, f.observe
	}
	f.current.Store(&fileSet{set, now})
	e.Kind, e.Added, e.Removed = KeysChanged, difference(set, before.set), difference(before.set, set)
	return e, f.observe
}

// fail keeps the keys in hand, and tells of each new fault once. Call with the
// lock.
func (f *File) fail(err error, seen [sha256.Size]byte) *Event {
	again := f.err != nil && f.err.Error() == err.Error()
	f.err, f.errAt, f.seen = err, f.clock.Now(), seen
	if again {
		return nil
	}
	f.failures++
	h := f.current.Load()
	return &Event{Kind: SourceFailing, Source: f.paths[0], At: f.errAt, Keys: len(h.set.all), Err: err, FetchedAt: h.at}
}

func (f *File) stat() ([]fileState, error) {
	states := make([]fileState, len(f.paths))
	for i, path := range f.paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		states[i] = fileState{info}
	}
	return states, nil
}

// load reads the files, and their states as they were before.
func (f *File) load() ([]fileState, [][]byte, error) {
	states, err := f.stat()
	if err != nil {
		return nil, nil, err
	}
	contents := make([][]byte, len(f.paths))
	for i, path := range f.paths {
		if contents[i], err = readFile(path); err != nil {
			return nil, nil, err
		}
	}
	return states, contents, nil
}

// readFile reads a file of at most maxDocumentBytes.
func readFile(path string) (text []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	text, err = io.ReadAll(io.LimitReader(f, maxDocumentBytes+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxDocumentBytes {
		return nil, fmt.Errorf("the file %s is larger than 1 MiB", path)
	}
	return text, nil
}

func sameStates(a, b []fileState) bool {
	for i := range a {
		if !a[i].same(b[i]) {
			return false
		}
	}
	return len(a) == len(b)
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
	f.mu.Lock()
	defer f.mu.Unlock()
	h := f.current.Load()
	s := Status{
		State: "fresh", Source: f.paths[0], Keys: h.set.info(), Problems: h.set.problems, FetchedAt: h.at,
		LastError: describe(f.err), Failures: f.failures,
	}
	if f.err != nil {
		s.State, s.LastErrorAt = "stale", f.errAt
	}
	return s
}
