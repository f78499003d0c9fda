package routes

import (
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/intercept"
)

// Judgement is what a list of routes may do with a refused request.
type Judgement struct {
	// Answers reports whether some route answers the request, or may.
	Answers bool
	// Safe reports whether all that the request can reach is known to make a page:
	// something that the site chose, and not what the request asked for.
	Safe bool
	// Unsafe names the first handler that is not, for a warning. It is written as in
	// a Caddyfile, such as "reverse_proxy by the request's own path".
	Unsafe string
}

// Judge walks error routes, or the routes of a handle_response, for a request that
// carries its error (see caddyhttp.HTTPErrorConfig.WithError). Routes that proxy or
// serve files by the request's own path would serve the very thing that was refused.
// The routes must have been provisioned. The server is asked for its named routes,
// for what it sets "vars root" to, and for its names of groups.
//
// The walk knows Caddy's own handlers and follows them as they would run. Whatever it
// does not know is unsafe.
func Judge(server *caddyhttp.Server, list caddyhttp.RouteList, r *http.Request) Judgement {
	w := &walk{server: server, list: list, request: r}
	// Behind the end of the list Caddy writes an empty answer with the error's
	// status, so that it does not matter what is left.
	w.routes(list, []state{{own: true, host: true}})
	return Judgement{Answers: routesMatch(list, r), Safe: w.unsafe == "", Unsafe: w.unsafe}
}

// Unsafe returns the first handler in a list of routes that is not known to make a
// page, whatever the request is, or "".
func Unsafe(server *caddyhttp.Server, list caddyhttp.RouteList) string {
	w := &walk{server: server, list: list}
	w.routes(list, []state{{own: true, host: true}})
	return w.unsafe
}

// state is what is known about a request at some place of the walk. In the zero value
// everything is the client's.
type state struct {
	path  bool // the path is one that the site chose ("path fixed")
	query bool // the same of the query
	get   bool // the method is GET, whatever the client's is
	file  bool // the file that a file matcher found last is one that the site chose
	own   bool // no handler has put something of the request's URI into a header
	host  bool // the Host is still the one that the server has seen
	// What is answered is executed as a template. Text of the client's must not be
	// in it then.
	template bool
	// The groups of which a route was taken, each between zero bytes. Caddy keeps one
	// set for the whole request.
	groups string
}

// worse reports whether something is the client's in s that is not in the other.
func (s state) worse(than state) bool {
	return than.path && !s.path || than.query && !s.query || than.get && !s.get ||
		than.file && !s.file || than.own && !s.own || than.host && !s.host
}

// Limits of the walk. Configs that people write stay far below them. A list that
// does not is unsafe.
const (
	maxDepth  = 40     // lists of routes within lists of routes
	maxStates = 200    // states in which a route can be reached
	maxSteps  = 20_000 // handlers, each counted for each state
)

// walk is one walk over routes.
type walk struct {
	server  *caddyhttp.Server
	list    caddyhttp.RouteList
	request *http.Request

	unsafe string // the first handler that is not safe
	depth  int
	steps  int

	// The intercepts that were passed: their routes run after what stands behind
	// them, on the same request.
	intercepts []*intercept.Intercept
	again      map[visit]bool

	vars   map[string][]any // what the server sets variables to
	before map[string]bool  // the groups that may be satisfied when the walk begins
}

// visit is a walk over the routes of an intercept.
type visit struct {
	of *intercept.Intercept
	in state
}

// fail ends the walk.
func (w *walk) fail(reason string) []state {
	if w.unsafe == "" {
		w.unsafe = reason
	}
	return nil
}

// add adds a state to those that are there, if it isn't.
func (w *walk) add(states []state, s state) []state {
	for i := range states {
		if states[i] == s {
			return states
		}
	}
	if len(states) >= maxStates {
		return w.fail(tooLarge)
	}
	return append(states, s)
}

const tooLarge = "routes that are too many or nested too deeply to be followed"
