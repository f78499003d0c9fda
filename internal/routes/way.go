package routes

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Guide goes along with a request.
type Guide interface {
	// Wants reports whether a handler is one that the guide looks for.
	Wants(h caddyhttp.MiddlewareHandler) bool
	// Meet is called when the request comes to such a handler, with its place below the
	// server in the config (RFC 6901). It may change the request as the handler does, and
	// reports whether the request goes on to what is behind.
	Meet(h caddyhttp.MiddlewareHandler, r *http.Request, at string) (goesOn bool)
}

// Way is one way that a request may take through the routes of a server.
type Way struct {
	// Answer is the handler that answers, and its place; empty where the guide has ended
	// the way, or nothing answers.
	Answer, AnswerAt string
	// Status is that of the answer; 0 if it is not known.
	Status int
	// Refused is whether the guide has ended the way.
	Refused bool
	// Over are the handlers that were passed over: they may answer by themselves.
	Over []string
	// Doubts are those among them, and the matchers, that could have sent the request
	// another way.
	Doubts []string
	// Jumped is the place of the only handler met, if the way is the possibility that a
	// handler that is not known sends the request there; else empty.
	Jumped string
}

// Ways follows a request through the routes of a server, all of whose handlers must have
// been provisioned, in each of the ways that it may take. Matchers and handlers of Caddy
// that change the request do so; whatever could write, dial or answer is not called. Each
// way begins with a request of its own, made by begin, which calls caddyhttp.PrepareRequest
// with the writer, and gets a guide of its own. complete is false if there are more ways
// than anybody would read.
func Ways(server *caddyhttp.Server, begin func(http.ResponseWriter) *http.Request, guide func() Guide) (ways []Way, complete bool) {
	var script []int
	for len(ways) < maxWays {
		w := &wayfarer{server: server, guide: guide(), script: script}
		w.follow(begin)
		ways = append(ways, w.way)
		// The next way differs in the last choice that has something left.
		i := len(w.taken) - 1
		for i >= 0 && w.taken[i]+1 >= w.options[i] {
			i--
		}
		if i < 0 {
			return ways, true
		}
		script = append(w.taken[:i:i], w.taken[i]+1)
	}
	return ways, false
}

// maxWays bounds the ways of one request.
const maxWays = 64

// wayfarer follows a request on one way.
type wayfarer struct {
	server *caddyhttp.Server
	guide  Guide
	way    Way
	paper  *paper
	groups map[string]bool // of which a route has been taken
	steps  int
	depth  int
	// answers counts the answers: one may be put in the place of another.
	answers int

	// around are lists that a request comes to by an error, or when it is answered: error
	// routes and those of intercepts that it is in.
	around []*rest

	script         []int // the choices to make first
	taken, options []int // the choices made, of how many
}

// choose makes a choice among n.
func (w *wayfarer) choose(n int) int {
	choice := 0
	if i := len(w.taken); i < len(w.script) {
		choice = w.script[i]
	}
	w.taken, w.options = append(w.taken, choice), append(w.options, n)
	return choice
}

// errOver ends a way at once.
var errOver = errors.New("the way is over")

// follow does what caddyhttp.Server does with a request.
func (w *wayfarer) follow(begin func(http.ResponseWriter) *http.Request) {
	defer func() {
		if p := recover(); p != nil { // of another plugin's code, which may not expect this
			w.doubt(fmt.Sprintf("a handler that failed (%T)", p))
		}
	}()
	w.groups = map[string]bool{}
	w.paper = &paper{header: http.Header{}}
	r := begin(w.paper)
	err := w.enter(r)
	if err != nil && !errors.Is(err, errOver) {
		w.toErrorRoutes(r, err)
	}
	w.way.Status = w.paper.status
}

// enter takes a request to the server's routes, unless the server itself refuses it.
func (w *wayfarer) enter(r *http.Request) error {
	if err := refusedByServer(w.server, r); err != nil {
		return err
	}
	if w.server.Errors != nil {
		defer w.within(&rest{list: w.server.Errors.Routes, at: "/errors/routes"})()
	}
	return w.proceed(&rest{list: w.server.Routes, at: "/routes", handler: atMatchers, behind: nothing}, w.paper, r)
}

// within notes lists around a request until the result is called.
func (w *wayfarer) within(lists ...*rest) (leave func()) {
	n := len(w.around)
	w.around = append(w.around, lists...)
	return func() { w.around = w.around[:n] }
}

// toErrorRoutes takes a request that has ended in an error to the server's error routes.
func (w *wayfarer) toErrorRoutes(r *http.Request, err error) {
	w.way.Answer, w.way.AnswerAt = "", ""
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		r.Method, r.RemoteAddr, r.RequestURI = original.Method, original.RemoteAddr, original.RequestURI
		if original.URL != nil {
			*r.URL = *original.URL
		}
	}
	r = w.server.Errors.WithError(r, err)
	if w.server.Errors != nil && len(w.server.Errors.Routes) > 0 {
		if w.proceed(&rest{list: w.server.Errors.Routes, at: "/errors/routes", handler: atMatchers}, w.paper, r) == nil {
			return
		}
	}
	if !w.way.Refused && w.way.Jumped == "" {
		w.answered("an error", "")
		w.paper.WriteHeader(statusOf(err)) // unless something has answered before it
	}
}

// statusOf is the status of an error that nothing handles.
func statusOf(err error) int {
	if handled, ok := errors.AsType[caddyhttp.HandlerError](err); ok && handled.StatusCode != 0 {
		return handled.StatusCode
	}
	return http.StatusInternalServerError
}

// rest is what a request comes to next: handlers of a route from one on, routes of the list
// from one on, and what is behind the list.
type rest struct {
	list    caddyhttp.RouteList
	at      string // the list's place
	route   int
	handler int // of the route, or atMatchers
	behind  *rest
	single  bool // whether the list is a named route, which has no number
}

// place is the place of a handler of the route.
func (to *rest) place(handler int) string {
	if to.single {
		return fmt.Sprintf("%s/handle/%d", to.at, handler)
	}
	return fmt.Sprintf("%s/%d/handle/%d", to.at, to.number(), handler)
}

// nothing is behind lists at whose end nothing happens, whatever error the request has had.
// The end of the server's error routes answers with the error's status.
var nothing = new(rest)

// atMatchers is where it is still to be decided whether a route is taken.
const atMatchers = -1

// proceed takes a request to what comes next, as a compiled route does.
func (w *wayfarer) proceed(to *rest, rw http.ResponseWriter, r *http.Request) error {
	w.depth++
	defer func() { w.depth-- }()
	for {
		if w.steps++; w.steps > maxSteps || w.depth > maxCalls {
			w.doubt(tooLarge)
			return errOver
		}
		switch {
		case to == nothing:
			return nil
		case to == nil:
			return w.end(rw, r)
		case to.route >= len(to.list):
			to = to.behind
			continue
		}
		route := &to.list[to.route]
		switch {
		case to.handler == atMatchers:
			matches, err := w.takes(route, r)
			if err != nil {
				return err
			}
			next := *to
			if matches {
				next.handler = 0
			} else {
				next.route++
			}
			to = &next
		case to.handler < len(route.Handlers):
			next := *to
			next.handler++
			return w.handler(route.Handlers[to.handler], to.place(to.handler), &next, rw, r)
		case route.Terminal:
			return w.end(rw, r)
		default:
			next := *to
			next.route, next.handler = to.route+1, atMatchers
			to = &next
		}
	}
}

// maxCalls bounds the handlers that a request is in at the same time.
const maxCalls = 2_000

// number is the number of the route in the config's list. Routes that are there at run
// time alone don't count.
func (to *rest) number() int {
	n := to.route
	for i := range to.route {
		if isAdded(&to.list[i]) {
			n--
		}
	}
	return n
}

// isAdded reports whether a route is not the config's: the head of error routes, or a
// redirect to HTTPS.
func isAdded(route *caddyhttp.Route) bool {
	if len(route.Handlers) != 1 {
		return false
	}
	switch h := route.Handlers[0].(type) {
	case preparer:
		return true
	case caddyhttp.StaticResponse: // not a pointer, as those of a config are
		return h.Close && len(h.Headers["Location"]) == 1
	}
	return false
}

// takes reports whether a route is taken.
func (w *wayfarer) takes(route *caddyhttp.Route, r *http.Request) (bool, error) {
	if route.Group != "" && w.groups[route.Group] {
		return false, nil
	}
	matches, err := w.match(route.MatcherSets, r)
	if matches && err == nil && route.Group != "" {
		w.groups[route.Group] = true
	}
	return matches, err
}

// end is what follows a terminal route, and the error routes.
func (w *wayfarer) end(rw http.ResponseWriter, r *http.Request) error {
	if err, ok := r.Context().Value(caddyhttp.ErrorCtxKey).(error); ok {
		rw.WriteHeader(statusOf(err))
		w.answered("an error", "")
	}
	return nil
}

func (w *wayfarer) answered(by, at string) {
	w.answers++
	w.way.Answer, w.way.AnswerAt = by, at
}

// over notes a handler that was passed over.
func (w *wayfarer) over(name string) { w.way.Over = appendNew(w.way.Over, name) }

// doubt notes what could have sent the request another way.
func (w *wayfarer) doubt(name string) {
	w.over(name)
	w.way.Doubts = appendNew(w.way.Doubts, name)
}

func appendNew(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// replacerOf is the replacer of a request that was prepared.
func replacerOf(r *http.Request) *caddy.Replacer {
	return r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
}

// paper is a response that is written to nobody.
type paper struct {
	header http.Header
	status int
	broken bool // whether an answer without a status was written, at which net/http fails
}

func (p *paper) Header() http.Header { return p.header }

func (p *paper) WriteHeader(status int) {
	p.broken = p.broken || p.status == 0 && status == 0
	if p.status == 0 && status >= http.StatusOK { // others announce an answer
		p.status = status
	}
}

func (p *paper) Write(b []byte) (int, error) {
	p.WriteHeader(http.StatusOK)
	return len(b), nil
}
