package validator

import (
	"time"

	"github.com/caddy-jwt/caddy-jwt/claims"
)

// Token is a verified token. One can only be had from Validate, so that
// whoever holds one holds the claims of an issuer that is trusted.
type Token struct {
	of *Verified
	by *verdict
}

// Claims are the token's claims.
func (t *Token) Claims() claims.Value { return t.of.body }

// Issuer is the token's "iss"; empty for a token without one, which only an
// AnyIssuer policy accepts.
func (t *Token) Issuer() string { return t.of.issuer }

// User is the user's name, prefix included. It is never empty.
func (t *Token) User() string { return t.by.user }

// Scopes are the granted scopes. The slice must not be changed.
func (t *Token) Scopes() []string {
	if t.by.scopes != nil {
		return t.by.scopes
	}
	return t.of.usualScopes()
}

// KeyID is the "kid" of the token's header, or "".
func (t *Token) KeyID() string { return t.of.head.kid }

// Expires is the time in "exp", or the zero Time.
func (t *Token) Expires() time.Time { return t.of.when.expires }
