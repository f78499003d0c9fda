package apikey

import (
	"context"
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
	// Stores are the stores of keys that nodes share.
	Stores []Stored
	// Clock is the time. Default: the clock of the process.
	Clock clock.Clock
}

// Stored is a store of API keys as requests use it.
type Stored interface {
	// Unavailable reports whether the keys are not known at present. It may wait a
	// little, until ctx is done.
	Unavailable(ctx context.Context, now time.Time) bool
	// Find finds a key by its digest in one look-up: "" for a valid one, else the reason.
	Find(d Digest, now time.Time) (Key, reason.Code)
	// Has reports whether there is a key with this digest, valid or not.
	Has(d Digest) bool
	// AwaitNews reports whether something may have been learned meanwhile of a key that is
	// refused. It may wait a little, until ctx is done.
	AwaitNews(ctx context.Context, text string) bool
	// Name returns the name of the store.
	Name() string
	// FindID returns how the key with this id stands. It is asked for each request with a
	// token of the key.
	FindID(id string, now time.Time) Standing
	// AwaitID is AwaitNews for an id that is unknown.
	AwaitID(ctx context.Context, id string) bool
}

// Find finds the key with this text. For any text it computes one digest and makes one
// look-up in each set, so that its time reveals nothing about the keys. A key that is in
// several sets must be valid in each. While a store is not available, every key is refused,
// known or not, as it may be disabled there.
func (l *Lookup) Find(ctx context.Context, text string) (found Key, code reason.Code) {
	if len(text) > MaxLength {
		return found, reason.UnknownAPIKey
	}
	digest := DigestOf(text)
	at := l.Clock
	if at == nil {
		at = clock.System()
	}
	now := at.Now()
	for _, s := range l.Stores {
		if s.Unavailable(ctx, now) {
			return found, reason.APIKeysUnavailable
		}
	}
	found, code = l.find(digest, now)
	for _, s := range l.Stores {
		// It waits the same for unknown, disabled and expired keys.
		if code != "" && s.AwaitNews(ctx, text) {
			found, code = l.find(digest, now)
		}
	}
	return found, code
}

// find makes the look-ups.
func (l *Lookup) find(digest Digest, now time.Time) (found Key, code reason.Code) {
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
	for _, s := range l.Stores {
		k, why := s.Find(digest, now)
		found, code = mergeResults(k, why, found, code)
	}
	return found, code
}

// Each visits found, which Find returned, and the key with this text in each other place
// where it is, until visit returns false. It has an id of its own in each, and rules may be
// about any of them.
func (l *Lookup) Each(text string, found Key, visit func(Key) bool) {
	if !visit(found) || l.places() == 1 {
		return
	}
	digest, now := DigestOf(text), time.Time{}
	in := func(s *Set) bool { k, ok := s.Find(digest); return !ok || k == found || visit(k) }
	if l.Written != nil && !in(l.Written) || l.Placed != nil && !in(l.Placed.Set()) {
		return
	}
	for _, file := range l.Files {
		if !in(file.Set()) {
			return
		}
	}
	for _, s := range l.Stores {
		if k, code := s.Find(digest, now); code != reason.UnknownAPIKey && k != found && !visit(k) {
			return
		}
	}
}

func (l *Lookup) places() int {
	n := len(l.Files) + len(l.Stores)
	if l.Written != nil {
		n++
	}
	if l.Placed != nil {
		n++
	}
	return n
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
		slices.ContainsFunc(l.Stores, func(s Stored) bool { return s.Has(digest) })
}

// merge looks a key up in one set and combines the result with that of the previous
// sets.
func merge(keys *Set, digest Digest, now time.Time, before Key, code reason.Code) (Key, reason.Code) {
	k, ok := keys.Find(digest)
	return combine(k, ok, now, before, code)
}

// combine combines a key, if one was found, with the result of the previous sets.
func combine(k Key, ok bool, now time.Time, before Key, code reason.Code) (Key, reason.Code) {
	switch {
	case !ok:
		return before, code
	case !k.Enabled():
		return mergeResults(k, reason.APIKeyDisabled, before, code)
	case k.Expired(now):
		return mergeResults(k, reason.APIKeyExpired, before, code)
	}
	return mergeResults(k, "", before, code)
}

// mergeResults combines what was found in one place with what was found before.
func mergeResults(k Key, why reason.Code, before Key, code reason.Code) (Key, reason.Code) {
	switch {
	case why == reason.UnknownAPIKey:
		return before, code
	case why == reason.APIKeyDisabled, why == reason.APIKeyExpired && code != reason.APIKeyDisabled, why == "" && code == reason.UnknownAPIKey:
		return k, why
	}
	return before, code
}
