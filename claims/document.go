package claims

import "unsafe"

// document is what the values of one text share. Its nodes hold offsets instead of
// pointers, so that the garbage collector does not scan them, however many
// documents a cache holds.
type document struct {
	texts
	nodes []node   // those of one array or object are adjacent
	made  []Member // of a value that was made instead of parsed
}

// texts are what the offsets of nodes refer to.
type texts struct {
	text    string // the parsed text
	decoded string // its strings with escapes, decoded and concatenated
}

// A document with few nodes is one allocation together with them.
type (
	document4 struct {
		document
		inline [4]node
	}
	document8 struct {
		document
		inline [8]node
	}
	document12 struct {
		document
		inline [12]node
	}
	document16 struct {
		document
		inline [16]node
	}
)

// newDocument returns a document with a copy of nodes.
func newDocument(t texts, nodes []node) *document {
	var (
		d      *document
		copied []node
	)
	switch n := len(nodes); {
	case n <= 4:
		whole := new(document4)
		d, copied = &whole.document, whole.inline[:n:n]
	case n <= 8:
		whole := new(document8)
		d, copied = &whole.document, whole.inline[:n:n]
	case n <= 12:
		whole := new(document12)
		d, copied = &whole.document, whole.inline[:n:n]
	case n <= 16:
		whole := new(document16)
		d, copied = &whole.document, whole.inline[:n:n]
	default:
		d, copied = new(document), make([]node, n)
	}
	copy(copied, nodes)
	d.texts, d.nodes = t, copied
	return d
}

// node is an element of an array or a member of an object.
type node struct {
	nameAt, nameLen uint32 // the name
	at, n           uint32 // the text or digits, or the elements or members in nodes
	kind            Kind
	truth           bool
	nameDecoded     bool // whether the name is in texts.decoded instead of texts.text
	decoded         bool // likewise for the text
}

const (
	documentBytes = int(unsafe.Sizeof(document{}))
	nodeBytes     = int(unsafe.Sizeof(node{}))
)

func (t *texts) slice(at, n uint32, decoded bool) string {
	if decoded {
		return t.decoded[at : at+n]
	}
	return t.text[at : at+n]
}

func (t *texts) nameOf(n *node) string { return t.slice(n.nameAt, n.nameLen, n.nameDecoded) }

// scalar returns the value of a node; an array or object has no elements in it.
func (t *texts) scalar(n *node) Value {
	switch n.kind {
	case String, Number:
		return Value{kind: n.kind, text: t.slice(n.at, n.n, n.decoded)}
	default:
		return Value{kind: n.kind, truth: n.truth}
	}
}

func (d *document) value(n *node) Value {
	if n.kind == Array || n.kind == Object {
		return Value{kind: n.kind, doc: d, first: n.at, n: n.n}
	}
	return d.scalar(n)
}
