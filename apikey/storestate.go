package apikey

import (
	"math"
	"slices"
	"strings"
	"time"
)

// storeState is what the facts of a store that a node knows come to.
type storeState struct {
	keys   map[string]*keyState
	living int // of the keys, those that have a profile and are not deleted
	// shared are the keys of each secret that more than one has. A store refuses to make
	// such, but two nodes may at the same time.
	shared map[Digest][]*keyState
}

// keyState is what the facts of one key come to. Of a deleted one only that is kept.
type keyState struct {
	id      string
	rev     int64
	profile string // as profileOf writes it; empty if none is known, and then the key is unknown
	secrets []secretState
	offs    []offState
	dead    bool
}

// secretState is a secret, or the retirement of one that is not known.
type secretState struct {
	hash Digest
	at   int64 // when it was made, in seconds since 1970
	end  int64 // from when on it is refused, in milliseconds since 1970
	here bool  // there is the secret
}

type offState struct {
	id   uint64
	gone bool
}

func newStoreState() storeState {
	return storeState{keys: map[string]*keyState{}, shared: map[Digest][]*keyState{}}
}

// add adds a fact, and reports what that changed: "" if nothing that a log should show,
// in which case fresh still reports whether anything did.
func (s *storeState) add(f *fact) (k *keyState, change string, fresh bool) {
	k = s.keys[f.key]
	if k == nil {
		k = &keyState{id: strings.Clone(f.key)}
		s.keys[k.id] = k
	}
	if k.dead {
		return k, "", false
	}
	before := k.living()
	change, fresh = k.add(f)
	if after := k.living(); after && !before {
		s.living++
	} else if before && !after {
		s.living--
	}
	return k, change, fresh
}

func (k *keyState) living() bool { return !k.dead && k.profile != "" }

func (k *keyState) add(f *fact) (change string, fresh bool) {
	switch f.kind {
	case factDead:
		k.dead = true
		return "deleted", true
	case factKey:
		if profile := string(profileOf(f.record)); f.rev > k.rev || f.rev == k.rev && profile > k.profile {
			if change = "edited"; k.profile == "" {
				change = "created"
			}
			k.rev, k.profile = f.rev, profile
			return change, true
		}
	case factSecret:
		return k.addSecret(f)
	case factRetire:
		if s := k.secret(f.hash); f.end < s.end {
			s.end = f.end
			return "", true
		}
	default:
		i := slices.IndexFunc(k.offs, func(o offState) bool { return o.id == f.id })
		if i < 0 {
			k.offs = append(k.offs, offState{id: f.id, gone: f.kind == factOn})
		} else if f.kind == factOff || k.offs[i].gone {
			return "", false
		} else {
			k.offs[i].gone = true
		}
		if f.kind == factOff {
			return "disabled", true
		}
		return "enabled", true
	}
	return "", false
}

func (k *keyState) addSecret(f *fact) (change string, fresh bool) {
	if k.has() {
		change = "rolled"
	}
	s := k.secret(f.hash)
	if s.here {
		s.at = min(s.at, f.at)
		return "", false
	}
	s.here, s.at = true, f.at
	return change, true
}

// has reports whether the key has a secret, accepted or not.
func (k *keyState) has() bool {
	return slices.ContainsFunc(k.secrets, func(s secretState) bool { return s.here })
}

// secret returns the state of a secret, which it makes if there is none.
func (k *keyState) secret(hash Digest) *secretState {
	for i := range k.secrets {
		if k.secrets[i].hash == hash {
			return &k.secrets[i]
		}
	}
	k.secrets = append(k.secrets, secretState{hash: hash, end: neverExpires})
	return &k.secrets[len(k.secrets)-1]
}

func (k *keyState) disabled() bool {
	return slices.ContainsFunc(k.offs, func(o offState) bool { return !o.gone })
}

// record returns the profile, and whether the key is disabled.
func (k *keyState) record() Record {
	r := parseProfile(k.id, k.profile)
	r.Disabled = k.disabled()
	return r
}

// entry returns what requests find with a secret of the key; false if there is nothing.
func (k *keyState) entry(hash Digest, profile *Record) (r Record, ok bool) {
	if !k.living() {
		return r, false
	}
	i := slices.IndexFunc(k.secrets, func(s secretState) bool { return s.hash == hash && s.here })
	if i < 0 {
		return r, false
	}
	if profile != nil {
		r = *profile
		r.ID, r.Disabled = k.id, k.disabled()
	} else {
		r = k.record()
	}
	r.Hash = hash
	endBy(&r, k.secrets[i].end)
	return r, true
}

// endBy makes a record expire at end, in milliseconds, if it does not before.
func endBy(r *Record, end int64) {
	if end != neverExpires && (r.Expires.IsZero() || end < r.Expires.UnixMilli()) {
		r.Expires = time.UnixMilli(end).UTC()
	}
}

// found returns what requests find with a hash that several keys have. It must be good for
// each of them, as a key in several files must; it is that of the first by id.
func (s *storeState) found(hash Digest) (r Record, ok bool) {
	for _, k := range s.shared[hash] {
		other, is := k.entry(hash, nil)
		switch {
		case !is:
			continue
		case !ok:
			r, ok = other, true
			continue
		case other.ID < r.ID:
			r, other = other, r
		}
		r.Disabled = r.Disabled || other.Disabled
		if !other.Expires.IsZero() {
			endBy(&r, other.Expires.UnixMilli())
		}
	}
	return r, ok
}

// accepted returns how many secrets are accepted at a time, and the last of the ends that
// those have which have one; zero if only one is accepted.
func (k *keyState) accepted(now time.Time) (n int, until time.Time) {
	last := int64(math.MinInt64)
	for _, s := range k.secrets {
		if s.here && now.UnixMilli() < s.end {
			if n++; s.end != neverExpires {
				last = max(last, s.end)
			}
		}
	}
	if n > 1 && last != math.MinInt64 {
		until = time.UnixMilli(last).UTC()
	}
	return n, until
}
