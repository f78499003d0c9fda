package explain

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-jwt/caddy-jwt/internal/routes"
)

// target is a server that the request may come to, and the host that it has there.
type target struct {
	key    string // of the server in the config
	server *caddyhttp.Server
	sites  []routes.SiteHandlers
	name   string // of the site, for notes

	host       string // the header Host
	serverName string // of TLS
	port       string // where the server listens
	tls        bool
}

// pointer is the place of a handler in the JSON config.
func (t *target) pointer(at string) string {
	return "/apps/http/servers/" + routes.Escape(t.key) + at
}

// placeOf is the site of a handler, and its number among the jwt handlers there.
func (t *target) placeOf(at string, r *http.Request) (site string, place, of int) {
	find := func(s *routes.SiteHandlers) bool {
		i := slices.IndexFunc(s.Handlers, func(p routes.Placed) bool { return p.At == at })
		if i >= 0 {
			site, place, of = s.Name, i+1, len(s.Handlers)
		}
		return i >= 0
	}
	// A named route may be of several sites.
	here := routes.SiteOf(t.server, r)
	for i := range t.sites {
		if t.sites[i].Name == here && find(&t.sites[i]) {
			return site, place, of
		}
	}
	for i := range t.sites {
		if find(&t.sites[i]) {
			break
		}
	}
	return site, place, of
}

// protects reports whether a site of the server has a jwt handler.
func (t *target) protects() bool {
	return slices.ContainsFunc(t.sites, func(s routes.SiteHandlers) bool { return len(s.Handlers) > 0 })
}

// protected says which sites have a jwt handler, the first of many.
func protected(targets []target) string {
	const most = 5
	var names []string
	for i := range targets {
		for _, site := range targets[i].sites {
			if len(site.Handlers) > 0 && !slices.Contains(names, site.Name) {
				names = append(names, site.Name)
			}
		}
	}
	if more := len(names) - most; more > 0 {
		names = append(names[:most], fmt.Sprintf("%d more", more))
	}
	if len(names) == 0 {
		return ""
	}
	return "; those with jwt are " + strings.Join(names, "; ")
}

// targets are the servers that the request may be for, with notes on the choice.
func (a *asked) targets(servers map[string]*caddyhttp.Server) (targets []target, notes []string) {
	for _, key := range slices.Sorted(maps.Keys(servers)) {
		if server := servers[key]; server != nil {
			targets = append(targets, target{key: key, server: server, sites: routes.Sites(server, isExplainer), tls: len(server.TLSConnPolicies) > 0})
		}
	}
	note := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	if !slices.ContainsFunc(targets, func(t target) bool { return t.protects() }) {
		return nil, nil
	}
	if a.port != "" {
		if there := keep(targets, func(t *target) bool { return listensAt(t.server, a.port) }); len(there) > 0 {
			targets = there
		} else {
			note("no server listens at the port %s; the request is taken to come through a proxy or another port", a.port)
			a.port, a.scheme = "", ""
		}
	}
	var of []target
	for i := range targets {
		of = append(of, a.hostsAt(&targets[i])...)
	}
	if len(of) == 0 {
		// Nobody knows this host or site. What the servers make of it is the answer.
		if host := a.hostAsked(); host != "" {
			note("no site has the host %s%s", host, protected(targets))
		} else {
			note("no site is called %s%s", a.Site, protected(targets))
		}
		for i := range targets {
			if t := targets[i]; t.protects() || len(targets) == 1 {
				of = append(of, a.at(&t, routes.SiteHandlers{Name: routes.Site(t.server, nil)}))
			}
		}
		if len(of) == 0 {
			of = append(of, a.at(&targets[0], routes.SiteHandlers{Name: routes.Site(targets[0].server, nil)}))
		}
	}
	if len(of) > 1 {
		// A server that redirects to HTTPS, or has no jwt, is not meant if another one has.
		if with := keep(of, func(t *target) bool { return t.protects() }); len(with) > 0 && a.port == "" {
			of = with
		}
	}
	if len(of) > 1 {
		var names []string
		for i := range of {
			names = append(names, of[i].name)
		}
		note("the request may be for several sites: %s; name one of them, by its port (:8080) if they share a host, or give the whole URL", strings.Join(slices.Compact(names), "; "))
	}
	return of, notes
}

func keep(targets []target, f func(*target) bool) (kept []target) {
	for i := range targets {
		if f(&targets[i]) {
			kept = append(kept, targets[i])
		}
	}
	return kept
}

// hostsAt is the server once for each host that the request may have there.
func (a *asked) hostsAt(t *target) (of []target) {
	if host := a.hostAsked(); host != "" {
		site, ok := t.siteOfHost(host)
		if ok && a.isSite(t, &site) {
			of = append(of, a.at(t, site))
		}
		return of
	}
	for i := range t.sites {
		site := t.sites[i]
		if a.site != "" && !a.isSite(t, &site) || a.site == "" && len(site.Handlers) == 0 {
			continue
		}
		of = append(of, a.at(t, site))
	}
	return of
}

// siteOfHost finds the site of a host, and else the one of any host.
func (t *target) siteOfHost(host string) (site routes.SiteHandlers, ok bool) {
	r := &http.Request{Host: host, Method: http.MethodGet, URL: new(url.URL), Header: http.Header{}}
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), nil, t.server)
	name := routes.SiteOf(t.server, r)
	for i := range t.sites {
		if t.sites[i].Name == name {
			return t.sites[i], true
		}
	}
	return site, false
}

// isSite reports whether a site is the one that is asked for: by one of its hosts, by its
// name, or by its server's address.
func (a *asked) isSite(t *target, site *routes.SiteHandlers) bool {
	if a.site == "" || a.site == site.Name || a.Site == site.Name {
		return true
	}
	if len(site.Hosts) == 0 {
		// The site of any host is that of this one too, if no other is.
		return slices.Contains(t.server.Listen, a.Site) || t.anyHost(a.site)
	}
	matcher := caddyhttp.MatchHost(site.Hosts)
	r := &http.Request{Host: a.site, Method: http.MethodGet, URL: new(url.URL), Header: http.Header{}}
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), nil, t.server)
	matches, err := matcher.MatchWithError(r)
	return matches && err == nil || slices.ContainsFunc(site.Hosts, func(h string) bool { return strings.EqualFold(h, a.site) })
}

// anyHost reports whether a host is no site's of its own.
func (t *target) anyHost(host string) bool {
	site, ok := t.siteOfHost(host)
	return ok && len(site.Hosts) == 0
}

// at is the server with the host that the request has there.
func (a *asked) at(t *target, site routes.SiteHandlers) target {
	out := *t
	out.name = site.Name
	out.port = a.port
	if out.port == "" {
		out.port = firstPort(t.server)
	}
	if a.scheme != "" {
		out.tls = a.scheme == "https"
	}
	host := a.host
	if host == "" && a.toHost == "" {
		host = hostFor(a.site, site.Hosts)
	}
	out.serverName = host
	out.host = a.toHost
	if out.host == "" {
		out.host = host
		if strings.Contains(host, ":") {
			out.host = "[" + host + "]"
		}
		if out.port != "" && out.port != defaultPort("http") && out.port != defaultPort("https") {
			out.host = net.JoinHostPort(host, out.port)
		}
	} else if out.serverName == "" {
		out.serverName = withoutPort(out.host)
	}
	return out
}

// hostFor is a host of a site.
func hostFor(wanted string, hosts []string) string {
	switch {
	case wanted != "" && !strings.ContainsAny(wanted, " ,:*{"):
		return wanted
	case len(hosts) > 0:
		return strings.ReplaceAll(hosts[0], "*", "x")
	}
	return "localhost"
}

// listensAt reports whether a server listens at a port.
func listensAt(server *caddyhttp.Server, port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(server.Listen, func(text string) bool {
		address, err := caddy.ParseNetworkAddress(text)
		return err == nil && !address.IsUnixNetwork() && uint(n) >= address.StartPort && uint(n) <= address.EndPort
	})
}

// firstPort is the first port at which a server listens, or empty.
func firstPort(server *caddyhttp.Server) string {
	for _, text := range server.Listen {
		if address, err := caddy.ParseNetworkAddress(text); err == nil && !address.IsUnixNetwork() {
			return strconv.FormatUint(uint64(address.StartPort), 10)
		}
	}
	return ""
}
