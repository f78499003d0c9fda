package caddyjwt

import (
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// siteError says at which site an error of provisioning lies. Caddy itself
// names positions in lists of routes, which nobody who writes a Caddyfile
// knows.
func siteError(ctx caddy.Context, err error) error {
	if site := siteOf(ctx); site != "" {
		return fmt.Errorf("jwt at %s: %w", site, err)
	}
	return fmt.Errorf("jwt: %w", err)
}

// siteOf finds the site whose handlers are being provisioned. Caddy provisions
// the matchers of a server's routes first and then handlers route by route, so
// that the route in work is the first with matchers and without handlers. It
// returns "" where that can't be told.
func siteOf(ctx caddy.Context) string {
	var app *caddyhttp.App
	for _, m := range ctx.Modules() {
		if a, ok := m.(*caddyhttp.App); ok {
			app = a
		}
	}
	if app == nil {
		return ""
	}
	for _, server := range app.Servers {
		for _, route := range server.Routes {
			if len(route.Handlers) > 0 || len(route.HandlersRaw) == 0 {
				continue
			}
			if hosts := hostsOf(route); hosts != "" {
				return hosts
			}
			if len(route.MatcherSetsRaw) == 0 && len(server.Listen) > 0 {
				return strings.Join(server.Listen, ", ")
			}
			break // not this server's turn yet
		}
	}
	return ""
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
