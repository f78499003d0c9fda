package routes

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/fileserver"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
)

// Reaches reports whether a request without a credential comes to a handler of a server, all of whose handlers
// must have been provisioned. A handler on the way that is not known is taken to pass it on.
func Reaches(server *caddyhttp.Server, r *http.Request, target caddyhttp.MiddlewareHandler) bool {
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), nil, server)
	w := &reachWalk{server: server, target: target}
	w.routes(server.Routes, r, 0)
	return w.found
}

// reachWalk follows one request.
type reachWalk struct {
	server *caddyhttp.Server
	target caddyhttp.MiddlewareHandler
	found  bool
	steps  int
}

// routes follows the request through a list, and reports whether it is over then: the
// handler is found, or another one has answered.
func (w *reachWalk) routes(list caddyhttp.RouteList, r *http.Request, depth int) (over bool) {
	if w.steps++; depth > maxDepth || w.steps > maxSteps {
		return true
	}
	done := map[string]bool{} // groups of which a route has matched
	for i := range list {
		route := &list[i]
		if route.Group != "" && done[route.Group] {
			continue
		}
		if ok, err := route.MatcherSets.AnyMatchWithError(r); !ok || err != nil {
			continue
		}
		done[route.Group] = true
		for _, h := range route.Handlers {
			if w.handler(h, r, depth) {
				return true
			}
		}
		if route.Terminal {
			return true
		}
	}
	return false
}

func (w *reachWalk) handler(h caddyhttp.MiddlewareHandler, r *http.Request, depth int) (over bool) {
	if h == w.target {
		w.found = true
		return true
	}
	switch h := h.(type) {
	case authenticator:
		return h.Authenticates()
	case *caddyhttp.Subroute:
		return w.routes(h.Routes, r, depth+1)
	case *caddyhttp.Invoke:
		if route, ok := w.server.NamedRoutes[h.Name]; ok && route != nil {
			return w.routes(caddyhttp.RouteList{*route}, r, depth+1)
		}
	case *rewrite.Rewrite:
		if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
			h.Rewrite(r, repl)
		}
	case *caddyhttp.StaticResponse, *caddyhttp.StaticError, *reverseproxy.Handler:
		return true
	case *fileserver.FileServer:
		return !h.PassThru
	}
	return false
}
