package caddyjwt

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/internal/routes"
)

// review logs, when the config starts, which error routes get no refusals, and why. It
// refuses a config in which a refusal could be served whichever way it goes.
func (g *errorGuard) review(logger *zap.Logger) error {
	said := map[string]bool{}
	say := func(site, problem string) {
		if text := "jwt at " + site + ": " + problem; !said[text] {
			said[text] = true
			logger.Warn(text, zap.String("site", site))
		}
	}
	for i := range g.sites {
		s := &g.sites[i]
		if s.handler.clearsOnly {
			continue
		}
		site, place := routes.Site(g.server, s.hosts), g.place(s.handler)
		// Cache plugins order themselves before jwt, where they serve one user's response
		// to everybody, and an old one for a refusal.
		if strings.Contains(place.Unknown, cacheHandler) {
			say(site, "a cache is in front of it and answers before it is asked; put jwt in front of cache, in a route block, with the user in the cache's key: see docs/guides/caching.md")
		}
		switch {
		case !place.Final() && place.Intercept != "":
			return fmt.Errorf("jwt at %s: %s may serve refused requests, and so may %s; put jwt in front of one of them", site, place.Intercept, place.Around())
		case g.head == nil && place.Intercept != "" && len(g.unsafe(s)) > 0:
			return fmt.Errorf("jwt at %s: %s may serve refused requests, and so may handle_errors; put jwt at the site in place of a named route, or make pages there", site, place.Intercept)
		case !place.Final() && len(g.errorRoutes()) > 0:
			say(site, fmt.Sprintf("%s may get its refusals, so they are answered by jwt and not by handle_errors; put jwt in front of it", place.Around()))
		case !place.Final() && place.Errors:
			say(site, "a subroute with error routes of its own is around it, so refusals are answered by jwt; put jwt in front of it")
		case place.Intercept != "":
			say(site, place.Intercept+" could serve refused requests, so refusals come with a status and no body; put `rewrite * /{http.intercept.status_code}` in front there, or respond")
		}
		if place.Final() {
			for unsafe, statuses := range g.unsafe(s) {
				say(site, fmt.Sprintf("handle_errors for %s leads to %s, so refusals are answered by jwt and not there; put `rewrite * /{err.status_code}` in front, or respond", strings.Join(statuses, ", "), unsafe))
			}
		}
	}
	if len(g.sites) > 0 && g.head == nil && len(g.errorRoutes()) > 0 {
		say(routes.Site(g.server, nil), "all of the server's jwt are in named routes, so requests that end in an error before them reach handle_errors with the client's identity headers; put jwt { mode clear; clear <header> } at the site")
	}
	return nil
}

// cacheHandler is the module of Caddy's cache plugin.
const cacheHandler = "http.handlers.cache"

// unsafe finds what the error routes would do with the refusals of a site, by status.
func (g *errorGuard) unsafe(s *guardedSite) map[string][]string {
	list := g.errorRoutes()
	if len(list) == 0 {
		return nil
	}
	hosts := []string{"localhost"}
	for _, m := range s.hosts {
		hosts = append(hosts, *m...)
	}
	if len(s.hosts) > 0 {
		hosts = hosts[1:]
	}
	found := map[string][]string{}
	for _, status := range []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusServiceUnavailable} {
		for _, host := range hosts {
			r := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/"}, Host: strings.ReplaceAll(host, "*", "x"), Header: http.Header{}, Body: http.NoBody}
			r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), nil, g.server)
			probe := routes.Probe(g.server, r, caddyhttp.HandlerError{StatusCode: status})
			text := strconv.Itoa(status)
			if unsafe := routes.Judge(g.server, list, probe).Unsafe; unsafe != "" && !slices.Contains(found[unsafe], text) {
				found[unsafe] = append(found[unsafe], text)
			}
		}
	}
	return found
}
