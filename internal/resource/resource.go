// Package resource tells clients where to get a token for a protected resource: its metadata
// (RFC 9728), and who gets it.
//
//	resource.go   a resource, checked
//	url.go        the form of its URLs
//	document.go   its metadata
//	set.go        the resources of a server, and the requests for their metadata
package resource

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
)

// Settings are those of a resource, as a config has them.
type Settings struct {
	URL, Name, Documentation     string
	Scopes, AuthorizationServers []string
}

// Resource is a protected resource (RFC 9728).
type Resource struct {
	// Site names the site of the config that has it.
	Site string

	url      string
	host     string // with its port, unless that is the default
	port     string // the default port with a colon, unless the URL has another
	secure   bool   // whether the URL is https
	path     string // empty, or with a slash at the beginning alone
	loose    bool   // whether the URL still has an {env.NAME}
	document []byte // empty until it is described

	name, documentation string
	scopes, servers     []string
}

// Check checks settings and returns their resource, which is still to be described. A URL that
// still has an {env.NAME}, as resolve may leave it, is not checked.
func (s *Settings) Check(resolve setting.Resolver) (*Resource, error) {
	r := &Resource{name: s.Name, scopes: s.Scopes}
	var err error
	if r.url, err = resolve(s.URL); err != nil {
		return nil, err
	}
	if r.loose = hasPlaceholder(r.url); !r.loose {
		u, err := checkURL(r.url)
		if err != nil {
			return nil, err
		}
		r.host, r.path, r.secure = u.Host, u.Path, u.Scheme == "https"
		if u.Port() == "" {
			r.port = ":" + defaultPort[u.Scheme]
		}
	}
	if err := checkName(s.Name); err != nil {
		return nil, fmt.Errorf("name: %w", err)
	}
	if s.Documentation != "" {
		if r.documentation, err = resolve(s.Documentation); err != nil {
			return nil, fmt.Errorf("documentation: %w", err)
		}
		if err := checkPage(r.documentation); err != nil {
			return nil, fmt.Errorf("documentation: %w", err)
		}
	}
	for _, text := range s.AuthorizationServers {
		server, err := resolve(text)
		if err == nil {
			err = checkServer(server)
		}
		if err == nil && slices.Contains(r.servers, server) {
			err = fmt.Errorf("%q is there twice; remove one", server)
		}
		if err != nil {
			return nil, fmt.Errorf("authorization_servers: %w", err)
		}
		r.servers = append(r.servers, server)
	}
	for _, scope := range s.Scopes {
		if !claims.ScopeToken(scope) {
			return nil, fmt.Errorf(`scopes: %q is not a valid scope; write one word of visible ASCII without " and \, such as orders:read, and spaces between several`, scope)
		}
	}
	if slices.Contains(s.Scopes, offlineAccess) {
		return nil, errors.New("scopes: offline_access is between a client and its authorization server, and no scope of a resource; remove it")
	}
	return r, nil
}

// offlineAccess is the scope of refresh tokens (OpenID Connect Core section 11), which no
// resource asks for.
const offlineAccess = "offline_access"

// URL returns the URL of the resource, as the config has it.
func (r *Resource) URL() string { return r.url }

// Host returns the host of the resource, with its port unless that is the default.
func (r *Resource) Host() string { return r.host }

// Audience returns what the audience of a token for the resource may be. A URL without a path
// is also one with the path / (RFC 3986 section 6.2.3), and libraries that parse URLs ask for
// a token for that one.
func (r *Resource) Audience() []string {
	if r.path == "" && !r.loose {
		return []string{r.url, r.url + "/"}
	}
	return []string{r.url}
}

// wellKnown is where metadata is (RFC 9728 section 3).
const wellKnown = "/.well-known/oauth-protected-resource"

// place returns the path of the metadata.
func (r *Resource) place() string { return wellKnown + r.path }

// Metadata returns the URL of the metadata. It is made of the configured URL alone: what a
// client writes as its host must not come to other clients by a challenge.
func (r *Resource) Metadata() string {
	return strings.TrimSuffix(r.url, r.path) + r.place()
}

// maxName is the most bytes of a name.
const maxName = 200

func checkName(name string) error {
	switch {
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c == 0x7f }):
		return errors.New("it has characters that are no text; write a short name such as \"Orders\"")
	case len(name) > maxName:
		return fmt.Errorf("it is longer than %d bytes; write a short name such as \"Orders\"", maxName)
	}
	return nil
}
