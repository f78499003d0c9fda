package apikey

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/caddy-jwt/caddy-jwt/claims"
)

// Set is an immutable set of API keys, found by their digest. It is made for
// a million of them: what a look-up costs is the places in memory that it has to come
// to, and no key holds a pointer, so that the garbage collector passes over them.
type Set struct {
	table  keyTable
	n      int
	scopes [][]string // each combination once
}

// NewSet makes a set of records. The error names records that share an id or
// a hash.
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
	place, ok := s.table.find(&d)
	return Key{s, place}, ok
}

// Len is the number of keys.
func (s *Set) Len() int { return s.n }

// equal tells whether two sets hold the same keys in the same order.
func (s *Set) equal(other *Set) bool {
	return s.n == other.n && len(s.table.records.texts) == len(other.table.records.texts) &&
		slices.EqualFunc(s.scopes, other.scopes, slices.Equal) && s.table.beginsWith(&other.table, s.n)
}

// beginsWith tells whether a set holds the first keys of s and no others, in
// their order and with nothing changed: one that is disabled now, say.
func (s *Set) beginsWith(first *Set) bool {
	return first.n < s.n && s.table.beginsWith(&first.table, first.n) &&
		slices.EqualFunc(s.scopes[:min(len(first.scopes), len(s.scopes))], first.scopes, slices.Equal)
}

// Key is a key of a set.
type Key struct {
	set   *Set
	place uint32
}

func (k Key) records() *recordCells { return &k.set.table.records }

// ID is the key's public id.
func (k Key) ID() string { return k.records().id(k.place) }

// Consumer is who holds the key.
func (k Key) Consumer() string {
	if consumer := k.records().consumer(k.place); consumer != "" {
		return consumer
	}
	return k.ID()
}

// Scopes are the key's scopes. The slice must not be changed.
func (k Key) Scopes() []string { return k.set.scopes[k.records().scopes(k.place)] }

// Enabled tells whether the key may be used.
func (k Key) Enabled() bool { return !k.records().disabled(k.place) }

// Expired tells whether the key is no longer to be used.
func (k Key) Expired(now time.Time) bool { return now.UnixMilli() >= k.records().expires(k.place) }

// Expires is from when on the key is refused, to the millisecond; the zero Time
// for never.
func (k Key) Expires() time.Time {
	if ms := k.records().expires(k.place); ms != neverExpires {
		return time.UnixMilli(ms).UTC()
	}
	return time.Time{}
}

// meta is the record's meta as JSON, or nothing.
func (k Key) meta() string { return k.records().meta(k.place) }

// Claims reads the record as a token's claims are read: sub, scope, key_id and
// meta.
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

// builder makes a set.
type builder struct {
	records recordCells
	places  []uint32   // where each key was found, for errors
	digests placeIndex // finds one that is there twice
	ids     placeIndex // likewise
	sets    [][]string
	scopes  map[string]uint32 // their places among sets
	joined  []byte
}

// newBuilder makes room for n keys with so much text.
func newBuilder(n, text int) *builder {
	return &builder{
		records: recordCells{cells: make([]byte, 0, n*cellSize), texts: make([]byte, 0, text)},
		digests: newPlaceIndex(n), ids: newPlaceIndex(n), scopes: map[string]uint32{},
	}
}

// add adds a record. place is its line or number.
func (b *builder) add(r *Record, place int) error {
	if first, ok := b.records.find(&b.digests, &r.Hash); ok {
		return fmt.Errorf("the keys %s and %s have one hash; remove one of them", b.name(first), describePlace(r.ID, place))
	}
	if first, ok := b.records.findID(&b.ids, r.ID); ok {
		return fmt.Errorf("the id %s is there twice, the first time in %s; give each key its own", r.ID, b.name(first))
	}
	n := uint32(b.records.len())
	b.records.append(r, b.scopeSet(r.Scopes))
	if uint64(len(b.records.texts)) > math.MaxUint32 || n >= maxKeys {
		return errors.New("the keys are too many for one set; divide them")
	}
	b.digests.put(b.digests.hash(r.Hash[:]), n)
	b.ids.put(b.ids.hash([]byte(r.ID)), n)
	b.places = append(b.places, uint32(place))
	return nil
}

// maxKeys is how many a set holds: far more than a file can.
const maxKeys = 1 << 30

// name says which key it is. It copies, as the texts may move when they grow.
func (b *builder) name(n uint32) string {
	return describePlace(strings.Clone(b.records.id(n)), int(b.places[n]))
}

func describePlace(id string, place int) string { return fmt.Sprintf("%s (line %d)", id, place) }

// scopeSet finds the place of a combination of scopes. There are few.
func (b *builder) scopeSet(scopes []string) uint32 {
	b.joined = b.joined[:0]
	for _, s := range scopes {
		b.joined = append(append(b.joined, s...), ' ') // which no scope holds
	}
	if n, ok := b.scopes[string(b.joined)]; ok {
		return n
	}
	n := uint32(len(b.sets))
	// Copied, as the record's texts hold on to the line that they are of.
	text := string(b.joined)
	b.scopes[text] = n
	set := strings.Fields(text)
	b.sets = append(b.sets, set[:len(set):len(set)])
	return n
}

func (b *builder) set() *Set {
	return &Set{table: newKeyTable(&b.records), n: b.records.len(), scopes: b.sets}
}
