package resource

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Set are the resources of a server. It must be complete before it is asked for the first time.
type Set struct {
	list  []*Resource
	hosts map[string]*host // by what may be the header Host
}

// host are the resources of one host.
type host struct {
	list   []*Resource
	places map[string]*Resource // by the path of their metadata
}

// Add adds a resource that is described. Several handlers may have one resource, if they say
// the same of it.
func (s *Set) Add(r *Resource) error {
	if s.hosts == nil {
		s.hosts = map[string]*host{}
	}
	h := s.hosts[r.host]
	if h == nil {
		h = &host{places: map[string]*Resource{}}
	}
	for _, other := range h.list {
		switch {
		case other.url == r.url && bytes.Equal(other.document, r.document):
			return nil
		case other.url == r.url:
			return fmt.Errorf("%s is in several jwt (here and at %s) that say different things of it, and it has one metadata document; write the same name, documentation, scopes and authorization_servers into both", r.url, other.Site)
		case other.path == r.path:
			return fmt.Errorf("its metadata would be at the place of that of %s; give one of the two another path", other.url)
		}
	}
	s.list, h.list = append(s.list, r), append(h.list, r)
	s.hosts[r.host], s.hosts[r.host+r.port] = h, h
	h.place()
	return nil
}

// place sets what is where. The root place is that of a resource without a path. If there is
// only one on the host, it is there too, for clients that know but that place.
func (h *host) place() {
	clear(h.places)
	if len(h.list) == 1 {
		h.places[wellKnown] = h.list[0]
	}
	for _, r := range h.list {
		h.places[r.place()] = r
	}
}

// All returns the resources, in the order in which they were added.
func (s *Set) All() []*Resource { return s.list }

// Find returns the resource whose metadata a request is for, or nil. It is found by its own
// host and by the path that the client wrote: a handler in front may have rewritten it.
func (s *Set) Find(r *http.Request) *Resource {
	if len(s.list) == 0 {
		return nil
	}
	return s.find(r)
}

func (s *Set) find(r *http.Request) *Resource {
	h := s.hosts[r.Host]
	if h == nil {
		if h = s.hosts[strings.ToLower(r.Host)]; h == nil {
			return nil
		}
	}
	u := r.URL
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && original.URL != nil {
		u = original.URL
	}
	if !strings.HasPrefix(u.Path, wellKnown) {
		return nil
	}
	return h.places[u.EscapedPath()]
}

// Answers reports whether Serve answers a request.
func (s *Set) Answers(r *http.Request) bool {
	return s.Find(r) != nil && (isGet(r) || isPreflight(r))
}

// Serve answers a request for the metadata of a resource, and reports whether it was one.
// Nobody is asked for a credential, as clients are here to find out where to get one.
func (s *Set) Serve(w http.ResponseWriter, r *http.Request) (served bool) {
	if len(s.list) == 0 || !s.Answers(r) {
		return false
	}
	header := w.Header()
	// Clients in browsers come from any page, and nothing here is a secret.
	header.Set("Access-Control-Allow-Origin", "*")
	if !isGet(r) {
		header.Set("Access-Control-Allow-Methods", "GET, HEAD")
		// Older browsers take no *, and MCP clients send their version.
		header.Set("Access-Control-Allow-Headers", "*, MCP-Protocol-Version")
		header.Set("Access-Control-Max-Age", maxAge)
		w.WriteHeader(http.StatusNoContent)
		return true
	}
	document := s.find(r).document
	header.Set("Cache-Control", "public, max-age="+maxAge)
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(document)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(document) // if this fails, the client is gone
	}
	return true
}

// maxAge is how long the metadata may be kept, in seconds.
const maxAge = "3600"

func isGet(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }

// isPreflight reports whether a request is a CORS preflight (Fetch, section 4.8).
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}

// Request returns a request for the metadata of a resource, as a client makes it.
func (r *Resource) Request() *http.Request {
	out := &http.Request{
		Method: http.MethodGet, URL: &url.URL{Path: r.place()}, RequestURI: r.place(), Host: r.host, Header: http.Header{},
		Body: http.NoBody, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	if r.secure {
		out.TLS = &tls.ConnectionState{HandshakeComplete: true}
	}
	return out
}
