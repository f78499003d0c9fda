package caddyjwt

import (
	"time"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/keystore"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

// Identity is who a request comes from, as a handler has verified it: by a token,
// an API key, or both, where the token says who it is.
type Identity struct {
	token validator.Token
	key   keystore.APIKey
	names []Name // the claims that have a placeholder of their own

	userName string        // of the API key's holder, where there is no token
	record   *claims.Value // of the key, made at the first use, by the one goroutine of a request

	hasToken, hasKey bool
}

// The values of {http.jwt.auth_method}.
const (
	methodJWT       = "jwt"
	methodAPIKey    = "api_key"
	methodAnonymous = "anonymous"
)

func (id *Identity) method() string {
	if !id.hasToken {
		return methodAPIKey
	}
	return methodJWT
}

func (id *Identity) user() string {
	if !id.hasToken {
		return id.userName
	}
	return id.token.User()
}

// all are the claims of the token, or the API key's record read as claims.
func (id *Identity) all() claims.Value {
	if id.hasToken {
		return id.token.Claims()
	}
	if id.record == nil {
		made := id.key.Claims()
		id.record = &made
	}
	return *id.record
}

func (id *Identity) claim(path string) string {
	v, _ := id.all().Lookup(path)
	return v.Render()
}

func (id *Identity) scopes() []string {
	if !id.hasToken {
		return id.key.Scopes()
	}
	return id.token.Scopes()
}

func (id *Identity) expires() time.Time {
	if !id.hasToken {
		return id.key.Expires()
	}
	return id.token.Expires()
}

// issuer and kid are of tokens only.
func (id *Identity) issuer() string {
	if !id.hasToken {
		return ""
	}
	return id.token.Issuer()
}

func (id *Identity) kid() string {
	if !id.hasToken {
		return ""
	}
	return id.token.KeyID()
}

// sameUser tells whether two identities are of one user, authenticated in one way.
func (id *Identity) sameUser(other *Identity) bool {
	return id.method() == other.method() && id.issuer() == other.issuer() && id.user() == other.user() && id.keyID() == other.keyID()
}

// keyID is the id of the API key, beside a token too.
func (id *Identity) keyID() string {
	if !id.hasKey {
		return ""
	}
	return id.key.ID()
}

// setKey makes the identity that of an API key's holder, whose user is called by the
// prefix and the consumer where there is no token.
func (id *Identity) setKey(k keystore.APIKey, userPrefix string) {
	id.key, id.hasKey = k, true
	id.userName = userPrefix + k.Consumer()
}
