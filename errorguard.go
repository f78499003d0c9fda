package caddyjwt

import (
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-jwt/caddy-jwt/internal/credential"
	"github.com/caddy-jwt/caddy-jwt/internal/header"
	"github.com/caddy-jwt/caddy-jwt/internal/routes"
)

// errorGuards are those of the servers of one config.
type errorGuards struct {
	mu      sync.Mutex
	servers map[*caddyhttp.Server]*errorGuard
}

// of returns the guard of a server. Its handlers share it; it is complete before the
// first request comes.
func (g *errorGuards) of(server *caddyhttp.Server) *errorGuard {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.servers == nil {
		g.servers = map[*caddyhttp.Server]*errorGuard{}
	}
	guard := g.servers[server]
	if guard == nil {
		guard = &errorGuard{server: server}
		if server != nil { // several tests share the guard of no server
			g.servers[server] = guard
		}
	}
	return guard
}

// all returns the guards of all servers.
func (g *errorGuards) all() []*errorGuard {
	g.mu.Lock()
	defer g.mu.Unlock()
	var list []*errorGuard
	for _, guard := range g.servers {
		list = append(list, guard)
	}
	return list
}

// errorGuard keeps what ends in an error from being served: it is what the jwt
// handlers of one server share. A request that ends in an error comes to error
// routes past the handlers that it has not come to, and these may lead to the same
// upstream. So what any of them would have taken away is removed first, and a
// refusal is handed only to error routes that are known to make a page.
type errorGuard struct {
	server *caddyhttp.Server // nil for one that is not known
	sites  []guardedSite
	shown  credential.Removal // all places of credentials, kept ones too, for log lines
	head   *errorHead         // in front of the server's error routes; nil for none

	once   sync.Once
	places map[any]routes.Placement // of the jwt handlers

	judged      sync.Map // what refusals may reach, by judged
	judgedCount atomic.Int64
}

// guardedSite is what one jwt handler takes away, and from which requests.
type guardedSite struct {
	handler *Handler
	hosts   []*caddyhttp.MatchHost // of the site's route; empty for any host
	names   []string               // of headers, folded
	removal credential.Removal
}

// add adds a handler that is being provisioned in a route with these hosts.
func (g *errorGuard) add(h *Handler, hosts []*caddyhttp.MatchHost) {
	g.shown.AddAll(h.credentials)
	if g.server != nil && routes.InErrorRoutes(g.server) {
		return // it has the request itself, after the error
	}
	s := guardedSite{handler: h, hosts: hosts, names: h.forwarding.Names}
	s.removal.Add(h.credentials)
	g.sites = append(g.sites, s)
}

// clean prepares a request for error routes: it removes what the handlers of its
// site take away, and those of all sites where the site is not known. A request that
// is another site's keeps what it has. The headers of an identity in force stay.
func (g *errorGuard) clean(r *http.Request, st *state) {
	known := false
	for i := range g.sites {
		if g.sites[i].has(r) {
			known = true
			g.sites[i].clean(r, st)
		}
	}
	if known || g.server != nil && routes.HostMatches(g.server.Routes, r) {
		return
	}
	for i := range g.sites {
		g.sites[i].clean(r, st)
	}
}

// has reports whether a request may be the site's.
func (s *guardedSite) has(r *http.Request) bool {
	return len(s.hosts) == 0 || slices.ContainsFunc(s.hosts, func(m *caddyhttp.MatchHost) bool {
		matches, err := m.MatchWithError(r)
		return matches || err != nil
	})
}

func (s *guardedSite) clean(r *http.Request, st *state) {
	header.ClearHeaders(r, &st.Sent, s.names)
	s.removal.Remove(r, &st.Removed)
}

// place is where a handler is among the server's routes. One that is not found may
// have anything around it.
func (g *errorGuard) place(h *Handler) routes.Placement {
	if g.server == nil {
		return routes.Placement{}
	}
	g.once.Do(func() {
		g.places = routes.Placements(g.server)
	})
	if p, ok := g.places[h]; ok {
		return p
	}
	return routes.Placement{Unknown: "a handler that is not known", Reader: true}
}
