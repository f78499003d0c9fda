package apikey

import (
	"slices"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// Lookup finds who holds an API key.
type Lookup struct {
	// Written are the keys that are written in the config; nil for none.
	Written *Set
	// Placed are the keys of the config that are in files of their own; nil for none.
	Placed *Placed
	// Files are the files of keys.
	Files []*File
	// Stores are the stores of keys.
	Stores []*Store
	// Clock is the time. Default: the clock of the process.
	Clock clock.Clock
}

// Find finds the key with this text. For any text it computes one digest and makes one
// look-up in each set, so that its time reveals nothing about the keys. A key that is in
// several sets must be valid in each.
func (l *Lookup) Find(text string) (found Key, code reason.Code) {
	if len(text) > MaxLength {
		return found, reason.UnknownAPIKey
	}
	digest := DigestOf(text)
	at := l.Clock
	if at == nil {
		at = clock.System()
	}
	now := at.Now()
	code = reason.UnknownAPIKey
	if l.Written != nil {
		found, code = merge(l.Written, digest, now, found, code)
	}
	if l.Placed != nil {
		found, code = merge(l.Placed.Set(), digest, now, found, code)
	}
	for _, file := range l.Files {
		found, code = merge(file.Set(), digest, now, found, code)
	}
	for _, store := range l.Stores {
		k, ok := store.view.Load().find(&digest)
		found, code = combine(k, ok, now, found, code)
	}
	return found, code
}

// Has reports whether there is a key with this text, valid or not.
func (l *Lookup) Has(text string) bool {
	if len(text) > MaxLength {
		return false
	}
	digest := DigestOf(text)
	in := func(s *Set) bool { _, ok := s.Find(digest); return ok }
	return l.Written != nil && in(l.Written) || l.Placed != nil && in(l.Placed.Set()) ||
		slices.ContainsFunc(l.Files, func(f *File) bool { return in(f.Set()) }) ||
		slices.ContainsFunc(l.Stores, func(s *Store) bool { return s.Has(digest) })
}

// merge looks a key up in one set and combines the result with that of the previous
// sets.
func merge(keys *Set, digest Digest, now time.Time, before Key, code reason.Code) (Key, reason.Code) {
	k, ok := keys.Find(digest)
	return combine(k, ok, now, before, code)
}

// combine combines what was found in one place with that of the previous ones.
func combine(k Key, ok bool, now time.Time, before Key, code reason.Code) (Key, reason.Code) {
	switch {
	case !ok:
		return before, code
	case !k.Enabled():
		return k, reason.APIKeyDisabled
	case k.Expired(now) && code != reason.APIKeyDisabled:
		return k, reason.APIKeyExpired
	case code == reason.UnknownAPIKey:
		return k, ""
	}
	return before, code
}
