package identity

import (
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-jwt/caddy-jwt/internal/refusal"
)

// logFields adds to the access log how the request was authenticated, or why it
// was not. Caddy itself adds user_id, from {http.auth.user.id}. If the server has
// no access log it does nothing.
func (h *Holder) logFields(r *http.Request, id *Identity, why *refusal.Refusal, reported bool) {
	if !h.logs {
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
	method := MethodAnonymous
	// It replaces the issuer of an outer handler, whose identity is gone.
	issuer := zap.Field{Key: "jwt_issuer", Type: zapcore.SkipType}
	if id != nil {
		method = id.Method()
		if text := id.Issuer(); text != "" {
			issuer = zap.String("jwt_issuer", text)
		}
	}
	extra.Set(issuer)
	extra.Set(zap.String("jwt_auth_method", method))
	if why == nil {
		if reported { // an outer handler did, and may have named another user
			extra.Set(zap.Field{Key: "jwt_user", Type: zapcore.SkipType})
		}
		return
	}
	extra.Set(zap.String("jwt_reason", string(why.Code)))
	set := func(key, value string) {
		field := zap.Field{Key: key, Type: zapcore.SkipType} // replaces that of an outer handler
		if value != "" {
			field = zap.String(key, value)
		}
		extra.Set(field)
	}
	set("jwt_requirement", why.Requirement)
	set("jwt_detail", why.Detail)
	// Who may not do this, or would not have been allowed to.
	if why.Answer.Status == http.StatusForbidden || reported {
		set("jwt_user", why.User)
		if why.Issuer != "" {
			set("jwt_issuer", why.Issuer)
		}
	} else {
		set("jwt_user", "")
	}
}
