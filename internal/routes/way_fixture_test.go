package routes

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// eachServer makes random servers, and runs f with each.
func eachServer(t *testing.T, g *wayGenerator, lists int, f func(config []byte, server *caddyhttp.Server)) {
	t.Helper()
	const batch = 50
	for done := 0; done < lists; done += batch {
		configs := map[string]json.RawMessage{}
		for i := range batch {
			configs[strconv.Itoa(i)] = json.RawMessage(g.server(20000 + i))
		}
		servers := serversOf(t, configOf(t, configs))
		for i := range batch {
			f(configs[strconv.Itoa(i)], servers[strconv.Itoa(i)])
		}
	}
}

// caddyRequest is a copy of a request for a server, which changes what it gets.
func caddyRequest(r *http.Request, log *metNames) *http.Request {
	return r.Clone(context.WithValue(r.Context(), metLog{}, log))
}

// followed follows a request.
func followed(server *caddyhttp.Server, r *http.Request) (ways []Way, guides []*metGuide) {
	ways, _ = Ways(server, func(w http.ResponseWriter) *http.Request {
		return caddyhttp.PrepareRequest(caddyRequest(r, nil), caddy.NewReplacer(), w, server)
	}, func() Guide {
		guides = append(guides, new(metGuide))
		return guides[len(guides)-1]
	})
	return ways, guides
}
