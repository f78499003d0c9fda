package identity

import (
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-jwt/caddy-jwt/internal/refusal"
)

// Holder holds the identity of one request, and its refusal if there is one, for
// all jwt handlers of the request. It provides the placeholders of both.
type Holder struct {
	repl     *caddy.Replacer  // the request's
	Identity *Identity        // nil if the request is not authenticated
	names    *[]Name          // of all handlers that the request has reached; nil for none
	refusal  *refusal.Refusal // nil for none

	first     Identity // avoids an allocation: most requests have one identity
	firstUsed bool

	logs      bool // whether the server may have an access log
	conflicts bool // whether another handler may have set our placeholders
}

// VarsKey is the key of the state in the request's variables. No placeholder can
// name it, as a brace ends a placeholder's name.
const VarsKey = "}jwt"

// ContextKey is the context key of a state that was made in error routes.
type ContextKey struct{}

// embedder is a state in the request's variables: anything that embeds a Holder.
type embedder interface{ holder() *Holder }

func (h *Holder) holder() *Holder { return h }

// Of returns the holder of a request, or nil if no jwt handler has seen it.
func Of(r *http.Request) *Holder {
	vars, _ := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	if st, ok := vars[VarsKey].(embedder); ok {
		return st.holder()
	}
	if st, ok := r.Context().Value(ContextKey{}).(embedder); ok {
		return st.holder()
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

// Enter records that a request has reached a handler. names are the claims to which
// the handler gives placeholders, logs says whether its server may have an access
// log, and conflicts whether another handler may have set our placeholders.
func (h *Holder) Enter(names *[]Name, logs, conflicts bool) {
	h.logs = h.logs || logs
	h.conflicts = h.conflicts || conflicts
	switch {
	case len(*names) == 0:
	case h.names == nil:
		h.names = names
	default:
		all := slices.Concat(*h.names, *names)
		h.names = &all
	}
}

// NewIdentity returns an empty identity.
func (h *Holder) NewIdentity() *Identity {
	if h.firstUsed {
		return new(Identity)
	}
	h.firstUsed = true
	return &h.first
}

// Swap sets the identity of the request and returns the one before.
func (h *Holder) Swap(id *Identity) (before *Identity) {
	before, h.Identity = h.Identity, id
	return before
}

// HoldsOther reports whether the request has no identity, or one of another user.
func (h *Holder) HoldsOther(id *Identity) bool {
	return h.Identity == nil || !h.Identity.sameUser(id)
}

// PublishIdentity sets the identity of the request, with its placeholders and log
// fields.
func (h *Holder) PublishIdentity(r *http.Request, id *Identity) {
	reported := h.refusal != nil
	h.Identity, h.refusal = id, nil
	h.override()
	h.logFields(r, id, nil, reported)
}

// Pass lets the request go on without an identity of this handler. That of an
// outer handler stays.
func (h *Holder) Pass(r *http.Request) {
	h.override()
	if h.Identity == nil {
		h.logFields(r, nil, nil, false)
	}
}

// PassRefused is Pass for a request that would have been refused.
func (h *Holder) PassRefused(r *http.Request, why *refusal.Refusal) {
	h.refusal = why
	h.Pass(r)
	h.logFields(r, h.Identity, why, true)
}

// WithdrawIdentity removes the identity of the request, for a refusal.
func (h *Holder) WithdrawIdentity(r *http.Request, why *refusal.Refusal) {
	h.Identity = nil
	h.refusal = why
	h.override()
	h.logFields(r, nil, why, false)
}

// override gives our placeholders precedence. The replacer asks earlier providers
// first: if one (such as basic_auth before this handler) has set a name of ours,
// its user would be taken for this one.
func (h *Holder) override() {
	if h.repl == nil || !h.conflicts {
		return
	}
	id := ""
	if h.Identity != nil {
		id = h.Identity.User()
	}
	h.overrideName("http.auth.user.id", id)
	for _, c := range h.claimNames() {
		value, _ := h.user(c.name)
		text, _ := value.(string)
		h.overrideName(c.placeholder, text)
	}
}

func (h *Holder) claimNames() []Name {
	if h.names == nil {
		return nil
	}
	return *h.names
}

func (h *Holder) overrideName(name, value string) {
	got, _ := h.repl.Get(name)
	if text, ok := got.(string); !ok || text != value {
		h.repl.Set(name, value)
	}
}
