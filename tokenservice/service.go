package tokenservice

import (
	"context"
	"net/netip"
	"time"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/revocation"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

// Config is the config of a Service.
type Config struct {
	// Issuer is the "iss" of the tokens: an https URL (http for loopback) without query,
	// fragment and trailing slash. The endpoints are under its path.
	Issuer string
	// Audience are the resources that there are (RFC 8707); the first is the default.
	Audience []string
	// Scopes are the scopes that there are; empty for those that clients have.
	Scopes []string
	// DefaultScopes are granted when none is asked for, as far as the client has them, or
	// has one that implies them; empty for all that the client has itself.
	DefaultScopes []string
	// Implied are the scopes that a client may ask for as it has broader ones; nil for none.
	Implied *claims.Implications
	// Lifetime is the life of a token, from 1s to 24h. A token for a platform's token lives
	// for an hour at most, and none longer than its client.
	Lifetime time.Duration
	// APIKeys are the clients by API key.
	APIKeys []KeyClients
	// Clients are those that sign, or that federates name.
	Clients []Client
	// Federates are the platforms whose tokens are exchanged.
	Federates []Federate
	// Introspect are who may ask about tokens of others.
	Introspect []Introspector
	// Keys sign.
	Keys Keys
	// Forward returns the keys of forwarded tokens, which are published under
	// <Issuer>/forward; nil, or returning nil, for none. It is asked for each request.
	Forward func() Keys
	// Rules are the revocations.
	Rules Rules
	// Leeway returns the largest leeway with which handlers accept the tokens, at most an
	// hour; nil for an hour. It is asked for each token that is revoked.
	Leeway func() time.Duration
	// Memory is what outlives configs.
	Memory *Memory
	// Observe is called for each answer of the endpoints for tokens, revocation and
	// introspection; nil for nobody. It must not block.
	Observe func(Event)
	// Used is called for each API key with which a client has authenticated itself; nil for
	// nobody. It must not block.
	Used func(k apikey.Key, now time.Time)
	// Warn is called once for each thing about a client that an operator should know; nil
	// for nobody. It must not block.
	Warn func(Warning)
	// Clock is the time. Default: the clock of the process.
	Clock clock.Clock
}

// KeyClients are API keys as clients: client_id is the key's id, client_secret the key.
type KeyClients struct {
	// Name is that of the store, or the path of the file; empty for a key that is written
	// in the config.
	Name string
	// Keys finds a key by its text.
	Keys *apikey.Lookup
	// Audience are the resources that these clients may ask for; empty for the service's
	// first alone.
	Audience []string
	// Claims are claims of the token by the name of the key's meta value.
	Claims []MetaClaim
}

// MetaClaim is a value of a key's meta that becomes a claim.
type MetaClaim struct{ Meta, Claim string }

// Client is a client that the config names.
type Client struct {
	ID string
	// Keys verify the client's assertions (RFC 7523 section 2.2); nil for a client that only
	// federates name.
	Keys       validator.KeySet
	Algorithms key.Algorithms
	// Scopes are what the client may ask for, Audience the resources; without any the
	// service's first resource alone.
	Scopes, Audience []string
	// Claims are further claims of its tokens.
	Claims []Claim
	// EndpointAudience takes the URL of the token endpoint as the audience of an assertion
	// besides.
	EndpointAudience bool
}

// Claim is a claim with a fixed text.
type Claim struct{ Name, Value string }

// Federate is a platform whose tokens are exchanged for tokens of a client (RFC 7523 section
// 2.1).
type Federate struct {
	// Name is for logs and metrics.
	Name string
	// Policy is that of the platform's tokens; its audience is the service's issuer alone.
	Policy validator.Policy
	// SubjectPrefix is what "sub" must begin with in a SPIFFE trust domain, such as
	// spiffe://example.org/; else empty. Its tokens may be without "iss" (JWT-SVID section
	// 3), and have any if the policy takes any: the keys are those of the domain.
	SubjectPrefix string
	// Pins reports whether the claims are those of whom the rules pin.
	Pins func(ctx context.Context, body claims.Value) bool
	// Client is the id of the client.
	Client string
}

// Introspector is a client that may ask about tokens for some resources.
type Introspector struct {
	Client   string
	Audience []string
}

// Rules are the revocations as the service asks them.
type Rules interface {
	// Await reports whether it is not known what is revoked. It may wait a little.
	Await(ctx context.Context, now time.Time) (unavailable bool)
	// Revokes reports whether a token is revoked.
	Revokes(t *revocation.Subject, now time.Time) bool
	// RevokesKey reports whether an API key is.
	RevokesKey(store, id string, now time.Time) bool
	// Add makes rules.
	Add(ctx context.Context, rules []revocation.Rule) (stored bool, err error)
}

// Request is what the server knows of a request besides what is in it.
type Request struct {
	// Path is the path of the URL that the client asked for, and Host its host without a
	// default port.
	Path, Host string
	// Secure reports whether the client's connection is encrypted, or of this machine.
	Secure bool
	// Client is the client's address, as far as proxies are trusted.
	Client netip.Addr
}

// Event is what an endpoint answered.
type Event struct {
	// Endpoint is token, revoke or introspect.
	Endpoint string
	// Grant is the grant, empty if it is none that there is.
	Grant string
	// Client is the id of a client that exists; empty for others, as anyone may send any
	// text. Federate is the name of the federate.
	Client, Federate string
	// Error is the code of RFC 6749 section 5.2 or of its siblings; empty for success.
	Error string
	// Reason is the exact reason, for logs alone. It is a fixed text.
	Reason string
	// Limited reports whether the request was refused for the failures of its client alone
	// (429), rather than for a reason of the service.
	Limited bool
	// Address is the client's.
	Address netip.Addr
}

// Warning is a thing about a client that an operator should know.
type Warning struct {
	// Client is the id of a client that exists, and Store the name of KeyClients.
	Client, Store string
	// Text is a fixed text.
	Text string
}
