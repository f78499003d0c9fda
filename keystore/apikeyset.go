package keystore

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/caddy-jwt/caddy-jwt/claims"
)

// APIKeys is an immutable set of API keys, found by their digest. It is made for
// a million of them: all that a request needs of one stands in one place, as what a
// look-up costs is the places in memory that it has to come to; and nothing holds a
// pointer, so that the garbage collector passes over it.
type APIKeys struct {
	index   placeIndex // of digests
	records apiKeyRecords
	n       int
	scopes  [][]string // each combination once
}

// NewAPIKeys makes a set of records. The error names records that share an id or
// a hash.
func NewAPIKeys(records []APIKeyRecord) (*APIKeys, error) {
	b := newAPIKeyBuilder(len(records), 0)
	for i, r := range records {
		if err := b.add(&r, i+1); err != nil {
			return nil, err
		}
	}
	return b.set(), nil
}

// Find returns the key with that digest. It takes one look-up, whether there is
// such a key or not.
func (s *APIKeys) Find(d Digest) (APIKey, bool) {
	at, ok := s.records.find(&s.index, &d)
	return APIKey{s, at}, ok
}

// Len is the number of keys.
func (s *APIKeys) Len() int { return s.n }

// equal tells whether two sets hold the same keys in the same order.
func (s *APIKeys) equal(other *APIKeys) bool {
	return bytes.Equal(s.records, other.records) && slices.EqualFunc(s.scopes, other.scopes, slices.Equal)
}

// beginsWith tells whether a set holds the first keys of s and no others, in
// their order and with nothing changed: one that is disabled now, say.
func (s *APIKeys) beginsWith(first *APIKeys) bool {
	return first.n < s.n && bytes.HasPrefix(s.records, first.records) &&
		slices.EqualFunc(s.scopes[:min(len(first.scopes), len(s.scopes))], first.scopes, slices.Equal)
}

// APIKey is a key of a set.
type APIKey struct {
	set *APIKeys
	at  uint32
}

// ID is the key's public id.
func (k APIKey) ID() string { return k.set.records.id(k.at) }

// Consumer is who holds the key.
func (k APIKey) Consumer() string {
	if consumer := k.set.records.consumer(k.at); consumer != "" {
		return consumer
	}
	return k.ID()
}

// Scopes are the key's scopes. The slice must not be changed.
func (k APIKey) Scopes() []string { return k.set.scopes[k.set.records.scopes(k.at)] }

// Enabled tells whether the key may be used.
func (k APIKey) Enabled() bool { return !k.set.records.disabled(k.at) }

// Expired tells whether the key is no longer to be used.
func (k APIKey) Expired(now time.Time) bool { return now.UnixMilli() >= k.set.records.expires(k.at) }

// Expires is from when on the key is refused, to the millisecond; the zero Time
// for never.
func (k APIKey) Expires() time.Time {
	if ms := k.set.records.expires(k.at); ms != neverExpires {
		return time.UnixMilli(ms).UTC()
	}
	return time.Time{}
}

// meta is the record's meta as JSON, or nothing.
func (k APIKey) meta() string { return k.set.records.meta(k.at) }

// Claims reads the record as a token's claims are read: sub, scope, key_id and
// meta.
func (k APIKey) Claims() claims.Value {
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

// apiKeyBuilder makes a set.
type apiKeyBuilder struct {
	keys   APIKeys
	places []uint32   // where each key was found, for errors
	ids    placeIndex // finds an id that is there twice
	scopes map[string]uint32
	joined []byte
}

// newAPIKeyBuilder makes room for n keys with records of that size.
func newAPIKeyBuilder(n, size int) *apiKeyBuilder {
	return &apiKeyBuilder{
		keys: APIKeys{index: newPlaceIndex(n), records: make(apiKeyRecords, 0, size)},
		ids:  newPlaceIndex(n), scopes: map[string]uint32{},
	}
}

// add adds a record. place is its line or number.
func (b *apiKeyBuilder) add(r *APIKeyRecord, place int) error {
	records := b.keys.records
	if first, ok := records.find(&b.keys.index, &r.Hash); ok {
		return fmt.Errorf("the keys %s and %s have one hash; remove one of them", b.name(first), describePlace(r.ID, place))
	}
	if first, ok := records.findID(&b.ids, r.ID); ok {
		return fmt.Errorf("the id %s is there twice, the first time in %s; give each key its own", r.ID, b.name(first))
	}
	at := len(records)
	records = records.append(r, b.scopeSet(r.Scopes))
	if uint64(len(records)) > math.MaxUint32 {
		return errors.New("the keys are too many for one set; divide them")
	}
	b.keys.records = records
	b.keys.index.put(b.keys.index.hash(r.Hash[:]), uint32(at))
	b.ids.put(b.ids.hash([]byte(r.ID)), uint32(at))
	b.keys.n++
	b.places = append(b.places, uint32(place))
	return nil
}

// name says which key it is.
func (b *apiKeyBuilder) name(at uint32) string {
	n := 0
	for i := uint32(0); i != at; i = b.keys.records.next(i) {
		n++
	}
	// Copied, as the records may move when they grow.
	return describePlace(strings.Clone(b.keys.records.id(at)), int(b.places[n]))
}

func describePlace(id string, place int) string { return fmt.Sprintf("%s (line %d)", id, place) }

// scopeSet finds the place of a combination of scopes. There are few.
func (b *apiKeyBuilder) scopeSet(scopes []string) uint32 {
	b.joined = b.joined[:0]
	for _, s := range scopes {
		b.joined = append(append(b.joined, s...), ' ') // which no scope holds
	}
	if n, ok := b.scopes[string(b.joined)]; ok {
		return n
	}
	n := uint32(len(b.keys.scopes))
	// Copied, as the record's texts hold on to the line that they are of.
	text := string(b.joined)
	b.scopes[text] = n
	set := strings.Fields(text)
	b.keys.scopes = append(b.keys.scopes, set[:len(set):len(set)])
	return n
}

func (b *apiKeyBuilder) set() *APIKeys {
	keys := b.keys
	keys.records = append(make(apiKeyRecords, 0, len(keys.records)), keys.records...)
	return &keys
}
