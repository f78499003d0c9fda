package caddyjwt

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-jwt/caddy-jwt/apikey"
)

// removed is a credential that was taken out of the request. A jwt handler
// further in, or one in an error route, still finds it through the request's
// state.
type removed struct {
	from  *source
	value string
}

// of tells whether it was removed from a place like this one.
func (o removed) of(s *source) bool { return o.from.From == s.From && o.from.Name == s.Name }

// Format keeps a credential out of anything that prints a value.
func (removed) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("removed credential")) }

// remove takes the credentials away before anything behind can see, log or
// forward them, whatever becomes of the request. What is not a credential
// stays as it is, byte for byte.
func (c *credentials) remove(r *http.Request, st *state) {
	for i := range c.sources {
		c.sources[i].remove(r, st)
	}
}

func (s *source) remove(r *http.Request, st *state) {
	switch s.From {
	case fromHeader, fromBasic:
		s.removeHeader(r, st)
	case fromCookie:
		s.removeCookie(r, st)
	case fromQuery:
		s.removeQuery(r, st)
	}
}

func (s *source) removeHeader(r *http.Request, st *state) {
	name, scheme := s.Name, s.Scheme
	if s.From == fromBasic {
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
	// A new slice, as others (the log's copy of the request) may hold this one.
	kept := make([]string, 0, len(values)-1)
	for _, v := range values {
		if ours(v) {
			st.removed = append(st.removed, removed{s, v})
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

func (s *source) removeCookie(r *http.Request, st *state) {
	lines := r.Header["Cookie"]
	var kept []string
	hit := false
	for _, line := range lines {
		var rest strings.Builder
		any := false
		for p := range strings.SplitSeq(line, ";") {
			if value, ok := cookieIs(p, s.Name); ok {
				hit = true
				st.removed = append(st.removed, removed{s, value})
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

// removeQuery cleans every place where Caddy keeps the query: the URL, the
// request line, and the copies of both that error routes, FastCGI and
// {http.request.orig_uri} are made of.
func (s *source) removeQuery(r *http.Request, st *state) {
	if query, hit := s.cleanQuery(r.URL.RawQuery, st); hit {
		r.URL.RawQuery = query
		r.URL.ForceQuery = false
		r.RequestURI = s.cleanURI(r.RequestURI, st)
	}
	original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
	if !ok {
		return
	}
	// The original may have it under another name, or where a rewrite has dropped
	// it from the request.
	hit := false
	if original.URL != nil {
		if query, in := s.cleanOriginal(original.URL.RawQuery, st); in {
			original.URL.RawQuery, original.URL.ForceQuery, hit = query, false, true
		}
	}
	if uri := s.cleanURI(original.RequestURI, st); uri != original.RequestURI {
		original.RequestURI, hit = uri, true
	}
	if !hit {
		return
	}
	// In place: the server's error routes start from the request that it
	// gave to the first handler.
	*r = *r.WithContext(context.WithValue(r.Context(), caddyhttp.OriginalRequestCtxKey, original))
	// The placeholder reads the copy through the request that the server
	// made it for, which a handler in front of us may have replaced.
	if st.repl != nil {
		st.repl.Set("http.request.orig_uri", original.RequestURI)
	}
}

func (s *source) cleanURI(uri string, st *state) string {
	path, query, ok := strings.Cut(uri, "?")
	if !ok {
		return uri
	}
	query, hit := s.cleanOriginal(query, st)
	switch {
	case !hit:
		return uri
	case query == "":
		return path
	}
	return path + "?" + query
}

// cleanQuery removes the pairs with the source's name, and remembers them.
func (s *source) cleanQuery(query string, st *state) (string, bool) {
	return removePairs(query, func(p pair) bool {
		value, ok := p.is(s.Name)
		if ok {
			st.removed = append(st.removed, removed{s, value})
		}
		return ok
	})
}

// cleanOriginal removes the pairs with the source's name, and those whose value is
// a credential that was removed: a rewrite may have given it the name.
func (s *source) cleanOriginal(query string, st *state) (string, bool) {
	return removePairs(query, func(p pair) bool {
		if _, ok := p.is(s.Name); ok {
			return true
		}
		value := p.value()
		return len(value) >= apikey.MinLength && slices.ContainsFunc(st.removed, func(old removed) bool {
			return old.of(s) && old.value == value
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
