// Package caddyjwt is a Caddy v2 plugin that authenticates requests with JSON Web
// Tokens (RFC 7519) and API keys, and gives the verified identity to downstream
// handlers as placeholders.
package caddyjwt

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/internal/credential"
	"github.com/caddy-jwt/caddy-jwt/internal/header"
	"github.com/caddy-jwt/caddy-jwt/internal/identity"
	"github.com/caddy-jwt/caddy-jwt/internal/mcpgate"
	"github.com/caddy-jwt/caddy-jwt/internal/metrics"
	"github.com/caddy-jwt/caddy-jwt/internal/refusal"
	"github.com/caddy-jwt/caddy-jwt/internal/routes"
	"github.com/caddy-jwt/caddy-jwt/internal/rule"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

func init() {
	caddy.RegisterModule(new(Handler))
}

// Handler authenticates each request with a JSON Web Token or an API key and refuses
// those without a valid one, before any downstream handler sees them. The verified
// identity is available as placeholders: `{http.auth.user.id}`,
// `{http.auth.user.<name>}`, `{http.jwt.claims.<path>}`, `{http.jwt.scopes}`,
// `{http.jwt.issuer}`, `{http.jwt.kid}`, `{http.jwt.key_id}`,
// `{http.jwt.expires_at}` and `{http.jwt.auth_method}`. The credential itself is not
// passed on.
//
// A refusal has the status and `WWW-Authenticate` challenge of RFC 6750, and a body;
// `handle_errors` runs if an error route matches the request.
type Handler struct {
	// The issuers whose tokens are accepted, each with its own keys, algorithms and
	// audience. Default: none, which requires API keys.
	Issuer []*Issuer `json:"issuer,omitempty"`

	// The audience of issuers without their own: a token must be meant for one of
	// these. `*` alone disables the check. Default: none, so each issuer needs its
	// own.
	Audience []string `json:"audience,omitempty"`

	// API keys, by their hash. Default: none.
	APIKey []*APIKey `json:"api_key,omitempty"`

	// Stores of API keys. Default: none.
	APIKeys []*APIKeySource `json:"api_keys,omitempty"`

	// A prefix for the consumer of an API key in the user's id, to keep consumers
	// and the users of issuers apart. Default: none.
	APIKeyUserPrefix string `json:"api_key_user_prefix,omitempty"`

	// Where tokens are read from. Naming one replaces the default. Default:
	// the header Authorization with the scheme Bearer.
	TokenFrom []*CredentialSource `json:"token_from,omitempty"`

	// Where API keys are read from. Naming one replaces the default. Default:
	// the header X-API-Key.
	APIKeyFrom []*CredentialSource `json:"api_key_from,omitempty"`

	// How large a token may be: a size such as `32KiB`, from 1KiB to 64KiB. Caddy limits
	// all headers of a request to 16KiB by default; the option max_header_size of its
	// global option servers raises that. Default: 16KiB.
	MaxTokenSize string `json:"max_token_size,omitempty"`

	// Origins (such as `https://app.example.com`), in addition to the site's own,
	// whose pages may make requests with a credential in a cookie. Default: none.
	TrustedOrigins []string `json:"trusted_origins,omitempty"`

	// The requirements that an authenticated request must also meet, all of them.
	// Default: none.
	Require []*Requirement `json:"require,omitempty"`

	// What broad scopes imply: each scope with those that anyone who has it has too, and in
	// turn what these imply. It adds to what the app `jwt` says for all sites. It counts for
	// requirements and for the matcher `jwt_scope`; scopes that are passed on are those that
	// were granted. Default: none.
	ScopeImplies map[string][]string `json:"scope_implies,omitempty"`

	// Makes what the handler protects a resource that clients find by its URL (RFC 9728), as
	// MCP demands. Default: none.
	Resource *Resource `json:"resource,omitempty"`

	// Judges each request as one to a server of the Model Context Protocol, with rules by
	// tool, prompt, resource and method. Default: none, requests are not read.
	MCP *MCP `json:"mcp,omitempty"`

	// Claims that get a placeholder `{http.auth.user.<name>}`. Default: none.
	Claim []*ClaimName `json:"claim,omitempty"`

	// The parts of the identity that are forwarded in headers. A client's own
	// headers of these names are removed from every request, refused ones included.
	// Default: none.
	Forward []*Forward `json:"forward,omitempty"`

	// The header in which all claims are forwarded, as base64url of JSON. Default:
	// none.
	ForwardPayload string `json:"forward_payload,omitempty"`

	// Short-lived tokens that are signed for the upstream and forwarded in headers. Default:
	// none.
	ForwardJWT []*ForwardJWT `json:"forward_jwt,omitempty"`

	// Headers of the client that are removed from every request. Default: none.
	Clear []string `json:"clear,omitempty"`

	// Keeps the credential in the request for downstream handlers. Default: false,
	// it is removed from the header, cookie or query that it came in.
	KeepCredentials bool `json:"keep_credentials,omitempty"`

	// Lets requests without a credential continue as anonymous. Invalid credentials
	// are still refused. Default: false.
	Optional bool `json:"optional,omitempty"`

	// Lets CORS preflights (OPTIONS with Origin and Access-Control-Request-Method)
	// continue as anonymous. Default: false.
	AllowPreflight bool `json:"allow_preflight,omitempty"`

	// `enforce`, or `report` to refuse nothing: requests that would be refused
	// continue as anonymous, and are logged and counted. `clear` authenticates nobody:
	// every request passes, without the headers of clear, forward, forward_payload and
	// forward_jwt.
	// Default: enforce.
	Mode string `json:"mode,omitempty"`

	// The realm of the challenge (RFC 9110 section 11.5). Default: restricted.
	Realm string `json:"realm,omitempty"`

	// The form of the body of a refusal: `json` as RFC 6750's members, `aws`
	// as AWS API Gateway answers, `none` for no body. With `grpc`, calls of gRPC are
	// refused with the HTTP status 200, and other requests get json; such a site must not
	// check requests for another server. Default: json, and gRPC calls get their status
	// beside that of HTTP.
	ErrorFormat string `json:"error_format,omitempty"`

	// Says that the logs filter the credentials that are in headers or queries that Caddy
	// does not redact, so that there is no warning about them. Default: false.
	LogCredentialsFiltered bool `json:"log_credentials_filtered,omitempty"`

	logger      *zap.Logger
	validator   *validator.Validator // nil without issuers
	issuers     []string             // the iss of its policies
	apiKeys     *apikey.Lookup       // nil without API keys
	credentials *credential.Places
	responder   *refusal.Responder
	rules       *rule.Rules
	mcp         *mcpgate.Gate // nil without the option mcp
	forwarding  *header.Forwarding
	guard       *errorGuard
	site        string // the hosts of the site, or the server's addresses
	logs        bool   // whether the server may have an access log
	clearsOnly  bool   // whether it authenticates nobody
	late        bool   // whether it is in error routes
	conflict    *routes.Conflict
	metrics     *metrics.Handler // nil if it authenticates nobody
	reportLog   *zap.Logger
	naming      identity.Naming
	clock       clock.Clock
	app         *App
}

// CaddyModule returns the module's information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.jwt",
		New: func() caddy.Module { return new(Handler) },
	}
}

var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
	_ caddyfile.Unmarshaler       = (*Handler)(nil)
)
