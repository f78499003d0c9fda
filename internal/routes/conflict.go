// Package routes inspects the routes of Caddy's servers: which of them could answer an
// error, set our placeholders, or is being provisioned.
package routes

import (
	"reflect"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Conflict finds out whether another handler of a server may set one of our
// placeholders, {http.auth.user.id} above all. Most servers have none, and checking the
// placeholders on each request costs as much as all our own work on them.
type Conflict struct {
	server   *caddyhttp.Server
	own      string // the path of the package with our matchers
	once     sync.Once
	possible bool
}

// harmless are the handlers known not to set our placeholders. Any other may.
var harmless = map[caddy.ModuleID]bool{
	"http.handlers.subroute": true, "http.handlers.jwt": true, "http.handlers.jwt_authorization_server": true, "http.handlers.jwt_resource_metadata": true,
	"http.handlers.static_response": true, "http.handlers.error": true,
	"http.handlers.reverse_proxy": true, "http.handlers.file_server": true, "http.handlers.headers": true, "http.handlers.rewrite": true,
	"http.handlers.encode": true, "http.handlers.vars": true, "http.handlers.request_body": true, "http.handlers.templates": true,
	"http.handlers.tracing": true, "http.handlers.log_append": true, "http.handlers.metrics": true, "http.handlers.push": true,
	"http.handlers.copy_response": true, "http.handlers.copy_response_headers": true,
}

// caddyPackages is the path prefix of Caddy's own matchers, which only set placeholders
// below http.matchers and http.regexp.
const caddyPackages = "github.com/caddyserver/caddy/v2/"

// NewConflict returns the Conflict of a server, which is nil if it is not known. own is
// the path of the package with our matchers, which set no placeholders.
func NewConflict(server *caddyhttp.Server, own string) *Conflict {
	return &Conflict{server: server, own: own}
}

// Possible reports whether another handler may set our placeholders. It inspects the
// server at the first call, which must come after all handlers are provisioned.
func (c *Conflict) Possible() bool {
	c.once.Do(func() {
		c.possible = c.server == nil || len(c.server.NamedRoutes) > 0 || !allHarmless(c.server.Routes, c.own) ||
			c.server.Errors != nil && !allHarmless(c.server.Errors.Routes, c.own)
	})
	return c.possible
}

// allHarmless reports whether no handler and no matcher of the routes may set our
// placeholders. It reads fields of Caddy's handlers by reflection: a handler that gets
// routes in another field than HandleResponse would be missed.
func allHarmless(routes caddyhttp.RouteList, own string) bool {
	for i := range routes {
		if len(routes[i].Handlers) == 0 && len(routes[i].HandlersRaw) > 0 {
			return false // not provisioned yet
		}
		for _, set := range routes[i].MatcherSets {
			for _, matcher := range set {
				if path := reflect.Indirect(reflect.ValueOf(matcher)).Type().PkgPath(); !strings.HasPrefix(path, caddyPackages) && path != own {
					return false // it may set any placeholder
				}
			}
		}
		for _, handler := range routes[i].Handlers {
			if _, ours := handler.(authenticator); ours {
				continue
			}
			module, ok := handler.(caddy.Module)
			if !ok || !harmless[module.CaddyModule().ID] {
				return false
			}
			// Caddy lets vars set the user's id, which it logs.
			if vars, ok := handler.(*caddyhttp.VarsMiddleware); ok {
				for name := range *vars {
					if name == "http.auth.user.id" || strings.Contains(name, "{") {
						return false
					}
				}
			}
			// reverse_proxy may have routes of its own, for responses.
			if v := reflect.Indirect(reflect.ValueOf(handler)); v.Kind() == reflect.Struct {
				if responses := v.FieldByName("HandleResponse"); responses.IsValid() && responses.Len() > 0 {
					return false
				}
			}
			if sub, ok := handler.(*caddyhttp.Subroute); ok && (!allHarmless(sub.Routes, own) || sub.Errors != nil && !allHarmless(sub.Errors.Routes, own)) {
				return false
			}
		}
	}
	return true
}
