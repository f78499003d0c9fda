package apikey

import (
	"math"
	"unsafe"
)

// entry is the part of a key that requests need. Together with the key's digest it fills
// one line of a processor's cache. It holds no pointer: the texts of all keys are in one
// buffer, and those of a key are its id, its consumer (empty if it is the id) and its
// meta as JSON. The buffer is only appended to, so strings may share its memory.
type entry struct {
	expires  int64  // in milliseconds since 1970
	scopes   uint32 // their number among the set's
	texts    uint32 // where they begin
	number   uint32 // among the keys of the file
	meta     uint16 // its length
	consumer uint16 // likewise
	id       uint8  // likewise
	disabled bool
	gone     bool // of a store: there is no such key any more
}

const neverExpires = math.MaxInt64

// newEntry makes the entry of a record, and appends its texts to texts.
func newEntry(r *Record, number, scopes uint32, texts []byte) (entry, []byte) {
	e := entry{
		expires: neverExpires, scopes: scopes, texts: uint32(len(texts)), number: number,
		id: uint8(len(r.ID)), disabled: r.Disabled,
	}
	if !r.Expires.IsZero() {
		e.expires = r.Expires.UnixMilli()
	}
	texts = append(texts, r.ID...)
	if r.Consumer != r.ID {
		e.consumer = uint16(len(r.Consumer))
		texts = append(texts, r.Consumer...)
	}
	if r.Meta.Len() > 0 {
		before := len(texts)
		texts = r.Meta.AppendJSON(texts)
		e.meta = uint16(len(texts) - before)
	}
	return e, texts
}

func (e *entry) idIn(texts []byte) string { return e.textIn(texts, 0, int(e.id)) }

// consumerIn returns the consumer, empty if it is the key's id.
func (e *entry) consumerIn(texts []byte) string {
	return e.textIn(texts, int(e.id), int(e.consumer))
}

func (e *entry) metaIn(texts []byte) string {
	return e.textIn(texts, int(e.id)+int(e.consumer), int(e.meta))
}

// textIn returns length bytes of an entry's texts, from the offset before.
func (e *entry) textIn(texts []byte, before, length int) string {
	at := int(e.texts) + before
	part := texts[at : at+length]
	return unsafe.String(unsafe.SliceData(part), length)
}
