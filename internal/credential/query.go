package credential

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
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

// parameter returns the index of the place that a pair is in, or -1.
func parameter(places []place, p pair) int {
	name := p.rawName()
	for i := range places {
		if s := &places[i]; s.From == FromQuery && (len(name)-len(s.Name))&1 == 0 && decodesTo(name, s.Name) {
			return i
		}
	}
	return -1
}

// shortest returns the length of the shortest name of a kind of place, which no shorter
// text can be, and whether there is such a place.
func shortest(places []place, from string) (least int, any bool) {
	for i := range places {
		if s := &places[i]; s.From == from && (!any || len(s.Name) < least) {
			least, any = len(s.Name), true
		}
	}
	return least, any
}

// named reports whether a query has a parameter of one of the places.
func named(places []place, query string) bool {
	least, any := shortest(places, FromQuery)
	if query == "" || !any || !mayName(places, query) {
		return false
	}
	all := pairsOf(query)
	for p, ok := all.next(least); ok; p, ok = all.next(least) {
		if parameter(places, p) >= 0 {
			return true
		}
	}
	return false
}

// mayName reports whether a query may have a parameter of one of the places. Where
// nothing is encoded, that is whether it has the text of a name.
func mayName(places []place, query string) bool {
	if escaped(query) {
		return true
	}
	for i := range places {
		if s := &places[i]; s.From == FromQuery && strings.Contains(query, s.Name) {
			return true
		}
	}
	return false
}

// mostRepeated is how often a request may repeat one credential. A client that sends
// more of them is refused rather than read to the end.
const mostRepeated = 16

// readQuery adds the credentials in a query that names some to f.
func readQuery(places []place, query string, f *Found) {
	same := make([]repeated, len(places))
	least, _ := shortest(places, FromQuery)
	all := pairsOf(query)
	for p, ok := all.next(least); ok; p, ok = all.next(least) {
		if i := parameter(places, p); i >= 0 {
			if f.addParameter(&places[i], p.value(), &same[i]); f.multiple {
				return // whatever follows
			}
		}
	}
}

func (f *Found) addParameter(s *place, value string, same *repeated) {
	f.multiple = same.differs(value) || f.multiple
	if value == "" {
		f.malformed = true
	} else {
		f.add(s, value)
	}
}

// removeQuery removes the credentials wherever Caddy keeps the query: in the URL,
// in the request line, and in the copies of both that error routes, FastCGI and
// {http.request.orig_uri} use. in says whether the URL names any.
func removeQuery(places []place, r *http.Request, in bool, taken *Removed) {
	if _, any := shortest(places, FromQuery); !any {
		return
	}
	q := queryCleaner{places: places}
	before := r.URL.RawQuery
	if in {
		r.URL.RawQuery = q.take(before, taken)
		r.URL.ForceQuery = false
	}
	q.values = valuesOf(places, taken)
	if len(q.values.list) == 0 { // then the same is left of each copy
		q.known, q.clean, q.hit = before, r.URL.RawQuery, in
	}
	if in {
		r.RequestURI = q.cleanURI(r.RequestURI)
	}
	original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
	if !ok {
		return
	}
	// A rewrite may have renamed the parameter or removed it from the request,
	// so the original is searched in any case.
	hit := false
	if original.URL != nil {
		if query, in := q.cleanQuery(original.URL.RawQuery); in {
			original.URL.RawQuery, original.URL.ForceQuery, hit = query, false, true
		}
	}
	if uri := q.cleanURI(original.RequestURI); uri != original.RequestURI {
		original.RequestURI, hit = uri, true
	}
	if !hit {
		return
	}
	// The request is changed in place, as the server's error routes start from
	// the one that it gave to the first handler.
	*r = *r.WithContext(context.WithValue(r.Context(), caddyhttp.OriginalRequestCtxKey, original))
	// The placeholder reads the copy in the server's own request, which an
	// earlier handler may have replaced by another.
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Set("http.request.orig_uri", original.RequestURI)
	}
}

// queryCleaner removes credentials from the copies of one query.
type queryCleaner struct {
	places []place
	values removedValues

	// What became of the copy that was cleaned last: others mostly have its text.
	known, clean string
	hit          bool
}

// take removes the pairs with the places' names, and adds them to taken.
func (q *queryCleaner) take(query string, taken *Removed) string {
	query, _ = removePairs(query, func(p pair) bool {
		i := parameter(q.places, p)
		if i >= 0 {
			taken.add(&q.places[i], p.value())
		}
		return i >= 0
	})
	return query
}

// cleanQuery removes the pairs with the places' names, and those whose value is a
// removed credential: a rewrite may have renamed the parameter.
func (q *queryCleaner) cleanQuery(query string) (string, bool) {
	if query == "" || query == q.known {
		return q.of(query)
	}
	q.known = query
	if len(q.values.list) == 0 && !named(q.places, query) {
		q.clean, q.hit = query, false
	} else {
		q.clean, q.hit = removePairs(query, func(p pair) bool {
			return parameter(q.places, p) >= 0 || q.values.have(p)
		})
	}
	return q.clean, q.hit
}

func (q *queryCleaner) of(query string) (string, bool) {
	if query == "" {
		return "", false
	}
	return q.clean, q.hit
}

// CleanURI returns a request target without the parameters in which credentials are sent.
func (all *Removal) CleanURI(uri string) string {
	q := queryCleaner{places: all.places}
	return q.cleanURI(uri)
}

func (q *queryCleaner) cleanURI(uri string) string {
	path, query, ok := strings.Cut(uri, "?")
	if !ok {
		return uri
	}
	query, hit := q.cleanQuery(query)
	switch {
	case !hit:
		return uri
	case query == "":
		return path
	}
	return path + "?" + query
}

// removedValues are the values of the parameters that were removed.
type removedValues struct {
	list []string
	set  map[string]bool // made if there are many
}

func valuesOf(places []place, taken *Removed) (v removedValues) {
	for _, old := range taken.list {
		if len(old.value) < minKeyLen || old.from.From != FromQuery {
			continue
		}
		for i := range places {
			if old.isFrom(&places[i]) {
				v.list = append(v.list, old.value)
				break
			}
		}
	}
	const few = 4
	if len(v.list) > few {
		v.set = make(map[string]bool, len(v.list))
		for _, value := range v.list {
			v.set[value] = true
		}
	}
	return v
}

// have reports whether the pair's value is one of them.
func (v *removedValues) have(p pair) bool {
	if len(v.list) == 0 || len(p.rawValue()) < minKeyLen { // decoding never makes a text longer
		return false
	}
	value := p.value()
	if v.set != nil {
		return v.set[value]
	}
	for _, old := range v.list {
		if old == value {
			return true
		}
	}
	return false
}

func removePairs(query string, remove func(pair) bool) (string, bool) {
	var out strings.Builder
	hit, kept, same := false, false, 0 // same: how much of the query is kept as it is so far
	all := pairsOf(query)
	for p, ok := all.next(0); ok; p, ok = all.next(0) {
		if remove(p) {
			if !hit {
				hit = true
				out.Grow(len(query))
				out.WriteString(query[:same])
			}
			continue
		}
		if hit {
			if kept {
				out.WriteString(p.separator)
			}
			out.WriteString(p.text)
		} else {
			same += len(p.separator) + len(p.text)
		}
		kept = true
	}
	if !hit {
		return query, false
	}
	return out.String(), true
}
