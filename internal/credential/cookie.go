package credential

import (
	"net/http"
	"strings"
)

// cookieIs returns the value of a cookie-pair (RFC 6265 section 4.2.1) if it
// has the given name. Quotes around the value are removed.
func cookieIs(pair, name string) (string, bool) {
	i := strings.IndexByte(pair, '=')
	if i < len(name) || trimBlanks(pair[:i]) != name {
		return "", false
	}
	value := trimBlanks(pair[i+1:])
	if len(value) > 1 && value[0] == '"' && value[len(value)-1] == '"' {
		value = value[1 : len(value)-1]
	}
	return value, true
}

// trimBlanks is strings.Trim(text, " \t"), which prepares a set of characters for
// each of the thousands of pairs that a client can send.
func trimBlanks(text string) string {
	for text != "" && (text[0] == ' ' || text[0] == '\t') {
		text = text[1:]
	}
	for text != "" && (text[len(text)-1] == ' ' || text[len(text)-1] == '\t') {
		text = text[:len(text)-1]
	}
	return text
}

// cookie returns the index of the place that a cookie-pair is in, with its value, or -1.
func cookie(places []place, pair string) (int, string) {
	for i := range places {
		if places[i].From == FromCookie {
			if value, ok := cookieIs(pair, places[i].Name); ok {
				return i, value
			}
		}
	}
	return -1, ""
}

// cookiePairs are the pairs of a line of cookies that have at least so many bytes.
func cookiePairs(line string, least int) func(func(string) bool) {
	return func(yield func(string) bool) {
		from := 0
		for i := 0; i <= len(line); i++ {
			if i < len(line) && line[i] != ';' {
				continue
			}
			if i-from >= least && !yield(line[from:i]) {
				return
			}
			from = i + 1
		}
	}
}

// hasCookie reports whether the lines have a cookie of one of the places.
func hasCookie(places []place, lines []string) bool {
	least, any := shortest(places, FromCookie)
	if !any {
		return false
	}
	for _, line := range lines {
		for pair := range cookiePairs(line, least+1) {
			if i, _ := cookie(places, pair); i >= 0 {
				return true
			}
		}
	}
	return false
}

// readCookies adds the credentials in cookies, of which there are some, to f.
func readCookies(places []place, lines []string, f *Found) {
	same := make([]repeated, len(places))
	least, _ := shortest(places, FromCookie)
	for _, line := range lines {
		for pair := range cookiePairs(line, least+1) {
			i, value := cookie(places, pair)
			if i < 0 {
				continue
			}
			if same[i].differs(value) {
				f.multiple = true
				return // whatever follows
			}
			// An empty cookie is what is left of an ended session,
			// not a credential.
			if value != "" {
				f.add(&places[i], value)
			}
		}
	}
}

// removeCookies removes the credentials from the cookies, of which there are some.
func removeCookies(places []place, r *http.Request, taken *Removed) {
	lines := r.Header["Cookie"]
	var kept []string
	for _, line := range lines {
		var rest strings.Builder
		any := false
		for p := range strings.SplitSeq(line, ";") {
			if i, value := cookie(places, p); i >= 0 {
				taken.add(&places[i], value)
				continue
			}
			if any {
				rest.WriteByte(';')
			} else {
				p = strings.TrimLeft(p, " \t")
			}
			any = true
			rest.WriteString(p)
		}
		if rest.Len() > 0 {
			kept = append(kept, rest.String())
		}
	}
	if len(kept) == 0 {
		delete(r.Header, "Cookie")
	} else {
		r.Header["Cookie"] = kept
	}
}
