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

// errorGuard is what the jwt handlers of one server take away, all together. A
// request that ends in an error comes to error routes past the handlers that it
// has not come to: what these would have taken away must be gone as well, as error
// routes may lead to the same upstream.
type errorGuard struct {
	names    []string // of headers, folded
	trailers []string // likewise
	places   credential.Removal
}

// errorGuards are those of the servers of one config.
type errorGuards struct {
	mu      sync.Mutex
	servers map[*caddyhttp.Server]*errorGuard
}

// of is the one of a server. Its handlers share it; it is whole before the first
// request comes.
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

// add adds what a handler takes away.
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

// clean prepares a request for error routes. The headers of an identity in force
// stay.
func (g *errorGuard) clean(r *http.Request, st *state) {
	header.ClearHeaders(r, &st.Sent, g.names)
	g.places.Remove(r, &st.Removed)
	if r.Trailer == nil || len(g.trailers) == 0 || r.Body == nil {
		return
	}
	if isServers(r) {
		header.GuardTrailers(r, g.trailers)
		return
	}
	// A handler in front (tracing) has made a copy of the request, and error
	// routes get the one that it was made of, whose body nobody guards. So the
	// body ends here: with it come the trailers, into the map that both share.
	if _, err := io.CopyN(io.Discard, r.Body, maxDrained); err == nil {
		_ = r.Body.Close() // whoever reads on gets an error
	}
	header.ClearNames(r.Trailer, g.trailers)
}

// maxDrained is how much of a body is read to come to its trailers.
const maxDrained = 1 << 20

// isServers tells whether a request is the one that the server made, and no copy:
// its placeholders read that one.
func isServers(r *http.Request) bool {
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
