package refusal

import "github.com/caddy-jwt/caddy-jwt/reason"

// Scoped is a stand-in.
func (r *Responder) Scoped(code reason.Code, cause *Cause, scopes string, basic bool) *Response {
	return r.To(code, cause, basic)
}
