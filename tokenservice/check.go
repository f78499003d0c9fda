package tokenservice

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/revocation"
)

// The lives of tokens.
const (
	minLifetime = time.Second
	maxLifetime = 24 * time.Hour
	// maxFederated is the longest life of a token for a platform's token.
	maxFederated = time.Hour
)

// checkIssuer returns the URL of an issuer.
func checkIssuer(issuer string) (*url.URL, error) {
	u, err := url.Parse(issuer)
	switch {
	case err != nil:
		return nil, fmt.Errorf("the issuer is not a URL: %w", err)
	case u.Host == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(issuer, "#") || strings.HasSuffix(issuer, "/") || u.RawPath != "":
		return nil, fmt.Errorf("the issuer %q must be a URL without user, query, fragment, escapes and trailing slash, such as https://auth.example.com", issuer)
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())):
		return nil, fmt.Errorf("the issuer %q must be https; http is only for this machine", issuer)
	}
	return u, nil
}

// loopback reports whether a host is this machine.
func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && a.IsLoopback()
}

// complete puts defaults in the place of what is not set. What is missing refuses.
func (c *Config) complete() {
	if c.Clock == nil {
		c.Clock = clock.System()
	}
	if c.Leeway == nil {
		c.Leeway = func() time.Duration { return maxLeeway }
	}
	if c.Memory == nil {
		c.Memory = NewMemory()
	}
	if c.Rules == nil {
		c.Rules = noRules{}
	}
	c.APIKeys = slices.Clone(c.APIKeys)
	for i := range c.APIKeys {
		if c.APIKeys[i].Keys == nil {
			c.APIKeys[i].Keys = new(apikey.Lookup)
		}
	}
}

// noRules are rules that are not known.
type noRules struct{}

func (noRules) Await(context.Context, time.Time) bool       { return true }
func (noRules) Revokes(*revocation.Subject, time.Time) bool { return true }
func (noRules) RevokesKey(string, string, time.Time) bool   { return true }
func (noRules) Add(context.Context, []revocation.Rule) (stored bool, err error) {
	return false, errors.New("there are no rules")
}

// register checks the clients and federates of the config, and makes them ready for requests.
func (s *Service) register() error {
	c := &s.config
	switch {
	case c.Keys == nil:
		return errors.New("a token service needs signing keys")
	case len(c.Audience) == 0 || slices.Contains(c.Audience, ""):
		return errors.New("a token service needs an audience: the resource that its tokens are for")
	case c.Lifetime < minLifetime || c.Lifetime > maxLifetime:
		return fmt.Errorf("the lifetime %s is not from 1s to 24h", c.Lifetime)
	}
	for _, scope := range slices.Concat(c.Scopes, c.DefaultScopes) {
		if !claims.ScopeToken(scope) {
			return fmt.Errorf("%q is not a scope; write one word of visible ASCII without \" and \\", scope)
		}
	}
	for i := range c.APIKeys {
		k := &c.APIKeys[i]
		if err := s.checkAudience(k.Audience); err != nil {
			return fmt.Errorf("API keys %q: %w", k.Name, err)
		}
		names := make([]string, len(k.Claims))
		for n, m := range k.Claims {
			names[n] = m.Claim
		}
		if err := checkClaims(names); err != nil {
			return fmt.Errorf("API keys %q: %w", k.Name, err)
		}
	}
	for _, i := range c.Introspect {
		err := s.checkAudience(i.Audience)
		if err == nil && len(i.Audience) == 0 {
			err = errors.New("it has no audience: the resources about whose tokens it may ask")
		}
		if err != nil {
			return fmt.Errorf("introspect %q: %w", i.Client, err)
		}
	}
	s.clients = make(map[string]*registered, len(c.Clients))
	for i := range c.Clients {
		k := &c.Clients[i]
		r, err := s.registerClient(k)
		if err == nil && s.clients[k.ID] != nil {
			err = errors.New("there is another with this id")
		}
		if err != nil {
			return fmt.Errorf("client %q: %w", k.ID, err)
		}
		s.clients[k.ID] = r
	}
	for i := range c.Federates {
		f, err := s.registerFederate(&c.Federates[i])
		if err != nil {
			return fmt.Errorf("federate %q: %w", c.Federates[i].Name, err)
		}
		s.federates = append(s.federates, f)
	}
	return nil
}

// checkAudience checks the resources that a client may ask for.
func (s *Service) checkAudience(audience []string) error {
	for _, a := range audience {
		if !slices.Contains(s.config.Audience, a) {
			return fmt.Errorf("the audience %q is not one of the service; add it to the service's audience", a)
		}
	}
	return nil
}

// ReservedClaim reports whether a claim of tokens can't be set by a config or by a key's
// meta.
func ReservedClaim(name string) bool { return claims.Reserved(name) }

// checkClaims checks the names of further claims.
func checkClaims(names []string) error {
	for i, name := range names {
		switch {
		case name == "":
			return errors.New("a claim has no name")
		case ReservedClaim(name):
			return fmt.Errorf("the claim %q is the service's own; give it another name", name)
		case slices.Contains(names[:i], name):
			return fmt.Errorf("the claim %q is given more than once", name)
		}
	}
	return nil
}
