package routes

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// ErrorRouteMatches reports whether one of the server's error routes would answer this
// error. That there are error routes is not enough: the sites of one listener share the
// list, each behind its host matcher, and a site may have an error route for 404 only.
// Without a match the server would answer with an empty body.
func ErrorRouteMatches(r *http.Request, err caddyhttp.HandlerError) bool {
	server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok || server.Errors == nil || len(server.Errors.Routes) == 0 {
		return false
	}
	// The request is in an error route already: errors there are not handled again.
	if r.Context().Value(caddyhttp.ErrorCtxKey) != nil {
		return false
	}
	// Error routes get the original method and URI, and their matchers may read the
	// error's placeholders.
	probe := new(http.Request)
	*probe = *r
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		probe.Method, probe.RequestURI = original.Method, original.RequestURI
		if original.URL != nil {
			u := *original.URL
			probe.URL = &u
		}
	}
	probe = server.Errors.WithError(probe, err)
	if routesMatch(server.Errors.Routes, probe) {
		return true
	}
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		for _, name := range [...]string{"", ".status_code", ".status_text", ".id", ".trace", ".message"} {
			repl.Delete("http.error" + name)
		}
	}
	return false
}

// routesMatch reports whether a handler in the routes would run, following groups and
// terminal routes as Caddy does. A subroute counts only if one of its routes matches.
func routesMatch(routes caddyhttp.RouteList, r *http.Request) bool {
	done := map[string]bool{} // groups of which a route has matched
	for i := range routes {
		route := &routes[i]
		if route.Group != "" && done[route.Group] {
			continue
		}
		// An error of a matcher would become an empty 500, which is not an answer.
		if ok, err := route.MatcherSets.AnyMatchWithError(r); !ok || err != nil {
			continue
		}
		done[route.Group] = true
		for _, handler := range route.Handlers {
			if sub, ok := handler.(*caddyhttp.Subroute); !ok || routesMatch(sub.Routes, r) {
				return true
			}
		}
		if route.Terminal {
			return false
		}
	}
	return false
}
