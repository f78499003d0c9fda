package claims

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// span is the place of a string, in the text or in the decoded strings.
type span struct {
	at, n   uint32
	decoded bool
}

// str reads a string. One without escapes, as most are, is a part of the text
// and needs no memory.
func (p *parser) str() (span, bool) {
	p.at++ // "
	start := p.at
	ascii := true
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case c == '"':
			s := p.text[start:p.at]
			p.at++
			if !ascii && !utf8.ValidString(s) {
				p.err = ErrUTF8
				return span{}, false
			}
			return span{at: uint32(start), n: uint32(len(s))}, true
		case c == '\\':
			return p.escaped(start)
		case c < 0x20:
			return span{}, false
		case c >= utf8.RuneSelf:
			ascii = false
		}
		p.at++
	}
	return span{}, false
}

// escaped reads the rest of a string from its first backslash on. The decoded
// string is never longer than the text.
func (p *parser) escaped(start int) (span, bool) {
	begin := len(p.decoded)
	p.decoded = append(p.decoded, p.text[start:p.at]...)
	for p.at < len(p.text) {
		c := p.text[p.at]
		p.at++
		switch {
		case c == '"':
			s := p.decoded[begin:]
			if !utf8.Valid(s) {
				p.err = ErrUTF8
				return span{}, false
			}
			return span{uint32(begin), uint32(len(s)), true}, true
		case c < 0x20:
			return span{}, false
		case c != '\\':
			p.decoded = append(p.decoded, c)
			continue
		}
		c = p.peek()
		p.at++
		switch c {
		case '"', '\\', '/':
			p.decoded = append(p.decoded, c)
		case 'b':
			p.decoded = append(p.decoded, '\b')
		case 'f':
			p.decoded = append(p.decoded, '\f')
		case 'n':
			p.decoded = append(p.decoded, '\n')
		case 'r':
			p.decoded = append(p.decoded, '\r')
		case 't':
			p.decoded = append(p.decoded, '\t')
		case 'u':
			r, ok := p.unicode()
			if !ok {
				return span{}, false
			}
			p.decoded = utf8.AppendRune(p.decoded, r)
		default:
			return span{}, false
		}
	}
	return span{}, false
}

// unicode reads the digits after \u, and both halves of a surrogate pair. It
// refuses an unpaired half, which parsers decode in different ways.
func (p *parser) unicode() (rune, bool) {
	r, ok := p.hex4()
	if !ok || !utf16.IsSurrogate(r) {
		return r, ok
	}
	if !p.literal(`\u`) {
		return 0, false
	}
	low, ok := p.hex4()
	if !ok {
		return 0, false
	}
	r = utf16.DecodeRune(r, low)
	return r, r != utf8.RuneError
}

func (p *parser) hex4() (rune, bool) {
	if p.at+4 > len(p.text) {
		return 0, false
	}
	digits := p.text[p.at : p.at+4]
	n, err := strconv.ParseUint(digits, 16, 32)
	// With base 16 ParseUint accepts no sign, no prefix and no "_".
	if err != nil {
		return 0, false
	}
	p.at += 4
	return rune(n), true
}
