package tokenservice

import (
	"container/list"
	"time"
)

// The limits on failures.
const (
	// maxPairs is how many pairs are remembered.
	maxPairs = 65_536
	// maxFailures is how many assertions of a pair may fail in failureWindow.
	maxFailures   = 10
	failureWindow = time.Minute
	// knownFor is for how long a network is known from which the client came.
	knownFor = 24 * time.Hour
)

// pairs are the pairs of which something is remembered. Those that succeeded and those that
// did not are in lists of their own, so that failures, which anyone can make from any number
// of networks, push out only failures as long as there are some.
type pairs struct {
	most           int
	all            map[pair]*list.Element
	known, unknown *list.List // of *standing, the oldest in front
}

// standing is what is remembered of a pair.
type standing struct {
	pair      pair
	failures  int
	since     time.Time // when the first of the failures was
	succeeded time.Time // zero for never
}

func (p *pairs) init(most int) {
	*p = pairs{most: most, all: map[pair]*list.Element{}, known: list.New(), unknown: list.New()}
}

// standing returns how many assertions of a pair have failed lately, and whether one
// succeeded within a day.
func (p *pairs) standing(of pair, now time.Time) (failed int, known bool) {
	e := p.all[of]
	if e == nil {
		return 0, false
	}
	s := e.Value.(*standing)
	if now.Sub(s.since).Abs() < failureWindow {
		failed = s.failures
	}
	return failed, s.isKnown(now)
}

func (s *standing) isKnown(now time.Time) bool {
	return !s.succeeded.IsZero() && now.Sub(s.succeeded).Abs() < knownFor
}

func (p *pairs) failed(of pair, now time.Time) {
	s := p.touch(of, now, time.Time{})
	if now.Sub(s.since).Abs() >= failureWindow {
		s.failures, s.since = 0, now
	}
	s.failures++
}

func (p *pairs) succeeded(of pair, now time.Time) { p.touch(of, now, now) }

// touch makes a pair the newest of its list.
func (p *pairs) touch(of pair, now, succeeded time.Time) *standing {
	s := &standing{pair: of}
	if e := p.all[of]; e != nil {
		s = e.Value.(*standing)
		p.remove(e)
	} else if len(p.all) >= p.most {
		oldest := p.unknown.Front()
		if oldest == nil {
			oldest = p.known.Front()
		}
		p.remove(oldest)
	}
	if !succeeded.IsZero() {
		s.succeeded = succeeded
	}
	in := p.unknown
	if s.isKnown(now) {
		in = p.known
	}
	p.all[of] = in.PushBack(s)
	return s
}

func (p *pairs) remove(e *list.Element) {
	s := e.Value.(*standing)
	p.known.Remove(e) // it does nothing if the element is in the other list
	p.unknown.Remove(e)
	delete(p.all, s.pair)
}
