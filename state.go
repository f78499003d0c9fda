package caddyjwt

import (
	"context"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-jwt/caddy-jwt/internal/credential"
	"github.com/caddy-jwt/caddy-jwt/internal/header"
	"github.com/caddy-jwt/caddy-jwt/internal/identity"
	"github.com/caddy-jwt/caddy-jwt/internal/refusal"
)

// state is what the jwt handlers of one request share, with a part for each step. It
// takes one allocation.
type state struct {
	identity.Holder
	credential.Removed
	header.Sent

	answer *refusal.Response // of the refusal that was handed to error routes; nil for none
}

// Format keeps the contents of the state out of anything that prints values, such as
// a log or a template.
func (*state) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("jwt state")) }

// requestState returns the request's state, which the first call creates. It is kept
// in Caddy's variables of the request, a map that all handlers and error routes
// share even if a handler copies the request. A context value would cost a copy of
// the request, and error routes would not see it.
func requestState(r *http.Request) *state {
	vars, _ := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	if st, ok := vars[identity.VarsKey].(*state); ok {
		return st
	}
	st := new(state)
	if vars != nil {
		vars[identity.VarsKey] = st
	}
	st.Attach(r)
	return st
}

// errorState returns the request's state in error routes. Where no jwt handler has made
// one before, it is a value of the context, with a replacer of its own: a proxy that the
// request comes from may still read its variables and its replacer, while it dials a
// connection that is no longer needed.
func errorState(r *http.Request) (*state, *http.Request) {
	vars, _ := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	if st, ok := vars[identity.VarsKey].(*state); ok {
		return st, r
	}
	if st, ok := r.Context().Value(identity.ContextKey{}).(*state); ok {
		return st, r
	}
	st := new(state)
	ctx := context.WithValue(r.Context(), identity.ContextKey{}, st)
	if old, ok := ctx.Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		own := caddy.NewEmptyReplacer()
		own.Map(old.Get)
		ctx = context.WithValue(ctx, caddy.ReplacerCtxKey, own)
	}
	r = r.WithContext(ctx)
	st.Attach(r)
	return st, r
}

// publish sets the request's identity and its headers.
func (st *state) publish(r *http.Request, f *header.Forwarding, id *identity.Identity, headers []header.Header) {
	st.SendHeaders(r, f, headers, st.HoldsOther(id))
	st.PublishIdentity(r, id)
}

// withdraw removes the request's identity and its headers, for a refusal.
func (st *state) withdraw(r *http.Request, why *refusal.Refusal) {
	st.WithdrawHeaders(r)
	st.WithdrawIdentity(r, why)
}
