package apikey

import (
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/internal/filewatch"
)

// Placed holds the API keys of a config that are in files of their own, one in each, and
// reads them again when a file changes. If one is missing or broken then, the last good
// keys stay in force. It is safe for concurrent use.
type Placed struct {
	watched filewatch.Watched[*Set, Event]
	paths   []string
	build   func(contents [][]byte) (*Set, error)
}

// PlacedConfig is the config of a Placed.
type PlacedConfig struct {
	// Paths are the files, at least one.
	Paths []string
	// Build makes the keys of the contents, in the order of Paths.
	Build func(contents [][]byte) (*Set, error)
	// Clock is the time. Default: the clock of the process.
	Clock clock.Clock
}

// NewPlaced loads the files; an error means that they can't be used now. It does not start
// polling.
func NewPlaced(c PlacedConfig) (*Placed, error) {
	p := &Placed{paths: c.Paths, build: c.Build}
	err := p.watched.Open(filewatch.Config[*Set, Event]{
		Paths: c.Paths, Interval: pollInterval, RetryBroken: true, Clock: c.Clock,
		Read: p.read, Take: p.take, Fail: p.fail,
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Status returns the state of the files, under the path of the first.
func (p *Placed) Status() Status {
	w := p.watched.Status()
	file := w.Current.State[0]
	s := Status{
		State: "fresh", File: p.paths[0], Keys: w.Current.Value.Len(), LoadedAt: w.Current.At,
		Modified: file.ModTime(), Size: file.Size(), Failures: w.Failures,
	}
	if w.Err != nil {
		s.State, s.LastError, s.LastErrorAt = "stale", cut(w.Err.Error(), 500), w.ErrAt
	}
	return s
}

// Set returns the keys in force.
func (p *Placed) Set() *Set { return p.watched.Value() }

// Observe sets the function that is called for each change; nil for none.
func (p *Placed) Observe(observe func(Event)) { p.watched.Observe(observe) }

// Start starts polling for changes. It returns at once, and does nothing if called again.
func (p *Placed) Start() { p.watched.Start() }

// Close stops polling. Requests in flight are still served.
func (p *Placed) Close() { p.watched.Close() }

func (p *Placed) read() (r reading, err error) {
	if r.State, err = filewatch.Stat(p.paths); err != nil {
		return r, err
	}
	contents := make([][]byte, len(p.paths))
	for i, path := range p.paths {
		if contents[i], err = filewatch.ReadFile(path); err != nil {
			return r, err
		}
	}
	r.Value, err = p.build(contents)
	return r, err
}

func (p *Placed) take(current, read *reading, recovered bool) (Event, bool) {
	e := Event{Kind: Changed, File: p.paths[0], Keys: read.Value.Len()}
	read.Value.indexLike(current.Value)
	same := current.Value.equal(read.Value)
	if recovered {
		e.Kind = Recovered
	}
	return e, recovered || !same
}

func (p *Placed) fail(current *reading, _ time.Time, err error) Event {
	return Event{Kind: Failing, File: p.paths[0], Keys: current.Value.Len(), Err: err}
}
