package caddyjwt

import (
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-jwt/caddy-jwt/internal/credential"
	"github.com/caddy-jwt/caddy-jwt/internal/header"
	"github.com/caddy-jwt/caddy-jwt/internal/identity"
	"github.com/caddy-jwt/caddy-jwt/internal/refusal"
)

// state is what the jwt handlers of one request share: each step of a request has a
// part of its own. It is one allocation.
type state struct {
	identity.Holder
	credential.Removed
	header.Sent
}

// Format keeps what the state holds out of anything that prints a value.
func (*state) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("jwt state")) }

// requestState returns the request's state and makes it at the first call. It
// stands among Caddy's variables of the request, of which there is one map from its
// beginning to the end of its error routes, whatever handlers make of the request;
// a value of the context would cost a copy of the request and be lost to error
// routes.
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

// publish makes an identity that of the request, with its headers.
func (st *state) publish(r *http.Request, f *header.Forwarding, id *identity.Identity, headers []header.Header) {
	st.SendHeaders(r, f, headers, st.HoldsOther(id))
	st.PublishIdentity(r, id)
}

// withdraw leaves the request without an identity, for a refusal.
func (st *state) withdraw(r *http.Request, why *refusal.Refusal) {
	st.WithdrawHeaders(r)
	st.WithdrawIdentity(r, why)
}
