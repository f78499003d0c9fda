package credential

import (
	"fmt"
	"net/http"
	"slices"
)

// minKeyLen is the length from which a parameter's value is compared with the
// removed credentials, whatever the parameter's name. No API key is shorter.
const minKeyLen = 6

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
	// A client can repeat a parameter thousands of times.
	if n := len(taken.list); n > 0 && taken.list[n-1] == (removed{from, value}) {
		return
	}
	taken.list = append(taken.list, removed{from, value})
}

// Format implements fmt.Formatter, so that no verb prints the credential.
func (removed) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("removed credential")) }

// Removal holds the places from which several handlers remove credentials.
type Removal struct{ places []place }

// Add adds the places of a handler, unless it keeps credentials.
func (all *Removal) Add(c *Places) {
	if !c.keep && !c.inPlace {
		all.AddAll(c)
	}
}

// AddAll adds the places of a handler, even if it keeps credentials.
func (all *Removal) AddAll(c *Places) {
	for _, s := range c.places {
		if !slices.ContainsFunc(all.places, func(o place) bool { return o.equal(s.Source) }) {
			all.places = append(all.places, s)
		}
	}
}

// Remove removes the credentials of all the places.
func (all *Removal) Remove(r *http.Request, taken *Removed) {
	remove(all.places, r, look(all.places, r), taken)
}

// remove removes the credentials before downstream handlers can see, log or forward
// them, whether or not the request is refused. Everything else stays byte for byte.
func remove(places []place, r *http.Request, in presence, taken *Removed) {
	for i := range places {
		if s := &places[i]; s.From == FromHeader || s.From == FromBasic {
			s.removeHeader(r, taken)
		}
	}
	if in.cookies {
		removeCookies(places, r, taken)
	}
	removeQuery(places, r, in.query, taken)
}

// presence says which of a request's parts of any length have a credential of some
// places.
type presence struct{ query, cookies bool }

func look(places []place, r *http.Request) presence {
	return presence{named(places, r.URL.RawQuery), hasCookie(places, r.Header["Cookie"])}
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
