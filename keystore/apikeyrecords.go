package keystore

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"unsafe"
)

// apiKeyRecords are the keys of a set, one behind the other in the order of their
// file. A place in them is where a record begins. A record is
//
//	digest    32 bytes
//	expires   8, in milliseconds since 1970
//	scopes    4, their number among the set's
//	lengths   2 of meta, 2 of consumer (none for the id), 1 of the id
//	disabled  1
//	texts     id, consumer, meta as JSON
//
// What is written once is never changed, so that texts may be parts of it.
type apiKeyRecords []byte

const (
	expiresAt  = sha256.Size
	scopesAt   = expiresAt + 8
	metaAt     = scopesAt + 4
	consumerAt = metaAt + 2
	idAt       = consumerAt + 2
	disabledAt = idAt + 1
	textsAt    = disabledAt + 1
)

const neverExpires = math.MaxInt64

// append adds a record with scopes of that number.
func (a apiKeyRecords) append(r *APIKeyRecord, scopes uint32) apiKeyRecords {
	at := len(a)
	a = append(a, r.Hash[:]...)
	expires := int64(neverExpires)
	if !r.Expires.IsZero() {
		expires = r.Expires.UnixMilli()
	}
	a = binary.LittleEndian.AppendUint64(a, uint64(expires))
	a = binary.LittleEndian.AppendUint32(a, scopes)
	a = append(a, 0, 0, 0, 0, byte(len(r.ID)), 0)
	if r.Disabled {
		a[at+disabledAt] = 1
	}
	a = append(a, r.ID...)
	if r.Consumer != r.ID {
		binary.LittleEndian.PutUint16(a[at+consumerAt:], uint16(len(r.Consumer)))
		a = append(a, r.Consumer...)
	}
	if r.Meta.Len() > 0 {
		before := len(a)
		a = r.Meta.AppendJSON(a)
		binary.LittleEndian.PutUint16(a[at+metaAt:], uint16(len(a)-before))
	}
	return a
}

// find returns the place of the record with that digest.
func (a apiKeyRecords) find(index *placeIndex, d *Digest) (uint32, bool) {
	for p := index.probe(index.hash(d[:])); ; {
		at, more := index.next(&p)
		if !more {
			return 0, false
		}
		if Digest(a[at:]) == *d {
			return at, true
		}
	}
}

// findID returns the place of the record with that id, by an index of ids.
func (a apiKeyRecords) findID(index *placeIndex, id string) (uint32, bool) {
	for p := index.probe(index.hash([]byte(id))); ; {
		at, more := index.next(&p)
		if !more {
			return 0, false
		}
		if a.id(at) == id {
			return at, true
		}
	}
}

// next is the place of the record behind the one at that place.
func (a apiKeyRecords) next(at uint32) uint32 {
	meta, consumer, id := a.lengths(at)
	return at + textsAt + id + consumer + meta
}

func (a apiKeyRecords) expires(at uint32) int64 {
	return int64(binary.LittleEndian.Uint64(a[at+expiresAt:]))
}

func (a apiKeyRecords) scopes(at uint32) uint32 { return binary.LittleEndian.Uint32(a[at+scopesAt:]) }

func (a apiKeyRecords) disabled(at uint32) bool { return a[at+disabledAt] != 0 }

func (a apiKeyRecords) lengths(at uint32) (meta, consumer, id uint32) {
	return uint32(binary.LittleEndian.Uint16(a[at+metaAt:])), uint32(binary.LittleEndian.Uint16(a[at+consumerAt:])), uint32(a[at+idAt])
}

func (a apiKeyRecords) id(at uint32) string {
	_, _, id := a.lengths(at)
	return a.text(at+textsAt, id)
}

// consumer is nothing where the key's id is.
func (a apiKeyRecords) consumer(at uint32) string {
	_, consumer, id := a.lengths(at)
	return a.text(at+textsAt+id, consumer)
}

func (a apiKeyRecords) meta(at uint32) string {
	meta, consumer, id := a.lengths(at)
	return a.text(at+textsAt+id+consumer, meta)
}

func (a apiKeyRecords) text(at, length uint32) string {
	part := a[at : at+length]
	return unsafe.String(unsafe.SliceData(part), length)
}
