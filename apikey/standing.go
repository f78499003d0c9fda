package apikey

import (
	"context"
	"time"
)

// Standing is what has become of an API key, by its id: whether what it vouched for is
// still good.
type Standing uint8

// The standings of a key.
const (
	// StandingUnknown: there is no key with the id, as far as this node knows. One that was
	// deleted from a file is unknown too.
	StandingUnknown Standing = iota
	// StandingValid: it is enabled, and one of its secrets is accepted.
	StandingValid
	// StandingDisabled: it is disabled.
	StandingDisabled
	// StandingExpired: it has expired, or none of its secrets is accepted any more.
	StandingExpired
	// StandingDeleted: it was deleted from a store, which is final.
	StandingDeleted
	// StandingUnavailable: it is not known at present, as a store is not available.
	StandingUnavailable
)

// FindID returns how the key with this id stands, and the name of its store, empty for a
// key that is in no store. If several places know the id, the first of them decides: the
// config's keys, those in files of their own, the files, the stores.
func (l *Lookup) FindID(ctx context.Context, id string, now time.Time) (Standing, string) {
	if l.Written != nil {
		if st := l.Written.standing(id, now); st != StandingUnknown {
			return st, ""
		}
	}
	if l.Placed != nil {
		if st := l.Placed.Set().standing(id, now); st != StandingUnknown {
			return st, ""
		}
	}
	for _, file := range l.Files {
		if st := file.Set().standing(id, now); st != StandingUnknown {
			return st, ""
		}
	}
	for _, s := range l.Stores {
		if s.Unavailable(ctx, now) {
			return StandingUnavailable, s.Name()
		}
		if st := s.FindID(id, now); st != StandingUnknown {
			return st, s.Name()
		}
	}
	return StandingUnknown, ""
}

// AwaitID reports whether something may have been learned meanwhile of an id that is
// unknown, as Stored.AwaitID does.
func (l *Lookup) AwaitID(ctx context.Context, id string) (learned bool) {
	for _, s := range l.Stores {
		learned = s.AwaitID(ctx, id) || learned
	}
	return learned
}

func (s *Set) standing(id string, now time.Time) Standing {
	k, ok := s.FindID(id)
	switch {
	case !ok:
		return StandingUnknown
	case !k.Enabled():
		return StandingDisabled
	case k.Expired(now):
		return StandingExpired
	}
	return StandingValid
}
