package apikey

import (
	"slices"
	"sync"
	"time"
)

// sortedIDs are the ids of a store's keys in their order. New ones wait until somebody
// lists the keys, so that making a key costs no sorting.
type sortedIDs struct {
	mu     sync.Mutex // of sorted; it is taken before the store's
	sorted []string
	fresh  []string // under the store's lock
}

func (ids *sortedIDs) add(id string) { ids.fresh = append(ids.fresh, id) }

// StoredKey is a key as people see it.
type StoredKey struct {
	// Record has all but the hash, which is zero. Disabled is whether it is disabled.
	Record
	// Secrets is how many secrets of the key are accepted now: two during the overlap
	// of a roll.
	Secrets int
	// OldUntil is the time from which only the newest secret is accepted; zero if that
	// is so now. If a key was rolled on two nodes at once, both new secrets stay.
	OldUntil time.Time
}

func (k *keyState) stored(now time.Time) StoredKey {
	stored := StoredKey{Record: k.record()}
	stored.Secrets, stored.OldUntil = k.accepted(now)
	return stored
}

// Get returns a key.
func (s *Store) Get(id string, now time.Time) (StoredKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, err := s.key(id)
	if err != nil {
		return StoredKey{}, err
	}
	return k.stored(now), nil
}

// key returns the state of a key that is not deleted. The caller holds the lock.
func (s *Store) key(id string) (*keyState, error) {
	switch k := s.state.keys[id]; {
	case k == nil || !k.dead && k.profile == "":
		return nil, ErrNoKey
	case k.dead:
		return nil, ErrKeyDeleted
	default:
		return k, nil
	}
}

// List returns the keys in the order of their ids, behind the id after, at most limit of
// them, and where to continue, empty if there are no more.
func (s *Store) List(after string, limit int, now time.Time) (keys []StoredKey, next string) {
	s.ids.mu.Lock()
	defer s.ids.mu.Unlock()
	s.mu.Lock()
	fresh := s.ids.fresh
	s.ids.fresh = nil
	s.mu.Unlock()
	s.ids.merge(fresh)

	s.mu.Lock()
	defer s.mu.Unlock()
	at, found := slices.BinarySearch(s.ids.sorted, after)
	if found {
		at++
	}
	for _, id := range s.ids.sorted[at:] {
		k, err := s.key(id)
		if err != nil {
			continue // deleted
		}
		if len(keys) == limit {
			return keys, keys[len(keys)-1].ID
		}
		keys = append(keys, k.stored(now))
	}
	return keys, ""
}

// merge puts ids in their places. An id is created once, as it stays deleted.
func (ids *sortedIDs) merge(fresh []string) {
	if len(fresh) == 0 {
		return
	}
	slices.Sort(fresh)
	old := ids.sorted
	merged := make([]string, 0, len(old)+len(fresh))
	for len(old) > 0 && len(fresh) > 0 {
		if old[0] < fresh[0] {
			merged, old = append(merged, old[0]), old[1:]
		} else {
			merged, fresh = append(merged, fresh[0]), fresh[1:]
		}
	}
	ids.sorted = append(append(merged, old...), fresh...)
}
