package routes

import (
	"reflect"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/intercept"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// Placement says what may be around a jwt handler: what may get hold of its refusal
// before the server's error routes do, or of the request before it.
type Placement struct {
	// Errors reports whether a subroute with error routes of its own may get the
	// error.
	Errors bool
	// Unknown is a handler of a type that is not known, which may do anything with an
	// error; empty for none.
	Unknown string
	// Intercept is what an intercept may do with an answer that is written, if it is
	// not known to make a page; empty for none.
	Intercept string
	// Reader reports whether a handler may have begun to read the body.
	Reader bool
}

// Final reports whether an error reaches the server's error routes for certain.
func (p Placement) Final() bool { return !p.Errors && p.Unknown == "" }

// Around describes what keeps an error from the server's error routes.
func (p Placement) Around() string {
	if p.Unknown != "" {
		return p.Unknown
	}
	return "a subroute with error routes of its own"
}

func (p Placement) or(other Placement) Placement {
	p.Errors = p.Errors || other.Errors
	p.Reader = p.Reader || other.Reader
	if p.Unknown == "" {
		p.Unknown = other.Unknown
	}
	if p.Intercept == "" {
		p.Intercept = other.Intercept
	}
	return p
}

// authenticator is what a jwt handler is known by.
type authenticator interface{ Authenticates() bool }

// Placements finds the jwt handlers of a server, all of whose handlers must have been
// provisioned.
func Placements(server *caddyhttp.Server) map[any]Placement {
	w := &placementWalk{server: server, found: map[any]Placement{}}
	w.routes(server.Routes, Placement{}, 0)
	if server.Errors != nil {
		// Errors in error routes are handled by nobody, and what reads the body may
		// have come before.
		w.routes(server.Errors.Routes, Placement{Reader: true}, 0)
	}
	return w.found
}

type placementWalk struct {
	server *caddyhttp.Server
	found  map[any]Placement
	steps  int
}

// routes walks a list. A handler that calls the next one is around all that comes
// after it in the list too, unless its route is terminal, or is of the same group as
// a later one, which then does not run.
func (w *placementWalk) routes(list caddyhttp.RouteList, around Placement, depth int) (after Placement) {
	// Named routes may invoke each other, and themselves.
	if w.steps++; depth > maxDepth || w.steps > maxSteps {
		return around.or(Placement{Unknown: "routes that are nested too deep"})
	}
	type passed struct {
		group string
		Placement
	}
	var before []passed
	after = around
	for i := range list {
		route := &list[i]
		here := around
		for _, p := range before {
			if p.group == "" || p.group != route.Group {
				here = here.or(p.Placement)
			}
		}
		for _, h := range route.Handlers {
			here = w.handler(h, here, depth)
		}
		if !route.Terminal {
			before = append(before, passed{route.Group, here})
			after = after.or(here)
		}
	}
	return after
}

// handler walks what is inside a handler and returns what is around those after it.
func (w *placementWalk) handler(h caddyhttp.MiddlewareHandler, around Placement, depth int) Placement {
	switch h := h.(type) {
	case authenticator:
		w.found[h] = w.found[h].or(around)
		return around
	case *caddyhttp.Subroute:
		if h.Errors != nil && len(h.Errors.Routes) > 0 {
			around.Errors = true
			w.routes(h.Errors.Routes, around.or(Placement{Reader: true}), depth+1)
		}
		return w.routes(h.Routes, around, depth+1)
	case *caddyhttp.Invoke:
		if route, ok := w.server.NamedRoutes[h.Name]; ok && route != nil {
			return w.routes(caddyhttp.RouteList{*route}, around, depth+1)
		}
		return around
	case *intercept.Intercept:
		for i := range h.HandleResponse {
			response := &h.HandleResponse[i]
			w.routes(response.Routes, around.or(Placement{Reader: true}), depth+1)
			if response.StatusCode != "" {
				around.Intercept = "intercept with replace_status"
			}
			if why := Unsafe(w.server, response.Routes); why != "" {
				around.Intercept = "intercept with " + why
			}
		}
		return around
	case *reverseproxy.Handler:
		for i := range h.HandleResponse {
			// What comes after the proxy is reached through these routes.
			around.Reader = true
			around = around.or(w.routes(h.HandleResponse[i].Routes, around, depth+1))
		}
		return around
	}
	if !stock(h) {
		around.Unknown = describe(h)
	}
	return around
}

// stock reports whether a handler is Caddy's own, or this plugin's. Caddy's other
// handlers hand an error on as it is.
func stock(h caddyhttp.MiddlewareHandler) bool {
	path := reflect.Indirect(reflect.ValueOf(h)).Type().PkgPath()
	return strings.HasPrefix(path, caddyPackages) || path == ownPackage
}

// ownPackage is where this plugin's handlers are.
var ownPackage = strings.TrimSuffix(reflect.TypeFor[Placement]().PkgPath(), "/internal/routes")
