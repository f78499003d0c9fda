package caddyjwt

import (
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

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
	if h.credentials, err = newPlaces(h.credentialSettings()); err != nil {
		return err
	}
	h.credentials.warn(h.logger)
	if h.claims, err = newNames(claimNames(h.Claim)); err != nil {
		return err
	}
	if h.rules, err = newRules(ctx, requirements(h.Require), h.Optional); err != nil {
		return err
	}
	if h.forwarding, err = newForwarding(forwards(h.Forward), h.ForwardPayload, h.Clear, h.credentials.headers()); err != nil {
		return err
	}
	if err := h.checkMode(); err != nil {
		return err
	}
	server, _ := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	h.logs = server == nil || server.Logs != nil
	h.conflict = &namesake{server: server}
	h.idle = h.onlyClears()
	h.guard = h.app.errorGuard(server)
	h.guard.add(h.forwarding, h.credentials)
	if h.responder, err = newResponder(h.Realm, h.ErrorFormat, h.accepted(), h.rules.requiredScopes()); err != nil {
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

func (h *Handler) accepted() Accepted {
	return Accepted{tokens: len(h.Issuer) > 0, apiKeys: h.hasAPIKeys()}
}

func (h *Handler) credentialSettings() Settings {
	return Settings{
		tokens: len(h.Issuer) > 0, apiKeys: h.hasAPIKeys(), tokenFrom: sources(h.TokenFrom), apiKeyFrom: sources(h.APIKeyFrom),
		trustedOrigins: h.TrustedOrigins, keep: h.KeepCredentials, inPlace: h.reports(),
	}
}
