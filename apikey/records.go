package apikey

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"unsafe"
)

// recordCells are keys in cells of one size, and their texts one behind the other. A
// cell is
//
//	digest    32 bytes
//	expires   8, in milliseconds since 1970
//	scopes    4, their number among the set's
//	lengths   2 of meta, 2 of consumer (none for the id), 1 of the id
//	disabled  1
//	texts     4, the place of id, consumer, meta as JSON
//	number    4, among the keys of the file
//
// and what is left of a line of a processor's cache, so that it comes into the cache
// as a whole. What is written once is never changed, so that texts may be parts of it.
type recordCells struct{ cells, texts []byte }

const (
	expiresAt  = sha256.Size
	scopesAt   = expiresAt + 8
	metaAt     = scopesAt + 4
	consumerAt = metaAt + 2
	idAt       = consumerAt + 2
	disabledAt = idAt + 1
	textsAt    = disabledAt + 1
	numberAt   = textsAt + 4
	cellSize   = 64
)

const neverExpires = math.MaxInt64

// len is the number of cells.
func (a *recordCells) len() int { return len(a.cells) / cellSize }

// append adds a record with scopes of that number.
func (a *recordCells) append(r *Record, scopes uint32) {
	var cell [cellSize]byte
	copy(cell[:], r.Hash[:])
	expires := int64(neverExpires)
	if !r.Expires.IsZero() {
		expires = r.Expires.UnixMilli()
	}
	binary.LittleEndian.PutUint64(cell[expiresAt:], uint64(expires))
	binary.LittleEndian.PutUint32(cell[scopesAt:], scopes)
	binary.LittleEndian.PutUint32(cell[textsAt:], uint32(len(a.texts)))
	binary.LittleEndian.PutUint32(cell[numberAt:], uint32(a.len()))
	if r.Disabled {
		cell[disabledAt] = 1
	}
	cell[idAt] = byte(len(r.ID))
	a.texts = append(a.texts, r.ID...)
	if r.Consumer != r.ID {
		binary.LittleEndian.PutUint16(cell[consumerAt:], uint16(len(r.Consumer)))
		a.texts = append(a.texts, r.Consumer...)
	}
	if r.Meta.Len() > 0 {
		before := len(a.texts)
		a.texts = r.Meta.AppendJSON(a.texts)
		binary.LittleEndian.PutUint16(cell[metaAt:], uint16(len(a.texts)-before))
	}
	a.cells = append(a.cells, cell[:]...)
}

// find returns the number of the cell with that digest, by an index of digests.
func (a *recordCells) find(index *placeIndex, d *Digest) (uint32, bool) {
	for p := index.probe(index.hash(d[:])); ; {
		n, more := index.next(&p)
		if !more {
			return 0, false
		}
		if a.digest(n) == *d {
			return n, true
		}
	}
}

// findID returns the number of the cell with that id, by an index of ids.
func (a *recordCells) findID(index *placeIndex, id string) (uint32, bool) {
	for p := index.probe(index.hash([]byte(id))); ; {
		n, more := index.next(&p)
		if !more {
			return 0, false
		}
		if a.id(n) == id {
			return n, true
		}
	}
}

func (a *recordCells) cell(n uint32) []byte {
	at := int(n) * cellSize
	return a.cells[at : at+cellSize : at+cellSize]
}

func (a *recordCells) digest(n uint32) Digest { return Digest(a.cell(n)[:sha256.Size]) }

func (a *recordCells) expires(n uint32) int64 {
	return int64(binary.LittleEndian.Uint64(a.cell(n)[expiresAt:]))
}

func (a *recordCells) scopes(n uint32) uint32 {
	return binary.LittleEndian.Uint32(a.cell(n)[scopesAt:])
}

func (a *recordCells) disabled(n uint32) bool { return a.cell(n)[disabledAt] != 0 }

func (a *recordCells) number(n uint32) uint32 {
	return binary.LittleEndian.Uint32(a.cell(n)[numberAt:])
}

func (a *recordCells) id(n uint32) string {
	return a.text(n, 0, int(a.cell(n)[idAt]))
}

// consumer is nothing where the key's id is.
func (a *recordCells) consumer(n uint32) string {
	cell := a.cell(n)
	return a.text(n, int(cell[idAt]), int(binary.LittleEndian.Uint16(cell[consumerAt:])))
}

func (a *recordCells) meta(n uint32) string {
	cell := a.cell(n)
	before := int(cell[idAt]) + int(binary.LittleEndian.Uint16(cell[consumerAt:]))
	return a.text(n, before, int(binary.LittleEndian.Uint16(cell[metaAt:])))
}

// text is so much of a cell's texts behind the first of them.
func (a *recordCells) text(n uint32, before, length int) string {
	at := int(binary.LittleEndian.Uint32(a.cell(n)[textsAt:])) + before
	part := a.texts[at : at+length]
	return unsafe.String(unsafe.SliceData(part), length)
}
