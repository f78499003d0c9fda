package routes

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Hosts returns the host matchers of the site whose handlers are being provisioned,
// none for a site of any host.
func Hosts(ctx caddy.Context) []*caddyhttp.MatchHost {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok {
		return nil
	}
	if i := current(server); i >= 0 {
		return hostMatchers(server.Routes[i])
	}
	return nil
}

// NameOfSite returns the name that Site gives to the site whose handlers are being
// provisioned, those of its error routes included.
func NameOfSite(ctx caddy.Context) string {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok {
		return ""
	}
	if InErrorRoutes(server) {
		return Site(server, hostMatchers(server.Errors.Routes[currentOf(server.Errors.Routes)]))
	}
	return Site(server, Hosts(ctx))
}

// Provisioning reports whether a handler of one of the server's own routes is being
// provisioned, so that its error routes and named routes are still to come.
func Provisioning(server *caddyhttp.Server) bool { return current(server) >= 0 }

// InErrorRoutes reports whether a handler of the server's error routes is being
// provisioned.
func InErrorRoutes(server *caddyhttp.Server) bool {
	return !Provisioning(server) && server.Errors != nil && currentOf(server.Errors.Routes) >= 0
}

// Site names a site by the hosts of its route, the first three, or by the addresses of
// its server.
func Site(server *caddyhttp.Server, hosts []*caddyhttp.MatchHost) string {
	var names []string
	for _, m := range hosts {
		names = append(names, *m...)
	}
	const most = 3
	switch {
	case len(names) == 0 && server != nil:
		return strings.Join(server.Listen, ", ")
	case len(names) > most:
		return fmt.Sprintf("%s +%d", strings.Join(names[:most], " "), len(names)-most)
	}
	return strings.Join(names, " ")
}

// SiteOf names the site that a request is for, in the config's words.
func SiteOf(server *caddyhttp.Server, r *http.Request) string {
	for i := range server.Routes {
		hosts := hostMatchers(server.Routes[i])
		for _, m := range hosts {
			if matches, err := m.MatchWithError(r); matches && err == nil {
				return Site(server, hosts)
			}
		}
	}
	return Site(server, nil)
}

// current returns the index of the route whose handlers are being provisioned, or -1.
func current(server *caddyhttp.Server) int { return currentOf(server.Routes) }

func currentOf(list caddyhttp.RouteList) int {
	for i := range list {
		if len(list[i].Handlers) == 0 && len(list[i].HandlersRaw) > 0 {
			return i
		}
	}
	return -1
}

// hostMatchers returns the host matchers of a route, none if it has a set of matchers
// without one.
func hostMatchers(route caddyhttp.Route) []*caddyhttp.MatchHost {
	var hosts []*caddyhttp.MatchHost
	for _, set := range route.MatcherSets {
		found := false
		for _, m := range set {
			if h, ok := m.(*caddyhttp.MatchHost); ok {
				hosts, found = append(hosts, h), true
			}
		}
		if !found {
			return nil
		}
	}
	return hosts
}

// HostMatches reports whether one of the routes is for the request's host alone.
func HostMatches(list caddyhttp.RouteList, r *http.Request) bool {
	for i := range list {
		for _, m := range hostMatchers(list[i]) {
			if matches, err := m.MatchWithError(r); matches && err == nil {
				return true
			}
		}
	}
	return false
}

// SiteHandlers are the handlers of a site, and its name.
type SiteHandlers struct {
	// Name is the site's, as Site gives it.
	Name string
	// Hosts are all hosts of the site; none for any host.
	Hosts []string
	// Handlers are those that were looked for, in the order of the config, those of error
	// routes last.
	Handlers []Placed
}

// Sites are the sites of a server, in the order of the config.
func Sites(server *caddyhttp.Server, wants func(caddyhttp.MiddlewareHandler) bool) []SiteHandlers {
	var sites []SiteHandlers
	byHosts := map[string]int{}
	add := func(list caddyhttp.RouteList, errors bool) {
		for i := range list {
			if isAdded(&list[i]) {
				continue
			}
			matchers := hostMatchers(list[i])
			var hosts []string
			for _, m := range matchers {
				hosts = append(hosts, *m...)
			}
			n, ok := byHosts[strings.Join(hosts, " ")]
			if !ok {
				n = len(sites)
				byHosts[strings.Join(hosts, " ")] = n
				sites = append(sites, SiteHandlers{Name: Site(server, matchers), Hosts: hosts})
			}
			for _, found := range Find(server, errors, i, wants) {
				if !slices.Contains(sites[n].Handlers, found) {
					sites[n].Handlers = append(sites[n].Handlers, found)
				}
			}
		}
	}
	add(server.Routes, false)
	if server.Errors != nil {
		add(server.Errors.Routes, true)
	}
	return sites
}
