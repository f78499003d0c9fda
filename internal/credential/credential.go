// Package credential reads tokens and API keys out of a request and removes
// them, with every copy of them that Caddy keeps, before downstream handlers can
// see, log or forward them.
package credential

import (
	"encoding/base64"
	"net/http"
	"strings"

	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/reason"
)

// place is a source with the kinds of credential that may be in it.
type place struct {
	Source
	tokens, apiKeys bool
}

// Places reads tokens and API keys out of requests and takes them away.
type Places struct {
	places  []place
	header  *place // where there is no other place, and the credential is removed
	keep    bool
	inPlace bool // nothing is removed, as nothing is refused
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

// header is the header that a source of credentials reads, empty for others.
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

func has(all []place, from string) bool {
	for _, s := range all {
		if s.From == from {
			return true
		}
	}
	return false
}

// Warn tells, once at load, where Caddy's logs would show a credential: they
// hide only the headers Authorization and Cookie, and are made of a copy of
// the request from before any handler ran.
func (c *Places) Warn(logger *zap.Logger) {
	for _, s := range c.places {
		switch {
		case s.From == FromQuery:
			logger.Warn("tokens and API keys in the query show in access logs and in http.log.error; filter them: format filter { request>uri query { delete "+s.Name+" } }, as docs/security.md#logs shows",
				zap.String("parameter", s.Name))
		case s.From == FromHeader && s.Name != "Authorization" && s.Name != "Proxy-Authorization":
			logger.Warn("tokens and API keys in this header show in access logs and in http.log.error; filter them: format filter { request>headers>"+s.Name+" delete }, as docs/security.md#logs shows",
				zap.String("header", s.Name))
			if strings.ContainsAny(s.Name, "_.") {
				logger.Warn("Caddy drops headers with _ or . in their name unless its expected_underscore_headers or expected_dot_headers names them",
					zap.String("header", s.Name))
			}
		}
	}
}

// Found collects what the sources hold. Two different tokens in one request
// are refused rather than one of them chosen, and so are two API keys: whoever
// reads the request behind us might choose the other (RFC 6750 section 2).
type Found struct {
	Token, APIKey Credential
	malformed     bool
	several       bool
}

// Credential is a token or an API key of a request.
type Credential struct {
	Text    string
	Present bool
	// ambient tells that it was in no place but those that a browser fills by
	// itself: a cookie, or Basic once it knows the password.
	ambient bool
}

func (f *Found) add(s *place, text string) {
	c := &f.Token
	// Where both may stand, the form decides: three segments are a token.
	if s.apiKeys && !(s.tokens && strings.Count(text, ".") == 2) {
		c = &f.APIKey
	}
	if c.Present && c.Text != text {
		f.several = true
	}
	c.ambient = (s.From == FromCookie || s.From == FromBasic) && (c.ambient || !c.Present)
	c.Text, c.Present = text, true
}

// Take reads the request's credentials and removes them, unless they are kept.
// One that a handler further out has removed is read from taken. The reason says
// why the request can't be authenticated by them, and is empty if there is a
// token or an API key.
func (c *Places) Take(r *http.Request, taken *Removed) (f Found, code reason.Code) {
	if c.header != nil && c.header.takeOne(r, taken, &f) {
		return f, ""
	}
	for i := range c.places {
		c.places[i].read(r, taken, &f)
	}
	c.Discard(r, taken)
	if c.keep && c.lookalike(r) {
		f.several = true
	}
	switch {
	case f.several:
		return f, reason.MultipleCredentials
	case f.malformed:
		return f, reason.MalformedRequest
	case !f.Token.Present && !f.APIKey.Present:
		return f, reason.MissingCredentials
	case (f.Token.ambient || f.APIKey.ambient) && c.crossSite(r):
		return f, reason.CrossOrigin
	}
	return f, ""
}

// takeOne takes the credential of a request as nearly all are: the header is there
// once, and holds one. It does nothing if the request is not so.
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
		c.remove(r, taken)
	}
}

// crossSite tells whether a page of another site may have made the request:
// the browser then adds credentials that the page could never read. Safe methods
// pass, as their answer stays hidden from the page; not so an upgrade to
// WebSocket, which is a GET but not bound by the same-origin policy.
func (c *Places) crossSite(r *http.Request) bool {
	if r.Header.Get("Upgrade") != "" || r.Method == http.MethodConnect {
		unsafe := *r
		unsafe.Method = http.MethodPost
		r = &unsafe
	}
	return c.origins.Check(r) != nil
}

// read adds what the source holds to f.
func (s *place) read(r *http.Request, taken *Removed, f *Found) {
	switch s.From {
	case FromHeader:
		values := r.Header[s.Name]
		// RFC 9110 section 11.6.2 allows one Authorization.
		if s.Name == "Authorization" && len(values) > 1 {
			f.several = true
		}
		for _, v := range values {
			s.readHeader(v, f)
		}
	case FromBasic:
		values := r.Header["Authorization"]
		if len(values) > 1 {
			f.several = true
		}
		for _, v := range values {
			s.readBasic(v, f)
		}
	case FromQuery:
		var same repeated
		for pair := range queryPairs(r.URL.RawQuery) {
			if value, ok := pair.is(s.Name); ok {
				f.several = same.differs(value) || f.several
				if value == "" {
					f.malformed = true
				} else {
					f.add(s, value)
				}
			}
		}
	case FromCookie:
		var same repeated
		for _, line := range r.Header["Cookie"] {
			for pair := range strings.SplitSeq(line, ";") {
				value, ok := cookieIs(pair, s.Name)
				if !ok {
					continue
				}
				f.several = same.differs(value) || f.several
				// An empty cookie alone is what is left of a session
				// after its end, and no credential.
				if value != "" {
					f.add(s, value)
				}
			}
		}
	}
	for _, old := range taken.list {
		if old.of(s) {
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

// repeated finds a name that is there twice with different values, one of which
// may be empty: who reads the request behind us might go by the other.
type repeated struct {
	first string
	any   bool
}

func (r *repeated) differs(value string) bool {
	differs := r.any && r.first != value
	if !r.any {
		r.first, r.any = value, true
	}
	return differs
}

// readHeader reads scheme and credential (RFC 9110 section 11.4: any case, at least
// one space). Another scheme is not for us and holds no token.
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

// readBasic reads the password of Basic (RFC 7617), or its user name where the
// password is empty, which is how clients send a key for which they have but one
// field.
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
