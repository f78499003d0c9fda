package claims

import "unsafe"

// document is what the values of one text share. Its nodes tell places rather than
// hold pointers, so that a garbage collector has nothing to look at in them,
// however many documents a cache is full of.
type document struct {
	texts
	nodes []node // those of an array or object side by side
	made  []Member
}

// texts are what nodes tell places in.
type texts struct {
	text    string // that was parsed
	decoded string // the strings of it that have escapes, one behind the other
}

// documents of few nodes have them in one piece with what is shared.
type (
	document4 struct {
		document
		room [4]node
	}
	document8 struct {
		document
		room [8]node
	}
	document12 struct {
		document
		room [12]node
	}
	document16 struct {
		document
		room [16]node
	}
)

// newDocument makes a document of copies of nodes.
func newDocument(t texts, nodes []node) *document {
	var (
		d    *document
		room []node
	)
	switch n := len(nodes); {
	case n <= 4:
		whole := new(document4)
		d, room = &whole.document, whole.room[:n:n]
	case n <= 8:
		whole := new(document8)
		d, room = &whole.document, whole.room[:n:n]
	case n <= 12:
		whole := new(document12)
		d, room = &whole.document, whole.room[:n:n]
	case n <= 16:
		whole := new(document16)
		d, room = &whole.document, whole.room[:n:n]
	default:
		d, room = new(document), make([]node, n)
	}
	copy(room, nodes)
	d.texts, d.nodes = t, room
	return d
}

// node is an element of an array or a member of an object.
type node struct {
	nameAt, nameLen uint32 // the name's place
	at, n           uint32 // the place of the text or digits, or of the elements or members among the nodes
	kind            Kind
	truth           bool
	nameDecoded     bool // whether the place is one among the decoded strings
	decoded         bool // likewise
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

// scalar is the value of a node, without the elements of an array or object.
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
