package claims

import (
	"math"
	"sync"
	"unsafe"
)

// Draft is a parsed object in pooled memory: most tokens that strangers send are
// refused after a look at a few members. It must be freed and must not be copied.
type Draft struct {
	texts
	buffer *buffer // nil when freed
	root   node
}

// buffer holds the nodes of a draft, and those of unfinished arrays and objects.
// They refer to the text by offsets and keep none of it.
type buffer struct{ stack, nodes []node }

var buffers = sync.Pool{New: func() any { return &buffer{make([]node, 0, 32), make([]node, 0, 64)} }}

// maxBuffer is the capacity up to which a buffer is kept: enough for the largest
// token, but not for a large key set.
const maxBuffer = 2 * MaxValues

// Read parses one JSON object as ParseObject does, with a limit on the number of values. The bytes must not be changed
// afterwards. After an error there is nothing to free.
func (d *Draft) Read(data []byte, maxValues int) error {
	if uint64(len(data)) > math.MaxUint32 {
		return ErrSyntax
	}
	d.buffer = buffers.Get().(*buffer)
	p := parser{text: unsafe.String(unsafe.SliceData(data), len(data)), stack: d.buffer.stack[:0], nodes: d.buffer.nodes[:0], left: maxValues}
	root, ok := p.document()
	d.buffer.stack, d.buffer.nodes = p.stack, p.nodes
	if !ok {
		d.Free()
		if p.err != "" {
			return p.err
		}
		return ErrSyntax
	}
	// The copy of decoded has no spare capacity.
	d.text, d.decoded, d.root = p.text, string(p.decoded), root
	return nil
}

// Values returns the number of JSON values, the object itself included.
func (d *Draft) Values() int { return len(d.buffer.nodes) + 1 }

// Len returns the number of members.
func (d *Draft) Len() int { return int(d.root.n) }

// Member returns the name and the value of the member at index i, which must be less
// than Len. They stay valid when the draft is freed. The value of an array or object
// has its kind but no elements, as these would not stay valid.
func (d *Draft) Member(i int) (string, Value) {
	n := &d.buffer.nodes[d.root.at : d.root.at+d.root.n][i]
	return d.nameOf(n), d.scalar(n)
}

// Value returns the whole object, which stays valid when the draft is freed.
func (d *Draft) Value() Value {
	return newDocument(d.texts, d.buffer.nodes).value(&d.root)
}

// Free returns the memory to the pool. The draft must not be used afterwards.
func (d *Draft) Free() {
	if b := d.buffer; cap(b.stack) <= maxBuffer && cap(b.nodes) <= maxBuffer {
		buffers.Put(b)
	}
	d.buffer = nil
}
