package header

import (
	"io"
	"net/http"
	"slices"
	"sync"
)

// trailerGuard keeps identity headers out of the trailers of one request. The
// server fills the map of its own request while the body is read, and a proxy
// may go on reading the body in another goroutine after this request has come
// to error routes: anyone who touches that map then ends the whole process. So
// downstream handlers get a map of the guard's own, which nobody but the guard's
// body writes, and nobody writes once the request has ended in an error.
type trailerGuard struct {
	io.ReadCloser
	server http.Header // filled by the server, inside Read

	mu     sync.Mutex
	own    http.Header // the request's from now on
	folded []string    // the names that are left out
	ended  bool
}

// guardTrailers gives the request trailers of its own, without those whose name
// folds to one of these. It must be called before any downstream handler can
// have read from the body. It returns nil for a request without trailers.
func guardTrailers(r *http.Request, folded []string) *trailerGuard {
	if r.Trailer == nil || r.Body == nil {
		return nil
	}
	g := &trailerGuard{ReadCloser: r.Body, server: r.Trailer, own: make(http.Header, len(r.Trailer)), folded: folded}
	for name, values := range r.Trailer { // declared, and mostly without values yet
		if !cleared(name, folded) {
			g.own[name] = slices.Clone(values)
		}
	}
	r.Trailer, r.Body = g.own, g
	return g
}

// clear leaves further names out. Like guardTrailers it must be called before any
// downstream handler can have read from the body.
func (g *trailerGuard) clear(folded []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended {
		return
	}
	g.folded = slices.Concat(g.folded, folded)
	for name := range g.own {
		if cleared(name, folded) {
			delete(g.own, name)
		}
	}
}

// EndTrailers makes sure that the request's trailers don't change any more: error
// routes may read them while a proxy still reads the body.
func (s *Sent) EndTrailers() {
	g := s.trailers
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ended = true
}

// Read implements io.Reader. At the end of the body the server has filled in its
// trailers, inside the call.
func (g *trailerGuard) Read(p []byte) (int, error) {
	n, err := g.ReadCloser.Read(p)
	if err == io.EOF {
		g.fill()
	}
	return n, err
}

func (g *trailerGuard) fill() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended {
		return
	}
	g.ended = true
	for name, values := range g.server {
		if !cleared(name, g.folded) {
			g.own[name] = slices.Clone(values)
		}
	}
}
