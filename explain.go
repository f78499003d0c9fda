package caddyjwt

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/internal/credential"
	"github.com/caddy-jwt/caddy-jwt/internal/explain"
	"github.com/caddy-jwt/caddy-jwt/internal/offline"
	"github.com/caddy-jwt/caddy-jwt/internal/refusal"
	"github.com/caddy-jwt/caddy-jwt/internal/revoked"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// ExplainRequest implements explain.Explainer. The verdict is that of decide, on a copy of the
// handler that counts and stores nothing; the checks are made beside it, by the functions that
// decide calls. It changes r in place.
//
// The credential of the question is put into the first request that comes to a handler that
// takes its kind, unless the request has one of that kind.
func (h *Handler) ExplainRequest(ctx context.Context, r *http.Request, q *explain.Question) explain.Handler {
	out := explain.Handler{Site: h.site, Mode: or(h.Mode, modeEnforce), Verdict: explain.Anonymous}
	if !h.late && h.guard.resources.Answers(r) {
		out.Answer = "the metadata of the resource " + h.guard.resources.Find(r).URL()
		return out
	}
	st, entered := h.enter(r)
	if h.clearsOnly {
		*r = *entered
		return out
	}
	base := entered.Context()
	limited, cancel := context.WithCancel(base)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()

	e := explanation{h: h.quiet(q.At), r: entered.WithContext(limited), st: st}
	e.credentials(q.Credential)
	e.authentication()
	d := e.h.decide(e.r, st)
	if !e.agrees(&d) {
		// What was asked for first may have brought keys that were there for the verdict.
		e.list = e.list[:1]
		e.authentication()
	}
	e.permissions(&d)
	unknown := e.message(&d, q)
	e.h.leave(e.r, st, &d)
	*r = *e.r.WithContext(base)

	out.Opinion = e.secondOpinion(ctx)
	for _, c := range e.list {
		out.Checks = append(out.Checks, explain.Check{Check: c})
	}
	switch {
	case d.code != "":
		if h.Mode != modeReport {
			out.Verdict = explain.Refused
		}
		out.Reason, out.Status = d.code, d.answer.Status
		out.Detail, out.Requirement = d.why.Detail, d.why.Requirement
		out.Remedy = reason.Remedy(d.code, out.Detail)
	case d.id != nil:
		out.Verdict = explain.Accepted
		if unknown {
			out.Verdict = explain.Undecided
		}
		out.User, out.AuthMethod, out.Issuer, out.Scopes = d.id.User(), d.id.Method(), d.id.Issuer(), d.id.Scopes()
	}
	return out
}

// secondOpinion asks another library about the token of the request, if it has one.
func (e *explanation) secondOpinion(ctx context.Context) *explain.Opinion {
	if e.h.validator == nil || !e.found.Token.Present {
		return nil
	}
	policy, ok := e.h.validator.PolicyFor(e.found.Token.Text)
	if !ok {
		return nil
	}
	return explain.SecondOpinion(ctx, policy, e.found.Token.Text, e.h.clock.Now(), e.list)
}

// quiet returns a copy of the handler that judges requests in the same way, at a time that
// stands still, the present if it is zero, and leaves no trace of them. Only decide and leave
// may be called on it.
func (h *Handler) quiet(at time.Time) *Handler {
	c := *h
	if at.IsZero() {
		at = h.clock.Now()
	}
	c.clock = clock.At(at)
	if h.validator != nil {
		c.validator = h.validator.Quiet().At(c.clock.Now)
	}
	if h.apiKeys != nil {
		keys := *h.apiKeys
		keys.Clock = c.clock
		c.apiKeys = &keys
	}
	c.forwarding, c.mcp = h.forwarding.Quiet(at), h.mcp.Quiet()
	c.logs, c.metrics, c.logger, c.reportLog = false, nil, nil, nil
	return &c
}

// explanation is the explanation of a request under way.
type explanation struct {
	h    *Handler // a quiet one
	r    *http.Request
	st   *state
	list []reason.Check

	found credential.Found
	code  reason.Code // of the credentials as such
}

// credentialPut is the key in the request's variables of what says that the credential of the
// question was put into the request.
const credentialPut = "}jwt credential"

// credentials puts the credential of the question where it belongs, and makes the check of the
// places.
func (e *explanation) credentials(text string) {
	h, note := e.h, e.put(text)
	e.found, e.code = h.credentials.Look(e.r, &e.st.Removed)
	seen := h.credentials.Sightings(e.r, &e.st.Removed)
	if len(seen) == 0 {
		seen = []string{"none"}
	}
	c := reason.Check{Name: reason.CheckCredentials, Outcome: reason.Passed, Seen: strings.Join(seen, ", ") + note}
	for _, kind := range []struct {
		name   string
		places []string
	}{{"a token ", h.credentials.Where(true)}, {"an API key ", h.credentials.Where(false)}} {
		if len(kind.places) > 0 {
			c.Wanted += ", " + kind.name + strings.Join(kind.places, " or ")
		}
	}
	c.Wanted = strings.TrimPrefix(c.Wanted, ", ")
	switch {
	case h.AllowPreflight && isPreflight(e.r):
		e.code = reason.MissingCredentials // it is not asked for one
		c.Wanted, c.Option = "nothing of a CORS preflight", "allow_preflight"
	case e.code == reason.MissingCredentials && h.Optional:
		c.Wanted, c.Option = c.Wanted+", or none", "optional"
	case e.code == reason.CrossOrigin:
		c.Seen += "; the request comes from a page of another site: Origin " + reason.Bounded(or(e.r.Header.Get("Origin"), "none"))
		c.Wanted = "a request of a page of the site itself, or of a trusted origin"
		if len(h.TrustedOrigins) > 0 {
			c.Option = "trusted_origins " + strings.Join(h.TrustedOrigins, " ")
		}
		fallthrough
	case e.code != "":
		c.Outcome, c.Reason = reason.Failed, e.code
	}
	e.list = append(e.list, c)
}

// put puts a credential into the request, unless an earlier handler has got it or the request
// has one of its kind, and says so.
func (e *explanation) put(text string) (note string) {
	vars, _ := e.r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	if _, done := vars[credentialPut]; done || text == "" {
		return ""
	}
	token, takes := e.kind(text)
	kind := "an API key"
	if token {
		kind = "a token"
	}
	if !takes {
		return "; the given credential is " + kind + ", which this jwt does not take"
	}
	f, _ := e.h.credentials.Look(e.r, &e.st.Removed)
	if f.Broken() || token && f.Token.Present || !token && f.APIKey.Present {
		return ""
	}
	where := e.h.credentials.Put(e.r, text, token)
	if where == "" {
		return "; there is no room for the given credential, as the request has something in each place of " + kind
	}
	if vars != nil {
		vars[credentialPut] = true
	}
	return "; the given credential was put " + where
}

// kind returns what the given credential is, and whether the handler takes that. What could be
// either is what the handler takes.
func (e *explanation) kind(text string) (token, takes bool) {
	tokens, keys := e.h.validator != nil, e.h.apiKeys != nil
	_, form := apikey.IDOf(text)
	switch {
	case keys && e.h.apiKeys.Has(text):
		return false, true
	case form, e.h.app.accepted.knowsKey(text):
		return false, keys
	case strings.Count(text, ".") == 2, strings.HasPrefix(text, "eyJ"):
		return true, tokens
	}
	return !keys, true
}

// authentication makes the checks of the credentials: of the API key first, as authenticate
// does.
func (e *explanation) authentication() {
	if e.code != "" && e.code != reason.CrossOrigin {
		return
	}
	if e.found.APIKey.Present {
		e.apiKey(e.found.APIKey.Text)
	}
	if e.found.Token.Present {
		e.list = append(e.list, e.h.validator.Explain(e.r.Context(), e.found.Token.Text)...)
	}
}

func (e *explanation) apiKey(text string) {
	h, now := e.h, e.h.clock.Now()
	k, code := h.apiKeys.Find(e.r.Context(), text)
	c := reason.Check{
		Name: reason.CheckAPIKey, Outcome: reason.Passed, Seen: h.apiKeys.Describe(text, now),
		Wanted: "an API key in force in " + strings.Join(h.apiKeys.Places(), " or "),
	}
	if len(h.APIKeys) == 1 && len(h.APIKey) == 0 {
		c.Option = "api_keys " + h.APIKeys[0].File + h.APIKeys[0].Name
	}
	rules := reason.Check{Name: reason.CheckRevocations, Outcome: reason.Skipped, Wanted: "no rule that revokes the API key"}
	if code != "" {
		c.Outcome, c.Reason = reason.Failed, code
	}
	if code == "" && h.app.state != nil {
		rules.Outcome = reason.Passed
		h.apiKeys.Each(text, k, func(k apikey.Key) bool {
			rules.Seen = revoked.ExplainKey(e.r.Context(), h.app.state, k, now)
			err := revoked.Key(e.r.Context(), h.app.state, k, now)
			if err != nil {
				rules.Outcome, rules.Reason = reason.Failed, refusal.CodeOf(err)
			}
			if d, ok := errors.AsType[*reason.Detailed](err); ok {
				rules.Detail = d.Detail()
			}
			return err == nil
		})
	}
	e.list = append(e.list, c, rules)
}

// agrees reports whether the checks so far say what the decision does of the credentials.
func (e *explanation) agrees(d *decision) bool {
	failed := reason.Code("")
	for _, c := range e.list {
		if c.Outcome == reason.Failed {
			failed = c.Reason
			break
		}
	}
	return failed == d.code || failed == "" && d.authenticated
}

// permissions makes the checks of what an authenticated request must have besides.
func (e *explanation) permissions(d *decision) {
	h := e.h
	switch {
	case d.authenticated:
		e.list = append(e.list, h.rules.Explain(e.r, d.id)...)
		e.list = append(e.list, h.forwarding.Explain(e.r.Context(), d.id, d.presented.APIKey.Text)...)
		return
	case e.code == reason.MissingCredentials && h.Optional && !(h.AllowPreflight && isPreflight(e.r)):
		e.list = append(e.list, h.rules.Explain(e.r, nil)...)
		return
	}
	e.list = append(e.list, h.rules.Unasked()...)
	e.list = append(e.list, h.forwarding.Unasked()...)
}

// message judges the message of MCP in the request, and makes its checks. It reports whether
// the message is not known, so that nobody can say what becomes of the request.
func (e *explanation) message(d *decision, q *explain.Question) (unknown bool) {
	gate := e.h.mcp
	switch {
	case gate == nil:
		return false
	case d.authenticated && d.code == "" && e.r.Method == http.MethodPost && e.r.Body == http.NoBody && q.Body == nil:
		e.list = append(e.list, gate.Unknown())
		return true
	case d.code != "":
		e.h.judge(nil, e.r, d)
		e.list = append(e.list, gate.Unasked())
		return false
	}
	before := *e.r // as leave does not matter to rules
	e.h.judge(nil, e.r, d)
	if d.message != nil {
		e.list = append(e.list, gate.Explain(&before, d.id, d.message)...)
	}
	return false
}

// CleanURI implements explain.Explainer.
func (h *Handler) CleanURI(uri string) string { return h.guard.shown.CleanURI(uri) }

// Explain implements admin.App: it answers a question by the config that runs.
func (a *App) Explain(ctx context.Context, q *explain.Question) (explain.Report, error) {
	if !q.At.IsZero() {
		return explain.Report{}, explain.ErrAt
	}
	ctx, done, err := explain.Running.Begin(ctx)
	if err != nil {
		return explain.Report{}, err
	}
	defer done()
	return explain.Walk(ctx, a.servers, q)
}

// Look makes the app of a config that is explained offline answer as if it had started: an
// error is one that the start would have.
func (a *App) Look(ctx context.Context) error {
	if err := a.sources.Services().Settle(); err != nil {
		return err
	}
	a.sources.ReadState(ctx)
	return nil
}

// explainOffline answers a question by a config that no server runs.
func explainOffline(ctx context.Context, o *explain.Offline) (explain.Report, error) {
	return offline.Explain(ctx, o)
}

var _ explain.Explainer = (*Handler)(nil)
