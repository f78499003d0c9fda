package keystore

import (
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
	"unsafe"

	"github.com/caddy-jwt/caddy-jwt/claims"
)

// APIKeys is an immutable set of API keys, found by their digest. It is made for
// a million of them: texts lie in one block and the index holds no pointers, so
// that the garbage collector passes over it.
type APIKeys struct {
	index   map[Digest]uint32
	entries []apiKeyEntry
	text    string
	scopes  [][]string // each combination once
}

// apiKeyEntry is a key of a set. Its texts stand in the block one behind the
// other: id, consumer (none for the id), meta (none for no meta).
type apiKeyEntry struct {
	expires  int64 // in milliseconds since 1970
	at       uint32
	scopes   uint32
	meta     uint16 // lengths
	consumer uint16
	id       uint8
	disabled bool
}

const neverExpires = math.MaxInt64

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
	n, ok := s.index[d]
	return APIKey{s, n}, ok
}

// Len is the number of keys.
func (s *APIKeys) Len() int { return len(s.entries) }

// equal tells whether two sets hold the same keys in the same order.
func (s *APIKeys) equal(other *APIKeys) bool {
	return s.text == other.text && slices.Equal(s.entries, other.entries) &&
		slices.EqualFunc(s.scopes, other.scopes, slices.Equal) && maps.Equal(s.index, other.index)
}

// beginsWith tells whether a set holds the first keys of s and no others, in
// their order and with nothing changed: one that is disabled now, say.
func (s *APIKeys) beginsWith(first *APIKeys) bool {
	if len(first.entries) >= len(s.entries) || !strings.HasPrefix(s.text, first.text) ||
		!slices.Equal(first.entries, s.entries[:len(first.entries)]) ||
		!slices.EqualFunc(first.scopes, s.scopes[:len(first.scopes)], slices.Equal) {
		return false
	}
	for d, n := range first.index {
		if have, ok := s.index[d]; !ok || have != n {
			return false
		}
	}
	return true
}

// APIKey is a key of a set.
type APIKey struct {
	set *APIKeys
	n   uint32
}

func (k APIKey) entry() *apiKeyEntry { return &k.set.entries[k.n] }

// ID is the key's public id.
func (k APIKey) ID() string {
	e := k.entry()
	return k.set.text[e.at : e.at+uint32(e.id)]
}

// Consumer is who holds the key.
func (k APIKey) Consumer() string {
	e := k.entry()
	if e.consumer == 0 {
		return k.ID()
	}
	at := e.at + uint32(e.id)
	return k.set.text[at : at+uint32(e.consumer)]
}

// Scopes are the key's scopes. The slice must not be changed.
func (k APIKey) Scopes() []string { return k.set.scopes[k.entry().scopes] }

// Enabled tells whether the key may be used.
func (k APIKey) Enabled() bool { return !k.entry().disabled }

// Expired tells whether the key is no longer to be used.
func (k APIKey) Expired(now time.Time) bool { return now.UnixMilli() >= k.entry().expires }

// Expires is from when on the key is refused, to the millisecond; the zero Time
// for never.
func (k APIKey) Expires() time.Time {
	if ms := k.entry().expires; ms != neverExpires {
		return time.UnixMilli(ms).UTC()
	}
	return time.Time{}
}

// meta is the record's meta as JSON, or nothing.
func (k APIKey) meta() string {
	e := k.entry()
	at := e.at + uint32(e.id) + uint32(e.consumer)
	return k.set.text[at : at+uint32(e.meta)]
}

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
	text   []byte
	places []uint32 // where each key was found, for errors
	// ids finds an id that is there twice by its hash. Two ids of one hash
	// are rare enough for a list.
	ids     map[uint64]uint32
	collide map[string]uint32
	seed    maphash.Seed
	scopes  map[string]uint32
	joined  []byte
}

// newAPIKeyBuilder makes room for n keys with so much text.
func newAPIKeyBuilder(n, text int) *apiKeyBuilder {
	return &apiKeyBuilder{
		text: make([]byte, 0, text),
		keys: APIKeys{index: make(map[Digest]uint32, n), entries: make([]apiKeyEntry, 0, n)},
		ids:  make(map[uint64]uint32, n), seed: maphash.MakeSeed(), scopes: map[string]uint32{},
	}
}

// reserve makes room for n keys in the maps, whose growing by itself takes long.
func (b *apiKeyBuilder) reserve(n int) {
	if n <= 2*len(b.keys.entries) {
		return
	}
	index, ids := make(map[Digest]uint32, n), make(map[uint64]uint32, n)
	maps.Copy(index, b.keys.index)
	maps.Copy(ids, b.ids)
	b.keys.index, b.ids = index, ids
}

// add adds a record. place is its line or number.
func (b *apiKeyBuilder) add(r *APIKeyRecord, place int) error {
	n := len(b.keys.entries)
	if first, ok := b.keys.index[r.Hash]; ok {
		return fmt.Errorf("the keys %s and %s have one hash; remove one of them", b.name(first), describePlace(r.ID, place))
	}
	if first, ok := b.idTaken(r.ID); ok {
		return fmt.Errorf("the id %s is there twice, the first time in %s; give each key its own", r.ID, b.name(first))
	}
	e := apiKeyEntry{expires: neverExpires, at: uint32(len(b.text)), id: uint8(len(r.ID)), disabled: r.Disabled}
	if !r.Expires.IsZero() {
		e.expires = r.Expires.UnixMilli()
	}
	e.scopes = b.scopeSet(r.Scopes)
	b.text = append(b.text, r.ID...)
	if r.Consumer != r.ID {
		e.consumer = uint16(len(r.Consumer))
		b.text = append(b.text, r.Consumer...)
	}
	if r.Meta.Len() > 0 {
		before := len(b.text)
		b.text = r.Meta.AppendJSON(b.text)
		e.meta = uint16(len(b.text) - before)
	}
	if uint64(len(b.text)) > math.MaxUint32 {
		return errors.New("the keys are too many for one set; divide them")
	}
	b.keys.index[r.Hash] = uint32(n)
	b.keys.entries = append(b.keys.entries, e)
	b.places = append(b.places, uint32(place))
	return nil
}

// idTaken finds the key with this id, and notes the next key's otherwise.
func (b *apiKeyBuilder) idTaken(id string) (uint32, bool) {
	n := uint32(len(b.keys.entries))
	hash := maphash.String(b.seed, id)
	first, ok := b.ids[hash]
	if !ok {
		b.ids[hash] = n
		return 0, false
	}
	e := &b.keys.entries[first]
	if string(b.text[e.at:e.at+uint32(e.id)]) == id {
		return first, true
	}
	if first, ok = b.collide[id]; ok {
		return first, true
	}
	if b.collide == nil {
		b.collide = map[string]uint32{}
	}
	b.collide[strings.Clone(id)] = n // the record's texts hold on to their line
	return 0, false
}

// name says which key it is.
func (b *apiKeyBuilder) name(n uint32) string {
	e := &b.keys.entries[n]
	return describePlace(string(b.text[e.at:e.at+uint32(e.id)]), int(b.places[n]))
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
	text := append(make([]byte, 0, len(b.text)), b.text...)
	b.keys.text = unsafe.String(unsafe.SliceData(text), len(text))
	entries := append(make([]apiKeyEntry, 0, len(b.keys.entries)), b.keys.entries...)
	b.keys.entries = entries
	keys := b.keys
	return &keys
}
