package tokenservice

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Service is an authorization server. It is safe for concurrent use.
type Service struct {
	config    Config
	host      string // of the issuer, without a default port
	endpoints map[string]endpoint
	forward   map[string]bool // the paths of those that there are only with keys of forwarded tokens

	clients    map[string]*registered // by id
	federates  []*federate
	own        ownTokens
	signedWith atomic.Pointer[tokenHeader] // the header of the last token
	warned     sync.Map                    // what Warn was called for
}

// endpoint answers a request for one path.
type endpoint func(w http.ResponseWriter, r *http.Request, from Request)

// New makes a Service. The error is about the config.
func New(c Config) (*Service, error) {
	u, err := checkIssuer(c.Issuer)
	if err != nil {
		return nil, err
	}
	s := &Service{config: c, host: hostOf(u), forward: map[string]bool{}}
	s.config.complete()
	if err := s.register(); err != nil {
		return nil, err
	}
	if err := s.registerOwn(); err != nil {
		return nil, err
	}
	path := u.Path
	s.endpoints = map[string]endpoint{
		path + "/oauth2/token":          s.serveToken,
		path + "/oauth2/revoke":         s.serveRevoke,
		path + "/oauth2/introspect":     s.serveIntrospect,
		path + "/oauth2/authorize":      s.serveAuthorize,
		path + "/.well-known/jwks.json": s.serveKeySet,
	}
	s.addForward(path+"/forward/.well-known/jwks.json", s.serveForwardKeySet)
	for _, name := range []string{"oauth-authorization-server", "openid-configuration"} {
		for _, place := range []string{"/.well-known/" + name + path, path + "/.well-known/" + name} {
			s.endpoints[place] = s.serveMetadata
		}
		for _, place := range []string{"/.well-known/" + name + path + "/forward", path + "/forward/.well-known/" + name} {
			s.addForward(place, s.serveForwardMetadata)
		}
	}
	return s, nil
}

// hostOf returns the host of a URL without a default port.
func hostOf(u *url.URL) string {
	port := map[string]string{"https": ":443", "http": ":80"}[u.Scheme]
	return strings.ToLower(strings.TrimSuffix(u.Host, port))
}

// addForward adds an endpoint that there is only with keys of forwarded tokens.
func (s *Service) addForward(path string, e endpoint) {
	s.endpoints[path], s.forward[path] = e, true
}

// Serve answers a request for one of the endpoints, and reports whether it was one.
func (s *Service) Serve(w http.ResponseWriter, r *http.Request, from Request) (served bool) {
	serve, ok := s.endpoints[from.Path]
	if !ok || !strings.EqualFold(from.Host, s.host) || s.forward[from.Path] && s.forwardKeys() == nil {
		return false
	}
	serve(w, r, from)
	return true
}

// Paths returns the paths of all endpoints, sorted.
func (s *Service) Paths() []string { return slices.Sorted(maps.Keys(s.endpoints)) }

// warn tells the operator of a client, once.
func (s *Service) warn(w Warning) {
	if s.config.Warn == nil {
		return
	}
	if _, known := s.warned.LoadOrStore(w, nil); !known {
		s.config.Warn(w)
	}
}
