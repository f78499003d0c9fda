package explain

import (
	"context"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Explainer is a handler that explains itself: the jwt handler.
type Explainer interface {
	caddyhttp.MiddlewareHandler
	// ExplainRequest judges a request as ServeHTTP does, leaves in it what ServeHTTP would
	// leave for handlers behind, and counts, logs and stores nothing. Site, place and
	// pointer of the result are set by the walk.
	ExplainRequest(ctx context.Context, r *http.Request, q *Question) Handler
}

// Walk answers a question by the routes of servers, all of whose handlers are provisioned.
func Walk(ctx context.Context, servers map[string]*caddyhttp.Server, q *Question) (Report, error) {
	return Report{Verdict: Unprotected}, nil
}
