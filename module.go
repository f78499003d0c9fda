// Package caddyjwt is a Caddy v2 plugin that authenticates every request
// inside the web server with JSON Web Tokens (RFC 7519), and hands the
// verified identity to the handlers behind it as placeholders.
package caddyjwt

import (
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/validator"
)

func init() {
	caddy.RegisterModule(new(Handler))
}

// Handler authenticates each request with a JSON Web Token and refuses those
// without a valid one, before any handler behind it sees them. The verified
// identity is there as placeholders: `{http.auth.user.id}`,
// `{http.auth.user.<name>}`, `{http.jwt.claims.<path>}`, `{http.jwt.scopes}`,
// `{http.jwt.issuer}`, `{http.jwt.kid}`, `{http.jwt.expires_at}` and
// `{http.jwt.auth_method}`. The token itself is not passed on.
//
// A refusal has a status, a `WWW-Authenticate` challenge and a body as RFC
// 6750 says; `handle_errors` runs where an error route matches the request.
type Handler struct {
	// Who may issue tokens. Each entry ties an issuer to its own keys,
	// algorithms and audience. At least one.
	Issuer []*Issuer `json:"issuer,omitempty"`

	// The audience of the issuers that have none of their own: a token must
	// be meant for one of these. `*` alone waives the check. Default: none,
	// so that each issuer needs its own.
	Audience []string `json:"audience,omitempty"`

	// Where tokens are read from. Naming one replaces the default. Default:
	// the header Authorization with the scheme Bearer.
	TokenFrom []*TokenSource `json:"token_from,omitempty"`

	// Origins (such as `https://app.example.com`) whose pages may make
	// requests with a token in a cookie, besides the site's own. Default:
	// none.
	TrustedOrigins []string `json:"trusted_origins,omitempty"`

	// Claims that get a placeholder `{http.auth.user.<name>}`. Default: none.
	Claim []*ClaimName `json:"claim,omitempty"`

	// Passes the credential on to the handlers behind. Default: false, it is
	// removed from the header, cookie or query that it came in.
	KeepCredentials bool `json:"keep_credentials,omitempty"`

	// The realm of the challenge (RFC 9110 section 11.5). Default: restricted.
	Realm string `json:"realm,omitempty"`

	// The form of the body of a refusal: `json` as RFC 6750's members, `aws`
	// as AWS API Gateway answers, `none` for no body. Default: json.
	ErrorFormat string `json:"error_format,omitempty"`

	logger      *zap.Logger
	validator   *validator.Validator
	credentials *credentials
	responder   *responder
	claims      []ClaimName
	app         *App
	declared    map[string]*Issuer // the app's, by name
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
	h.declared = h.app.Issuer
	if err := h.provision(); err != nil {
		return siteError(ctx, err)
	}
	return nil
}

func (h *Handler) provision() (err error) {
	if h.validator, err = h.provisionIssuers(); err != nil {
		return err
	}
	if h.credentials, err = newCredentials(h.TokenFrom, h.TrustedOrigins, h.KeepCredentials); err != nil {
		return err
	}
	h.credentials.warn(h.logger)
	if h.claims, err = checkClaimNames(h.Claim); err != nil {
		return err
	}
	if h.responder, err = newResponder(h.Realm, h.ErrorFormat); err != nil {
		return err
	}
	return nil
}

// Validate tells of a handler that Provision did not make ready, so that none
// ever serves half made.
func (h *Handler) Validate() error {
	if h.validator == nil || h.credentials == nil || h.responder == nil {
		return fmt.Errorf("the jwt handler was not provisioned")
	}
	return nil
}

// ServeHTTP authenticates the request, or refuses it.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	st := requestState(r)
	st.enter(h.claims)
	token, reason := h.credentials.take(r, st)
	if reason != "" {
		return h.refuse(w, r, st, reason)
	}
	verified, err := h.validator.Validate(r.Context(), token)
	if err != nil {
		return h.refuse(w, r, st, reasonOf(err))
	}
	st.publish(r, &identity{token: verified, claims: h.claims})
	return next.ServeHTTP(w, r)
}

var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.Validator             = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
	_ caddyfile.Unmarshaler       = (*Handler)(nil)
)
