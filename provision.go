package caddyjwt

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/dustin/go-humanize"
	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/internal/credential"
	"github.com/caddy-jwt/caddy-jwt/internal/forwardjwt"
	"github.com/caddy-jwt/caddy-jwt/internal/header"
	"github.com/caddy-jwt/caddy-jwt/internal/identity"
	"github.com/caddy-jwt/caddy-jwt/internal/issuer"
	"github.com/caddy-jwt/caddy-jwt/internal/metrics"
	"github.com/caddy-jwt/caddy-jwt/internal/refusal"
	"github.com/caddy-jwt/caddy-jwt/internal/resource"
	"github.com/caddy-jwt/caddy-jwt/internal/revoked"
	"github.com/caddy-jwt/caddy-jwt/internal/routes"
	"github.com/caddy-jwt/caddy-jwt/internal/rule"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
	"github.com/caddy-jwt/caddy-jwt/internal/shared"
	"github.com/caddy-jwt/caddy-jwt/internal/tokencache"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

// Provision sets up the handler. It fetches nothing, so a config loads even if the
// issuers can't be reached.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.logger = ctx.Logger()
	app, err := ctx.App("jwt")
	if err != nil {
		return err
	}
	h.app = app.(*App)
	if err := h.provision(ctx); err != nil {
		return routes.SiteError(ctx, err)
	}
	return nil
}

func (h *Handler) provision(ctx caddy.Context) (err error) {
	server, _ := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	h.site, h.clock = routes.NameOfSite(ctx), clock.System()
	if h.validator, err = h.provisionIssuers(); err != nil {
		return err
	}
	if h.apiKeys, err = h.provisionAPIKeys(); err != nil {
		return err
	}
	places := credentialSettings(h)
	if h.apiKeys != nil {
		places.IsKey = h.apiKeys.Has
	}
	if h.validator != nil {
		h.validator = h.validator.Sparing(h.isAPIKey)
	}
	if h.credentials, err = credential.New(places); err != nil {
		return err
	}
	h.naming.UserPrefix = h.APIKeyUserPrefix
	if h.naming.Names, err = identity.NewNames(claimNames(h.Claim)); err != nil {
		return err
	}
	if h.naming.Implied, err = rule.Implied(h.app.ScopeImplies, h.ScopeImplies); err != nil {
		return err
	}
	if h.rules, err = rule.New(ctx, requirements(h.Require), h.Optional); err != nil {
		return err
	}
	if err := h.provisionMCP(ctx); err != nil {
		return err
	}
	if err := h.checkMode(); err != nil {
		return err
	}
	if h.forwarding, err = h.provisionForwarding(h.forwardKeys); err != nil {
		return err
	}
	h.logs = server == nil || server.Logs != nil
	h.conflict = routes.NewConflict(server, reflect.TypeFor[Handler]().PkgPath())
	h.clearsOnly = h.Mode == modeClear
	h.late = server != nil && routes.InErrorRoutes(server)
	h.guard = h.app.guards.of(server)
	h.guard.add(h, routes.Hosts(ctx))
	h.guard.putHead()
	described, err := describedResource(h, h.app, h.rules.LeastScopes(), setting.Resolve)
	if err != nil {
		return err
	}
	if described != nil {
		described.Site = h.site
		if err := h.guard.resources.Add(described); err != nil {
			return setting.InOption("resource", "%w", err)
		}
	}
	if h.responder, err = refusal.New(responses(h, described)); err != nil {
		return err
	}
	warn(h, time.Now())
	if !h.clearsOnly {
		h.app.accepted.addSite(h.site)
		h.metrics = h.app.counts().Handler(metrics.Labels{
			Site: h.site, Issuers: h.issuers, Report: h.Mode == modeReport, PerConsumer: h.app.Metrics.PerConsumer,
		})
	}
	if h.Mode == modeReport {
		h.reportLog = refusal.NewReportLogger(h.logger)
		h.app.reporting.Add(1)
	}
	return nil
}

// responses are the settings of the responses.
func responses(h *Handler, described *resource.Resource) refusal.Settings {
	s := refusal.Settings{Realm: h.Realm, Format: h.ErrorFormat, Scopes: h.rules.RequiredScopes(), Accepted: refusal.Accepted{
		Tokens: len(h.Issuer) > 0, APIKeys: h.hasAPIKeys(), Basic: h.credentials.TakesBasic(),
		TokensIn: h.credentials.Where(true), APIKeysIn: h.credentials.Where(false),
	}}
	if described != nil {
		s.Metadata, s.Least = described.Metadata(), strings.Join(resource.Least(h.rules.LeastScopes()), " ")
	}
	return s
}

func credentialSettings(h *Handler) credential.Settings {
	return credential.Settings{
		Tokens: len(h.Issuer) > 0, APIKeys: h.hasAPIKeys(), TokenFrom: sources(h.TokenFrom), APIKeyFrom: sources(h.APIKeyFrom),
		TrustedOrigins: h.TrustedOrigins, Keep: h.KeepCredentials, InPlace: h.Mode == modeReport,
	}
}

// issuersOf returns the handler's issuers, with those that the app declares.
func issuersOf(h *Handler, app *App) *issuer.List {
	l := &issuer.List{Audience: h.Audience, Declared: func(name string) *issuer.Settings { return app.Issuer[name].settings() }}
	for _, i := range h.Issuer {
		l.Issuers = append(l.Issuers, i.settings())
	}
	return l
}

// policies checks all issuers and returns their policies without keys. On error it
// returns those of the issuers before the invalid one.
func (h *Handler) policies(app *App, resolve setting.Resolver) ([]validator.Policy, error) {
	if len(h.Issuer) == 0 {
		switch {
		case h.Mode == modeClear:
			return nil, nil
		case !h.hasAPIKeys() && len(h.Clear) > 0:
			return nil, errors.New("neither an issuer nor an API key is configured" + setting.Unset + ", so nobody could be authenticated; add an issuer: jwt https://auth.example.com/ https://api.example.com, or write mode clear into the block for a jwt that lets everybody pass and only clears headers")
		case !h.hasAPIKeys():
			return nil, errors.New("neither an issuer nor an API key is configured, so no request could pass; write: jwt https://auth.example.com/ https://api.example.com, or api_keys /etc/caddy/keys.jsonl into the block" + setting.Unset)
		case len(h.Audience) > 0:
			return nil, setting.InOption("audience", "it is for tokens, and no issuer is configured; add one, such as issuer https://auth.example.com/, or remove it")
		}
		return nil, nil
	}
	list := issuersOf(h, app)
	var err error
	if list.Resource, err = h.resourceAudience(resolve); err != nil {
		return nil, err
	}
	return list.Policies(resolve)
}

// provisionIssuers returns the validator of all issuers with their keys, or nil if
// there are only API keys.
func (h *Handler) provisionIssuers() (*validator.Validator, error) {
	policies, err := h.policies(h.app, setting.Resolve)
	if err != nil || len(policies) == 0 {
		return nil, err
	}
	for i := range policies {
		p := &policies[i]
		h.issuers = append(h.issuers, issuer.Text(p))
		if p.ManyTenants() && len(h.Require) == 0 {
			h.warn("an issuer has several tenants, and nothing is required of their tokens: any application of such a tenant can get one for this API, and so can guests; write require any_scope or require claim roles", zap.String("issuer", p.Issuer))
		}
	}
	h.app.accepted.addPolicies(policies)
	h.takeTokens(policies)
	if err := issuersOf(h, h.app).Keys(policies, h.app.sources, h.logger); err != nil {
		return nil, err
	}
	for i := range policies {
		if p := &policies[i]; p.Introspector != nil {
			p.Introspector = fromClients{p.Introspector}
		}
	}
	v, err := validator.New(policies, clock.System().Now)
	if err != nil {
		return nil, err
	}
	if h.app.cache > 0 {
		v = v.Cached(tokencache.Process)
	}
	size, err := maxTokenSize(h)
	if err != nil {
		return nil, err
	}
	v = v.Limited(size)
	// A handler that is provisioned later may need a state, so it is asked for then.
	v = v.Revoking(revoked.Tokens{State: func() *shared.State { return h.app.state }, Clients: h.app.clientsOf})
	v = v.Ahead(func(policy int, by time.Duration) { h.metrics.IssuedAhead(policy, by) })
	return v.Observed(func(took time.Duration) { h.metrics.Verified(took) }), nil
}

// isAPIKey reports whether a text is one of the handler's API keys, or has the form of those
// that are made here.
func (h *Handler) isAPIKey(text string) bool {
	_, form := apikey.IDOf(text)
	return form || h.apiKeys != nil && h.apiKeys.Has(text)
}

// forwardingConfig returns what is forwarded and cleared, with tokens that nothing signs.
func (h *Handler) forwardingConfig(credentials []string) header.Config {
	return header.Config{
		Values: forwards(h.Forward), Payload: h.ForwardPayload, Tokens: forwardedTokens(h.ForwardJWT), Clears: h.Clear, Credentials: credentials,
	}
}

// checkForwardJWT checks the tokens for the upstream, without reading any environment
// variable.
func (h *Handler) checkForwardJWT() error {
	for _, f := range h.ForwardJWT {
		if f == nil {
			return setting.InOption("forward_jwt", "an entry is null; write an object with header and audience")
		}
		if _, err := f.settings().Check(setting.Unresolved); err != nil {
			return err
		}
	}
	return nil
}

// takeTokens notes which tokens the handler takes, for what is wrong with them beside the
// token services of the config.
func (h *Handler) takeTokens(policies []validator.Policy) {
	services := h.app.sources.Services()
	for i := range policies {
		p := &policies[i]
		services.TakeAudiences(h.site, p.Audience)
		if p.AnyAudience || len(p.AudienceClaims) > 0 {
			services.TakeIssuer(h.site, p.Issuer, nil)
		} else {
			services.TakeIssuer(h.site, p.Issuer, p.Audience)
		}
	}
}

// forwardKeys returns the keys of tokens for the upstream. Handlers are provisioned in any
// order, so whether there are such keys is known when the config starts.
func (h *Handler) forwardKeys(s forwardjwt.Settings) forwardjwt.Keys {
	services := h.app.sources.Services()
	services.ForwardTo(h.site, s.Audience)
	return services.Forward(s.Issuer)
}

// provisionForwarding makes what is forwarded and cleared, with the keys of tokens for the
// upstream. A handler that authenticates nobody signs nothing.
func (h *Handler) provisionForwarding(keys func(forwardjwt.Settings) forwardjwt.Keys) (*header.Forwarding, error) {
	if err := h.checkForwardJWT(); err != nil {
		return nil, err
	}
	c := h.forwardingConfig(h.credentials.Headers())
	if h.Mode == modeClear {
		return header.New(c)
	}
	for i, f := range h.ForwardJWT {
		settings, err := f.settings().Check(setting.Resolve)
		if err != nil {
			return nil, err
		}
		maker := forwardjwt.Config{
			Settings: settings, Keys: keys(settings), UserPrefix: h.APIKeyUserPrefix, StoreNames: h.app.storeNamesByPath(),
			AnyIssuer: slices.Contains(h.issuers, issuer.Any),
		}
		if h.app.cache > 0 {
			maker.Cache = forwardjwt.Process
		}
		m := forwardjwt.New(maker)
		c.Tokens[i].Sign, c.Tokens[i].Fresh = m.Sign, m.Fresh
	}
	return header.New(c)
}

// maxTokenSize returns the limit on the length of a token, in bytes.
func maxTokenSize(h *Handler) (int, error) {
	if h.MaxTokenSize == "" {
		return validator.MaxLength, nil
	}
	size, err := humanize.ParseBytes(h.MaxTokenSize)
	if err != nil || size < 1<<10 || size > validator.MostLength {
		return 0, setting.InOption("max_token_size", "%q is not a size from 1KiB to 64KiB; write max_token_size 32KiB", h.MaxTokenSize)
	}
	return int(size), nil
}

// The values of mode.
const (
	modeEnforce = "enforce"
	modeReport  = "report"
	modeClear   = "clear"
)

// checkTogether checks options that depend on each other, except for the issuers. It
// does not depend on the machine that the config will run on.
func (h *Handler) checkTogether() error {
	if err := checkAPIKeyOptions(h); err != nil {
		return err
	}
	if _, err := maxTokenSize(h); err != nil {
		return err
	}
	credentialHeaders, err := credential.Check(credentialSettings(h))
	if err != nil {
		return err
	}
	forwarding := h.forwardingConfig(credentialHeaders)
	if err := forwarding.Check(); err != nil {
		return err
	}
	if err := h.checkForwardJWT(); err != nil {
		return err
	}
	if err := h.checkMode(); err != nil {
		return err
	}
	if err := checkMCP(h); err != nil {
		return err
	}
	required, err := rule.Check(requirements(h.Require))
	if err != nil {
		return err
	}
	return required.CheckOptional(h.Optional)
}

// checkMode checks mode, and that a handler that only clears headers has headers to
// clear and no other options.
func (h *Handler) checkMode() error {
	switch h.Mode {
	case "", modeEnforce, modeReport:
		return nil
	case modeClear:
	default:
		return setting.InOption("mode", "unknown mode %q; write enforce, report or clear", h.Mode)
	}
	for _, o := range handlerOptions() {
		switch o.name {
		case "mode", "clear", "forward", "forward_payload", "forward_jwt":
		default:
			if o.isSet(h) {
				return setting.InOption(o.name, "%w", errAuthenticatesNobody)
			}
		}
	}
	if len(clearedBy(h)) == 0 {
		return setting.InOption("mode", "mode clear has nothing to clear; write clear X-User, or remove it")
	}
	return nil
}

var errAuthenticatesNobody = errors.New("mode clear authenticates nobody and only clears headers; remove the option, or mode clear")
