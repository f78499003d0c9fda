package caddyjwt

import (
	"context"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/credential"
	"github.com/caddy-jwt/caddy-jwt/internal/header"
	"github.com/caddy-jwt/caddy-jwt/internal/identity"
	"github.com/caddy-jwt/caddy-jwt/internal/mcpgate"
	"github.com/caddy-jwt/caddy-jwt/internal/metrics"
	"github.com/caddy-jwt/caddy-jwt/internal/refusal"
	"github.com/caddy-jwt/caddy-jwt/internal/revoked"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

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
