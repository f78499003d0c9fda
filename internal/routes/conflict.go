package routes

import (
	"reflect"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Conflict tells whether another handler of a server may set a placeholder whose
// name is ours, {http.auth.user.id} above all. Most servers have none, and to look
// at each request whether one did costs as much as all of our own.
type Conflict struct {
	server *caddyhttp.Server
	own    string // the package whose matchers are ours
	once   sync.Once
	is     bool
}

// harmless are the handlers that set no such placeholder. Any other may.
var harmless = map[caddy.ModuleID]bool{
	"http.handlers.subroute": true, "http.handlers.jwt": true, "http.handlers.static_response": true, "http.handlers.error": true,
	"http.handlers.reverse_proxy": true, "http.handlers.file_server": true, "http.handlers.headers": true, "http.handlers.rewrite": true,
	"http.handlers.encode": true, "http.handlers.vars": true, "http.handlers.request_body": true, "http.handlers.templates": true,
	"http.handlers.tracing": true, "http.handlers.log_append": true, "http.handlers.metrics": true, "http.handlers.push": true,
	"http.handlers.copy_response": true, "http.handlers.copy_response_headers": true,
}

// caddyPackages hold Caddy's own matchers, which set placeholders under
// http.matchers and http.regexp alone.
const caddyPackages = "github.com/caddyserver/caddy/v2/"

// NewConflict makes one for a server, nil for one that is not known. own is the path of
// the package whose matchers set none of our placeholders.
func NewConflict(server *caddyhttp.Server, own string) *Conflict {
	return &Conflict{server: server, own: own}
}

// Possible looks through the server at the first request, when all its handlers are
// there.
func (n *Conflict) Possible() bool {
	n.once.Do(func() {
		n.is = n.server == nil || len(n.server.NamedRoutes) > 0 || !allHarmless(n.server.Routes, n.own) ||
			n.server.Errors != nil && !allHarmless(n.server.Errors.Routes, n.own)
	})
	return n.is
}

func allHarmless(routes caddyhttp.RouteList, own string) bool {
	for i := range routes {
		if len(routes[i].Handlers) == 0 && len(routes[i].HandlersRaw) > 0 {
			return false // not there yet
		}
		for _, set := range routes[i].MatcherSets {
			for _, matcher := range set {
				if path := reflect.Indirect(reflect.ValueOf(matcher)).Type().PkgPath(); !strings.HasPrefix(path, caddyPackages) && path != own {
					return false // it may set anything
				}
			}
		}
		for _, handler := range routes[i].Handlers {
			module, ok := handler.(caddy.Module)
			if !ok || !harmless[module.CaddyModule().ID] {
				return false
			}
			// reverse_proxy may have routes of its own, for answers.
			if v := reflect.Indirect(reflect.ValueOf(handler)); v.Kind() == reflect.Struct {
				if of := v.FieldByName("HandleResponse"); of.IsValid() && of.Len() > 0 {
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
