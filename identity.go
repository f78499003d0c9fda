package caddyjwt

import (
	"time"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

// identity is who a request comes from, as a handler has verified it: by a token,
// an API key, or both, where the token says who it is.
type identity struct {
	handler *Handler
	token   validator.Token
	key     apikey.Key
	record  *claims.Value // of the key, made at the first use, by the one goroutine of a request

	hasToken, hasKey bool
}

// The values of {http.jwt.auth_method}.
const (
	methodJWT       = "jwt"
	methodAPIKey    = "api_key"
	methodAnonymous = "anonymous"
)

func (id *identity) method() string {
	if !id.hasToken {
		return methodAPIKey
	}
	return methodJWT
}

func (id *identity) user() string {
	if !id.hasToken {
		return id.handler.APIKeyUserPrefix + id.key.Consumer()
	}
	return id.token.User()
}

// all are the claims of the token, or the API key's record read as claims.
func (id *identity) all() claims.Value {
	if id.hasToken {
		return id.token.Claims()
	}
	if id.record == nil {
		made := id.key.Claims()
		id.record = &made
	}
	return *id.record
}

func (id *identity) claim(path string) string {
	v, _ := id.all().Lookup(path)
	return v.Render()
}

func (id *identity) scopes() []string {
	if !id.hasToken {
		return id.key.Scopes()
	}
	return id.token.Scopes()
}

func (id *identity) expires() time.Time {
	if !id.hasToken {
		return id.key.Expires()
	}
	return id.token.Expires()
}

// issuer and kid are of tokens only.
func (id *identity) issuer() string {
	if !id.hasToken {
		return ""
	}
	return id.token.Issuer()
}

func (id *identity) kid() string {
	if !id.hasToken {
		return ""
	}
	return id.token.KeyID()
}

// sameUser tells whether two identities are of one user, authenticated in one way.
func (id *identity) sameUser(other *identity) bool {
	return id.method() == other.method() && id.issuer() == other.issuer() && id.user() == other.user() && id.keyID() == other.keyID()
}

// keyID is the id of the API key, beside a token too.
func (id *identity) keyID() string {
	if !id.hasKey {
		return ""
	}
	return id.key.ID()
}
