package credential

import (
	"net/url"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// cutScheme returns the text after a scheme, which may be empty.
func cutScheme(value, scheme string) (token string, ok bool) {
	n := len(scheme)
	if len(value) < n || value[:n] != scheme && !strings.EqualFold(value[:n], scheme) {
		return "", false
	}
	rest := value[n:]
	if rest != "" && rest[0] != ' ' {
		return "", false
	}
	return strings.Trim(rest, " "), true
}

// nearScheme reports whether a value begins with the scheme, but not in the form
// of RFC 9110 section 11.4, for example with a tab after the scheme. Upstreams
// that split it at any white space, as many do, would find a credential in it.
func nearScheme(value, scheme string) bool {
	n, trimmed := len(scheme), strings.TrimLeft(value, " \t,")
	if len(trimmed) <= n || !strings.EqualFold(trimmed[:n], scheme) || httpguts.ValidHeaderFieldName(trimmed[n:n+1]) {
		return false
	}
	return trimmed != value || value[n] != ' '
}

// cookieIs returns the value of a cookie-pair (RFC 6265 section 4.2.1) if it
// has the given name. Quotes around the value are removed.
func cookieIs(pair, name string) (string, bool) {
	n, value, ok := strings.Cut(strings.Trim(pair, " \t"), "=")
	if !ok || strings.TrimRight(n, " \t") != name {
		return "", false
	}
	value = strings.TrimLeft(value, " \t")
	if len(value) > 1 && value[0] == '"' && value[len(value)-1] == '"' {
		value = value[1 : len(value)-1]
	}
	return value, true
}

// pair is one name=value of a query, with the separator before it.
type pair struct {
	separator string // "", "&" or ";"
	text      string
}

// queryPairs splits a query at "&", and also at ";", which Go no longer treats as
// a separator. Some upstreams still do, and what they find must be found here.
func queryPairs(query string) func(func(pair) bool) {
	return func(yield func(pair) bool) {
		separator := ""
		for query != "" || separator != "" {
			text, rest, next := query, "", ""
			if i := strings.IndexAny(query, "&;"); i >= 0 {
				text, next, rest = query[:i], query[i:i+1], query[i+1:]
			}
			if !yield(pair{separator, text}) {
				return
			}
			query, separator = rest, next
		}
	}
}

// is returns the pair's value if its decoded name is the given one. A value that
// can't be decoded is returned unchanged: it is not a valid token.
func (p pair) is(name string) (string, bool) {
	rawName, _, _ := strings.Cut(p.text, "=")
	if decoded, err := url.QueryUnescape(rawName); err != nil || decoded != name {
		return "", false
	}
	return p.value(), true
}

// value returns the pair's value, decoded if possible.
func (p pair) value() string {
	_, raw, _ := strings.Cut(p.text, "=")
	if decoded, err := url.QueryUnescape(raw); err == nil {
		return decoded
	}
	return raw
}
