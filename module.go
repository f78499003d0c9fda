// Package caddyjwt is a Caddy v2 plugin that authenticates every request
// inside the web server with JSON Web Tokens (RFC 7519) and API keys, and hands
// the verified identity to the handlers behind it as placeholders.
package caddyjwt

import (
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/validator"
)

func init() {
	caddy.RegisterModule(new(Handler))
}

// Handler authenticates each request with a JSON Web Token or an API key and
// refuses those without a valid one, before any handler behind it sees them. The
// verified identity is there as placeholders: `{http.auth.user.id}`,
// `{http.auth.user.<name>}`, `{http.jwt.claims.<path>}`, `{http.jwt.scopes}`,
// `{http.jwt.issuer}`, `{http.jwt.kid}`, `{http.jwt.key_id}`,
// `{http.jwt.expires_at}` and `{http.jwt.auth_method}`. The credential itself is
// not passed on.
//
// A refusal has a status, a `WWW-Authenticate` challenge and a body as RFC
// 6750 says; `handle_errors` runs where an error route matches the request.
type Handler struct {
	// Who may issue tokens. Each entry ties an issuer to its own keys,
	// algorithms and audience. Default: none, so that there must be API keys.
	Issuer []*Issuer `json:"issuer,omitempty"`

	// The audience of the issuers that have none of their own: a token must
	// be meant for one of these. `*` alone waives the check. Default: none,
	// so that each issuer needs its own.
	Audience []string `json:"audience,omitempty"`

	// API keys that are written here, by their hash. Default: none.
	APIKey []*APIKey `json:"api_key,omitempty"`

	// Stores of API keys. Default: none.
	APIKeys []*APIKeySource `json:"api_keys,omitempty"`

	// Put before the consumer of an API key to make the user's id, to keep
	// consumers and the users of issuers apart. Default: nothing.
	APIKeyUserPrefix string `json:"api_key_user_prefix,omitempty"`

	// Where tokens are read from. Naming one replaces the default. Default:
	// the header Authorization with the scheme Bearer.
	TokenFrom []*CredentialSource `json:"token_from,omitempty"`

	// Where API keys are read from. Naming one replaces the default. Default:
	// the header X-API-Key.
	APIKeyFrom []*CredentialSource `json:"api_key_from,omitempty"`

	// Origins (such as `https://app.example.com`) whose pages may make
	// requests with a credential in a cookie, besides the site's own. Default:
	// none.
	TrustedOrigins []string `json:"trusted_origins,omitempty"`

	// What an authenticated request must have besides: all of it. Default:
	// nothing.
	Require []*Requirement `json:"require,omitempty"`

	// Claims that get a placeholder `{http.auth.user.<name>}`. Default: none.
	Claim []*ClaimName `json:"claim,omitempty"`

	// What is passed on in headers. These headers of the client are removed
	// from every request, whatever becomes of it. Default: nothing.
	Forward []*Forward `json:"forward,omitempty"`

	// The header in which all claims are passed on, as base64url of JSON.
	// Default: none.
	ForwardPayload string `json:"forward_payload,omitempty"`

	// Headers of the client that are removed from every request. A handler that
	// has this alone authenticates nobody. Default: none.
	Clear []string `json:"clear,omitempty"`

	// Passes the credential on to the handlers behind. Default: false, it is
	// removed from the header, cookie or query that it came in.
	KeepCredentials bool `json:"keep_credentials,omitempty"`

	// Lets requests without a credential go on as anonymous. One with a bad
	// credential is refused all the same. Default: false.
	Optional bool `json:"optional,omitempty"`

	// Lets CORS preflights (OPTIONS with Origin and
	// Access-Control-Request-Method) go on as anonymous. Default: false.
	AllowPreflight bool `json:"allow_preflight,omitempty"`

	// `enforce`, or `report` to refuse nothing: what would have been refused
	// goes on as anonymous, and is logged and counted. Default: enforce.
	Mode string `json:"mode,omitempty"`

	// The realm of the challenge (RFC 9110 section 11.5). Default: restricted.
	Realm string `json:"realm,omitempty"`

	// The form of the body of a refusal: `json` as RFC 6750's members, `aws`
	// as AWS API Gateway answers, `none` for no body. Default: json.
	ErrorFormat string `json:"error_format,omitempty"`

	logger      *zap.Logger
	validator   *validator.Validator // nil where no issuer is configured
	apiKeys     *apiKeys             // nil where no API key is
	credentials *credentials
	responder   *responder
	rules       *rules
	forwarding  *forwarding
	guard       *errorGuard
	logs        bool // whether the server may have an access log
	idle        bool // whether it authenticates nobody, and clears headers alone
	namesake    *namesake
	metrics     *requestMetrics
	reportLog   *zap.Logger
	claims      []ClaimName
	app         *App
	declared    map[string]*Issuer      // the app's, by name
	stores      map[string]*APIKeyStore // likewise
	written     uniqueKeys              // while a Caddyfile is read
}

// CaddyModule returns the module's information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.jwt",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision makes the handler ready. It fetches nothing: a config loads
// whether or not the issuers can be reached.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.logger = ctx.Logger()
	app, err := ctx.App("jwt")
	if err != nil {
		return err
	}
	h.app = app.(*App)
	h.declared, h.stores = h.app.Issuer, h.app.APIKeys
	if err := h.provision(ctx); err != nil {
		return siteError(ctx, err)
	}
	return nil
}

func (h *Handler) provision(ctx caddy.Context) (err error) {
	if h.validator, err = h.provisionIssuers(); err != nil {
		return err
	}
	if h.apiKeys, err = h.provisionAPIKeys(); err != nil {
		return err
	}
	if h.credentials, err = newCredentials(h.credentialSettings()); err != nil {
		return err
	}
	h.credentials.warn(h.logger)
	if h.claims, err = checkClaimNames(h.Claim); err != nil {
		return err
	}
	if h.rules, err = h.provisionRules(ctx); err != nil {
		return err
	}
	if h.forwarding, err = h.newForwarding(); err != nil {
		return err
	}
	if err := h.checkMode(); err != nil {
		return err
	}
	server, _ := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	h.logs = server == nil || server.Logs != nil
	h.namesake = &namesake{server: server}
	h.idle = h.onlyClears()
	h.guard = h.app.errorGuard(server)
	h.guard.add(h.forwarding, h.credentials)
	if h.responder, err = newResponder(h.Realm, h.ErrorFormat, h.kinds(), h.rules.requiredScopes()); err != nil {
		return err
	}
	h.warn(h.logger, time.Now())
	h.metrics = theRequestMetrics
	if h.reports() {
		h.reportLog = newReportLogger(h.logger)
		h.app.reporting.Add(1)
		h.logger.Warn("mode report: nothing is refused here; requests that would have been go on as anonymous")
	}
	return nil
}

// ServeHTTP authenticates the request, or refuses it.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	st := requestState(r)
	st.enter(h)
	h.forwarding.clear(r, st)
	err := h.serve(w, r, st, next)
	if err != nil {
		h.guard.clean(r, st)
	}
	return err
}

// serve lets a request go on, or refuses it.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request, st *state, next caddyhttp.Handler) error {
	if h.idle {
		return next.ServeHTTP(w, r)
	}
	id, headers, code := h.decide(r, st)
	switch {
	case code == "" && id != nil:
		st.publish(r, id, h.forwarding.names, headers)
		h.metrics.allowed(id)
	case code == "":
		st.pass(r)
		h.metrics.anonymous()
	case h.reports():
		h.report(r, st, code)
	default:
		return h.refuse(w, r, st, code)
	}
	return next.ServeHTTP(w, r)
}

var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
	_ caddyfile.Unmarshaler       = (*Handler)(nil)
)
