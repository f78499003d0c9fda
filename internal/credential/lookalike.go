package credential

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"
)

// hasLookalike reports whether a request whose credentials are passed on also
// has, in a spelling that is not read here, what the upstream may read as the
// credential: it would then use another token than the verified one.
func (c *Places) hasLookalike(r *http.Request) bool {
	for i := range c.places {
		s := &c.places[i]
		switch s.From {
		case FromCookie:
			if s.cookieLookalike(r.Header["Cookie"]) {
				return true
			}
		case FromQuery:
			folded := foldParameter(s.Name)
			all := pairsOf(r.URL.RawQuery)
			for p, ok := all.next(len(folded)); ok; p, ok = all.next(len(folded)) {
				if foldsToParameter(p.rawName(), folded) && !p.is(s.Name) {
					return true
				}
			}
		}
	}
	return false
}

// cookieLookalike reports whether the cookie's name is where lenient parsers
// (such as Python's http.cookies) find it: after a space or comma, or
// percent-encoded.
func (s *place) cookieLookalike(lines []string) bool {
	for _, line := range lines {
		for pair := range cookiePairs(line, len(s.Name)+1) {
			if strings.IndexByte(pair, '%') < 0 && !strings.Contains(pair, s.Name) {
				continue // as most are
			}
			if _, ok := cookieIs(pair, s.Name); ok && !broken(trimBlanks(pair)) {
				continue
			}
			for piece := range strings.FieldsFuncSeq(pair, func(c rune) bool { return c == ' ' || c == '\t' || c == ',' }) {
				name, _, ok := strings.Cut(piece, "=")
				if decoded, err := url.PathUnescape(name); ok && (name == s.Name || err == nil && decoded == s.Name) {
					return true
				}
			}
		}
	}
	return false
}

// broken reports whether lenient parsers break a cookie-pair up.
func broken(pair string) bool {
	return strings.IndexByte(pair, ' ') >= 0 || strings.IndexByte(pair, '\t') >= 0 || strings.IndexByte(pair, ',') >= 0
}

// foldsToParameter reports whether foldParameter of the decoded name is folded. It
// allocates nothing, but for names of a length that nobody means.
func foldsToParameter(raw, folded string) bool {
	folds := false
	for i := range len(raw) {
		if changes[raw[i]] {
			folds = true
			break
		}
	}
	if !folds {
		return raw == folded
	}
	var buf [256]byte
	name := buf[:0]
	if len(raw) > len(buf) {
		name = make([]byte, 0, len(raw))
	}
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		switch c {
		case '+':
			c = ' '
		case '%':
			if i+2 >= len(raw) {
				return foldParameter(raw) == folded // it can't be decoded
			}
			high, ok1 := unhex(raw[i+1])
			low, ok2 := unhex(raw[i+2])
			if !ok1 || !ok2 {
				return foldParameter(raw) == folded
			}
			c = high<<4 | low
			i += 2
		}
		name = append(name, c)
	}
	if i := bytes.IndexAny(name, "\x00["); i >= 0 {
		name = name[:i]
	}
	name = bytes.Trim(name, " ")
	if len(name) != len(folded) {
		return false
	}
	for i, c := range name {
		if c == '.' || c == ' ' || c == '+' {
			c = '_'
		}
		if c != folded[i] {
			return false
		}
	}
	return true
}

// changes are the bytes of a name that foldParameter, or decoding before it, changes.
var changes = [256]bool{'%': true, '+': true, '[': true, '.': true, ' ': true, 0: true}

// foldParameter converts a parameter's name as PHP does: it cuts the name at a
// NUL or bracket, and dots and spaces become underscores.
func foldParameter(name string) string {
	if i := strings.IndexAny(name, "\x00["); i >= 0 {
		name = name[:i]
	}
	return underscored.Replace(strings.Trim(name, " "))
}

var underscored = strings.NewReplacer(".", "_", " ", "_", "+", "_")
