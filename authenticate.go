package caddyjwt

import (
	"context"
	"net/http"

	"github.com/caddy-jwt/caddy-jwt/reason"
)

// kinds are the kinds of credential that a site accepts.
type kinds struct{ tokens, apiKeys bool }

func (h *Handler) kinds() kinds { return kinds{tokens: len(h.Issuer) > 0, apiKeys: h.hasAPIKeys()} }

func (h *Handler) credentialSettings() credentialSettings {
	return credentialSettings{
		kinds: h.kinds(), tokenFrom: h.TokenFrom, apiKeyFrom: h.APIKeyFrom,
		trustedOrigins: h.TrustedOrigins, keep: h.KeepCredentials, inPlace: h.reports(),
	}
}

// decide says who sent a request and with which headers it goes on, or why it must
// not. Without an identity and a reason it goes on as anonymous.
func (h *Handler) decide(r *http.Request, st *state) (*identity, []sentHeader, reason.Code) {
	if st.refusal != nil && st.refusal.unmet != "" {
		st.miss("") // it was a handler's further out
	}
	if h.AllowPreflight && isPreflight(r) {
		h.credentials.discard(r, st)
		return nil, nil, ""
	}
	presented, code := h.credentials.take(r, st)
	if code == reason.MissingCredentials && h.Optional {
		return nil, nil, h.rules.checkAnonymous(r, st)
	}
	if code != "" {
		return nil, nil, code
	}
	id, code := h.authenticate(r.Context(), st, presented)
	if code != "" {
		return nil, nil, code
	}
	if code := h.rules.check(r, st, id); code != "" {
		return nil, nil, code
	}
	headers, err := h.forwarding.headers(id, st)
	if err != nil {
		return nil, nil, reason.UnforwardableClaim
	}
	return id, headers, ""
}

// isPreflight tells a CORS preflight (Fetch, section 4.8), which a browser sends
// without credentials.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}

// authenticate says who sent a request, by its credentials, or why that can't be
// said. A request with a token and an API key needs both to be good; it comes from
// the user of the token. The key goes first: it is never unavailable, so that a
// definite refusal comes before one that a later try may not meet.
func (h *Handler) authenticate(ctx context.Context, st *state, presented found) (*identity, reason.Code) {
	id := st.newIdentity()
	id.handler = h
	if presented.apiKey.any {
		key, code := h.apiKeys.find(presented.apiKey.text)
		if code != "" {
			return nil, code
		}
		id.key, id.hasKey = key, true
	}
	if presented.token.any {
		if err := h.validator.ValidateInto(ctx, presented.token.text, &id.token); err != nil {
			return nil, reasonOf(err)
		}
		id.hasToken = true
	}
	return id, ""
}
