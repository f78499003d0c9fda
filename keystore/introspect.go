package keystore

import (
	"context"
	"net/netip"

	"github.com/caddy-jwt/caddy-jwt/claims"
)

// Introspection asks one issuer about its tokens (RFC 7662), and keeps the answers for a
// while. It is safe for concurrent use.
type Introspection struct {
	config IntrospectionConfig
	client *client
}

// NewIntrospection makes an Introspection. It neither touches the network nor starts a
// goroutine. The errors are those of IntrospectionConfig.Check.
func NewIntrospection(c IntrospectionConfig) (*Introspection, error) {
	s, err := c.source()
	if err != nil {
		return nil, err
	}
	return &Introspection{config: c, client: newClient(s)}, nil
}

// Introspect returns what the issuer says about a token, and whether it is an active access
// token. It implements validator.Introspector.
//
// A token that the issuer calls active is not if the answer is about another kind of token (a
// refresh token, say), about one that is bound to a key (DPoP), or from another issuer. Then
// answer is an object with the members that say so, besides active, which is true.
//
// Text that can be no token (RFC 6750 section 2.1) or has less than 16 bytes or too many is
// not active, without a call. The errors wrap key.ErrUnavailable.
func (i *Introspection) Introspect(ctx context.Context, token string) (answer claims.Value, active bool, err error) {
	panic("to come")
}

// Close ends what runs in the background. Requests in flight may still ask; nothing is left
// running 5 s later.
func (i *Introspection) Close() {}

type clientKey struct{}

// WithClient returns a context that says which client sends a token to Introspect. Of the calls
// for tokens that are not known, those for one network (IPv4 /24, IPv6 /56) are limited.
// Without it, all clients are one network.
func WithClient(ctx context.Context, client netip.Addr) context.Context {
	return context.WithValue(ctx, clientKey{}, client)
}
