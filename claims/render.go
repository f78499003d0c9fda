package claims

import (
	"strings"
	"unicode/utf8"
)

// Render returns a value as text for a placeholder or a header: strings
// unchanged, numbers digit for digit, true and false, arrays joined with commas
// (arrays and objects in them as JSON), objects as compact JSON, and null as the
// empty string.
func (v Value) Render() string {
	switch v.kind {
	case Null:
		return ""
	case String, Number:
		return v.text
	case Bool:
		if v.truth {
			return "true"
		}
		return "false"
	case Array:
		if v.Len() == 1 {
			return v.At(0).renderElement()
		}
		var out []byte
		for i := range v.Len() {
			if i > 0 {
				out = append(out, ',')
			}
			out = append(out, v.At(i).renderElement()...)
		}
		return string(out)
	default:
		return string(v.AppendJSON(nil))
	}
}

func (v Value) renderElement() string {
	if v.kind == Array {
		return string(v.AppendJSON(nil))
	}
	return v.Render()
}

// AppendJSON appends the value as compact JSON, numbers digit for digit and
// members in their order.
func (v Value) AppendJSON(out []byte) []byte {
	switch v.kind {
	case Null:
		return append(out, "null"...)
	case Bool:
		if v.truth {
			return append(out, "true"...)
		}
		return append(out, "false"...)
	case Number:
		return append(out, v.text...)
	case String:
		return appendString(out, v.text)
	case Array:
		out = append(out, '[')
		for i := range v.Len() {
			if i > 0 {
				out = append(out, ',')
			}
			out = v.At(i).AppendJSON(out)
		}
		return append(out, ']')
	default:
		out = append(out, '{')
		for i := range v.Len() {
			if i > 0 {
				out = append(out, ',')
			}
			out = appendString(out, v.NameAt(i))
			out = append(out, ':')
			out = v.At(i).AppendJSON(out)
		}
		return append(out, '}')
	}
}

func appendString(out []byte, s string) []byte {
	const hex = "0123456789abcdef"
	// Strings come from the strict parser or from a config and are UTF-8.
	// Anything else is replaced, so that the JSON stays valid.
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, string(utf8.RuneError))
	}
	out = append(out, '"')
	start := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		// DEL is valid JSON but no valid header value, so it is escaped
		// with the other control characters.
		if c >= 0x20 && c != '"' && c != '\\' && c != 0x7f {
			continue
		}
		out = append(out, s[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			out = append(out, '\\', c)
		case '\n':
			out = append(out, '\\', 'n')
		case '\r':
			out = append(out, '\\', 'r')
		case '\t':
			out = append(out, '\\', 't')
		default:
			out = append(out, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	out = append(out, s[start:]...)
	return append(out, '"')
}
