package credential

import (
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
			for p := range queryPairs(r.URL.RawQuery) {
				if _, ok := p.is(s.Name); !ok && foldParameter(p.name()) == foldParameter(s.Name) {
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
		for pair := range strings.SplitSeq(line, ";") {
			if _, ok := cookieIs(pair, s.Name); ok && !strings.ContainsAny(strings.Trim(pair, " \t"), " \t,") {
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

// name returns the pair's decoded name.
func (p pair) name() string {
	name, _, _ := strings.Cut(p.text, "=")
	if decoded, err := url.QueryUnescape(name); err == nil {
		return decoded
	}
	return name
}

// foldParameter converts a parameter's name as PHP does: it cuts the name at a
// NUL or bracket, and dots and spaces become underscores.
func foldParameter(name string) string {
	if i := strings.IndexAny(name, "\x00["); i >= 0 {
		name = name[:i]
	}
	return strings.NewReplacer(".", "_", " ", "_", "+", "_").Replace(strings.Trim(name, " "))
}
