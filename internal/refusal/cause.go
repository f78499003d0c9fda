package refusal

import (
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-jwt/caddy-jwt/reason"
)

// Refusal is why a request is refused, or would be in report mode. Requests share it, so
// it must not be changed.
type Refusal struct {
	Code   reason.Code
	Answer *Answer
	Cause
}

// Cause says more about a refusal, for the operator alone.
type Cause struct {
	Requirement string // the requirement that was not met, as written in the config
	Detail      string // what exactly is wrong
	// User and Issuer are those of a credential that is valid otherwise, and empty
	// until its signature is verified.
	User, Issuer string
}

// LogFields returns the fields of a log line about a refusal. uri is the request's, without
// credentials.
func (r *Refusal) LogFields(request *http.Request, uri, site string) []zap.Field {
	fields := append(make([]zap.Field, 0, 8),
		zap.String("reason", string(r.Code)), zap.Int("status", r.Answer.Status), zap.String("site", site))
	for _, f := range [...]struct{ key, value string }{
		{"requirement", r.Requirement}, {"detail", r.Detail}, {"user", r.User}, {"issuer", r.Issuer},
	} {
		if f.value != "" {
			fields = append(fields, zap.String(f.key, f.value))
		}
	}
	return append(fields, zap.Object("request", loggedRequest{request, uri}))
}

// loggedRequest is what Caddy's own log lines have of a request, under the same names, but
// for its headers.
type loggedRequest struct {
	*http.Request
	uri string
}

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (l loggedRequest) MarshalLogObject(out zapcore.ObjectEncoder) error {
	ip, port, err := net.SplitHostPort(l.RemoteAddr)
	if err != nil {
		ip = l.RemoteAddr
	}
	out.AddString("remote_ip", ip)
	out.AddString("remote_port", port)
	if client, ok := caddyhttp.GetVar(l.Context(), caddyhttp.ClientIPVarKey).(string); ok {
		out.AddString("client_ip", client)
	}
	out.AddString("proto", l.Proto)
	out.AddString("method", l.Method)
	out.AddString("host", l.Host)
	out.AddString("uri", withoutUserInfo(l.uri))
	// It exists if something has asked for {http.request.uuid} before.
	if id, ok := caddyhttp.GetVar(l.Context(), "uuid").(fmt.Stringer); ok {
		out.AddString("uuid", id.String())
	}
	return nil
}

// withoutUserInfo removes user and password from a request target that is not a path (RFC
// 9112 section 3.2), whatever its form.
func withoutUserInfo(uri string) string {
	if strings.HasPrefix(uri, "/") {
		return uri
	}
	target, query, _ := strings.Cut(uri, "?")
	at := strings.LastIndexByte(target, '@')
	if at < 0 {
		return uri
	}
	scheme, _, ok := strings.Cut(target, "://")
	if ok && at > len(scheme) {
		scheme += "://"
	} else {
		scheme = ""
	}
	target = scheme + target[at+1:]
	if query != "" {
		target += "?" + query
	}
	return target
}
