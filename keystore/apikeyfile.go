package keystore

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
)

// apiKeyPollInterval is the pace at which key files are looked at. A change is
// taken over within this, settleTime, and the time that it takes to read.
const apiKeyPollInterval = 200 * time.Millisecond

const (
	// settlePatience is how long a file that never is left alone is waited
	// for. What guards the keys then is that a file must stand still while it
	// is read, and end with a newline.
	settlePatience = 5 * time.Second
	// coarsestTime is the step of the times of the coarsest file systems
	// (FAT). There a file that changed less than that before it was read may
	// change again and look the same, so it is read once more.
	coarsestTime = 2 * time.Second
	// cutOffPatience is how long a file that has lost its end in place is
	// taken for one that was cut off.
	cutOffPatience = 5 * time.Minute
)

// APIKeyFile holds the API keys of a file and takes changes of it over, as File
// does for keys of issuers: a replacement, a write in place, a symbolic link that
// is swapped. Whatever is wrong with a change, the last good keys stay in place.
//
// A file that lost its last records in place and is the same otherwise looks like
// one that was cut off, by a full disk or a writer that died. It is a fault, until
// it has stood unchanged for 5 minutes: then it is taken over, as whoever removed
// the last line by hand means it.
//
// It is safe for concurrent use.
type APIKeyFile struct {
	lookout
	path string
	open func(path string) (openedFile, error)

	current atomic.Pointer[apiKeyFileSet]

	looking sync.Mutex // held while the file is read

	// With the lookout's lock.
	looked fileState // as it was when it was read last, whole or broken
	// When what was read last is to be read once more, zero for not at all
	// (see coarsestTime).
	unsureUntil time.Time
	differs     time.Time // when the file was first seen to be another, zero if it is not
	cutSince    time.Time // when the file was first seen to be cut off, zero if it is not
	cutTo       int       // how many keys it had then
	readings    int       // begun
	takenOver   int       // the latest reading that was taken over
	err         error     // of that reading
	errAt       time.Time
	failures    int
}

// apiKeyFileSet is what was read, and of which file.
type apiKeyFileSet struct {
	keys *APIKeys
	at   time.Time
	of   fileState
	held io.Closer // see holdFile
}

// reading is a reading of the file, whatever came of it.
type reading struct {
	apiKeyFileSet
	n     int
	begun time.Time
}

// APIKeyFileConfig is the config of an APIKeyFile.
type APIKeyFileConfig struct {
	// Path is the file.
	Path string
	// Clock is the time; nil for that of the process.
	Clock clock.Clock
}

// NewAPIKeyFile loads the file; an error, with the line, means that it can't be
// used now. It starts nothing.
func NewAPIKeyFile(c APIKeyFileConfig) (*APIKeyFile, error) {
	if c.Clock == nil {
		c.Clock = clock.System()
	}
	f := &APIKeyFile{lookout: lookout{clock: c.Clock}, path: c.Path, open: openKeyFile}
	r, err := f.read()
	if err != nil {
		return nil, err
	}
	f.note(r)
	f.current.Store(&r.apiKeyFileSet)
	return f, nil
}

// read reads the file. Call with looking, as the readings are numbered.
func (f *APIKeyFile) read() (*reading, error) {
	f.readings++
	r := &reading{n: f.readings, begun: f.clock.Now()}
	keys, info, held, err := loadAPIKeys(f.path, f.open)
	r.apiKeyFileSet = apiKeyFileSet{keys, f.clock.Now(), fileState{info}, held}
	return r, err
}

// APIKeys returns the keys in hand.
func (f *APIKeyFile) APIKeys() *APIKeys { return f.current.Load().keys }

// Start begins to look for changes. It returns at once, and does nothing if
// called again.
func (f *APIKeyFile) Start() {
	f.every(apiKeyPollInterval, f.poll)
}

func (f *APIKeyFile) poll() {
	if f.changed() {
		f.look()
	}
}

// Close ends it. Requests in flight go on being served.
func (f *APIKeyFile) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.end()
	_ = f.current.Load().held.Close() // nothing was written
}

// changed tells whether there is something to read: the file is another than the
// one read last, and has been left alone for a while. One that could not be
// opened or read is tried again each time, as permissions change without a trace.
func (f *APIKeyFile) changed() bool {
	info, err := os.Stat(f.path)
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.clock.Now()
	switch {
	case err != nil:
		return f.err == nil || f.looked.info != nil || f.err.Error() != err.Error()
	case (fileState{info}).same(f.looked):
		f.differs = time.Time{}
		return f.unsure() && !now.Before(f.unsureUntil) ||
			!f.cutSince.IsZero() && now.Sub(f.cutSince) >= cutOffPatience
	case f.differs.IsZero():
		f.differs = now
	}
	age := now.Sub(info.ModTime())
	return age < 0 || age >= settleTime || now.Sub(f.differs) >= settlePatience
}

// unsure tells that what was read last is to be read once more.
func (f *APIKeyFile) unsure() bool { return !f.unsureUntil.IsZero() }

// Reread reads the file for a config that is being loaded, and returns what is
// wrong with it. It changes nothing: take takes over what was read, once the
// config is in force; a config that never comes into force drops it. A file that
// has not changed is not read again. What stands in the way of taking a change
// over by itself, that the file has lost its end, does not here: whoever loads a
// config means the files as they are.
func (f *APIKeyFile) Reread() (take func(), err error) {
	if f.unchanged() {
		return func() {}, nil
	}
	f.looking.Lock()
	defer f.looking.Unlock()
	r, err := f.read()
	if err != nil {
		return nil, err
	}
	return func() { f.takeReread(r) }, nil
}

func (f *APIKeyFile) unchanged() bool {
	info, err := os.Stat(f.path)
	f.mu.Lock()
	defer f.mu.Unlock()
	return err == nil && f.err == nil && !f.unsure() && (fileState{info}).same(f.current.Load().of)
}

func (f *APIKeyFile) takeReread(r *reading) {
	f.looking.Lock()
	defer f.looking.Unlock()
	if f.takenOver >= r.n {
		return // something newer serves, or this already
	}
	tell(f.take(r, nil))
}

// look reads the file and takes it over, or keeps the keys in hand and tells why.
func (f *APIKeyFile) look() {
	f.looking.Lock()
	defer f.looking.Unlock()
	r, err := f.read()
	if errors.Is(err, errChanging) {
		return // at the next look
	}
	if lost := f.lost(r, err); lost > 0 {
		err = errors.Join(fmt.Errorf("%s: %w", f.path, cutOffError(lost)), r.held.Close())
	}
	tell(f.take(r, err))
}

// lost tells how many records a file was cut off by, 0 for one that was not, or
// long ago.
func (f *APIKeyFile) lost(r *reading, err error) int {
	before := f.current.Load()
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case err != nil || !os.SameFile(r.of.info, before.of.info) || !before.keys.beginsWith(r.keys):
		f.cutSince = time.Time{}
		return 0
	case f.cutSince.IsZero() || f.cutTo != r.keys.Len():
		// What is left is a beginning of what was there, so that its length says
		// all of it. That it is written again, as it is, begins nothing anew.
		f.cutSince, f.cutTo = r.begun, r.keys.Len()
	case r.begun.Sub(f.cutSince) >= cutOffPatience:
		f.cutSince = time.Time{}
		return 0
	}
	return before.keys.Len() - r.keys.Len()
}

// cutOffError tells of a file that has lost its end in place. A writer that was
// interrupted leaves such a file; whoever means to remove keys replaces it.
func cutOffError(lost int) error {
	return fmt.Errorf("it has lost its last records (%d) and is the same otherwise, as a file that was cut off; if they are to go, remove them with `caddy jwt api-key delete`, replace the file by another, or run `caddy reload --force`; as it is it counts after %d minutes", lost, int(cutOffPatience.Minutes()))
}

// coarse tells whether a file is of a file system that counts whole seconds.
func coarse(info os.FileInfo) bool { return info.ModTime().Nanosecond() == 0 }

// note notes which file was read. Call with the lock.
func (f *APIKeyFile) note(r *reading) {
	sure := r.of.same(f.looked) && !r.begun.Before(f.unsureUntil)
	f.looked, f.differs, f.unsureUntil = r.of, time.Time{}, time.Time{}
	if !sure && r.of.info != nil && coarse(r.of.info) && r.begun.Sub(lastChange(r.of.info)) < coarsestTime {
		f.unsureUntil = r.at.Add(coarsestTime)
	}
}

// take takes what was read, or what is wrong with it.
func (f *APIKeyFile) take(r *reading, err error) (*Event, func(Event)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.current.Load()
	now := r.at
	f.note(r)
	if err != nil {
		again := f.err != nil && f.err.Error() == err.Error()
		f.err, f.errAt = err, now
		if again {
			return nil, nil
		}
		f.failures++
		return &Event{Kind: SourceFailing, Source: f.path, At: now, Keys: before.keys.Len(), Err: err, FetchedAt: before.at}, f.observe
	}
	f.takenOver = r.n
	f.cutSince = time.Time{}
	e := &Event{Kind: KeysChanged, Source: f.path, At: now, Keys: r.keys.Len(), FetchedAt: now}
	switch {
	case f.err != nil:
		e.Kind = SourceRecovered
	case r.of.unwritten(before.of) && before.keys.equal(r.keys):
		// The same once more, to be sure.
		e, r.keys, r.at = nil, before.keys, before.at
	}
	f.err, f.failures = nil, 0
	f.current.Store(&r.apiKeyFileSet)
	_ = before.held.Close() // nothing was written
	if f.closed {
		_ = r.held.Close()
	}
	return e, f.observe
}
