package mcp

import (
	"encoding/binary"
	"unicode/utf8"
)

// str reads a string, and returns the place of what is between its quotes. Whether it is UTF-8
// was looked at before.
func (s *scanner) str() (place span, escaped, ok bool) {
	s.at++
	from := s.at
	for {
		s.plain()
		switch s.peek() {
		case '"':
			s.at++
			return span{from, s.at - 1}, escaped, true
		case '\\':
			escaped = true
			if !s.escape() {
				return span{}, false, s.syntax()
			}
		default: // a control character, or the end
			return span{}, false, s.syntax()
		}
	}
}

// plain passes over what is no quote, backslash or control character: eight bytes at a time
// as long as none of them is.
func (s *scanner) plain() {
	const (
		ones  = 0x0101010101010101
		highs = 0x8080808080808080
	)
	at, body := s.at, s.body
	for at+8 <= len(body) {
		v := binary.LittleEndian.Uint64(body[at:])
		quote, backslash := v^ones*'"', v^ones*'\\'
		// A byte of v-ones*n borrows exactly where v has a byte below n, as long as no byte
		// before it has; all that counts is whether there is one.
		if ((quote-ones)&^quote|(backslash-ones)&^backslash|(v-ones*' ')&^v)&highs != 0 {
			break
		}
		at += 8
	}
	for at < len(body) && body[at] != '"' && body[at] != '\\' && body[at] >= ' ' {
		at++
	}
	s.at = at
}

// escape reads an escape in a string. Halves of surrogate pairs are not looked at: those that
// a client has cut apart are no harm where nothing is judged, and unquote refuses them.
func (s *scanner) escape() bool {
	s.at++
	c := s.peek()
	s.at++
	switch c {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	case 'u':
		_, ok := hex4(s.body[s.at:])
		s.at += 4
		return ok
	}
	return false
}

// hex4 reads four hexadecimal digits.
func hex4(from []byte) (rune, bool) {
	if len(from) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range from[:4] {
		digit := unhex(c)
		if digit > 15 {
			return 0, false
		}
		r = r<<4 | rune(digit)
	}
	return r, true
}

// unquote appends what a string stands for, whose escapes have been read before. It refuses
// an unpaired surrogate, of which readers make different things.
func unquote(dst, raw []byte) ([]byte, bool) {
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c != '\\' {
			dst = append(dst, c)
			continue
		}
		i++
		switch c = raw[i]; c {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r, _ := hex4(raw[i+1:])
			i += 4
			if 0xd800 <= r && r < 0xe000 {
				rest := raw[i+1:]
				if r >= 0xdc00 || len(rest) < 6 || rest[0] != '\\' || rest[1] != 'u' {
					return dst, false
				}
				low, _ := hex4(rest[2:])
				if low < 0xdc00 || low >= 0xe000 {
					return dst, false
				}
				r = (r-0xd800)<<10 | (low - 0xdc00) + 0x10000
				i += 6
			}
			dst = utf8.AppendRune(dst, r)
		default: // ", \ and /
			dst = append(dst, c)
		}
	}
	return dst, true
}

// number reads -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?.
func (s *scanner) number() bool {
	if s.peek() == '-' {
		s.at++
	}
	if s.peek() == '0' {
		s.at++
	} else if !s.digits() {
		return s.syntax()
	}
	if s.peek() == '.' {
		s.at++
		if !s.digits() {
			return s.syntax()
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.at++
		if c := s.peek(); c == '+' || c == '-' {
			s.at++
		}
		if !s.digits() {
			return s.syntax()
		}
	}
	return true
}

func (s *scanner) digits() bool {
	from := s.at
	for c := s.peek(); c >= '0' && c <= '9'; c = s.peek() {
		s.at++
	}
	return s.at > from
}
