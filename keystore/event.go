package keystore

import "time"

// EventKind is what happened to a source.
type EventKind uint8

// The kinds of Event. Each but KeysFetched is a change of state, so a log line
// for each does not flood a log, whatever a client sends.
const (
	// KeysLoaded: the first set is there.
	KeysLoaded EventKind = iota + 1
	// KeysChanged: a fetched set differs from the one before.
	KeysChanged
	// KeysUnusable: a fetched set has other Problems than the one before.
	KeysUnusable
	// SourceFailing: a fetch failed, the first time since one succeeded.
	SourceFailing
	// SourceRecovered: a fetch succeeded, the first time since SourceFailing.
	SourceRecovered
	// KeysExpired: the source has failed for so long that the set in hand is
	// no longer used.
	KeysExpired
	// KeysFetched: a fetch succeeded, whether or not it changed anything. It
	// is the one kind that is no change of state; Remote's schedule bounds it.
	KeysFetched
)

// String returns the kind as a word for logs.
func (k EventKind) String() string {
	switch k {
	case KeysLoaded:
		return "keys_loaded"
	case KeysChanged:
		return "keys_changed"
	case KeysUnusable:
		return "keys_unusable"
	case SourceFailing:
		return "source_failing"
	case SourceRecovered:
		return "source_recovered"
	case KeysExpired:
		return "keys_expired"
	case KeysFetched:
		return "keys_fetched"
	default:
		return "unknown"
	}
}

// Event is a change of a source's state, for a log line or a metric. It holds
// no secret, and its texts are bounded.
type Event struct {
	// Kind says what happened.
	Kind EventKind
	// Source is the configured URL, without query.
	Source string
	// At is when it happened.
	At time.Time
	// Keys is how many keys are in hand.
	Keys int
	// Added and Removed describe the keys that came and went, with
	// KeysLoaded and KeysChanged.
	Added, Removed []string
	// Problems are the keys left out, with KeysUnusable.
	Problems []Problem
	// Err is what went wrong, with SourceFailing and KeysExpired.
	Err error
	// FetchedAt is when the set in hand was fetched, zero if there is none.
	FetchedAt time.Time
}

// difference returns descriptions of the keys of a that b does not have.
func difference(a, b *Set) []string {
	if a == nil {
		return nil
	}
	var names []string
	for i, k := range a.all {
		if b == nil || !b.contains(k) {
			names = append(names, describeKey(k.ID(), i+1)+" ("+k.Family()+")")
		}
	}
	return names
}
