package credential

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddy-jwt/caddy-jwt/reason"
)

// Look is Take without taking anything.
func (c *Places) Look(r *http.Request, taken *Removed) (f Found, code reason.Code) {
	c.read(r, taken, &f)
	return f, c.judge(r, &f)
}

// Broken reports whether there is a credential that can't be read, or more than one of a kind.
func (f *Found) Broken() bool { return f.malformed || f.multiple }

// Sightings says in words what a request has in each place, as in "a token in the cookie
// session". Of the credentials it has nothing.
func (c *Places) Sightings(r *http.Request, taken *Removed) []string {
	var list []string
	for i := range c.places {
		var f Found
		one := Places{places: c.places[i : i+1], keep: c.keep}
		one.read(r, taken, &f)
		if c.keep && one.hasLookalike(r) {
			f.multiple = true
		}
		where := " " + c.places[i].String()
		switch {
		case f.multiple:
			list = append(list, "several values"+where)
			continue
		case f.malformed:
			list = append(list, "no usable value"+where)
		}
		if f.Token.Present {
			list = append(list, "a token"+where)
		}
		if f.APIKey.Present {
			list = append(list, "an API key"+where)
		}
	}
	return list
}

// Put puts a credential where a client could send it: into the first place of its kind that
// has nothing yet. It returns the place in words, or "" if there is none.
func (c *Places) Put(r *http.Request, text string, token bool) string {
	for i := range c.places {
		s := &c.places[i]
		if (token && s.tokens || !token && s.apiKeys) && s.put(r, text) {
			return s.String()
		}
	}
	return ""
}

func (s *place) put(r *http.Request, text string) bool {
	switch s.From {
	case FromHeader, FromBasic:
		name, value := s.header(), text
		if s.Scheme != "" {
			value = s.Scheme + " " + text
		}
		if s.From == FromBasic {
			value = "Basic " + base64.StdEncoding.EncodeToString([]byte(":"+text))
		}
		if len(r.Header[name]) > 0 {
			return false
		}
		r.Header[name] = []string{value}
	case FromCookie:
		all := []place{*s}
		if hasCookie(all, r.Header["Cookie"]) || strings.ContainsAny(text, "; \t,\"") {
			return false
		}
		// A new slice, as a copy of the request may share the old one.
		r.Header["Cookie"] = append(append([]string(nil), r.Header["Cookie"]...), s.Name+"="+text)
	case FromQuery:
		if named([]place{*s}, r.URL.RawQuery) {
			return false
		}
		changed := *r.URL
		if changed.RawQuery != "" {
			changed.RawQuery += "&"
		}
		changed.RawQuery += url.QueryEscape(s.Name) + "=" + url.QueryEscape(text)
		*r.URL = changed
		r.RequestURI = changed.RequestURI()
	}
	return true
}
