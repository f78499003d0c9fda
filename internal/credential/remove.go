package credential

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// minKeyLen is the length from which a parameter's value is compared with the
// removed credentials, whatever the parameter's name. No API key is shorter.
const minKeyLen = 20

// Format implements fmt.Formatter, so that no verb prints a credential.
func (*Removed) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("removed credentials")) }

// removed is a credential that was removed from the request. An inner jwt
// handler, or one in an error route, still finds it in the request's state.
type removed struct {
	from  *place
	value string
}

// isFrom reports whether it was removed from a place with the source of s.
func (o removed) isFrom(s *place) bool { return o.from.From == s.From && o.from.Name == s.Name }

// Removed holds the credentials that were removed from one request.
type Removed struct {
	list  []removed
	first [1]removed // avoids an allocation: most requests have one credential
}

func (taken *Removed) add(from *place, value string) {
	if taken.list == nil {
		taken.list = taken.first[:0]
	}
	taken.list = append(taken.list, removed{from, value})
}

// Format implements fmt.Formatter, so that no verb prints the credential.
func (removed) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("removed credential")) }

// remove removes the credentials before downstream handlers can see, log or
// forward them, whether or not the request is refused. Everything else stays
// byte for byte.
func (c *Places) remove(r *http.Request, taken *Removed) {
	for i := range c.places {
		c.places[i].remove(r, taken)
	}
}

// Removal holds the places from which several handlers remove credentials.
type Removal struct{ places []place }

// Add adds the places of a handler, unless it keeps credentials.
func (all *Removal) Add(c *Places) {
	if c.keep || c.inPlace {
		return
	}
	for _, s := range c.places {
		if !slices.ContainsFunc(all.places, func(o place) bool { return o.equal(s.Source) }) {
			all.places = append(all.places, s)
		}
	}
}

// Remove removes the credentials of all the places.
func (all *Removal) Remove(r *http.Request, taken *Removed) {
	for i := range all.places {
		all.places[i].remove(r, taken)
	}
}

func (s *place) remove(r *http.Request, taken *Removed) {
	switch s.From {
	case FromHeader, FromBasic:
		s.removeHeader(r, taken)
	case FromCookie:
		s.removeCookie(r, taken)
	case FromQuery:
		s.removeQuery(r, taken)
	}
}

func (s *place) removeHeader(r *http.Request, taken *Removed) {
	name, scheme := s.Name, s.Scheme
	if s.From == FromBasic {
		name, scheme = "Authorization", "Basic"
	}
	values := r.Header[name]
	ours := func(v string) bool {
		if scheme == "" {
			return true
		}
		_, ok := cutScheme(v, scheme)
		return ok || nearScheme(v, scheme)
	}
	if !slices.ContainsFunc(values, ours) {
		return
	}
	// A new slice, as the access log's copy of the request shares the old one.
	kept := make([]string, 0, len(values)-1)
	for _, v := range values {
		if ours(v) {
			taken.add(s, v)
		} else {
			kept = append(kept, v)
		}
	}
	if len(kept) == 0 {
		delete(r.Header, name)
	} else {
		r.Header[name] = kept
	}
}

func (s *place) removeCookie(r *http.Request, taken *Removed) {
	lines := r.Header["Cookie"]
	var kept []string
	hit := false
	for _, line := range lines {
		var rest strings.Builder
		any := false
		for p := range strings.SplitSeq(line, ";") {
			if value, ok := cookieIs(p, s.Name); ok {
				hit = true
				taken.add(s, value)
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
	switch {
	case !hit:
	case len(kept) == 0:
		delete(r.Header, "Cookie")
	default:
		r.Header["Cookie"] = kept
	}
}

// removeQuery removes the credential wherever Caddy keeps the query: in the URL,
// in the request line, and in the copies of both that error routes, FastCGI and
// {http.request.orig_uri} use.
func (s *place) removeQuery(r *http.Request, taken *Removed) {
	if query, hit := s.cleanQuery(r.URL.RawQuery, taken); hit {
		r.URL.RawQuery = query
		r.URL.ForceQuery = false
		r.RequestURI = s.cleanURI(r.RequestURI, taken)
	}
	original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
	if !ok {
		return
	}
	// A rewrite may have renamed the parameter or removed it from the request,
	// so the original is searched in any case.
	hit := false
	if original.URL != nil {
		if query, in := s.cleanOriginal(original.URL.RawQuery, taken); in {
			original.URL.RawQuery, original.URL.ForceQuery, hit = query, false, true
		}
	}
	if uri := s.cleanURI(original.RequestURI, taken); uri != original.RequestURI {
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

func (s *place) cleanURI(uri string, taken *Removed) string {
	path, query, ok := strings.Cut(uri, "?")
	if !ok {
		return uri
	}
	query, hit := s.cleanOriginal(query, taken)
	switch {
	case !hit:
		return uri
	case query == "":
		return path
	}
	return path + "?" + query
}

// cleanQuery removes the pairs with the place's name, and adds them to taken.
func (s *place) cleanQuery(query string, taken *Removed) (string, bool) {
	return removePairs(query, func(p pair) bool {
		value, ok := p.is(s.Name)
		if ok {
			taken.add(s, value)
		}
		return ok
	})
}

// cleanOriginal removes the pairs with the place's name, and those whose value is
// a removed credential: a rewrite may have renamed the parameter.
func (s *place) cleanOriginal(query string, taken *Removed) (string, bool) {
	return removePairs(query, func(p pair) bool {
		if _, ok := p.is(s.Name); ok {
			return true
		}
		value := p.value()
		return len(value) >= minKeyLen && slices.ContainsFunc(taken.list, func(old removed) bool {
			return old.isFrom(s) && old.value == value
		})
	})
}

func removePairs(query string, remove func(pair) bool) (string, bool) {
	var out strings.Builder
	hit, any := false, false
	for p := range queryPairs(query) {
		if remove(p) {
			hit = true
			continue
		}
		if any {
			out.WriteString(p.separator)
		}
		any = true
		out.WriteString(p.text)
	}
	if !hit {
		return query, false
	}
	return out.String(), true
}
