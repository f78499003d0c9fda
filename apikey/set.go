package apikey

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"slices"
	"strings"
	"time"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/internal/table"
)

// Set is an immutable set of API keys, found by their digest. It is designed for a million
// keys: a look-up touches few places in memory, and no key holds a pointer, so that the
// garbage collector does not scan them.
type Set struct {
	table  table.Table[Digest, entry]
	texts  []byte
	scopes [][]string // each combination once
	store  string     // the name of the store that the set is of, empty for none
	file   string     // the path of the file that the set is of, empty for none
	ids    idIndex
}

// NewSet makes a set of records. It returns an error if two records have the same id or
// hash.
func NewSet(records []Record) (*Set, error) {
	b := newBuilder(len(records), 0)
	for i, r := range records {
		if err := b.add(&r, i+1); err != nil {
			return nil, err
		}
	}
	return b.set(), nil
}

// Find returns the key with that digest. It takes one look-up, whether there is
// such a key or not.
func (s *Set) Find(d Digest) (Key, bool) {
	e := s.table.Find(&d)
	return Key{s, e}, e != nil
}

// Len returns the number of keys.
func (s *Set) Len() int { return s.table.Len() }

// equal reports whether two sets hold the same keys in the same order.
func (s *Set) equal(other *Set) bool {
	return s.Len() == other.Len() && len(s.texts) == len(other.texts) &&
		slices.EqualFunc(s.scopes, other.scopes, slices.Equal) && s.holds(other)
}

// beginsWith reports whether a set holds the first keys of s and no others, in
// their order and with nothing changed: one that is disabled now, say.
func (s *Set) beginsWith(first *Set) bool {
	return first.Len() < s.Len() && s.holds(first) &&
		slices.EqualFunc(s.scopes[:min(len(first.scopes), len(s.scopes))], first.scopes, slices.Equal)
}

// holds reports whether s begins with all keys of a set. Their numbers are among
// what is compared, so they are the first.
func (s *Set) holds(first *Set) bool {
	if !bytes.HasPrefix(s.texts, first.texts) {
		return false
	}
	for c := range first.table.All() {
		if e := s.table.Find(&c.Digest); e == nil || *e != c.Value {
			return false
		}
	}
	return true
}

// Key is a key of a set.
type Key struct {
	set   *Set
	entry *entry
}

// ID returns the key's public id.
func (k Key) ID() string { return k.entry.idIn(k.set.texts) }

// Consumer returns who holds the key.
func (k Key) Consumer() string {
	if consumer := k.entry.consumerIn(k.set.texts); consumer != "" {
		return consumer
	}
	return k.ID()
}

// Store returns the name of the store that the key is in; empty for one of a file or of the
// config.
func (k Key) Store() string {
	if k.set == nil {
		return ""
	}
	return k.set.store
}

// File returns the path of the key file that the key is in; empty for one of a store or of
// the config.
func (k Key) File() string { return k.set.file }

// fingerprints is the seed of Fingerprint.
var fingerprints = maphash.MakeSeed()

// Fingerprint returns a hash of the place that the key is in and of all that its record
// says of its holder: while it is the same, so are they. It has no meaning for another
// process.
func (k Key) Fingerprint() uint64 {
	var h maphash.Hash
	h.SetSeed(fingerprints)
	for _, text := range [...]string{k.set.store, k.set.file, k.ID(), k.entry.consumerIn(k.set.texts), k.meta()} {
		writeText(&h, text)
	}
	writeNumber(&h, uint64(k.entry.expires))
	for _, scope := range k.Scopes() {
		writeText(&h, scope)
	}
	return h.Sum64()
}

// writeText adds a text and its length to a hash, so that texts in a row can't be mistaken
// for others.
func writeText(h *maphash.Hash, text string) {
	writeNumber(h, uint64(len(text)))
	_, _ = h.WriteString(text)
}

func writeNumber(h *maphash.Hash, n uint64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], n)
	_, _ = h.Write(b[:])
}

// Scopes returns the key's scopes. The caller must not change the slice.
func (k Key) Scopes() []string { return k.set.scopes[k.entry.scopes] }

// Enabled reports whether the key may be used.
func (k Key) Enabled() bool { return !k.entry.disabled }

// Expired reports whether the key is no longer to be used.
func (k Key) Expired(now time.Time) bool { return now.UnixMilli() >= k.entry.expires }

// Expires returns the time from which the key is refused, in milliseconds; the zero Time
// means never.
func (k Key) Expires() time.Time {
	if k.entry.expires != neverExpires {
		return time.UnixMilli(k.entry.expires).UTC()
	}
	return time.Time{}
}

// meta returns the record's meta as JSON, empty if there is none.
func (k Key) meta() string { return k.entry.metaIn(k.set.texts) }

// Claims returns the record in the form of a token's claims: sub, scope, key_id and meta.
func (k Key) Claims() claims.Value {
	members := make([]claims.Member, 0, 4)
	members = append(members, claims.Member{Name: "sub", Value: claims.TextValue(k.Consumer())})
	if scopes := k.Scopes(); len(scopes) > 0 {
		members = append(members, claims.Member{Name: "scope", Value: claims.TextValue(strings.Join(scopes, " "))})
	}
	members = append(members, claims.Member{Name: "key_id", Value: claims.TextValue(k.ID())})
	if meta := k.meta(); meta != "" {
		v, err := claims.ParseObject([]byte(meta))
		if err != nil {
			panic(err) // it was written from a parsed one
		}
		members = append(members, claims.Member{Name: "meta", Value: v})
	}
	return claims.ObjectValue(members...)
}
