package main

import (
	"io"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	caddy.RegisterModule(new(bodyRead))
	httpcaddyfile.RegisterHandlerDirective("body_read", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		h.Next()
		if h.NextArg() {
			return nil, h.ArgErr()
		}
		return new(bodyRead), nil
	})
	httpcaddyfile.RegisterDirectiveOrder("body_read", httpcaddyfile.Before, "respond")
}

// bodyRead reads each request's body to its end, as an upstream does, and forgets it. Without
// it a server that answers by itself would leave large bodies unread, and close the connection.
type bodyRead struct{}

// CaddyModule returns the module's information.
func (*bodyRead) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.body_read", New: func() caddy.Module { return new(bodyRead) }}
}

// ServeHTTP reads the body.
func (*bodyRead) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return caddyhttp.Error(http.StatusBadRequest, err)
	}
	return next.ServeHTTP(w, r)
}
