package claims

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"unsafe"
)

// MaxValues is how many values ParseObject reads. A token of the greatest length
// can hold many times more, all of them worthless, and would cost a stranger
// nothing; no issuer lists that many roles.
const MaxValues = 2000

// MaxDepth is how deep objects and arrays may be nested, the outermost object
// counted. It bounds the parser's own recursion.
const MaxDepth = 32

// ErrSyntax is the only error of ParseObject. It says nothing of the text,
// which comes from a stranger.
var ErrSyntax = errors.New("not a strict JSON object")

// ParseObject reads one JSON object (RFC 8259), stricter than encoding/json,
// whose leniency lets two readers of one token see different claims: UTF-8
// only, no duplicate member names at any level (RFC 7515 section 4, RFC 7519
// section 4), no unpaired surrogates, nothing behind the object, at most
// MaxDepth levels and MaxValues values. The bytes must not be changed
// afterwards: the result shares their memory.
func ParseObject(data []byte) (Value, error) {
	return ParseLarge(data, MaxValues)
}

// ParseLarge is ParseObject with another limit on the number of values.
func ParseLarge(data []byte, maxValues int) (Value, error) {
	buffer := buffers.Get().(*[]member)
	p := parser{text: unsafe.String(unsafe.SliceData(data), len(data)), stack: (*buffer)[:0], left: maxValues}
	v, ok := p.document()
	// Nothing of one token stays where the next is read, nor does the room
	// that a huge one took.
	if cap(p.stack) <= maxBuffer {
		*buffer = p.stack[:cap(p.stack)]
		clear((*buffer)[:max(p.high, len(p.stack))])
		buffers.Put(buffer)
	}
	if !ok {
		return Value{}, ErrSyntax
	}
	return v, nil
}

// buffers are where members wait until their number is known.
var buffers = sync.Pool{New: func() any {
	b := make([]member, 32)
	return &b
}}

const maxBuffer = MaxValues

func (p *parser) document() (Value, bool) {
	p.space()
	if p.peek() != '{' {
		return Value{}, false
	}
	v, ok := p.value(1)
	p.space()
	return v, ok && p.at == len(p.text)
}

// parser is a recursive descent over text. Finished members wait on stack
// until their object or array is whole, then move to a slice of the right size.
type parser struct {
	text  string
	at    int
	stack []member
	high  int // how much of the stack was in use at most, but for what is
	left  int // values that may still come
}

// peek returns the next byte, or 0 at the end (a NUL is nowhere valid either).
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

func (p *parser) value(depth int) (Value, bool) {
	if p.left--; p.left < 0 {
		return Value{}, false
	}
	switch c := p.peek(); c {
	case '{':
		return p.object(depth)
	case '[':
		return p.array(depth)
	case '"':
		s, ok := p.str()
		return Value{kind: String, text: s}, ok
	case 't':
		return Value{kind: Bool, truth: true}, p.literal("true")
	case 'f':
		return Value{kind: Bool}, p.literal("false")
	case 'n':
		return Value{}, p.literal("null")
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

func (p *parser) object(depth int) (Value, bool) {
	if depth > MaxDepth {
		return Value{}, false
	}
	p.at++ // {
	mark := len(p.stack)
	p.space()
	if p.peek() == '}' {
		p.at++
		return Value{kind: Object}, true
	}
	for {
		p.space()
		if p.peek() != '"' {
			return Value{}, false
		}
		name, ok := p.str()
		if !ok {
			return Value{}, false
		}
		p.space()
		if p.peek() != ':' {
			return Value{}, false
		}
		p.at++
		p.space()
		v, ok := p.value(depth + 1)
		if !ok {
			return Value{}, false
		}
		p.stack = append(p.stack, member{name, v})
		p.space()
		switch p.peek() {
		case ',':
			p.at++
		case '}':
			p.at++
			parts := p.take(mark)
			return Value{kind: Object, parts: parts}, !duplicates(parts)
		default:
			return Value{}, false
		}
	}
}

func (p *parser) array(depth int) (Value, bool) {
	if depth > MaxDepth {
		return Value{}, false
	}
	p.at++ // [
	mark := len(p.stack)
	p.space()
	if p.peek() == ']' {
		p.at++
		return Value{kind: Array}, true
	}
	for {
		p.space()
		v, ok := p.value(depth + 1)
		if !ok {
			return Value{}, false
		}
		p.stack = append(p.stack, member{value: v})
		p.space()
		switch p.peek() {
		case ',':
			p.at++
		case ']':
			p.at++
			parts := p.take(mark)
			return Value{kind: Array, parts: parts}, true
		default:
			return Value{}, false
		}
	}
}

// take moves the members above mark off the stack.
func (p *parser) take(mark int) []member {
	p.high = max(p.high, len(p.stack))
	parts := slices.Clone(p.stack[mark:])
	p.stack = p.stack[:mark]
	return parts
}

// duplicates tells whether two members share a name. Comparing each with each
// is the fastest for the few members of a token; past that a map keeps a
// hostile object from costing the square of its size.
func duplicates(members []member) bool {
	if len(members) <= 16 {
		for i := 1; i < len(members); i++ {
			for j := range i {
				if members[i].name == members[j].name {
					return true
				}
			}
		}
		return false
	}
	seen := make(map[string]struct{}, len(members))
	for i := range members {
		if _, ok := seen[members[i].name]; ok {
			return true
		}
		seen[members[i].name] = struct{}{}
	}
	return false
}

// number reads -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?.
func (p *parser) number() (Value, bool) {
	start := p.at
	if p.peek() == '-' {
		p.at++
	}
	if p.peek() == '0' {
		p.at++
	} else if !p.digits() {
		return Value{}, false
	}
	if p.peek() == '.' {
		p.at++
		if !p.digits() {
			return Value{}, false
		}
	}
	if c := p.peek(); c == 'e' || c == 'E' {
		p.at++
		if c := p.peek(); c == '+' || c == '-' {
			p.at++
		}
		if !p.digits() {
			return Value{}, false
		}
	}
	return Value{kind: Number, text: p.text[start:p.at]}, true
}

func (p *parser) digits() bool {
	start := p.at
	for c := p.peek(); c >= '0' && c <= '9'; c = p.peek() {
		p.at++
	}
	return p.at > start
}
