// Package forwardjwt signs short-lived tokens about the identity of a request, for the
// upstream, and keeps them for as long as they are sent again.
package forwardjwt

import (
	"slices"
	"strconv"
	"time"
	"unicode"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/internal/identity"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
	"github.com/caddy-jwt/caddy-jwt/internal/shared"
)

// Type is the "typ" of the tokens (RFC 7515 section 4.1.9). It keeps them apart from access
// tokens: a verifier that checks it never takes one for the other.
const Type = "forward+jwt"

// The bounds of the lifetime, and its default. A token is checked once, just after it was
// made, so that a long life would only help a thief.
const (
	DefaultLifetime = time.Minute
	MinLifetime     = time.Second
	MaxLifetime     = shared.MaxForwardLifetime
)

// Settings are an option as it is configured.
type Settings struct {
	// Audience is the "aud" of the tokens: the upstream.
	Audience string
	// Lifetime is how long a token lives; 0 for the default.
	Lifetime time.Duration
	// Claims are claims of the identity that become claims of the token.
	Claims []*identity.NamedClaim
	// Issuer is the issuer of the token service whose keys sign; empty for the only one.
	Issuer string
}

// option is the name of the option in errors.
const option = "forward_jwt"

// own are the claims that a token has besides those that are reserved in all tokens.
var own = []string{"idp", "auth_method", "key_id"}

// Check checks the settings, with their placeholders resolved, and returns them resolved.
func (s Settings) Check(resolve setting.Resolver) (Settings, error) {
	var err error
	if s.Audience, err = resolve(s.Audience); err != nil {
		return s, setting.InOption(option, "%w", err)
	}
	if s.Issuer, err = resolve(s.Issuer); err != nil {
		return s, setting.InOption(option, "issuer: %w", err)
	}
	switch {
	case s.Audience == "":
		return s, setting.InOption(option, "the audience is empty; write who the tokens are for, such as forward_jwt X-Identity https://orders.internal")
	case s.Audience == "*":
		return s, setting.InOption(option, "a token for everybody would be accepted everywhere; write who it is for, such as forward_jwt X-Identity https://orders.internal")
	case s.Lifetime != 0 && (s.Lifetime < MinLifetime || s.Lifetime > MaxLifetime):
		return s, setting.InOption(option, "lifetime: %s is not from 1s to 10m; write lifetime 60s", s.Lifetime)
	case s.Issuer != "" && !setting.IsURL(s.Issuer) && !setting.HasPlaceholder(s.Issuer):
		return s, setting.InOption(option, "issuer: %s is not a URL; write the issuer of an authorization_server, such as https://auth.example.com", strconv.Quote(s.Issuer))
	}
	if s.Lifetime == 0 {
		s.Lifetime = DefaultLifetime
	}
	return s, s.checkClaims()
}

func (s *Settings) checkClaims() error {
	var names []string
	for _, c := range s.Claims {
		if c == nil {
			return setting.InOption(option, "claim: an entry is null; write an object with path")
		}
		if err := claims.CheckPath(c.Path); err != nil {
			return setting.InOption(option, "claim: %w", err)
		}
		name := nameOf(c)
		switch {
		case claims.Reserved(name) || slices.Contains(own, name):
			return setting.InOption(option, "claim %s: the claim %s of the token has a meaning of its own; give it another name: claim %s original_%s", c.Path, name, c.Path, name)
		case slices.ContainsFunc([]rune(name), unicode.IsControl):
			return setting.InOption(option, "claim %s: the name %s has a control character; write letters, digits and _", c.Path, strconv.Quote(name))
		case slices.Contains(names, name):
			return setting.InOption(option, "claim %s: duplicate name %s; give one of them another: claim %s <name>", c.Path, name, c.Path)
		}
		names = append(names, name)
	}
	return nil
}

// nameOf returns the name of a claim in the token.
func nameOf(c *identity.NamedClaim) string {
	if c.Name == "" {
		return claims.PathName(c.Path)
	}
	return c.Name
}
