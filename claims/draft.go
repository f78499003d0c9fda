package claims

import (
	"math"
	"sync"
	"unsafe"
)

// Draft is an object that was read, in memory that is used again: most of what
// strangers send is thrown away after a look at a few members. It must be freed, and
// is not to be copied.
type Draft struct {
	texts
	buffer *buffer // nil once it is freed
	root   node
}

// buffer is where nodes wait until their number is known, and those of a draft stay.
// They hold nothing of the text itself.
type buffer struct{ stack, nodes []node }

var buffers = sync.Pool{New: func() any { return &buffer{make([]node, 0, 32), make([]node, 0, 64)} }}

// maxBuffer is what is kept of a buffer: the room of the largest token, not that of
// a huge text.
const maxBuffer = 2 * MaxValues

// Read reads one JSON object as ParseObject does. The bytes must not be changed
// afterwards. After an error there is nothing to be freed.
func (d *Draft) Read(data []byte) error { return d.read(data, MaxValues) }

func (d *Draft) read(data []byte, maxValues int) error {
	if uint64(len(data)) > math.MaxUint32 {
		return ErrSyntax
	}
	d.buffer = buffers.Get().(*buffer)
	p := parser{text: unsafe.String(unsafe.SliceData(data), len(data)), stack: d.buffer.stack[:0], nodes: d.buffer.nodes[:0], left: maxValues}
	root, ok := p.document()
	d.buffer.stack, d.buffer.nodes = p.stack, p.nodes
	if !ok {
		d.Free()
		return ErrSyntax
	}
	// Copied without the room behind it, so that what is kept is what counts.
	d.text, d.decoded, d.root = p.text, string(p.decoded), root
	return nil
}

// Len is the number of members.
func (d *Draft) Len() int { return int(d.root.n) }

// Member returns the name and the value of the member at index i, which must be below
// Len. They stay good when the draft is freed; of an array or object only the kind is
// told, as its elements do not.
func (d *Draft) Member(i int) (string, Value) {
	n := &d.buffer.nodes[d.root.at : d.root.at+d.root.n][i]
	return d.nameOf(n), d.scalar(n)
}

// Value returns the whole object, to be kept. It shares its texts with the members.
func (d *Draft) Value() Value {
	return newDocument(d.texts, d.buffer.nodes).value(&d.root)
}

// Free gives the memory back. The draft is not to be used any more.
func (d *Draft) Free() {
	if b := d.buffer; cap(b.stack) <= maxBuffer && cap(b.nodes) <= maxBuffer {
		buffers.Put(b)
	}
	d.buffer = nil
}
