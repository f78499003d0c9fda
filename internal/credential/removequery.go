package credential

import (
	"context"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

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
