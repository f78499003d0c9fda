package credential

import (
	"net/url"
	"strings"
)

// Clients choose how long a query is and how many pairs it has, so that each pass over
// one is for all places at once, allocates nothing where none of them is named, and is
// not made again over a copy with the same text.

// pair is one name=value of a query.
type pair struct {
	separator string // "", "&" or ";"
	text      string
	nameLen   int // where the first "=" is, or the length of text
}

// pairs splits a query at "&", and also at ";", which Go no longer treats as
// a separator. Some upstreams still do, and what they find must be found here.
type pairs struct {
	query     string
	at        int    // where the next pair starts
	separator string // the one before it
	done      bool
}

func pairsOf(query string) pairs { return pairs{query: query, done: query == ""} }

// next returns the next pair that has at least so many bytes: a client can send
// thousands of shorter ones.
func (s *pairs) next(least int) (pair, bool) {
	query, separator := s.query, s.separator
	for from := s.at; !s.done; {
		i := from
		for i < len(query) && inQuery[query[i]] == isText {
			i++
		}
		nameLen := i - from
		for i < len(query) && inQuery[query[i]] != isSeparator {
			i++
		}
		p := pair{separator, query[from:i], nameLen}
		if s.done = i == len(query); !s.done {
			separator, from = query[i:i+1], i+1
		}
		if len(p.text) >= least {
			s.at, s.separator = from, separator
			return p, true
		}
	}
	return pair{}, false
}

// inQuery says what each byte is in a query.
var inQuery = [256]uint8{'=': isEquals, '&': isSeparator, ';': isSeparator}

const (
	isText uint8 = iota
	isEquals
	isSeparator
)

// rawName returns the pair's name as it is written.
func (p pair) rawName() string { return p.text[:p.nameLen] }

// rawValue returns the pair's value as it is written.
func (p pair) rawValue() string { return p.text[min(p.nameLen+1, len(p.text)):] }

// value returns the pair's value, decoded if possible. A value that can't be decoded
// is returned unchanged: it is not a valid token.
func (p pair) value() string {
	raw := p.rawValue()
	if !escaped(raw) {
		return raw
	}
	if decoded, err := url.QueryUnescape(raw); err == nil {
		return decoded
	}
	return raw
}

// escaped reports whether decoding may change a text of a query.
func escaped(raw string) bool {
	return strings.IndexByte(raw, '%') >= 0 || strings.IndexByte(raw, '+') >= 0
}

// is reports whether the pair's decoded name is the given one.
func (p pair) is(name string) bool { return decodesTo(p.rawName(), name) }

// decodesTo reports whether url.QueryUnescape(raw) returns a text, and no error.
func decodesTo(raw, text string) bool {
	// Decoding makes one byte of three, or one of one.
	if raw == text && !escaped(text) {
		return true
	}
	if longer := len(raw) - len(text); longer < 0 || longer%2 != 0 {
		return false
	}
	i := 0
	for j := range len(text) {
		if i >= len(raw) {
			return false
		}
		c, n := raw[i], 1
		switch c {
		case '+':
			c = ' '
		case '%':
			if i+2 >= len(raw) {
				return false
			}
			high, ok1 := unhex(raw[i+1])
			low, ok2 := unhex(raw[i+2])
			if !ok1 || !ok2 {
				return false
			}
			c, n = high<<4|low, 3
		}
		if c != text[j] {
			return false
		}
		i += n
	}
	return i == len(raw)
}

func unhex(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
