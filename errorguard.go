package caddyjwt

import (
	"io"
	"net/http"
	"slices"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-jwt/caddy-jwt/internal/credential"
	"github.com/caddy-jwt/caddy-jwt/internal/header"
)

// errorGuard is everything that the jwt handlers of one server remove from requests.
// A request that ends in an error goes to the error routes without passing the
// handlers that come later. What they would have removed must be removed too, since
// error routes may lead to the same upstream.
type errorGuard struct {
	names    []string // of headers, folded
	trailers []string // likewise
	places   credential.Removal
}

// errorGuards holds the guards of a config's servers.
type errorGuards struct {
	mu      sync.Mutex
	servers map[*caddyhttp.Server]*errorGuard
}

// of returns the guard of a server, which its handlers share. It is complete before
// the first request.
func (g *errorGuards) of(server *caddyhttp.Server) *errorGuard {
	if server == nil {
		return new(errorGuard)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.servers == nil {
		g.servers = map[*caddyhttp.Server]*errorGuard{}
	}
	guard := g.servers[server]
	if guard == nil {
		guard = new(errorGuard)
		g.servers[server] = guard
	}
	return guard
}

// add adds what a handler removes.
func (g *errorGuard) add(f *header.Forwarding, c *credential.Places) {
	g.names = merged(g.names, f.Names)
	g.trailers = merged(g.trailers, f.Trailers)
	g.places.Add(c)
}

func merged(list, more []string) []string {
	for _, s := range more {
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

// clean prepares a request for error routes. It keeps the headers of the request's
// current identity.
func (g *errorGuard) clean(r *http.Request, st *state) {
	header.ClearHeaders(r, &st.Sent, g.names)
	g.places.Remove(r, &st.Removed)
	if r.Trailer == nil || len(g.trailers) == 0 || r.Body == nil {
		return
	}
	if isOriginal(r) {
		header.GuardTrailers(r, g.trailers)
		return
	}
	// An earlier handler (tracing) has copied the request, and error routes get the
	// original, whose body is not guarded. So the body is read to its end here,
	// which fills in the trailers in the map that both share.
	if _, err := io.CopyN(io.Discard, r.Body, maxDrained); err == nil {
		_ = r.Body.Close() // later reads fail
	}
	header.ClearNames(r.Trailer, g.trailers)
}

// maxDrained is how much of a body is read at most to get to its trailers.
const maxDrained = 1 << 20

// isOriginal reports whether a request is the one that the server made, rather than
// a copy. The placeholders read the original, so a change of the request shows in
// them only if it is the original.
func isOriginal(r *http.Request) bool {
	repl, _ := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if repl == nil {
		return false
	}
	const mark = "}jwt"
	method := r.Method
	r.Method = mark
	defer func() { r.Method = method }()
	seen, _ := repl.Get("http.request.method")
	return seen == mark
}
