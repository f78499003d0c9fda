// Package identity holds the verified identity of a request, and provides the
// placeholders and access log fields that are made of it.
package identity

import (
	"time"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

// Identity is the verified sender of a request, authenticated by a token, an API
// key, or both. With both, the token names the user.
type Identity struct {
	Token  validator.Token
	key    apikey.Key
	Naming *Naming       // of the handler that verified it
	Record *claims.Value // the key's record as claims, made at the first use

	HasToken, hasKey bool
}

// Naming is what a handler calls users and claims.
type Naming struct {
	Names      []Name // the claims that have a placeholder of their own
	UserPrefix string // of the users of API keys
	Implied    *claims.Implications
}

// The values of {http.jwt.auth_method}.
const (
	methodJWT       = "jwt"
	methodAPIKey    = "api_key"
	MethodAnonymous = "anonymous"
)

// Method returns the value of {http.jwt.auth_method}.
func (id *Identity) Method() string {
	if !id.HasToken {
		return methodAPIKey
	}
	return methodJWT
}

// User returns the value of {http.auth.user.id}.
func (id *Identity) User() string {
	if !id.HasToken {
		return id.Naming.UserPrefix + id.key.Consumer()
	}
	return id.Token.User()
}

// Claims returns the claims of the token, or the API key's record as claims.
func (id *Identity) Claims() claims.Value {
	if id.HasToken {
		return id.Token.Claims()
	}
	if id.Record == nil {
		made := id.key.Claims()
		id.Record = &made
	}
	return *id.Record
}

func (id *Identity) claim(path string) string {
	v, _ := id.Claims().Lookup(path)
	return v.Render()
}

// Scopes returns the scopes of the token, or of the API key if there is no token.
func (id *Identity) Scopes() []string {
	if !id.HasToken {
		return id.key.Scopes()
	}
	return id.Token.Scopes()
}

// HasScope reports whether the identity has a scope: it was granted, or is implied by one that
// was, as the handler that verified the identity says.
func (id *Identity) HasScope(scope string) bool {
	return id.Naming.Implied.Grants(id.Scopes(), scope)
}

func (id *Identity) expires() time.Time {
	if !id.HasToken {
		return id.key.Expires()
	}
	return id.Token.Expires()
}

// Issuer returns the token's issuer, or "" if there is no token.
func (id *Identity) Issuer() string {
	if !id.HasToken {
		return ""
	}
	return id.Token.Issuer()
}

func (id *Identity) kid() string {
	if !id.HasToken {
		return ""
	}
	return id.Token.KeyID()
}

// sameUser reports whether two identities are the same user, authenticated in the
// same way.
func (id *Identity) sameUser(other *Identity) bool {
	return id.Method() == other.Method() && id.Issuer() == other.Issuer() && id.User() == other.User() && id.KeyID() == other.KeyID()
}

// Consumer returns the consumer of the API key, or "" if there is none.
func (id *Identity) Consumer() string {
	if !id.hasKey {
		return ""
	}
	return id.key.Consumer()
}

// KeyID returns the id of the API key, or "" if there is none.
func (id *Identity) KeyID() string {
	if !id.hasKey {
		return ""
	}
	return id.key.ID()
}

// Sender returns the user and the issuer of a credential that was verified but refused
// all the same, for logs.
func (id *Identity) Sender() (user, issuer string) {
	if issuer, user = id.Token.Sender(); issuer != "" || user != "" {
		return user, issuer
	}
	if !id.HasToken && !id.hasKey {
		return "", ""
	}
	return id.User(), id.Issuer()
}

// Key returns the API key, and whether there is one.
func (id *Identity) Key() (apikey.Key, bool) { return id.key, id.hasKey }

// SetKey sets the API key of the identity.
func (id *Identity) SetKey(k apikey.Key) { id.key, id.hasKey = k, true }
