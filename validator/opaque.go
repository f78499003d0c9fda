package validator

import (
	"context"

	"github.com/caddy-jwt/caddy-jwt/claims"
)

// Introspector asks an issuer about its tokens (RFC 7662).
type Introspector interface {
	// Introspect returns what the issuer says about a token, and whether it is active. The
	// answer is an object, and must not be changed; it is judged like the claims of a token.
	// An error means that the issuer could not be asked, or answered something else than RFC
	// 7662 says: it is known neither to be active nor not to be. Answers are kept for a
	// while, so a call seldom asks.
	Introspect(ctx context.Context, token string) (answer claims.Value, active bool, err error)
}
