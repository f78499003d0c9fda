package apikey

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/caddy-jwt/caddy-jwt/internal/table"
)

// builder makes a set.
type builder struct {
	keys        *table.Table[Digest, entry]
	texts       []byte
	ids         *table.Table[idHash, uint32] // the numbers of the keys, to find duplicate ids
	seeds       idSeeds
	lineNumbers []uint32 // of each key, for errors
	sets        [][]string
	scopes      map[string]uint32 // their places among sets
	joined      []byte
}

// newBuilder makes a builder with room for n keys and text bytes of text.
func newBuilder(n, text int) *builder {
	return &builder{
		keys: table.New[Digest, entry](n), texts: make([]byte, 0, text),
		ids: table.New[idHash, uint32](n), seeds: newIDSeeds(), scopes: map[string]uint32{},
	}
}

// add adds a record. lineNumber is its line or number.
func (b *builder) add(r *Record, lineNumber int) error {
	if first := b.keys.Find(&r.Hash); first != nil {
		return fmt.Errorf("the keys %s and %s have the same hash; remove one of them", b.name(first), describeKey(r.ID, lineNumber))
	}
	id := b.seeds.hash(r.ID)
	if first := b.ids.Find(&id); first != nil {
		return fmt.Errorf("duplicate id %s, first used by %s; give each key its own", r.ID, describeKey(r.ID, int(b.lineNumbers[*first])))
	}
	n := uint32(b.keys.Len())
	var e entry
	e, b.texts = newEntry(r, n, b.scopeSet(r.Scopes), b.texts)
	if uint64(len(b.texts)) > math.MaxUint32 || n >= maxKeys {
		return errors.New("there are too many keys for one set; divide them")
	}
	b.keys.Add(r.Hash, e)
	b.ids.Add(id, n)
	b.lineNumbers = append(b.lineNumbers, uint32(lineNumber))
	return nil
}

// maxKeys is how many a set holds: far more than a file can.
const maxKeys = 1 << 30

// name describes a key. It copies the id, as the texts move when they grow.
func (b *builder) name(e *entry) string {
	return describeKey(strings.Clone(e.idIn(b.texts)), int(b.lineNumbers[e.number]))
}

func describeKey(id string, lineNumber int) string {
	return fmt.Sprintf("%s (line %d)", id, lineNumber)
}

// scopeSet finds the lineNumber of a combination of scopes. There are few.
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
