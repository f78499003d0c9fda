package apikey

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"sync"
	"time"
)

// Errors of a store's changes.
var (
	// ErrNoKey: there is no key with this id.
	ErrNoKey = errors.New("there is no key with this id")
	// ErrKeyDeleted: the key was deleted, which is final.
	ErrKeyDeleted = errors.New("the key was deleted, which is final; make a new one")
	// ErrKeyExists: another key has this id, or this secret.
	ErrKeyExists = errors.New("there is a key with this id or this secret already")
)

// Actor is who changes a key, for the facts.
type Actor struct{ By, Node string }

// changeLocks let one change at a time be made to a key, if it needs to know what the key
// is. Disabling and deleting don't, and so never wait for a storage that hangs.
type changeLocks struct {
	all  sync.RWMutex // held alone by what changes many keys
	keys [64]sync.Mutex
}

var lockSeed = maphash.MakeSeed()

func (l *changeLocks) lock(id string) (unlock func()) {
	l.all.RLock()
	key := &l.keys[maphash.String(lockSeed, id)%uint64(len(l.keys))]
	key.Lock()
	return func() { key.Unlock(); l.all.RUnlock() }
}

// fact returns a fact that is made now.
func (s *Store) fact(kind factKind, key string, by Actor) fact {
	s.mu.Lock()
	s.own[by.Node] = struct{}{}
	s.mu.Unlock()
	return fact{kind: kind, key: key, at: s.config.Clock.Now().Unix(), by: by.By, node: by.Node}
}

func (s *Store) tighten(ctx context.Context, facts ...fact) (stored bool, err error) {
	return s.replica.Tighten(ctx, facts)
}

func (s *Store) loosen(ctx context.Context, facts ...fact) error { return s.replica.Loosen(ctx, facts) }

// Create adds a key, with its hash. It holds once it is stored; the error is ErrKeyExists,
// ErrKeyDeleted, replica.ErrNotStored, or one about the record.
func (s *Store) Create(ctx context.Context, r Record, by Actor) error {
	defer s.changes.lock(r.ID)()
	facts, err := s.imported(r, by, false)
	if err != nil {
		return err
	}
	return s.loosen(ctx, facts...)
}

// Import adds many keys at once, or replaces the profiles of those that have the same id
// and hash. Nothing is imported if one of the records can't be.
func (s *Store) Import(ctx context.Context, records []Record, by Actor) error {
	s.changes.all.Lock()
	defer s.changes.all.Unlock()
	if _, err := NewSet(records); err != nil {
		return err // two of them have the same id or hash
	}
	var all []fact
	for _, r := range records {
		facts, err := s.imported(r, by, true)
		if err != nil {
			return fmt.Errorf("%s: %w", Quote(r.ID), err)
		}
		all = append(all, facts...)
	}
	if len(all) == 0 {
		return nil
	}
	return s.loosen(ctx, all...)
}

// imported returns the facts that make a key of a record, or, if replace is true, give a
// key its profile.
func (s *Store) imported(r Record, by Actor, replace bool) ([]fact, error) {
	r, err := checkedRecord(r)
	if err != nil {
		return nil, err
	}
	if r.Created.IsZero() {
		r.Created = s.config.Clock.Now().UTC().Truncate(time.Second)
	}
	profile, secret, off := s.fact(factKey, r.ID, by), s.fact(factSecret, r.ID, by), s.fact(factOff, r.ID, by)
	profile.rev, profile.record, secret.hash, off.id = s.config.Clock.Now().UnixMilli(), &r, r.Hash, randomID()

	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.state.keys[r.ID]
	found, known := s.view.Load().find(&r.Hash)
	switch {
	case k != nil && k.dead:
		return nil, ErrKeyDeleted
	case known && found.ID() != r.ID:
		return nil, ErrKeyExists
	case k != nil && k.has() && (!replace || !known): // a half that a failed import left is completed
		return nil, ErrKeyExists
	}
	var facts []fact
	if r.Disabled && (k == nil || !k.disabled()) {
		facts = append(facts, off)
	}
	if k != nil {
		profile.rev = max(profile.rev, k.rev+1)
	}
	if k == nil || k.profile != string(profileOf(&r)) {
		facts = append(facts, profile)
	}
	if !known {
		facts = append(facts, secret)
	}
	return facts, nil
}

// checkedRecord returns the record as others will read it.
func checkedRecord(r Record) (Record, error) {
	if r.Hash == (Digest{}) {
		return r, errors.New("hash is missing; `caddy jwt api-key hash` makes it from a key")
	}
	line, err := r.MarshalJSON()
	if err != nil {
		return r, err
	}
	if len(line) > maxLine {
		return r, fmt.Errorf("the record has %d bytes; at most %d are allowed", len(line), maxLine)
	}
	return ParseRecord(line)
}

func randomID() uint64 {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		panic(err) // crypto/rand never fails
	}
	return binary.LittleEndian.Uint64(b[:])
}

// mostSkew is how far the clocks of nodes may be apart.
const mostSkew = time.Hour

// Roll adds a secret to a key. Its other secrets are accepted for the time overlap, 0 for
// not at all. It holds once it is stored; nothing is retired if it is not.
func (s *Store) Roll(ctx context.Context, id string, hash Digest, overlap time.Duration, by Actor) (oldUntil time.Time, err error) {
	defer s.changes.lock(id)()
	if hash == (Digest{}) {
		return oldUntil, errors.New("the hash of the new secret is missing")
	}
	now := s.config.Clock.Now()
	end := now.Add(overlap).UnixMilli()
	if overlap <= 0 {
		// At once on nodes whose clocks are behind too, and on this one if its clock is set back.
		end = now.Add(-mostSkew).UnixMilli()
	}
	secret, retire := s.fact(factSecret, id, by), s.fact(factRetire, id, by)
	secret.hash, retire.end = hash, end
	var facts []fact

	s.mu.Lock()
	k, err := s.key(id)
	if err == nil {
		_, known := s.view.Load().find(&hash)
		if known || slices.ContainsFunc(k.secrets, func(old secretState) bool { return old.hash == hash }) {
			err = ErrKeyExists
		} else {
			r := k.record()
			err = holdsKey(&r, hash)
		}
	}
	if err == nil {
		last := now.UnixMilli()
		for _, old := range k.secrets {
			if old.here {
				last = max(last, min(old.end, end))
			}
			if old.here && old.end > end {
				retire.hash = old.hash
				facts = append(facts, retire)
			}
		}
		facts = append(facts, secret)
		oldUntil = time.UnixMilli(last).UTC()
	}
	s.mu.Unlock()
	if err == nil {
		err = s.loosen(ctx, facts...)
	}
	if err != nil {
		return time.Time{}, err
	}
	return oldUntil, nil
}

// Edit replaces the profile of a key: all of the record but ID, Hash, Disabled and Created.
// change gets the current one. stored is false if the change only tightens, and holds on
// this node only until it can be stored; one that does not only tighten holds once it is
// stored.
func (s *Store) Edit(ctx context.Context, id string, change func(*Record) error, by Actor) (stored bool, err error) {
	defer s.changes.lock(id)()
	s.refresh(ctx)
	s.mu.Lock()
	k, err := s.key(id)
	if err != nil {
		s.mu.Unlock()
		return false, err
	}
	before, rev := k.record(), k.rev
	var hashes []Digest
	for _, secret := range k.secrets {
		hashes = append(hashes, secret.hash)
	}
	s.mu.Unlock()

	r := before
	r.Scopes = slices.Clone(before.Scopes)
	if err := change(&r); err != nil {
		return false, err
	}
	// Any hash will do for the check, as the key keeps its own.
	r.ID, r.Hash, r.Disabled, r.Created = id, Digest{1}, before.Disabled, before.Created
	if r, err = checkedRecord(r); err != nil {
		return false, err
	}
	if err := holdsKey(&r, hashes...); err != nil {
		return false, err
	}
	if string(profileOf(&r)) == string(profileOf(&before)) {
		return true, nil
	}
	f := s.fact(factKey, id, by)
	f.record, f.rev = &r, max(rev+1, s.config.Clock.Now().UnixMilli())
	if narrower(before, r) {
		return s.tighten(ctx, f)
	}
	return true, s.loosen(ctx, f)
}

// narrower reports whether a record differs from the one before only by fewer scopes and a
// sooner end.
func narrower(before, after Record) bool {
	if !after.Expires.Equal(before.Expires) && (after.Expires.IsZero() || !before.Expires.IsZero() && after.Expires.After(before.Expires)) ||
		slices.ContainsFunc(after.Scopes, func(s string) bool { return !slices.Contains(before.Scopes, s) }) {
		return false
	}
	before.Scopes, before.Expires = after.Scopes, after.Expires
	return string(profileOf(&before)) == string(profileOf(&after))
}

// refreshTime limits the look at what other nodes have done.
const refreshTime = 2 * time.Second

// refresh learns what other nodes have done, before an edit, which replaces the whole
// profile. Where the storage is away, it goes on with what is known. A roll does not look:
// of two at the same time, none is to retire the other's secret.
func (s *Store) refresh(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, refreshTime)
	defer cancel()
	_ = s.replica.Sync(ctx)
}
