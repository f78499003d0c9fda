package caddyjwt

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"go.uber.org/zap"
	"golang.org/x/net/http/httpguts"
)

// TokenSource is a place in a request where a token may stand.
type TokenSource struct {
	// The kind of place: `header`, `query` or `cookie`.
	From string `json:"from"`
	// The name of the header, query parameter or cookie.
	Name string `json:"name"`
	// For a header: the scheme before the token, in any case. Default:
	// Bearer for the header Authorization, none for every other.
	Scheme string `json:"scheme,omitempty"`
}

const (
	fromHeader = "header"
	fromQuery  = "query"
	fromCookie = "cookie"
)

// credentials reads tokens out of requests and takes them away.
type credentials struct {
	sources []TokenSource
	keep    bool
	// origins is the standard library's protection against cross-site
	// requests, for tokens that a browser sends by itself.
	origins *http.CrossOriginProtection
}

func newCredentials(configured []*TokenSource, trustedOrigins []string, keep bool) (*credentials, error) {
	c := &credentials{keep: keep, origins: http.NewCrossOriginProtection()}
	for _, s := range configured {
		if s == nil {
			return nil, errors.New("token_from: an entry is null; write a source such as header Authorization Bearer")
		}
		source := *s
		if err := source.check(); err != nil {
			return nil, fmt.Errorf("token_from: %w", err)
		}
		for _, other := range c.sources {
			if other == source {
				return nil, fmt.Errorf("token_from: %s %s is there twice; remove one", source.From, source.Name)
			}
		}
		c.sources = append(c.sources, source)
	}
	if len(c.sources) == 0 {
		c.sources = []TokenSource{{From: fromHeader, Name: "Authorization", Scheme: "Bearer"}}
	}
	for _, o := range trustedOrigins {
		if strings.Contains(o, "*") {
			return nil, fmt.Errorf("trusted_origins: %s has a *, which matches nothing; write each origin, such as https://app.example.com", strconv.Quote(o))
		}
		if err := c.origins.AddTrustedOrigin(o); err != nil {
			return nil, fmt.Errorf("trusted_origins: %s is no origin; write scheme and host such as https://app.example.com, without a path", strconv.Quote(o))
		}
	}
	if len(trustedOrigins) > 0 && !c.has(fromCookie) {
		return nil, errors.New("trusted_origins is for tokens in cookies; add token_from cookie <name>, or remove it")
	}
	return c, nil
}

func (s *TokenSource) check() error {
	switch s.From {
	case fromHeader:
		if !httpguts.ValidHeaderFieldName(s.Name) {
			return fmt.Errorf("%s is no header name; write header Authorization Bearer", strconv.Quote(s.Name))
		}
		s.Name = http.CanonicalHeaderKey(s.Name)
		switch s.Name {
		case "Cookie":
			return errors.New("the header Cookie holds many values; write cookie <name>")
		case "Host", "Content-Length", "Transfer-Encoding", "Connection", "Trailer":
			return fmt.Errorf("the header %s belongs to HTTP itself; use another one", s.Name)
		case "Authorization":
			if s.Scheme == "" {
				s.Scheme = "Bearer"
			}
		}
		if s.Scheme != "" && !httpguts.ValidHeaderFieldName(s.Scheme) {
			return fmt.Errorf("%s is no authentication scheme; write one word such as Bearer", strconv.Quote(s.Scheme))
		}
		return nil
	case fromQuery, fromCookie:
		if s.Name == "" || s.From == fromCookie && !httpguts.ValidHeaderFieldName(s.Name) {
			return fmt.Errorf("%s is no name of a %s; write one such as access_token", strconv.Quote(s.Name), map[string]string{fromQuery: "query parameter", fromCookie: "cookie"}[s.From])
		}
		if s.Scheme != "" {
			return fmt.Errorf("a scheme is for headers; write %s %s", s.From, s.Name)
		}
		return nil
	default:
		return fmt.Errorf("%s is no place for a token; write header, query or cookie", strconv.Quote(s.From))
	}
}

func (c *credentials) has(from string) bool {
	for _, s := range c.sources {
		if s.From == from {
			return true
		}
	}
	return false
}

// warn tells, once at load, where Caddy's logs would show a credential: they
// hide only the headers Authorization and Cookie, and are made of a copy of
// the request from before any handler ran.
func (c *credentials) warn(logger *zap.Logger) {
	for _, s := range c.sources {
		switch {
		case s.From == fromQuery:
			logger.Warn("tokens in the query show in access logs and in http.log.error; filter them: format filter { request>uri query { delete "+s.Name+" } }, as docs/security.md#logs shows",
				zap.String("parameter", s.Name))
		case s.From == fromHeader && s.Name != "Authorization" && s.Name != "Proxy-Authorization":
			logger.Warn("tokens in this header show in access logs and in http.log.error; filter them: format filter { request>headers>"+s.Name+" delete }, as docs/security.md#logs shows",
				zap.String("header", s.Name))
			if strings.ContainsAny(s.Name, "_.") {
				logger.Warn("Caddy drops headers with _ or . in their name unless its expected_underscore_headers or expected_dot_headers names them",
					zap.String("header", s.Name))
			}
		}
	}
}

// found collects what the sources hold. Two different tokens in one request
// are refused rather than one of them chosen: whoever reads the request
// behind us might choose the other (RFC 6750 section 2).
type found struct {
	token     string
	any       bool
	several   bool
	malformed bool
	// onlyCookie tells that no place but cookies held the token.
	onlyCookie bool
}

func (f *found) add(token string, cookie bool) {
	if f.any && f.token != token {
		f.several = true
	}
	f.onlyCookie = cookie && (f.onlyCookie || !f.any)
	f.token, f.any = token, true
}

// take reads the request's token and removes it, unless credentials are kept.
// A token that a handler further out has removed is read from st. The reason
// says why there is none, and is empty if there is one.
func (c *credentials) take(r *http.Request, st *state) (string, Reason) {
	var f found
	for i := range c.sources {
		c.sources[i].read(r, st, &f)
	}
	if !c.keep {
		c.remove(r, st)
	} else if c.lookalike(r) {
		f.several = true
	}
	switch {
	case f.several:
		return "", MultipleCredentials
	case f.malformed:
		return "", MalformedRequest
	case !f.any:
		return "", MissingCredentials
	case f.onlyCookie && c.crossSite(r):
		return "", CrossOrigin
	}
	return f.token, ""
}

// crossSite tells whether a page of another site may have made the request:
// the browser then adds cookies that the page could never read. Safe methods
// pass, as their answer stays hidden from the page; not so an upgrade to
// WebSocket, which is a GET but not bound by the same-origin policy.
func (c *credentials) crossSite(r *http.Request) bool {
	if r.Header.Get("Upgrade") != "" || r.Method == http.MethodConnect {
		unsafe := *r
		unsafe.Method = http.MethodPost
		r = &unsafe
	}
	return c.origins.Check(r) != nil
}

// read adds what the source holds to f.
func (s *TokenSource) read(r *http.Request, st *state, f *found) {
	switch s.From {
	case fromHeader:
		values := r.Header[s.Name]
		// RFC 9110 section 11.6.2 allows one Authorization.
		if s.Name == "Authorization" && len(values) > 1 {
			f.several = true
		}
		for _, v := range values {
			s.readHeader(v, f)
		}
	case fromQuery:
		var same repeated
		for pair := range queryPairs(r.URL.RawQuery) {
			if value, ok := pair.is(s.Name); ok {
				f.several = same.differs(value) || f.several
				if value == "" {
					f.malformed = true
				} else {
					f.add(value, false)
				}
			}
		}
	case fromCookie:
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
					f.add(value, true)
				}
			}
		}
	}
	for _, old := range st.removed {
		if old.from == s.From && old.name == s.Name {
			if s.From == fromHeader {
				s.readHeader(old.value, f)
			} else if old.value != "" {
				f.add(old.value, s.From == fromCookie)
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

// readHeader reads scheme and token (RFC 9110 section 11.4: any case, at least
// one space). Another scheme is not for us and holds no token.
func (s *TokenSource) readHeader(value string, f *found) {
	token := value
	if s.Scheme != "" {
		var ok bool
		if token, ok = cutScheme(value, s.Scheme); !ok {
			return
		}
	}
	if token == "" {
		f.malformed = true
		return
	}
	f.add(token, false)
}
