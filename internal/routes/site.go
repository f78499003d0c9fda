package routes

import (
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// SiteError adds the site to an error of provisioning. Caddy itself gives indexes in
// lists of routes, which mean nothing to the author of a Caddyfile.
func SiteError(ctx caddy.Context, err error) error {
	if site := siteOf(ctx); site != "" {
		return fmt.Errorf("jwt at %s: %w", site, err)
	}
	return fmt.Errorf("jwt: %w", err)
}

// siteOf returns the hosts of the site whose handlers are being provisioned, or the
// addresses of the server if the route has no hosts. Caddy provisions the matchers of
// all routes first and then, server by server, the handlers route by route, so the
// current route is the first one without handlers.
func siteOf(ctx caddy.Context) string {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok {
		return ""
	}
	for _, route := range server.Routes {
		if len(route.Handlers) > 0 || len(route.HandlersRaw) == 0 {
			continue
		}
		if hosts := hostsOf(route); hosts != "" {
			return hosts
		}
		break
	}
	return strings.Join(server.Listen, ", ")
}

// hostsOf returns the hosts that a route matches, for an error text.
func hostsOf(route caddyhttp.Route) string {
	var hosts []string
	for _, set := range route.MatcherSets {
		for _, m := range set {
			if h, ok := m.(*caddyhttp.MatchHost); ok {
				hosts = append(hosts, *h...)
			}
		}
	}
	return strings.Join(hosts, ", ")
}
