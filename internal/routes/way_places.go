package routes

import (
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/intercept"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// Placed is a handler and its place below the server in the config (RFC 6901).
type Placed struct {
	Handler caddyhttp.MiddlewareHandler
	At      string
}

// Find finds the handlers of a route of the server, or of its error routes, in the order of
// the config. Those in named routes are found where they are invoked, each once.
func Find(server *caddyhttp.Server, errors bool, route int, wants func(caddyhttp.MiddlewareHandler) bool) []Placed {
	list, at := server.Routes, "/routes"
	if errors {
		list, at = server.Errors.Routes, "/errors/routes"
	}
	s := search{server: server, wants: wants}
	s.route(&rest{list: list, at: at, route: route}, 0)
	return s.found
}

// search finds handlers in routes, whether or not a request comes to them.
type search struct {
	server *caddyhttp.Server
	wants  func(caddyhttp.MiddlewareHandler) bool
	found  []Placed
	steps  int
}

// behind searches all that a request may still come to.
func (s *search) behind(to *rest) {
	for ; to != nil; to = to.behind {
		here := *to
		for ; here.route < len(here.list); here.route, here.handler = here.route+1, atMatchers {
			s.route(&here, 0)
			if here.handler != atMatchers && here.list[here.route].Terminal {
				return
			}
		}
	}
}

// route searches the handlers of a route, from one on.
func (s *search) route(in *rest, depth int) {
	route := &in.list[in.route]
	for i := max(in.handler, 0); i < len(route.Handlers); i++ {
		s.handler(route.Handlers[i], in.place(i), depth)
	}
}

func (s *search) handler(h caddyhttp.MiddlewareHandler, at string, depth int) {
	if s.steps++; depth > maxDepth || s.steps > maxSteps {
		return
	}
	if s.wants(h) {
		for _, other := range s.found {
			if other.At == at {
				return
			}
		}
		s.found = append(s.found, Placed{h, at})
		return
	}
	for _, in := range s.within(h, at) {
		for ; in.route < len(in.list); in.route++ {
			s.route(in, depth+1)
		}
	}
}

// within are the lists of routes that a handler leads to.
func (s *search) within(h caddyhttp.MiddlewareHandler, at string) (lists []*rest) {
	var responses []caddyhttp.ResponseHandler
	switch h := h.(type) {
	case *caddyhttp.Subroute:
		lists = append(lists, &rest{list: h.Routes, at: at + "/routes"})
		if h.Errors != nil {
			lists = append(lists, &rest{list: h.Errors.Routes, at: at + "/errors/routes"})
		}
	case *caddyhttp.Invoke:
		if route := s.server.NamedRoutes[h.Name]; route != nil {
			lists = append(lists, toNamed(h.Name, route))
		}
	case *intercept.Intercept:
		responses = h.HandleResponse
	case *reverseproxy.Handler:
		responses = h.HandleResponse
	}
	for i := range responses {
		lists = append(lists, &rest{list: responses[i].Routes, at: fmt.Sprintf("%s/handle_response/%d/routes", at, i)})
	}
	return lists
}

// toNamed is a named route as a list of one. Its place has no number.
func toNamed(name string, route *caddyhttp.Route) *rest {
	return &rest{list: caddyhttp.RouteList{*route}, at: "/named_routes/" + Escape(name), single: true}
}

// Escape escapes a name for a JSON pointer (RFC 6901 section 3).
func Escape(name string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(name) }

// wanted are the handlers that the guide wants among those that a request may still come to,
// by an error or its answer too.
func (w *wayfarer) wanted(to *rest) []Placed {
	s := search{server: w.server, wants: w.guide.Wants}
	s.behind(to)
	for i := len(w.around) - 1; i >= 0; i-- {
		s.behind(w.around[i])
	}
	return s.found
}
