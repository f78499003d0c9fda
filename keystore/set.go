package keystore

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/caddy-jwt/caddy-jwt/key"
)

// Set is an immutable set of keys, indexed by kid.
type Set struct {
	all       []key.Key
	byID      map[string][]key.Key
	withoutID []key.Key
	problems  []Problem
	// fingerprint identifies the keys, their kids, algs and issuers, whatever
	// their order: two sets with the same one verify the same tokens.
	fingerprint [sha256.Size]byte
	version     uint64
}

// versions is the number of versions used so far in this process.
var versions atomic.Uint64

// Problem is why a key of a set is not used. Its texts contain no key material and have
// a limited length, so they may be logged.
type Problem struct {
	// Key says which key: its kid, quoted and cut to 64 characters, or its
	// place in the document.
	Key string `json:"key"`
	// Reason says what is wrong with it.
	Reason string `json:"reason"`
}

// String joins both texts.
func (p Problem) String() string { return p.Key + ": " + p.Reason }

// NewSet indexes keys. Of identical keys (same material, kid, alg and issuer) one is kept.
// Different keys with the same kid are all the issuer's: a token is tried with each.
func NewSet(keys []key.Key) *Set {
	return newSet(keys, nil)
}

func newSet(keys []key.Key, problems []Problem) *Set {
	type identity struct {
		id, issuer  string
		algorithm   key.Algorithm
		fingerprint [sha256.Size]byte
	}
	seen := make(map[identity]bool, len(keys))
	s := &Set{version: versions.Add(1), byID: make(map[string][]key.Key, len(keys)), problems: problems}
	for _, k := range keys {
		i := identity{k.ID(), k.Issuer(), k.Algorithm(), k.Fingerprint()}
		if seen[i] {
			continue
		}
		seen[i] = true
		s.all = append(s.all, k)
		if k.ID() == "" {
			s.withoutID = append(s.withoutID, k)
		} else {
			s.byID[k.ID()] = append(s.byID[k.ID()], k)
		}
	}

	// Callers share these slices. Without spare capacity, an append can't write into
	// them.
	s.all, s.withoutID = slices.Clip(s.all), slices.Clip(s.withoutID)
	for id, list := range s.byID {
		s.byID[id] = slices.Clip(list)
	}
	s.fingerprint = fingerprint(s.all)
	return s
}

// find returns the keys whose kid is kid or, if there are none, those without
// any kid; all keys where kid is empty. It neither allocates nor locks. The
// caller must not change the slice, and filters it by key.Key.Fits.
func (s *Set) find(kid string) []key.Key {
	if keys, ok := s.exact(kid); ok {
		return keys
	}
	return s.withoutID
}

// exact is like find, without the fallback to keys that have no kid.
func (s *Set) exact(kid string) ([]key.Key, bool) {
	if kid == "" {
		return s.all, true
	}
	keys, ok := s.byID[kid]
	return keys, ok
}

// names reports whether there is a key with this kid; for an empty kid there always is.
func (s *Set) names(kid string) bool { return kid == "" || len(s.byID[kid]) > 0 }

// contains reports whether the set holds this very key: same material, kid, alg
// and issuer. A token verified earlier is good only while the key that verified it
// is still in the set.
func (s *Set) contains(k key.Key) bool {
	list := s.withoutID
	if k.ID() != "" {
		list = s.byID[k.ID()]
	}
	for _, have := range list {
		if have == k || (have.Algorithm() == k.Algorithm() && have.Issuer() == k.Issuer() && have.Fingerprint() == k.Fingerprint()) {
			return true
		}
	}
	return false
}

// Keys returns all keys. The caller must not change the slice.
func (s *Set) Keys() []key.Key { return s.all }

// Problems returns which keys were left out and why. Keys for another purpose, such as
// encryption, are not among them.
func (s *Set) Problems() []Problem { return s.problems }

// same reports whether replacing s by other would change nothing.
func (s *Set) same(other *Set) bool {
	return s.fingerprint == other.fingerprint && slices.Equal(s.problems, other.problems)
}

func fingerprint(keys []key.Key) [sha256.Size]byte {
	entries := make([][]byte, 0, len(keys))
	for _, k := range keys {
		f := k.Fingerprint()
		e := append(f[:], byte(k.Algorithm()))
		e = binary.BigEndian.AppendUint64(e, uint64(len(k.ID())))
		e = append(e, k.ID()...)
		e = binary.BigEndian.AppendUint64(e, uint64(len(k.Issuer())))
		e = append(e, k.Issuer()...)
		x5t, x5tS256 := k.Thumbprints()
		for _, thumbprint := range []string{x5t, x5tS256} {
			e = append(append(e, byte(len(thumbprint))), thumbprint...)
		}
		entries = append(entries, e)
	}
	// Each entry ends where its lengths say, so the concatenation of sorted
	// entries reads only one way.
	slices.SortFunc(entries, bytes.Compare)
	return sha256.Sum256(bytes.Join(entries, nil))
}

// describeID quotes a kid and cuts it to 64 characters: kids come from
// outside and end up in logs.
func describeID(id string) string {
	return "kid " + strconv.Quote(cut(id, 64))
}

func describeKey(id string, place int) string {
	if id == "" {
		return fmt.Sprintf("key %d, which has no kid", place)
	}
	return describeID(id)
}

// cut shortens text to n characters and keeps it to one line.
func cut(text string, n int) string {
	text = strings.ReplaceAll(text, "\n", ": ")
	if len(text) <= n {
		return text
	}
	count := 0
	for i := range text {
		if count == n {
			return text[:i] + "…"
		}
		count++
	}
	return text
}
