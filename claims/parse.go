package claims

import (
	"strings"
	"unsafe"
)

// MaxValues is how many values ParseObject reads at most. A token of the maximum
// length can hold many times more, which would cost an attacker nothing to send
// and the server memory to parse. No issuer lists that many roles.
const MaxValues = 2000

// MaxDepth is how deep objects and arrays may be nested, including the outermost
// object. It bounds the parser's recursion.
const MaxDepth = 32

// Error is the error of ParseObject. It repeats nothing of the text, which an attacker
// may have written.
type Error string

// Error implements error.
func (e Error) Error() string { return string(e) }

// The errors of ParseObject.
const (
	ErrSyntax    Error = "not a strict JSON object"
	ErrUTF8      Error = "not UTF-8"
	ErrDuplicate Error = "an object has two members of one name"
	ErrDepth     Error = "nested too deeply"
	ErrValues    Error = "too many values"
)

// ParseObject parses one JSON object (RFC 8259). It is stricter than encoding/json,
// whose leniency lets two readers of one token see different claims: UTF-8
// only, no duplicate member names at any level (RFC 7515 section 4, RFC 7519
// section 4), no unpaired surrogates, nothing after the object, at most
// MaxDepth levels and MaxValues values. The bytes must not be changed
// afterwards: the result shares their memory.
func ParseObject(data []byte) (Value, error) {
	return ParseLarge(data, MaxValues)
}

// ParseLarge is ParseObject with another limit on the number of values.
func ParseLarge(data []byte, maxValues int) (Value, error) {
	var d Draft
	if err := d.Read(data, maxValues); err != nil {
		return Value{}, err
	}
	defer d.Free()
	return d.Value(), nil
}

func (p *parser) document() (node, bool) {
	p.space()
	if p.peek() != '{' {
		return node{}, false
	}
	root, ok := p.value(1)
	p.space()
	return root, ok && p.at == len(p.text)
}

// parser is a recursive descent parser. The values of an unfinished object or
// array are on stack; when it is complete they move to nodes, where they are
// adjacent.
type parser struct {
	text    string
	at      int
	stack   []node
	nodes   []node
	decoded []byte
	left    int   // how many more values may come
	err     Error // what is wrong besides the syntax; "" for nothing
}

// peek returns the next byte, or 0 at the end (NUL is not valid anywhere).
func (p *parser) peek() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

func (p *parser) space() {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return
		}
	}
}

func (p *parser) value(depth int) (node, bool) {
	if p.left--; p.left < 0 {
		p.err = ErrValues
		return node{}, false
	}
	switch c := p.peek(); c {
	case '{':
		return p.object(depth)
	case '[':
		return p.array(depth)
	case '"':
		s, ok := p.str()
		return node{kind: String, at: s.at, n: s.n, decoded: s.decoded}, ok
	case 't':
		return node{kind: Bool, truth: true}, p.literal("true")
	case 'f':
		return node{kind: Bool}, p.literal("false")
	case 'n':
		return node{}, p.literal("null")
	default:
		return p.number()
	}
}

func (p *parser) literal(word string) bool {
	if !strings.HasPrefix(p.text[p.at:], word) {
		return false
	}
	p.at += len(word)
	return true
}

func (p *parser) object(depth int) (node, bool) {
	if depth > MaxDepth {
		p.err = ErrDepth
		return node{}, false
	}
	p.at++ // {
	mark := len(p.stack)
	p.space()
	if p.peek() == '}' {
		p.at++
		return node{kind: Object}, true
	}
	for {
		p.space()
		if p.peek() != '"' {
			return node{}, false
		}
		name, ok := p.str()
		if !ok {
			return node{}, false
		}
		p.space()
		if p.peek() != ':' {
			return node{}, false
		}
		p.at++
		p.space()
		v, ok := p.value(depth + 1)
		if !ok {
			return node{}, false
		}
		v.nameAt, v.nameLen, v.nameDecoded = name.at, name.n, name.decoded
		p.stack = append(p.stack, v)
		p.space()
		switch p.peek() {
		case ',':
			p.at++
		case '}':
			p.at++
			v := p.collect(Object, mark)
			if p.duplicates(p.nodes[v.at:]) {
				p.err = ErrDuplicate
				return v, false
			}
			return v, true
		default:
			return node{}, false
		}
	}
}

func (p *parser) array(depth int) (node, bool) {
	if depth > MaxDepth {
		p.err = ErrDepth
		return node{}, false
	}
	p.at++ // [
	mark := len(p.stack)
	p.space()
	if p.peek() == ']' {
		p.at++
		return node{kind: Array}, true
	}
	for {
		p.space()
		v, ok := p.value(depth + 1)
		if !ok {
			return node{}, false
		}
		p.stack = append(p.stack, v)
		p.space()
		switch p.peek() {
		case ',':
			p.at++
		case ']':
			p.at++
			return p.collect(Array, mark), true
		default:
			return node{}, false
		}
	}
}

// collect returns an array or object of the nodes above mark, which it moves.
func (p *parser) collect(kind Kind, mark int) node {
	v := node{kind: kind, at: uint32(len(p.nodes)), n: uint32(len(p.stack) - mark)}
	p.nodes = append(p.nodes, p.stack[mark:]...)
	p.stack = p.stack[:mark]
	return v
}

// duplicates reports whether two members have the same name. Comparing all pairs
// is fastest for the few members of a token. With more of them a map keeps a
// hostile object from taking quadratic time.
func (p *parser) duplicates(members []node) bool {
	if len(members) <= 16 {
		for i := 1; i < len(members); i++ {
			name := p.nameOf(&members[i])
			for j := range i {
				if members[j].nameLen == uint32(len(name)) && p.nameOf(&members[j]) == name {
					return true
				}
			}
		}
		return false
	}
	seen := make(map[string]struct{}, len(members))
	for i := range members {
		name := p.nameOf(&members[i])
		if _, ok := seen[name]; ok {
			return true
		}
		seen[name] = struct{}{}
	}
	return false
}

// nameOf returns the name of a member. It is valid until the next string with an
// escape is read.
func (p *parser) nameOf(n *node) string {
	if n.nameDecoded {
		return unsafe.String(unsafe.SliceData(p.decoded), len(p.decoded))[n.nameAt : n.nameAt+n.nameLen]
	}
	return p.text[n.nameAt : n.nameAt+n.nameLen]
}

// number reads -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?.
func (p *parser) number() (node, bool) {
	start := p.at
	if p.peek() == '-' {
		p.at++
	}
	if p.peek() == '0' {
		p.at++
	} else if !p.digits() {
		return node{}, false
	}
	if p.peek() == '.' {
		p.at++
		if !p.digits() {
			return node{}, false
		}
	}
	if c := p.peek(); c == 'e' || c == 'E' {
		p.at++
		if c := p.peek(); c == '+' || c == '-' {
			p.at++
		}
		if !p.digits() {
			return node{}, false
		}
	}
	return node{kind: Number, at: uint32(start), n: uint32(p.at - start)}, true
}

func (p *parser) digits() bool {
	start := p.at
	for c := p.peek(); c >= '0' && c <= '9'; c = p.peek() {
		p.at++
	}
	return p.at > start
}
