package routes

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// ErrorRouteMatches tells whether one of the server's error routes would
// answer this request. The sites of one listener share the list, each behind
// its host matcher, so that the existence of routes says nothing; and a site
// with an error route for 404 alone has none for our 401. Without a match the
// server would answer with an empty body.
func ErrorRouteMatches(r *http.Request, err caddyhttp.HandlerError) bool {
	server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok || server.Errors == nil || len(server.Errors.Routes) == 0 {
		return false
	}
	// In an error route already: nothing handles an error of its own.
	if r.Context().Value(caddyhttp.ErrorCtxKey) != nil {
		return false
	}
	// Error routes see the original method and URI, and their matchers ask
	// for the error's placeholders.
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

// routesMatch walks routes in the way in which they would be run. A handler
// that is no subroute counts as an answer.
func routesMatch(routes caddyhttp.RouteList, r *http.Request) bool {
	groups := map[string]bool{}
	for i := range routes {
		route := &routes[i]
		if route.Group != "" && groups[route.Group] {
			continue
		}
		// A matcher that fails would end in an empty 500: no answer.
		if ok, err := route.MatcherSets.AnyMatchWithError(r); !ok || err != nil {
			continue
		}
		groups[route.Group] = true
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
