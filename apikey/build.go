package apikey

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"strings"

	"github.com/caddy-jwt/caddy-jwt/internal/table"
)

// builder makes a set.
type builder struct {
	keys   *table.Table[Digest, entry]
	texts  []byte
	ids    *table.Table[idHash, uint32] // the numbers of the keys, to find an id that is there twice
	seeds  [2]maphash.Seed
	places []uint32 // where each key was found, for errors
	sets   [][]string
	scopes map[string]uint32 // their places among sets
	joined []byte
}

// idHash stands for an id. Of a thousand million ids no two have the same 128 bits,
// and the secrets that they are made with keep others from seeing to it.
type idHash [16]byte

// newBuilder makes room for n keys with so much text.
func newBuilder(n, text int) *builder {
	return &builder{
		keys: table.New[Digest, entry](n), texts: make([]byte, 0, text),
		ids: table.New[idHash, uint32](n), seeds: [...]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
		scopes: map[string]uint32{},
	}
}

// add adds a record. place is its line or number.
func (b *builder) add(r *Record, place int) error {
	if first := b.keys.Find(&r.Hash); first != nil {
		return fmt.Errorf("the keys %s and %s have one hash; remove one of them", b.name(first), describePlace(r.ID, place))
	}
	id := b.hash(r.ID)
	if first := b.ids.Find(&id); first != nil {
		return fmt.Errorf("the id %s is there twice, the first time in %s; give each key its own", r.ID, describePlace(r.ID, int(b.places[*first])))
	}
	n := uint32(b.keys.Len())
	var e entry
	e, b.texts = newEntry(r, n, b.scopeSet(r.Scopes), b.texts)
	if uint64(len(b.texts)) > math.MaxUint32 || n >= maxKeys {
		return errors.New("the keys are too many for one set; divide them")
	}
	b.keys.Add(r.Hash, e)
	b.ids.Add(id, n)
	b.places = append(b.places, uint32(place))
	return nil
}

// maxKeys is how many a set holds: far more than a file can.
const maxKeys = 1 << 30

func (b *builder) hash(id string) (h idHash) {
	binary.LittleEndian.PutUint64(h[:8], maphash.String(b.seeds[0], id))
	binary.LittleEndian.PutUint64(h[8:], maphash.String(b.seeds[1], id))
	return h
}

// name says which key it is. It copies, as the texts may move when they grow.
func (b *builder) name(e *entry) string {
	return describePlace(strings.Clone(e.idIn(b.texts)), int(b.places[e.number]))
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
	b.keys.Compact()
	return &Set{table: *b.keys, texts: append(make([]byte, 0, len(b.texts)), b.texts...), scopes: b.sets}
}
