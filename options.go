package caddyjwt

import (
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-jwt/caddy-jwt/internal/credential"
	"github.com/caddy-jwt/caddy-jwt/internal/forwardjwt"
	"github.com/caddy-jwt/caddy-jwt/internal/header"
	"github.com/caddy-jwt/caddy-jwt/internal/identity"
	"github.com/caddy-jwt/caddy-jwt/internal/rule"
)

// CredentialSource is a place in a request where a token or an API key may be.
type CredentialSource struct {
	// The kind of place: `header`, `query` or `cookie`, and for API keys
	// `basic`, which is the password of HTTP Basic authentication, or its user
	// name where the password is empty.
	From string `json:"from"`
	// The name of the header, query parameter or cookie. Default: none, as
	// `basic` has no name.
	Name string `json:"name,omitempty"`
	// For a header: the scheme before the credential, in any case. Empty text is no
	// scheme: the header's whole value is the credential. Default: Bearer for the
	// header Authorization, none for every other.
	Scheme *string `json:"scheme,omitempty"`
}

// Forward is a part of the identity that is forwarded in a header.
type Forward struct {
	// A claim's path, or `user`, `issuer`, `scopes`, `key_id` or `auth_method`, with
	// the value of the placeholder of that name.
	What string `json:"what"`
	// The name of the header. Whatever a client sends under it is removed.
	Header string `json:"header"`
	// Writes the value as JSON. Default: false, the value is that of a placeholder.
	JSON bool `json:"json,omitempty"`
}

// ForwardJWT is a short-lived token about the identity that is signed for the upstream and
// forwarded in a header. Its keys and its `iss`, `<issuer>/forward`, are those of a token
// service of the config, but not those of the service's own tokens.
type ForwardJWT struct {
	// The name of the header. Whatever a client sends under it is removed.
	Header string `json:"header"`
	// The audience (`aud`) of the token: the upstream. It must be none of a site or a token
	// service of the config. It may hold `{env.NAME}`.
	Audience string `json:"audience"`
	// How long the token lives, from 1s to 10m, but not longer than the credential.
	// Default: 1m.
	Lifetime caddy.Duration `json:"lifetime,omitempty"`
	// Claims of the identity that become claims of the token. Default: none besides the
	// usual ones.
	Claim []*ForwardedClaim `json:"claim,omitempty"`
	// The issuer of the token service whose keys sign. It may hold `{env.NAME}`. Default:
	// the only one of the config.
	Issuer string `json:"issuer,omitempty"`
}

// ForwardedClaim is a claim of the identity that becomes one of a token for the upstream.
type ForwardedClaim struct {
	// The claim's path, as in `claim`.
	Path string `json:"path"`
	// The name of the claim in the token. Default: the last step of the path.
	Name string `json:"name,omitempty"`
}

// ClaimName gives a claim a placeholder of its own.
type ClaimName struct {
	// The claim's path: steps are separated by dots, array elements are numbers, and
	// at each step the longest literal name wins.
	Path string `json:"path"`
	// The name in `{http.auth.user.<name>}`, except id, which is the user's.
	// Default: the last step of the path.
	Name string `json:"name,omitempty"`
}

// Requirement is a condition on authenticated requests. Exactly one of its fields is
// set; a request must meet all requirements of a handler.
type Requirement struct {
	// Scopes that the request needs, all of them. Default: none.
	Scope []string `json:"scope,omitempty"`
	// Scopes of which the request needs at least one. Default: none.
	AnyScope []string `json:"any_scope,omitempty"`
	// A claim that must have one of some values. Default: none.
	Claim *ClaimRequirement `json:"claim,omitempty"`
	// An expression of the Common Expression Language that must be true. It has the
	// variables claims, scopes, issuer and auth_method, and Caddy's functions and
	// placeholders for the request. Default: none.
	Expression string `json:"expression,omitempty"`
}

// ClaimRequirement is a claim that must have one of some values.
type ClaimRequirement struct {
	// The claim's path, as in `claim`.
	Path string `json:"path"`
	// The values: the claim must equal one of them or, if it is an array, contain
	// one. Numbers and booleans are compared as they are written.
	Values []string `json:"values"`
}

// The functions below convert config types to those of the packages that use them.
// Go converts pointers to structs with the same fields, whatever their tags, so the
// compiler rejects any difference in most of them.

func sources(list []*CredentialSource) []*credential.Source {
	out := make([]*credential.Source, len(list))
	for i, s := range list {
		if s == nil {
			continue
		}
		out[i] = &credential.Source{From: s.From, Name: s.Name}
		if s.Scheme != nil {
			out[i].Scheme, out[i].NoScheme = *s.Scheme, *s.Scheme == ""
		}
	}
	return out
}

func forwards(list []*Forward) []*header.Forward {
	out := make([]*header.Forward, len(list))
	for i, f := range list {
		out[i] = (*header.Forward)(f)
	}
	return out
}

// forwardedTokens returns the headers of tokens, without what signs them.
func forwardedTokens(list []*ForwardJWT) []header.Token {
	out := make([]header.Token, len(list))
	for i, f := range list {
		if f != nil {
			out[i].Header = f.Header
		}
	}
	return out
}

func (f *ForwardJWT) settings() forwardjwt.Settings {
	s := forwardjwt.Settings{Audience: f.Audience, Lifetime: time.Duration(f.Lifetime), Issuer: f.Issuer}
	for _, c := range f.Claim {
		s.Claims = append(s.Claims, (*identity.NamedClaim)(c))
	}
	return s
}

func claimNames(list []*ClaimName) []*identity.NamedClaim {
	out := make([]*identity.NamedClaim, len(list))
	for i, c := range list {
		out[i] = (*identity.NamedClaim)(c)
	}
	return out
}

func requirements(list []*Requirement) []*rule.Requirement {
	out := make([]*rule.Requirement, len(list))
	for i, r := range list {
		if r != nil {
			out[i] = &rule.Requirement{Scope: r.Scope, AnyScope: r.AnyScope, Claim: (*rule.Claim)(r.Claim), Expression: r.Expression}
		}
	}
	return out
}
