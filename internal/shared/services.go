package shared

import (
	"context"
	"time"

	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/tokenservice"
)

// Services are the token services of a config, and who depends on them. Handlers are
// provisioned in any order, so services and what depends on them are added while the config
// is provisioned, and settled once, when all are: at the Start, or by the first request.
type Services struct {
	audiences audiences
}

// Services returns the token services of the config.
func (s *Sources) Services() *Services { return new(Services) }

// Add adds a service. The same issuer again is an error.
func (v *Services) Add(issuer string, service *tokenservice.Service) error { return nil }

// Find returns the service with an issuer, or nil.
func (v *Services) Find(issuer string) *tokenservice.Service { return nil }

// Forward returns the keys with which a handler signs tokens for an upstream: those of the
// service with this issuer, or of the only one if it is empty. That there is none is an
// error of Settle.
func (v *Services) Forward(issuer string) *ForwardKeys { return new(ForwardKeys) }

// Settle finds out who depends on which service. The error names what to write.
func (v *Services) Settle() error { return nil }

// ForwardKeys sign the tokens for upstreams of one service.
type ForwardKeys struct{}

// Issuer returns the "iss" of the tokens, <issuer of the service>/forward.
func (f *ForwardKeys) Issuer() string { return "" }

// Signer returns the key that signs now. The error is tokenservice.ErrKeysUnavailable.
func (f *ForwardKeys) Signer(ctx context.Context, now time.Time) (*key.Signer, error) {
	return nil, tokenservice.ErrKeysUnavailable
}
