package claims

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// str reads a string. One without escapes, the usual one, is a part of the
// text and costs no memory.
func (p *parser) str() (string, bool) {
	p.at++ // "
	start := p.at
	ascii := true
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case c == '"':
			s := p.text[start:p.at]
			p.at++
			return s, ascii || utf8.ValidString(s)
		case c == '\\':
			return p.escaped(start)
		case c < 0x20:
			return "", false
		case c >= utf8.RuneSelf:
			ascii = false
		}
		p.at++
	}
	return "", false
}

// escaped reads the rest of a string from its first backslash on.
func (p *parser) escaped(start int) (string, bool) {
	out := append(make([]byte, 0, p.at-start+32), p.text[start:p.at]...)
	for p.at < len(p.text) {
		c := p.text[p.at]
		p.at++
		switch {
		case c == '"':
			return string(out), utf8.Valid(out)
		case c < 0x20:
			return "", false
		case c != '\\':
			out = append(out, c)
			continue
		}
		c = p.peek()
		p.at++
		switch c {
		case '"', '\\', '/':
			out = append(out, c)
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, ok := p.unicode()
			if !ok {
				return "", false
			}
			out = utf8.AppendRune(out, r)
		default:
			return "", false
		}
	}
	return "", false
}

// unicode reads what stands behind \u, both halves of a surrogate pair. Half a
// pair is no character and is refused: readers disagree on what it becomes.
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
	// ParseUint also takes "_" with base 0 and signs never: four hex digits
	// are all that is left.
	if err != nil {
		return 0, false
	}
	p.at += 4
	return rune(n), true
}
