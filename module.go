// Package caddyjwt is a Caddy v2 plugin that authenticates requests with JSON Web
// Tokens (RFC 7519) and API keys, and gives the verified identity to downstream
// handlers as placeholders.
package caddyjwt

import (
	"context"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/internal/credential"
	"github.com/caddy-jwt/caddy-jwt/internal/header"
	"github.com/caddy-jwt/caddy-jwt/internal/identity"
	"github.com/caddy-jwt/caddy-jwt/internal/mcpgate"
	"github.com/caddy-jwt/caddy-jwt/internal/metrics"
	"github.com/caddy-jwt/caddy-jwt/internal/refusal"
	"github.com/caddy-jwt/caddy-jwt/internal/revoked"
	"github.com/caddy-jwt/caddy-jwt/internal/routes"
	"github.com/caddy-jwt/caddy-jwt/internal/rule"
	"github.com/caddy-jwt/caddy-jwt/reason"
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

// ServeHTTP authenticates the request and passes it to the next handler, or refuses
// it.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if !h.late && h.guard.resources.Serve(w, r) {
		return nil
	}
	st, r := h.enter(r)
	err := h.serve(w, r, st, next)
	if err != nil {
		st.EndTrailers()
		h.guard.clean(r, st)
	}
	return err
}

// enter returns the state of a request that reaches the handler, and clears what the client
// sends under the names of identity headers.
func (h *Handler) enter(r *http.Request) (*state, *http.Request) {
	var st *state
	if h.late {
		st, r = errorState(r)
	} else {
		st = requestState(r)
	}
	st.Enter(&h.naming.Names, h.logs, h.conflict.Possible())
	return st, h.forwarding.Clear(r, &st.Sent, r.Trailer != nil && h.guard.place(h).Reader)
}

// Authenticates reports whether every request that passes the handler has an identity.
func (h *Handler) Authenticates() bool {
	return !h.clearsOnly && !h.Optional && !h.AllowPreflight && h.Mode != modeReport
}

// serve passes a request to the next handler, or refuses it.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request, st *state, next caddyhttp.Handler) (err error) {
	if h.clearsOnly {
		return next.ServeHTTP(w, r)
	}
	d := h.decide(r, st)
	if h.mcp != nil {
		held := h.judge(w, r, &d)
		defer func() { held.Leave(r.Context(), err) }()
	}
	h.leave(r, st, &d)
	h.count(r, &d)
	if d.failed != nil {
		return d.failed
	}
	if d.code != "" && h.Mode != modeReport {
		return h.refuse(w, r, st, d.answer)
	}
	return next.ServeHTTP(w, r)
}

// decision is the outcome for a request: it continues with an identity and its
// headers, continues as anonymous without them, or is refused if it has a code.
type decision struct {
	presented     credential.Found
	id            *identity.Identity // with a code: what was found out before; nil for none
	authenticated bool               // whether the credentials are valid
	headers       []header.Header
	code          reason.Code
	cause         *refusal.Cause // more about the refusal; may be nil

	message *mcpgate.Verdict // with mcp, whose clients get refusals as messages; nil before they are known
	failed  error            // of another handler, while the body was read

	// With a code, once the request was left to handlers behind.
	answer *refusal.Response
	why    *refusal.Refusal
}

// decide authenticates a request, checks the rules and makes the headers.
func (h *Handler) decide(r *http.Request, st *state) (d decision) {
	if h.AllowPreflight && isPreflight(r) {
		h.credentials.Discard(r, &st.Removed)
		return d
	}
	var (
		unmet string
		err   error
	)
	d.presented, d.code = h.credentials.Take(r, &st.Removed)
	if d.code == reason.MissingCredentials && h.Optional {
		unmet, d.code = h.rules.CheckAnonymous(r)
		d.cause = causeOf(nil, unmet, nil)
		return d
	}
	if d.code != "" {
		return d
	}
	d.id = st.NewIdentity()
	if d.code, err = h.authenticate(r.Context(), d.id, &d.presented); d.code != "" {
		d.cause = causeOf(d.id, "", err)
		return d
	}
	d.authenticated = true
	if unmet, d.code = h.rules.Check(r, d.id); d.code != "" {
		d.cause = causeOf(d.id, unmet, nil)
		return d
	}
	if d.headers, err = h.forwarding.Headers(r.Context(), d.id, d.presented.APIKey.Text, &st.Sent); err != nil {
		d.code, d.cause = refusal.CodeOf(err), causeOf(d.id, "", err)
	}
	return d
}

// leave leaves the request as handlers behind shall see it: with the identity, without one,
// or refused.
func (h *Handler) leave(r *http.Request, st *state, d *decision) {
	switch {
	case d.code != "":
		// A credential that can't be used is none that came in Basic.
		d.answer = h.answer(d, d.id != nil && d.presented.Basic())
		d.why = d.answer.Refusal(d.cause)
		if h.Mode == modeReport {
			st.PassRefused(r, d.why)
		} else {
			st.withdraw(r, d.why)
		}
	case d.id != nil:
		h.credentials.RemoveCopies(r, &d.presented, &st.Removed)
		st.publish(r, h.forwarding, d.id, d.headers)
	default:
		st.Pass(r)
	}
}

// count counts a request, and records a refusal.
func (h *Handler) count(r *http.Request, d *decision) {
	switch {
	case d.code != "":
		h.metrics.Refused(d.answer.Number(), h.caller(d.id))
		h.record(r, d.why)
	case d.id != nil:
		h.metrics.Allowed(h.caller(d.id))
		h.app.used(d.id)
	default:
		h.metrics.Anonymous()
	}
}

// causeOf returns more about a refusal for the operator, or nil. id may be nil.
func causeOf(id *identity.Identity, unmet string, err error) *refusal.Cause {
	var user, issuer, detail string
	if id != nil {
		user, issuer = id.Sender()
	}
	if d, ok := err.(*reason.Detailed); ok { //nolint:errorlint // the validator does not wrap it
		detail = d.Detail()
	}
	if user == "" && issuer == "" && detail == "" && unmet == "" {
		return nil
	}
	return &refusal.Cause{Requirement: unmet, Detail: detail, User: user, Issuer: issuer}
}

// isPreflight reports whether a request is a CORS preflight (Fetch, section 4.8),
// which a browser sends without credentials.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}

// authenticate verifies the credentials of a request. If it has both a token and an
// API key, both must be valid, and the user is the token's. The key is checked
// first: that never fails for lack of an issuer's keys, so a definite refusal comes
// before a 503.
func (h *Handler) authenticate(ctx context.Context, id *identity.Identity, presented *credential.Found) (reason.Code, error) {
	id.Naming = &h.naming
	if presented.APIKey.Present {
		key, code := h.apiKeys.Find(ctx, presented.APIKey.Text)
		if code != "" {
			return code, nil
		}
		id.SetKey(key)
		if h.app.state != nil {
			var err error
			now := h.clock.Now()
			h.apiKeys.Each(presented.APIKey.Text, key, func(k apikey.Key) bool {
				err = revoked.Key(ctx, h.app.state, k, now)
				return err == nil
			})
			if err != nil {
				return refusal.CodeOf(err), err
			}
		}
	}
	if presented.Token.Present {
		if err := h.validator.ValidateInto(ctx, presented.Token.Text, &id.Token); err != nil {
			return refusal.CodeOf(err), err
		}
		id.HasToken = true
	}
	return "", nil
}

// caller is what metrics count of an identity, which may be one that was refused.
func (h *Handler) caller(id *identity.Identity) metrics.Caller {
	if id == nil {
		return metrics.Nobody
	}
	c := metrics.Caller{Policy: id.Token.Policy(), Token: id.HasToken}
	if h.metrics.PerConsumer {
		c.Consumer = id.Consumer()
	}
	return c
}

// record logs a refusal, and shows it to those who watch.
func (h *Handler) record(r *http.Request, why *refusal.Refusal) {
	reported, logger, level, message := h.Mode == modeReport, h.logger, zapcore.DebugLevel, "request refused"
	if reported {
		logger, level, message = h.reportLog, zapcore.InfoLevel, "request would be refused"
	}
	if c := logger.Check(level, message); c != nil {
		c.Write(why.LogFields(r, h.guard.shown.CleanURI(r.RequestURI), h.site)...)
	}
	if refusal.Watched.On() {
		refusal.Watched.Record(why, r, h.guard.shown.CleanURI(r.RequestURI), h.site, reported)
	}
}

// refuse answers a request. Apart from calling the next handler it is the only way
// out of ServeHTTP.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, st *state, p *refusal.Response) error {
	if p.IsMessage() && h.guard.place(h).Intercept == "" || h.guard.wayOf(h, r, p) == here {
		p.Write(w, r)
		return nil
	}
	st.answer = p
	p.SetHeaders(w.Header())
	return p.HandlerError()
}

var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
	_ caddyfile.Unmarshaler       = (*Handler)(nil)
)
