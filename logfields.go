package caddyjwt

import (
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-jwt/caddy-jwt/reason"
)

// logFields adds to the access log's line how the request was authenticated, or
// why it was not. Caddy itself adds user_id, of {http.auth.user.id}. Where the
// server has no access log nothing is done.
func (st *state) logFields(r *http.Request, id *identity, code reason.Code) {
	if !st.logs {
		return
	}
	server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok || server.Logs == nil {
		return
	}
	extra, ok := r.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields)
	if !ok {
		return
	}
	method := methodAnonymous
	// Written over the issuer of a handler further out, whose identity is gone.
	issuer := zap.Field{Key: "jwt_issuer", Type: zapcore.SkipType}
	if id != nil {
		method = id.method()
		if text := id.issuer(); text != "" {
			issuer = zap.String("jwt_issuer", text)
		}
	}
	extra.Set(issuer)
	extra.Set(zap.String("jwt_auth_method", method))
	if code != "" {
		extra.Set(zap.String("jwt_reason", string(code)))
	}
}

// whyFields tell in a line of the plugin's log why a request is refused.
func (st *state) whyFields(code reason.Code, status int) []zap.Field {
	fields := []zap.Field{zap.String("reason", string(code)), zap.Int("status", status)}
	if st.refusal != nil && st.refusal.unmet != "" {
		fields = append(fields, zap.String("requirement", st.refusal.unmet))
	}
	return fields
}
