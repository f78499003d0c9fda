package routes

import (
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Reaches reports whether a request without a credential comes to a handler of a server, all of whose handlers
// must have been provisioned. A handler on the way that is not known is taken to pass it on.
func Reaches(server *caddyhttp.Server, r *http.Request, target caddyhttp.MiddlewareHandler) bool {
	return ReachesAny(server, r, func(h caddyhttp.MiddlewareHandler) bool { return h == target })
}

// ReachesAny reports, as Reaches does, whether a request comes to one of the handlers that are
// wanted.
func ReachesAny(server *caddyhttp.Server, r *http.Request, wants func(caddyhttp.MiddlewareHandler) bool) bool {
	begin := func(w http.ResponseWriter) *http.Request {
		return caddyhttp.PrepareRequest(r.Clone(r.Context()), caddy.NewReplacer(), w, server)
	}
	ways, _ := Ways(server, begin, func() Guide { return arrival{wants} })
	return slices.ContainsFunc(ways, func(w Way) bool { return w.Refused })
}

// arrival is a guide who goes no further than to a handler that is wanted.
type arrival struct {
	wants func(caddyhttp.MiddlewareHandler) bool
}

func (a arrival) Wants(h caddyhttp.MiddlewareHandler) bool { return a.wants(h) }

func (a arrival) Meet(caddyhttp.MiddlewareHandler, *http.Request, string) bool { return false }
