package routes

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/fileserver"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/intercept"
	maphandler "github.com/caddyserver/caddy/v2/modules/caddyhttp/map"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
)

// preparer is a handler of ours that passes a request on with less in it.
type preparer interface {
	// Prepare returns the request as it goes on.
	Prepare(r *http.Request) *http.Request
}

// answerer is a handler of ours that answers requests of its own and passes on others.
type answerer interface {
	// Answers reports whether it answers a request.
	Answers(r *http.Request) bool
}

// handler takes a request through a handler to the next one.
func (w *wayfarer) handler(h caddyhttp.MiddlewareHandler, at string, next *rest, rw http.ResponseWriter, r *http.Request) error {
	if w.guide.Wants(h) {
		if !w.guide.Meet(h, r, at) {
			w.way.Refused = true
			return errOver
		}
		return w.proceed(next, rw, r)
	}
	switch h := h.(type) {
	case *caddyhttp.Subroute:
		return w.subroute(h, at, next, rw, r)
	case *caddyhttp.Invoke:
		route := w.server.NamedRoutes[h.Name]
		if route == nil {
			return fmt.Errorf("invoke: route '%s' not found", h.Name)
		}
		to := toNamed(h.Name, route)
		to.handler, to.behind = atMatchers, next
		return w.proceed(to, rw, r)
	case *intercept.Intercept:
		return w.intercept(h, at, next, rw, r)
	case *reverseproxy.Handler:
		return w.proxied(h, at, next, rw, r)
	case *rewrite.Rewrite:
		h.Rewrite(r, replacerOf(r)) // ServeHTTP would log it
		return w.proceed(next, rw, r)
	case caddyhttp.VarsMiddleware, *caddyhttp.VarsMiddleware, *maphandler.Handler, *headers.Handler, caddyhttp.StaticError, *caddyhttp.StaticError:
		return w.run(h, next, rw, r)
	case *caddyhttp.StaticResponse:
		return w.responds(h, h, at, next, rw, r)
	case caddyhttp.StaticResponse:
		return w.responds(&h, h, at, next, rw, r)
	case *fileserver.FileServer:
		if h.PassThru {
			w.over("file_server")
			return w.proceed(next, rw, r)
		}
		w.answered("file_server", at)
		return nil
	case *caddyauth.Authentication:
		w.over("authentication")
		return w.proceed(next, rw, r)
	case preparer:
		return w.proceed(next, rw, h.Prepare(r))
	case answerer:
		if h.Answers(r) {
			w.answered(nameOf(h), at)
			return nil
		}
		return w.proceed(next, rw, r)
	case authenticator:
		if h.Authenticates() {
			w.answered(nameOf(h), at)
			return nil
		}
		return w.proceed(next, rw, r)
	}
	return w.other(h, at, next, rw, r)
}

// nameOf is the name of a handler in a config.
func nameOf(h any) string {
	if m, ok := h.(caddy.Module); ok {
		return strings.TrimPrefix(string(m.CaddyModule().ID), "http.handlers.")
	}
	return typeName(h)
}

// run runs a handler that does nothing but change the request.
func (w *wayfarer) run(h caddyhttp.MiddlewareHandler, next *rest, rw http.ResponseWriter, r *http.Request) error {
	return h.ServeHTTP(rw, r, caddyhttp.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) error {
		return w.proceed(next, rw, r)
	}))
}

// responds takes a request to a static answer, which announces another one if its status
// is 103.
func (w *wayfarer) responds(s *caddyhttp.StaticResponse, h caddyhttp.MiddlewareHandler, at string, next *rest, rw http.ResponseWriter, r *http.Request) error {
	if s.Abort {
		w.answered("abort", at)
		return nil
	}
	ends := true
	err := h.ServeHTTP(rw, r, caddyhttp.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) error {
		ends = false
		return w.proceed(next, rw, r)
	}))
	if ends && err == nil {
		w.answered("static_response", at)
	}
	return err
}

// subroute takes a request through the routes of a subroute, and through its error routes
// if they end in an error.
func (w *wayfarer) subroute(h *caddyhttp.Subroute, at string, next *rest, rw http.ResponseWriter, r *http.Request) error {
	leave := func() {}
	if h.Errors != nil {
		leave = w.within(&rest{list: h.Errors.Routes, at: at + "/errors/routes", behind: next})
	}
	err := w.proceed(&rest{list: h.Routes, at: at + "/routes", handler: atMatchers, behind: next}, rw, r)
	leave()
	if err == nil || h.Errors == nil || errors.Is(err, errOver) {
		return err
	}
	r = h.Errors.WithError(r, err)
	return w.proceed(&rest{list: h.Errors.Routes, at: at + "/errors/routes", handler: atMatchers, behind: next}, rw, r)
}

// proxied takes a request to a proxy. One with routes for answers may pass it on to what
// is behind, as forward_auth does.
func (w *wayfarer) proxied(h *reverseproxy.Handler, at string, next *rest, rw http.ResponseWriter, r *http.Request) error {
	var ways []*rest
	for i := range h.HandleResponse {
		response := &h.HandleResponse[i]
		to := &rest{list: response.Routes, at: fmt.Sprintf("%s/handle_response/%d/routes", at, i), handler: atMatchers, behind: next}
		if response.StatusCode == "" && len(w.wanted(to)) > 0 {
			ways = append(ways, to)
		}
	}
	if len(ways) == 0 {
		w.answered("reverse_proxy", at)
		return nil
	}
	w.doubt("reverse_proxy with handle_response (forward_auth)")
	return w.proceed(ways[w.choose(len(ways))], rw, r)
}

// intercept takes a request through an intercept, whose routes see the answer of what is
// behind it.
func (w *wayfarer) intercept(h *intercept.Intercept, at string, next *rest, rw http.ResponseWriter, r *http.Request) error {
	chosen := -1
	body := new(bytes.Buffer)
	rec := caddyhttp.NewResponseRecorder(rw, body, func(status int, header http.Header) bool {
		chosen = slices.IndexFunc(h.HandleResponse, func(response caddyhttp.ResponseHandler) bool {
			return response.Match == nil || response.Match.Match(status, header)
		})
		return chosen >= 0
	})
	lists := make([]*rest, len(h.HandleResponse))
	for i := range h.HandleResponse {
		lists[i] = &rest{list: h.HandleResponse[i].Routes, at: fmt.Sprintf("%s/handle_response/%d/routes", at, i)}
	}
	before := w.answers
	leave := w.within(lists...)
	err := w.proceed(next, rec, r)
	leave()
	switch {
	case err != nil:
		return err
	case rec.Status() == 0 && w.answers > before: // by a handler that was not called
		if chosen = w.chooseResponse(lists); chosen < 0 {
			return nil
		}
	case !rec.Buffered():
		return nil
	case chosen < 0:
		// Nothing has answered. Caddy fails to answer too.
		if rw.WriteHeader(rec.Status()); w.paper.broken {
			w.answered("intercept", at)
			return errOver
		}
		return nil
	}
	response := &h.HandleResponse[chosen]
	if response.StatusCode != "" || response.Routes == nil {
		status := rec.Status()
		if response.StatusCode != "" {
			if status, err = strconv.Atoi(replacerOf(r).ReplaceAll(response.StatusCode.String(), "")); err != nil {
				status = http.StatusInternalServerError
			}
		}
		rw.WriteHeader(status)
		return nil
	}
	repl := replacerOf(r)
	for field, values := range rec.Header() {
		repl.Set("http.intercept.header."+field, strings.Join(values, ","))
	}
	repl.Set("http.intercept.status_code", rec.Status())
	again := caddyhttp.NewResponseRecorder(rw, nil, nil)
	lists[chosen].handler, lists[chosen].behind = atMatchers, nothing
	if err := w.proceed(lists[chosen], again, r); err != nil {
		return err
	}
	if again.Status() == 0 && rec.Status() != 0 {
		rw.WriteHeader(rec.Status())
	}
	if again.Size() == 0 && body.Len() > 0 {
		_, _ = rw.Write(body.Bytes())
	}
	return nil
}

// chooseResponse chooses the routes of an intercept for an answer that is not known, or -1.
// Those that lead nowhere do not matter.
func (w *wayfarer) chooseResponse(lists []*rest) int {
	var may []int
	for i := range lists {
		if len(w.wanted(lists[i])) > 0 {
			may = append(may, i)
		}
	}
	if len(may) == 0 {
		return -1
	}
	w.doubt("intercept of an answer that is not known")
	if choice := w.choose(len(may) + 1); choice > 0 {
		return may[choice-1]
	}
	return -1
}

// other takes a request past a handler that is not looked into.
func (w *wayfarer) other(h caddyhttp.MiddlewareHandler, at string, next *rest, rw http.ResponseWriter, r *http.Request) error {
	kind, name := typeName(h), nameOf(h)
	switch {
	case ending[kind]:
		w.answered(name, at)
		return nil
	case passing[kind], kind == caddyHTTP+"/templates.Templates", kind == caddyHTTP+"/reverseproxy.CopyResponseHeadersHandler", unchanging[name]:
		w.over(name)
		return w.proceed(next, rw, r)
	}
	w.doubt(name)
	// It may send the request to any of those behind it.
	behind := w.wanted(next)
	if choice := w.choose(1 + len(behind)); choice > 0 {
		to := behind[choice-1]
		w.way.Jumped = to.At
		w.guide.Meet(to.Handler, r, to.At)
		return errOver
	}
	return w.proceed(next, rw, r)
}

// ending are Caddy's handlers that answer every request.
var ending = map[string]bool{
	caddyHTTP + "/reverseproxy.CopyResponseHandler":                true,
	"github.com/caddyserver/caddy/v2/modules/metrics.Metrics":      true,
	"github.com/caddyserver/caddy/v2/modules/metrics.AdminMetrics": true,
}

// unchanging are handlers, of Caddy and of well-known plugins, that answer a request or pass
// it on as it came.
var unchanging = map[string]bool{
	"acme_server": true,
	"appsec":      true, "crowdsec": true, // hslatman/caddy-crowdsec-bouncer
	"cache":      true, // caddyserver/cache-handler
	"rate_limit": true, // mholt/caddy-ratelimit
	"waf":        true, // corazawaf/coraza-caddy
}
