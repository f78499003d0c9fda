package caddyjwt

import (
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-jwt/caddy-jwt/internal/credential"
	"github.com/caddy-jwt/caddy-jwt/internal/header"
	"github.com/caddy-jwt/caddy-jwt/internal/refusal"
	"github.com/caddy-jwt/caddy-jwt/internal/resource"
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

	// resources are those of the server, as each of its handlers serves the metadata of all.
	resources resource.Set

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

// errorHead is the first handler of a server's error routes, put there by the first
// jwt handler that is provisioned among the server's routes. Whatever raised the
// error, a request comes to the routes after it without identity headers, credentials
// and trailers, and a refusal comes to them only if they are known to make a page.
type errorHead struct{ guard *errorGuard }

// ServeHTTP cleans the request, and answers a refusal where no page is made for it.
func (e *errorHead) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	st, r := e.take(r)
	p := st.refusedWith(r)
	if p == nil {
		return next.ServeHTTP(w, r)
	}
	if p.IsMessage() || refusal.IsGRPC(r) || !e.guard.makesPage(r, p) {
		p.Write(w, r)
		return nil
	}
	// What a page is made for needs neither body nor tunnel.
	r.Body, r.ContentLength, r.TransferEncoding = http.NoBody, 0, nil
	delete(r.Header, "Upgrade")
	delete(r.Header, "Expect")
	delete(r.Header, "Content-Length")
	return next.ServeHTTP(w, r)
}

// take takes away from a request what its site's handlers do.
func (e *errorHead) take(r *http.Request) (*state, *http.Request) {
	// Never read: a proxy may still be filling it. The request is one that the server
	// has made for its error routes.
	r.Trailer = nil
	st, r := errorState(r)
	e.guard.clean(r, st)
	return st, r
}

// Prepare returns a request as it goes on to the error routes, to explain what they do.
func (e *errorHead) Prepare(r *http.Request) *http.Request {
	_, r = e.take(r)
	return r
}

// Authenticates reports that the head authenticates nobody. It is how a handler of this
// plugin is known.
func (*errorHead) Authenticates() bool { return false }

// refusedWith returns the answer to the refusal for which a request is in error
// routes, or nil if it is there for another error.
func (st *state) refusedWith(r *http.Request) *refusal.Response {
	err, _ := r.Context().Value(caddyhttp.ErrorCtxKey).(error)
	if p := st.answer; p != nil && p.Caused(err) {
		return p
	}
	return nil
}

// makesPage reports whether an error route answers a request, prepared as error
// routes get it, and all that it can reach is known to make a page.
func (g *errorGuard) makesPage(r *http.Request, p *refusal.Response) bool {
	list := g.errorRoutes()
	return routes.Answers(list, r) && g.judge(list, r, p) == ""
}

// judge returns the first handler that is not known to make a page of a refusal, or "".
// That depends on the host and on the error alone, and is kept for the next request.
func (g *errorGuard) judge(list caddyhttp.RouteList, r *http.Request, p *refusal.Response) string {
	err := p.HandlerError()
	key := judged{r.Host, err.StatusCode, err.Err.Error()}
	if unsafe, ok := g.judged.Load(key); ok {
		return unsafe.(string)
	}
	unsafe := routes.Judge(g.server, list, r).Unsafe
	if g.judgedCount.Add(1) <= maxJudged {
		g.judged.Store(key, unsafe)
	}
	return unsafe
}

// judged is what a judgement depends on: routes ask for the host and for the error,
// of which there are as many as there are texts of refusals.
type judged struct {
	host    string
	status  int
	message string
}

// maxJudged bounds what is kept, as a client can send any Host.
const maxJudged = 10_000

// errorRoutes are the server's error routes, without the head.
func (g *errorGuard) errorRoutes() caddyhttp.RouteList {
	if g.server == nil || g.server.Errors == nil {
		return nil
	}
	list := g.server.Errors.Routes
	if g.head != nil && len(list) > 0 {
		return list[1:]
	}
	return list
}

// putHead puts the head in front of the server's error routes, if there are any. Error
// routes are provisioned after all others: as long as one of the server's routes has
// no handlers yet, theirs are still to come.
func (g *errorGuard) putHead() {
	if g.server == nil || g.server.Errors == nil || len(g.server.Errors.Routes) == 0 || g.head != nil || !routes.Provisioning(g.server) {
		return
	}
	g.head = &errorHead{g}
	g.server.Errors.Routes = append(caddyhttp.RouteList{{Handlers: []caddyhttp.MiddlewareHandler{g.head}}}, g.server.Errors.Routes...)
}

// way is where a refusal is answered.
type way uint8

const (
	here        way = iota // by jwt
	errorRoutes            // by the server's error routes, or their head
	bare                   // by Caddy, with the status alone
)

// wayOf decides where the refusal of a request is answered. It goes out as an error
// where it surely reaches the head of the error routes: no handler in front that
// handles answers sees an error.
func (g *errorGuard) wayOf(h *Handler, r *http.Request, p *refusal.Response) way {
	place := g.place(h)
	switch {
	case r.Context().Value(caddyhttp.ErrorCtxKey) != nil: // nobody handles it
		return here
	case !place.Final():
		return here
	case g.head != nil:
		return errorRoutes
	case len(g.errorRoutes()) > 0:
		probe := routes.Probe(g.server, r, p.HandlerError())
		answers := routes.Answers(g.errorRoutes(), probe)
		if answers && !refusal.IsGRPC(r) && g.judge(g.errorRoutes(), probe, p) == "" {
			return errorRoutes
		}
		routes.ForgetError(r)
		if place.Intercept != "" && !answers {
			return bare
		}
		return here
	case place.Intercept != "":
		return bare
	}
	return here
}
