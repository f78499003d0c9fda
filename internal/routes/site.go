package routes

import (
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// SiteError says at which site an error of provisioning lies. Caddy itself
// names positions in lists of routes, which nobody who writes a Caddyfile
// knows.
func SiteError(ctx caddy.Context, err error) error {
	if site := siteOf(ctx); site != "" {
		return fmt.Errorf("jwt at %s: %w", site, err)
	}
	return fmt.Errorf("jwt: %w", err)
}

// siteOf finds the site whose handlers are being provisioned. Caddy provisions
// the matchers of all routes first and then, server by server, the handlers
// route by route, so that the route in work is the first without handlers. It
// returns the addresses of the server where the route has no hosts.
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
