package credential

import (
	"net/http"
	"net/url"
	"strings"
)

// lookalike tells whether a request whose credentials are passed on holds, in
// a spelling that we don't read, what its upstream may read as the credential:
// that one would then go by another token than the one that was verified here.
func (c *Places) lookalike(r *http.Request) bool {
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

// cookieLookalike looks for the cookie's name where lenient readers (Python's
// http.cookies) find one: behind a space or comma, or percent-encoded.
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

// name is the pair's decoded name.
func (p pair) name() string {
	name, _, _ := strings.Cut(p.text, "=")
	if decoded, err := url.QueryUnescape(name); err == nil {
		return decoded
	}
	return name
}

// foldParameter brings a parameter's name to the form that PHP and its like
// give it: without what stands behind a NUL or bracket, dots and spaces as
// underscores.
func foldParameter(name string) string {
	if i := strings.IndexAny(name, "\x00["); i >= 0 {
		name = name[:i]
	}
	return strings.NewReplacer(".", "_", " ", "_", "+", "_").Replace(strings.Trim(name, " "))
}
