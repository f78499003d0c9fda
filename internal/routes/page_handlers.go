package routes

import (
	"net/http"
	"reflect"
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

// Authenticator is what a handler of ours in error routes can be asked.
type Authenticator interface {
	// Authenticates reports whether the handler refuses every request that it can't
	// authenticate. One that doesn't passes on all of them, with less in them.
	Authenticates() bool
}

// handler returns the states in which the request may come to what follows a handler:
// none if the handler ends it. Handlers are told apart by their Go types, as anybody
// can register a module under any name that is free.
func (w *walk) handler(h caddyhttp.MiddlewareHandler, s state) []state {
	switch h := h.(type) {
	case *caddyhttp.Subroute:
		if h.Errors != nil {
			return w.fail("a subroute with error routes of its own")
		}
		return w.routes(h.Routes, []state{s})
	case *caddyhttp.Invoke:
		return w.invoke(h.Name, s)
	case *caddyhttp.StaticResponse:
		return w.respond(h, s)
	case *caddyhttp.StaticError, *reverseproxy.CopyResponseHandler:
		return nil
	case *caddyhttp.VarsMiddleware, *reverseproxy.CopyResponseHeadersHandler:
		return []state{s}
	case *rewrite.Rewrite:
		return []state{w.rewrite(h, s)}
	case *headers.Handler:
		return []state{w.headers(h.Request, s)}
	case *maphandler.Handler:
		// A page's name must not become what the client chooses.
		for _, name := range h.Destinations {
			if isOfNoRequest(name) || strings.HasPrefix(name, "http.") {
				return w.fail("map to {" + name + "}")
			}
		}
		return []state{s}
	case *caddyauth.Authentication:
		for _, provider := range h.Providers {
			if _, ok := provider.(*caddyauth.HTTPBasicAuth); !ok {
				return w.fail("authentication by " + moduleID(provider) + ", which is not known")
			}
		}
		return []state{s}
	case *intercept.Intercept:
		return w.intercept(h, s)
	case *fileserver.FileServer:
		return w.fileServer(h, s)
	case *reverseproxy.Handler:
		return w.proxy(h, s)
	}
	name := typeName(h)
	if a, ok := h.(Authenticator); ok && isOurs(name) {
		if a.Authenticates() {
			return nil // what follows is for those whom it knows
		}
		return []state{s}
	}
	if name == caddyHTTP+"/templates.Templates" {
		s.template = true
		return []state{s}
	}
	if passing[name] {
		return []state{s}
	}
	return w.fail(describe(h))
}

// passing are Caddy's handlers that pass on every request and change nothing in it
// that matters here. They are told apart by the names of their types, so that this
// package does not import all of them. A type's name includes its package's path.
var passing = map[string]bool{
	caddyHTTP + "/encode.Encode":           true,
	caddyHTTP + "/logging.LogAppend":       true,
	caddyHTTP + "/push.Handler":            true, // what it pushes comes as a request of its own
	caddyHTTP + "/requestbody.RequestBody": true,
	caddyHTTP + "/timeouts.Timeouts":       true,
	caddyHTTP + "/tracing.Tracing":         true,
}

const caddyHTTP = "github.com/caddyserver/caddy/v2/modules/caddyhttp"

// respond walks a static answer. It ends the request, unless its status is 103.
func (w *walk) respond(h *caddyhttp.StaticResponse, s state) []state {
	if h.Abort {
		return nil
	}
	if s.template && !every(h.Body, isOfNoRequest) {
		return w.fail("respond by templates with text of the request's own")
	}
	code := h.StatusCode.String()
	if code == "" { // the error's
		if w.request == nil {
			return w.fail("error with a status that is not known")
		}
		if err, ok := w.request.Context().Value(caddyhttp.ErrorCtxKey).(caddyhttp.HandlerError); ok && err.StatusCode == http.StatusEarlyHints {
			return []state{s}
		}
		return nil
	}
	if n, err := strconv.Atoi(code); strings.Contains(code, "{") || err == nil && n == http.StatusEarlyHints {
		return []state{s}
	}
	return nil
}

// typeName is the name of a value's type with the path of its package.
func typeName(v any) string {
	t := reflect.TypeOf(v)
	if t == nil {
		return ""
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.PkgPath() + "." + t.Name()
}

// isOurs reports whether a type is of this module.
func isOurs(name string) bool {
	return strings.HasPrefix(name, ourModule+".") || strings.HasPrefix(name, ourModule+"/")
}

var ourModule = strings.TrimSuffix(reflect.TypeFor[Judgement]().PkgPath(), "/internal/routes")

// moduleID is the id of a module, for messages alone.
func moduleID(v any) string {
	if m, ok := v.(caddy.Module); ok {
		return string(m.CaddyModule().ID)
	}
	return ""
}
