package identity

import (
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-jwt/caddy-jwt/internal/refusal"
)

// Holder holds the identity of one request, for all its jwt handlers, with the
// refusal if there is one, and provides the placeholders of both.
type Holder struct {
	repl     *caddy.Replacer  // of the request
	Identity *Identity        // nil for nobody
	names    *[]Name          // of all handlers that the request has come to; nil for none
	refusal  *refusal.Refusal // nil for none

	own      Identity // room for what most requests have one of
	ownTaken bool

	logs    bool // whether the server may have an access log
	insists bool // whether another handler may have set our placeholders
}

// VarsKey is the name of the state among the request's variables. No placeholder
// can spell it, as a brace ends a placeholder's name.
const VarsKey = "}jwt"

// holding is what stands among the request's variables: anything that embeds a
// Holder.
type holding interface{ holder() *Holder }

func (h *Holder) holder() *Holder { return h }

// Of returns the holder of a request, nil if no jwt handler has seen it.
func Of(r *http.Request) *Holder {
	vars, _ := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	if of, ok := vars[VarsKey].(holding); ok {
		return of.holder()
	}
	return nil
}

// Attach provides the placeholders for the rest of the request.
func (h *Holder) Attach(r *http.Request) {
	h.repl, _ = r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if h.repl != nil {
		h.repl.Map(h.Placeholder)
	}
}

// Enter notes that a request has come to a handler: with the claims that it gives
// placeholders, whether its server may have an access log, and whether another
// handler may have set our placeholders.
func (h *Holder) Enter(names *[]Name, logs, insists bool) {
	h.logs = h.logs || logs
	h.insists = h.insists || insists
	switch {
	case len(*names) == 0:
	case h.names == nil:
		h.names = names
	default:
		all := slices.Concat(*h.names, *names)
		h.names = &all
	}
}

// NewIdentity returns an identity to be filled.
func (h *Holder) NewIdentity() *Identity {
	if h.ownTaken {
		return new(Identity)
	}
	h.ownTaken = true
	return &h.own
}

// Swap makes an identity that of the request and returns the one before.
func (h *Holder) Swap(id *Identity) (before *Identity) {
	before, h.Identity = h.Identity, id
	return before
}

// HoldsAnother reports whether the request has the identity of another user.
func (h *Holder) HoldsAnother(id *Identity) bool {
	return h.Identity == nil || !h.Identity.sameUser(id)
}

// PublishIdentity makes an identity that of the request.
func (h *Holder) PublishIdentity(r *http.Request, id *Identity) {
	h.Identity, h.refusal = id, nil
	h.insist()
	h.logFields(r, id, "")
}

// Pass lets the request go on without an identity of this handler's. That of a
// handler further out stays.
func (h *Holder) Pass(r *http.Request) {
	h.insist()
	if h.Identity == nil {
		h.logFields(r, nil, "")
	}
}

// PassRefused is pass for a request that would have been refused.
func (h *Holder) PassRefused(r *http.Request, why *refusal.Refusal) {
	h.refusal = why
	h.Pass(r)
	h.logFields(r, h.Identity, why.Code)
}

// WithdrawIdentity leaves the request without an identity, for a refusal.
func (h *Holder) WithdrawIdentity(r *http.Request, why *refusal.Refusal) {
	h.Identity = nil
	h.refusal = why
	h.insist()
	h.logFields(r, nil, why.Code)
}

// insist makes our placeholders win. The replacer asks others first: where one
// of them (basic_auth in front of us) has set a name that is ours, it would
// give another user's identity for this one's.
func (h *Holder) insist() {
	if h.repl == nil || !h.insists {
		return
	}
	id := ""
	if h.Identity != nil {
		id = h.Identity.User()
	}
	h.insistOn("http.auth.user.id", id)
	for _, c := range h.claimNames() {
		value, _ := h.user(c.name)
		text, _ := value.(string)
		h.insistOn(c.placeholder, text)
	}
}

func (h *Holder) claimNames() []Name {
	if h.names == nil {
		return nil
	}
	return *h.names
}

func (h *Holder) insistOn(name, value string) {
	got, _ := h.repl.Get(name)
	if text, ok := got.(string); !ok || text != value {
		h.repl.Set(name, value)
	}
}
