package keystore

import (
	"net/netip"
	"slices"
)

// The limits on calls at once, and on requests that wait for one. Anybody can send tokens that
// nobody has seen: a flood of them must neither be passed on to the issuer nor keep the tokens
// that are in use from being asked about.
const (
	maxCalls = 64
	// maxStrangers is how many of them are for tokens that are not known.
	maxStrangers = maxCalls / 2
	// maxOfNetwork is how many of those are for one network.
	maxOfNetwork = 4
	// maxWaiting is how many requests wait for a slot, and the others again how many of them
	// for tokens that are not known, and for one network.
	maxWaiting          = 256
	maxStrangersWaiting = 192
	maxOfNetworkWaiting = 64
)

// slots are the places for calls, and the queue for them. The caller holds the lock of the
// Introspection.
type slots struct {
	running   int
	strangers int
	networks  map[netip.Prefix]load
	// The queues, in the order of arrival. Those who are known come first.
	known, unknown   []*inquiry
	waiting          int // requests, not inquiries
	strangersWaiting int
}

// load is what one network has of the places for tokens that are not known.
type load struct{ calls, waiting int }

// free reports whether there is a slot for an inquiry.
func (s *slots) free(q *inquiry) bool {
	return s.running < maxCalls && (q.known || s.strangers < maxStrangers && s.networks[q.network].calls < maxOfNetwork)
}

// take gives a free slot to an inquiry, and its requests no longer wait for one.
func (s *slots) take(q *inquiry) {
	s.unqueue(q)
	q.begun = true
	s.running++
	if !q.known {
		s.strangers++
		s.load(q.network, 1, 0)
	}
}

// give takes a slot back.
func (s *slots) give(q *inquiry) {
	s.running--
	if !q.known {
		s.strangers--
		s.load(q.network, -1, 0)
	}
}

// mayWait reports whether one more request may wait for an inquiry to begin.
func (s *slots) mayWait(q *inquiry) bool {
	return s.waiting < maxWaiting &&
		(q.known || s.strangersWaiting < maxStrangersWaiting && s.networks[q.network].waiting < maxOfNetworkWaiting)
}

// wait changes how many requests wait for an inquiry to begin.
func (s *slots) wait(q *inquiry, n int) {
	s.waiting += n
	if !q.known {
		s.strangersWaiting += n
		s.load(q.network, 0, n)
	}
}

// queue puts an inquiry at the end of its queue.
func (s *slots) queue(q *inquiry) {
	of := s.queueOf(q)
	*of = append(*of, q)
}

// unqueue takes an inquiry out of its queue, if it is in it, with all that wait for it.
func (s *slots) unqueue(q *inquiry) {
	of := s.queueOf(q)
	n := slices.Index(*of, q)
	if n < 0 {
		return
	}
	*of = slices.Delete(*of, n, n+1)
	s.wait(q, -q.waiters)
}

func (s *slots) queueOf(q *inquiry) *[]*inquiry {
	if q.known {
		return &s.known
	}
	return &s.unknown
}

// queued returns all inquiries that wait.
func (s *slots) queued() []*inquiry { return slices.Concat(s.known, s.unknown) }

// next returns the first inquiry that waits and can begin, or nil.
func (s *slots) next() *inquiry {
	for _, queue := range [...][]*inquiry{s.known, s.unknown} {
		for _, q := range queue {
			if s.free(q) {
				return q
			}
		}
	}
	return nil
}

func (s *slots) load(network netip.Prefix, calls, waiting int) {
	l := s.networks[network]
	l.calls += calls
	l.waiting += waiting
	if l == (load{}) {
		delete(s.networks, network)
		return
	}
	if s.networks == nil {
		s.networks = map[netip.Prefix]load{}
	}
	s.networks[network] = l
}
