package caddyjwt

import (
	"errors"

	"github.com/caddy-jwt/caddy-jwt/internal/setting"
)

// The values of mode.
const (
	modeEnforce = "enforce"
	modeReport  = "report"
)

func (h *Handler) reports() bool { return h.Mode == modeReport }

// onlyClears tells of a handler that authenticates nobody: it has `clear` alone.
func (h *Handler) onlyClears() bool {
	return len(h.Clear) > 0 && len(h.Issuer) == 0 && !h.hasAPIKeys()
}

// checkMode checks the options that decide what becomes of a request.
func (h *Handler) checkMode() error {
	switch h.Mode {
	case "", modeEnforce, modeReport:
	default:
		return setting.InOption("mode", "%q is no mode; write enforce or report", h.Mode)
	}
	if !h.onlyClears() {
		return nil
	}
	for _, o := range []struct {
		option string
		given  bool
	}{
		{"require", len(h.Require) > 0}, {"claim", len(h.Claim) > 0}, {"forward", len(h.Forward) > 0}, {"forward_payload", h.ForwardPayload != ""},
		{"audience", len(h.Audience) > 0}, {"realm", h.Realm != ""}, {"error_format", h.ErrorFormat != ""},
		{"keep_credentials", h.KeepCredentials}, {"optional", h.Optional}, {"allow_preflight", h.AllowPreflight}, {"mode", h.Mode != ""},
	} {
		if o.given {
			return setting.InOption(o.option, "%w", errAuthenticatesNobody)
		}
	}
	return nil
}

var errAuthenticatesNobody = errors.New("this jwt has neither an issuer nor API keys, so that it authenticates nobody and may only clear headers; name an issuer, or remove the option")
