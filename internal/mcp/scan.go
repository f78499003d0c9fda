package mcp

import (
	"bytes"
	"hash/maphash"
	"sync"

	"github.com/caddy-jwt/caddy-jwt/reason"
)

// What a body may have at most. The parser's recursion is bounded by maxDepth, its memory by
// maxMembers; what a user of the calls does for each is by maxMessages; what it takes to fold
// names is by maxName, for the name of a member that is judged, and for that of a tool, prompt
// or resource or a method.
const (
	maxDepth    = 128
	maxMembers  = 1 << 16
	maxMessages = 1000
	maxName     = 8 << 10 // bytes
)

// scanner reads JSON strictly (RFC 8259) in one pass, without making a tree of it: bodies are
// large, and little of them is judged. It notes where the members that are judged lie, and
// makes sure that no object at any level has two members of one name.
type scanner struct {
	body    []byte
	at      int
	found   [fields]span
	names   []memberName // those of the objects that are not complete
	decoded []byte       // those names that have escapes
	table   []uint32

	fault   *reason.Detailed // what is wrong; nil for nothing
	notJSON bool             // whether the body is no JSON at all
}

// span is the place of a value in the body; the zero span is that of none.
type span struct{ from, to int }

func (v span) there() bool { return v.to > 0 }

// memberName is the place of a member's name, in the body or in decoded.
type memberName struct {
	from, to uint32
	decoded  bool
}

var scanners = sync.Pool{New: func() any { return &scanner{names: make([]memberName, 0, 64)} }}

func newScanner(body []byte) *scanner {
	s := scanners.Get().(*scanner)
	s.body, s.at, s.fault, s.notJSON = body, 0, nil, false
	return s
}

// free returns the memory to the pool, but not what a large body needed.
func (s *scanner) free() {
	const kept = 4096
	if s.body = nil; cap(s.names) > kept || cap(s.decoded) > kept || cap(s.table) > 4*kept {
		return
	}
	s.names, s.decoded = s.names[:0], s.decoded[:0]
	scanners.Put(s)
}

// syntax says that the body is no JSON.
func (s *scanner) syntax() bool {
	s.fault, s.notJSON = reason.MessageSyntax, true
	return false
}

// wrong notes what is wrong with JSON that can be read on: with the id, the client learns
// which of its requests it was.
func (s *scanner) wrong(fault *reason.Detailed) {
	if s.fault == nil {
		s.fault = fault
	}
}

// peek returns the next byte, or 0 at the end (NUL is not valid anywhere).
func (s *scanner) peek() byte {
	if s.at < len(s.body) {
		return s.body[s.at]
	}
	return 0
}

func (s *scanner) space() {
	for s.at < len(s.body) {
		switch s.body[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

// value reads a value of which nothing is judged.
func (s *scanner) value(depth int) bool {
	switch s.peek() {
	case '{':
		return s.object(depth, nil)
	case '[':
		return s.array(depth)
	case '"':
		_, _, ok := s.str()
		return ok
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	}
	return s.number()
}

func (s *scanner) literal(word string) bool {
	if !bytes.HasPrefix(s.body[s.at:], []byte(word)) {
		return s.syntax()
	}
	s.at += len(word)
	return true
}

// enter reads the first byte of an object or array, and the space behind it.
func (s *scanner) enter(depth int) bool {
	if depth > maxDepth {
		s.fault = reason.MessageBounds
		return false
	}
	s.at++
	s.space()
	return true
}

func (s *scanner) array(depth int) bool {
	if !s.enter(depth) {
		return false
	}
	if s.peek() == ']' {
		s.at++
		return true
	}
	for {
		if !s.value(depth + 1) {
			return false
		}
		s.space()
		switch s.peek() {
		case ',':
			s.at++
			s.space()
		case ']':
			s.at++
			return true
		default:
			return s.syntax()
		}
	}
}

// object reads an object. If kind is not nil, the places of the members that are judged are
// noted in found.
func (s *scanner) object(depth int, kind *object) bool {
	if !s.enter(depth) {
		return false
	}
	if s.peek() == '}' {
		s.at++
		return true
	}
	first, decoded := len(s.names), len(s.decoded)
	for {
		if s.peek() != '"' {
			return s.syntax()
		}
		if !s.name() {
			return false
		}
		var known *member
		if kind != nil {
			this := s.nameOf(s.names[len(s.names)-1])
			if len(this) > maxName {
				s.fault = reason.MessageBounds
				return false
			}
			var folded bool
			if known, folded = kind.find(this); folded {
				s.wrong(kind.folded)
			}
		}
		s.space()
		if s.peek() != ':' {
			return s.syntax()
		}
		s.at++
		s.space()
		from := s.at
		if known != nil && known.object != nil && s.peek() == '{' {
			if !s.object(depth+1, known.object) {
				return false
			}
		} else if !s.value(depth + 1) {
			return false
		}
		if known != nil && known.field >= 0 {
			s.found[known.field] = span{from, s.at}
		}
		s.space()
		switch s.peek() {
		case ',':
			s.at++
			s.space()
		case '}':
			s.at++
			if s.duplicates(s.names[first:]) {
				s.wrong(reason.MessageDuplicate)
			}
			s.names, s.decoded = s.names[:first], s.decoded[:decoded]
			return true
		default:
			return s.syntax()
		}
		if len(s.names)-first >= maxMembers {
			s.fault = reason.MessageBounds
			return false
		}
	}
}

// name reads the name of a member.
func (s *scanner) name() bool {
	place, escaped, ok := s.str()
	switch {
	case !ok:
		return false
	case !escaped:
		s.names = append(s.names, memberName{from: uint32(place.from), to: uint32(place.to)})
		return true
	}
	from := len(s.decoded)
	if s.decoded, ok = unquote(s.decoded, s.body[place.from:place.to]); !ok {
		return s.syntax()
	}
	s.names = append(s.names, memberName{uint32(from), uint32(len(s.decoded)), true})
	return true
}

func (s *scanner) nameOf(n memberName) []byte {
	if n.decoded {
		return s.decoded[n.from:n.to]
	}
	return s.body[n.from:n.to]
}

var seed = maphash.MakeSeed()

// duplicates reports whether two names are the same. Comparing all pairs is fastest for few.
// With more of them a hash table, whose seed nobody knows, keeps a hostile object from taking
// quadratic time.
func (s *scanner) duplicates(names []memberName) bool {
	if len(names) <= 12 {
		for i := 1; i < len(names); i++ {
			this := s.nameOf(names[i])
			for _, other := range names[:i] {
				if bytes.Equal(s.nameOf(other), this) {
					return true
				}
			}
		}
		return false
	}
	size := 32
	for size < 2*len(names) {
		size *= 2
	}
	if cap(s.table) < size {
		s.table = make([]uint32, size)
	}
	table := s.table[:size]
	clear(table)
	for i, n := range names {
		this := s.nameOf(n)
		slot := maphash.Bytes(seed, this) & uint64(size-1)
		for ; table[slot] != 0; slot = (slot + 1) & uint64(size-1) {
			if bytes.Equal(s.nameOf(names[table[slot]-1]), this) {
				return true
			}
		}
		table[slot] = uint32(i + 1)
	}
	return false
}

// text returns a string that is judged. ok is false if it is none, or has an unpaired
// surrogate.
func (s *scanner) text(v span) (text []byte, ok bool) {
	if !v.there() || s.body[v.from] != '"' {
		return nil, false
	}
	raw := s.body[v.from+1 : v.to-1]
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw, true
	}
	return unquote(nil, raw)
}

// isObject reports whether a value is an object.
func (s *scanner) isObject(v span) bool { return v.there() && s.body[v.from] == '{' }
