package caddyjwt

import (
	"github.com/caddy-jwt/caddy-jwt/internal/credential"
	"github.com/caddy-jwt/caddy-jwt/internal/header"
	"github.com/caddy-jwt/caddy-jwt/internal/identity"
	"github.com/caddy-jwt/caddy-jwt/internal/rule"
)

// CredentialSource is a place in a request where a token or an API key may
// stand.
type CredentialSource struct {
	// The kind of place: `header`, `query` or `cookie`, and for API keys
	// `basic`, which is the password of HTTP Basic authentication, or its user
	// name where the password is empty.
	From string `json:"from"`
	// The name of the header, query parameter or cookie. Default: none, as
	// `basic` has no name.
	Name string `json:"name,omitempty"`
	// For a header: the scheme before the credential, in any case. Default:
	// Bearer for the header Authorization, none for every other.
	Scheme string `json:"scheme,omitempty"`
}

// Forward passes something of the identity on in a header.
type Forward struct {
	// A claim's path, or `user`, `issuer`, `scopes`, `key_id` or `auth_method`,
	// as the placeholders of these names have them.
	What string `json:"what"`
	// The name of the header. Whatever a client sends under it is removed.
	Header string `json:"header"`
	// Writes the value as JSON. Default: false, as a placeholder has it.
	JSON bool `json:"json,omitempty"`
}

// ClaimName gives a claim a placeholder of its own.
type ClaimName struct {
	// The claim's path: steps are divided by dots, arrays are stepped into
	// by index, and at each step the longest literal name wins.
	Path string `json:"path"`
	// The name in `{http.auth.user.<name>}`. Default: the last step of the
	// path. Never id, which is the user's.
	Name string `json:"name,omitempty"`
}

// Requirement is something that an authenticated request must have besides. It
// names exactly one thing; all requirements of a handler hold together.
type Requirement struct {
	// Scopes of which the request needs all. Default: none.
	Scope []string `json:"scope,omitempty"`
	// Scopes of which the request needs one. Default: none.
	AnyScope []string `json:"any_scope,omitempty"`
	// A claim that must have one of some values. Default: none.
	Claim *ClaimRequirement `json:"claim,omitempty"`
	// An expression of the Common Expression Language that must be true. It has
	// the variables claims, scopes, issuer and auth_method, and of the request
	// Caddy's functions and placeholders. Default: none.
	Expression string `json:"expression,omitempty"`
}

// ClaimRequirement is a claim that must have one of some values.
type ClaimRequirement struct {
	// The claim's path, as of `claim`.
	Path string `json:"path"`
	// The values, of which the claim must be one, or as an array hold one.
	// Numbers and truth values are compared as they are written.
	Values []string `json:"values"`
}

// What follows turns config types into those of the packages that use them. Go
// converts pointers to structs of one shape, whatever their tags, so that the two
// can't differ without an error of the compiler.

func sources(list []*CredentialSource) []*credential.Source {
	out := make([]*credential.Source, len(list))
	for i, s := range list {
		out[i] = (*credential.Source)(s)
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
