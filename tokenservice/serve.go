package tokenservice

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// Service is an authorization server. It is immutable and safe for concurrent use.
type Service struct {
	config    Config
	host      string // of the issuer, without a default port
	endpoints map[string]endpoint
	forward   map[string]bool // the paths of those that there are only with keys of forwarded tokens
}

// endpoint answers a request for one path.
type endpoint func(w http.ResponseWriter, r *http.Request, from Request)

// New makes a Service. The error is about the config.
func New(c Config) (*Service, error) {
	u, err := url.Parse(c.Issuer)
	if err != nil {
		return nil, err
	}
	if c.Clock == nil {
		c.Clock = clock.System()
	}
	s := &Service{config: c, host: u.Host, forward: map[string]bool{}}
	path := strings.TrimSuffix(u.Path, "/")
	s.endpoints = map[string]endpoint{
		path + "/oauth2/token":          s.serveToken,
		path + "/oauth2/revoke":         s.serveRevoke,
		path + "/oauth2/introspect":     s.serveIntrospect,
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

// addForward adds an endpoint that there is only with keys of forwarded tokens.
func (s *Service) addForward(path string, e endpoint) {
	s.endpoints[path], s.forward[path] = e, true
}

// Serve answers a request for one of the endpoints, and reports whether it was one.
func (s *Service) Serve(w http.ResponseWriter, r *http.Request, from Request) (served bool) {
	serve, ok := s.endpoints[from.Path]
	if !ok || from.Host != s.host || s.forward[from.Path] && s.forwardKeys() == nil {
		return false
	}
	serve(w, r, from)
	return true
}

// Paths returns the paths of all endpoints, sorted.
func (s *Service) Paths() []string { return nil }

// client is a client that has proved who it is, or that a federate names.
type client struct {
	id string
}

// failure is why an endpoint refuses: a code of RFC 6749 section 5.2 or of its siblings,
// with its status and fixed texts.
type failure struct {
	code   string
	status int
}

// authenticate finds out which client sends a form, by the one way in which it authenticates
// itself. It is the same at all endpoints.
func (s *Service) authenticate(ctx context.Context, r *http.Request, form url.Values, from Request) (client, *failure) {
	return client{}, &failure{"invalid_client", http.StatusUnauthorized}
}

// readForm reads the form in the body of a POST. It has answered, and returns false, if that
// is not one.
func (s *Service) readForm(w http.ResponseWriter, r *http.Request, from Request) (url.Values, bool) {
	return nil, false
}

// fail answers with a failure.
func (s *Service) fail(w http.ResponseWriter, f *failure, e Event) {}

// write answers with JSON that must not be kept.
func (s *Service) write(w http.ResponseWriter, answer any, e Event) {}

func (s *Service) serveToken(w http.ResponseWriter, r *http.Request, from Request) {}

// CheckClient returns the reason for refusing tokens of a client, "" for none: those of a
// client that was deleted, disabled, has expired or is revoked are. It is asked for each
// request with a token of the service.
func (s *Service) CheckClient(ctx context.Context, id string, now time.Time) reason.Code { return "" }
