package routes

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Probe prepares a request as the server does before it runs its error routes: with
// the original method and URI, which their matchers see, and the error's placeholders.
// ForgetError takes the placeholders back.
func Probe(server *caddyhttp.Server, r *http.Request, err caddyhttp.HandlerError) *http.Request {
	probe := new(http.Request)
	*probe = *r
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		probe.Method, probe.RequestURI = original.Method, original.RequestURI
		if original.URL != nil {
			u := *original.URL
			probe.URL = &u
		}
	}
	return server.Errors.WithError(probe, err)
}

// ForgetError removes the placeholders that Probe has set, for a request that does not
// come to error routes.
func ForgetError(r *http.Request) {
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		for _, name := range [...]string{"", ".status_code", ".status_text", ".id", ".trace", ".message"} {
			repl.Delete("http.error" + name)
		}
	}
}

// Answers reports whether one of the error routes would answer a request that Probe has
// prepared. That there are error routes is not enough: the sites of one listener share
// the list, each behind its host matcher, and a site may have one for 404 only.
func Answers(list caddyhttp.RouteList, probe *http.Request) bool { return routesMatch(list, probe) }

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
