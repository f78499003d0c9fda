// Package credential reads tokens and API keys out of a request and removes
// them, with every copy of them that Caddy keeps, before downstream handlers can
// see, log or forward them.
package credential

import (
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/caddy-jwt/caddy-jwt/reason"
)

// place is a source with the kinds of credential that it may hold.
type place struct {
	Source
	tokens, apiKeys bool
	isKey           func(text string) bool // whether there is an API key with a text; nil for no place of both
}

// Places reads tokens and API keys out of requests and removes them.
type Places struct {
	places  []place
	header  *place                 // set if it is the only place and its credential is removed
	keep    bool                   // credentials are passed on
	inPlace bool                   // credentials stay, as nothing is refused
	copies  []string               // headers in which copies of credentials may be left
	isKey   func(text string) bool // may be nil
	// origins is the standard library's protection against cross-site
	// requests, for tokens that a browser sends by itself.
	origins *http.CrossOriginProtection
}

// Headers are the names of the headers in which credentials are sent.
func (c *Places) Headers() []string { return headersOf(c.places) }

func headersOf(all []place) []string {
	var names []string
	for i := range all {
		if name := all[i].header(); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// header returns the header that a place is in, or "" for a query parameter.
func (s *place) header() string {
	switch s.From {
	case FromHeader:
		return s.Name
	case FromBasic:
		return "Authorization"
	case FromCookie:
		return "Cookie"
	}
	return ""
}

// TakesBasic reports whether API keys may be in HTTP Basic.
func (c *Places) TakesBasic() bool { return has(c.places, FromBasic) }

func has(all []place, from string) bool {
	for _, s := range all {
		if s.From == from {
			return true
		}
	}
	return false
}

// LogWarnings returns where Caddy's logs would show a credential: they redact few
// headers, such as Authorization and Cookie, and log a copy of the request that was made
// before any handler ran.
func (c *Places) LogWarnings() []string {
	var list []string
	for _, s := range c.places {
		switch {
		case s.From == FromQuery:
			list = append(list, "tokens and API keys in the query show in access logs and in http.log.error; filter them: format filter { request>uri query { delete "+s.Name+" } }, as docs/security.md#logs shows, and write log_credentials_filtered into the jwt block")
		case s.From == FromHeader && s.Name != "Authorization" && s.Name != "Proxy-Authorization":
			list = append(list, "tokens and API keys in the header "+s.Name+" show in access logs and in http.log.error; filter them: format filter { request>headers>"+s.Name+" delete }, as docs/security.md#logs shows, and write log_credentials_filtered into the jwt block")
		}
	}
	return list
}

// DroppedWarnings returns which headers with credentials Caddy drops by default.
func (c *Places) DroppedWarnings() []string {
	var list []string
	for _, s := range c.places {
		if s.From == FromHeader && strings.ContainsAny(s.Name, "_.") {
			list = append(list, "Caddy drops headers with _ or . in their name, such as "+s.Name+", unless its expected_underscore_headers or expected_dot_headers names them")
		}
	}
	return list
}

// Found holds the credentials of a request. Two different tokens in one request
// are refused instead of choosing one, and so are two API keys: a downstream
// handler or the upstream might choose the other (RFC 6750 section 2).
type Found struct {
	Token, APIKey Credential
	malformed     bool
	multiple      bool
}

// Credential is a token or an API key of a request.
type Credential struct {
	Text    string
	Present bool
	// ambient is set if the credential was only where a browser puts it by
	// itself: in a cookie, or in Basic once the browser knows the password.
	ambient bool
	basic   bool // whether it was in Basic
}

// Basic reports whether the request's only credential is an API key in HTTP Basic.
func (f *Found) Basic() bool { return f.APIKey.basic && !f.Token.Present }

func (f *Found) add(s *place, text string) {
	c := &f.Token
	// In a place that may hold both, a known key is a key, and else three segments
	// are a token.
	if s.apiKeys && (!s.tokens || strings.Count(text, ".") != 2 || s.isKey != nil && s.isKey(text)) {
		c = &f.APIKey
	}
	if c.Present && c.Text != text {
		f.multiple = true
	}
	c.ambient = (s.From == FromCookie || s.From == FromBasic) && (c.ambient || !c.Present)
	c.basic = c.basic || s.From == FromBasic
	c.Text, c.Present = text, true
}

// Take reads the request's credentials and removes them, unless they are kept.
// Those that an outer handler has removed are read from taken. The reason says
// why the credentials can't authenticate the request; it is empty if there is a
// token or an API key.
func (c *Places) Take(r *http.Request, taken *Removed) (f Found, code reason.Code) {
	if c.header != nil && c.header.takeOne(r, taken, &f) {
		return f, ""
	}
	in := c.read(r, taken, &f)
	if !c.keep && !c.inPlace {
		remove(c.places, r, in, taken)
	}
	return f, c.judge(r, &f)
}

// read adds the request's credentials to f, and returns where it has some.
func (c *Places) read(r *http.Request, taken *Removed, f *Found) presence {
	in := look(c.places, r)
	if in.query {
		readQuery(c.places, r.URL.RawQuery, f)
	}
	if in.cookies {
		readCookies(c.places, r.Header["Cookie"], f)
	}
	for i := range c.places {
		c.places[i].read(r, taken, f)
	}
	return in
}

// judge returns why the credentials that were read can't authenticate the request, "" if
// they can.
func (c *Places) judge(r *http.Request, f *Found) reason.Code {
	if c.keep && c.hasLookalike(r) {
		f.multiple = true
	}
	f.mergeCopies(c.isKey)
	switch {
	case f.multiple:
		return reason.MultipleCredentials
	case f.malformed:
		return reason.MalformedRequest
	case !f.Token.Present && !f.APIKey.Present:
		return reason.MissingCredentials
	case (f.Token.ambient || f.APIKey.ambient) && c.crossSite(r):
		return reason.CrossOrigin
	}
	return ""
}

// takeOne is the fast path for nearly all requests: one header with one
// credential. For any other request it does nothing and returns false.
func (s *place) takeOne(r *http.Request, taken *Removed, f *Found) bool {
	values := r.Header[s.Name]
	if len(values) != 1 || len(taken.list) > 0 {
		return false
	}
	token, ok := values[0], true
	if s.Scheme != "" {
		token, ok = cutScheme(values[0], s.Scheme)
	}
	if !ok || token == "" {
		return false
	}
	f.add(s, token)
	taken.add(s, values[0])
	delete(r.Header, s.Name)
	return true
}

// Discard removes the request's credentials, unless they are kept.
func (c *Places) Discard(r *http.Request, taken *Removed) {
	if !c.keep && !c.inPlace {
		remove(c.places, r, look(c.places, r), taken)
	}
}

// crossSite reports whether a page of another site may have made the request:
// the browser then adds credentials that the page itself can't read. Safe methods
// are allowed, as the page can't read the response. An upgrade to WebSocket is
// not: it is a GET, but the same-origin policy does not apply to it.
func (c *Places) crossSite(r *http.Request) bool {
	if r.Header.Get("Upgrade") != "" || r.Method == http.MethodConnect {
		unsafe := *r
		unsafe.Method = http.MethodPost
		r = &unsafe
	}
	return c.origins.Check(r) != nil
}

// read adds the credentials in a header to f, and those that were removed from a place
// of any kind.
func (s *place) read(r *http.Request, taken *Removed, f *Found) {
	switch s.From {
	case FromHeader:
		values := r.Header[s.Name]
		// RFC 9110 section 11.6.2 allows one Authorization.
		if s.Name == "Authorization" && len(values) > 1 {
			f.multiple = true
		}
		for _, v := range values {
			s.readHeader(v, f)
		}
	case FromBasic:
		values := r.Header["Authorization"]
		if len(values) > 1 {
			f.multiple = true
		}
		for _, v := range values {
			s.readBasic(v, f)
		}
	}
	for _, old := range taken.list {
		if old.isFrom(s) {
			if s.From == FromHeader {
				s.readHeader(old.value, f)
			} else if s.From == FromBasic {
				s.readBasic(old.value, f)
			} else if old.value != "" {
				f.add(s, old.value)
			}
		}
	}
}

// repeated detects a name with different values, one of which may be empty:
// downstream handlers or the upstream might use the other value. It detects a value
// that is repeated more than mostRepeated times, too.
type repeated struct {
	first string
	times int
}

func (r *repeated) differs(value string) bool {
	if r.times++; r.times == 1 {
		r.first = value
		return false
	}
	return r.times > mostRepeated || r.first != value
}

// readHeader reads a scheme and a credential (RFC 9110 section 11.4: any case, at
// least one space). A value with another scheme is ignored.
func (s *place) readHeader(value string, f *Found) {
	token := value
	if s.Scheme != "" {
		var ok bool
		if token, ok = cutScheme(value, s.Scheme); !ok {
			f.malformed = f.malformed || nearScheme(value, s.Scheme)
			return
		}
	}
	if token == "" {
		f.malformed = true
		return
	}
	f.add(s, token)
}

// readBasic reads the password of Basic (RFC 7617), or its user name if the
// password is empty: clients with a single field for a key send it that way.
func (s *place) readBasic(value string, f *Found) {
	text, ok := cutScheme(value, "Basic")
	if !ok {
		f.malformed = f.malformed || nearScheme(value, "Basic")
		return
	}
	decoded, err := base64.StdEncoding.DecodeString(text)
	user, key, found := strings.Cut(string(decoded), ":")
	if key == "" {
		key = user
	}
	if err != nil || !found || key == "" {
		f.malformed = true
		return
	}
	f.add(s, key)
}
