package routes

import (
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/fileserver"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/intercept"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// fileServer walks a file server. It serves a page if neither the path nor the
// directory is the client's choice.
func (w *walk) fileServer(h *fileserver.FileServer, s state) []state {
	if !s.path {
		return w.fail("file_server by the request's own path")
	}
	if !w.fixedPlace(h.Root, "root", s.host) {
		return w.fail("file_server with a root that the request chooses")
	}
	if !w.fixedPlace(h.FileSystem, "fs", s.host) {
		return w.fail("file_server with a file system that the request chooses")
	}
	for _, name := range h.IndexNames {
		if !every(name, isPage) {
			return w.fail("file_server with an index that the request chooses")
		}
	}
	if h.Browse != nil {
		// It names the files that are guarded, sorted and filtered as the query says.
		return w.fail("file_server browse")
	}
	if h.PassThru {
		return []state{s}
	}
	return nil
}

// fixedPlace reports whether the site chooses a directory or a file system. It may hold
// the variable of the name given, if that is chosen likewise wherever it is set, and
// the request's host if that is allowed.
func (w *walk) fixedPlace(text, variable string, host bool) bool {
	kind := isSetting
	if host {
		kind = isHost
	}
	return every(text, func(name string) bool {
		return kind(name) || name == "http.vars."+variable && w.everySet(variable, func(value any) bool {
			text, ok := value.(string)
			return ok && every(text, kind)
		})
	})
}

// everySet reports whether all that the server sets a variable to is fine. A request
// that is refused may have come past each of these places.
func (w *walk) everySet(variable string, fine func(value any) bool) bool {
	if w.vars == nil {
		w.vars = w.variables()
	}
	for key, values := range w.vars {
		if key != variable && !strings.Contains(key, "{") {
			continue
		}
		for _, value := range values {
			if !fine(value) {
				return false
			}
		}
	}
	return true
}

// variables are all values that the server sets variables to, by their names. They are
// looked for once in a walk, as a server may have thousands of routes.
func (w *walk) variables() map[string][]any {
	vars := map[string][]any{}
	look := func(route *caddyhttp.Route) {
		for _, h := range route.Handlers {
			if set, ok := h.(*caddyhttp.VarsMiddleware); ok {
				for key, value := range *set {
					// Values of other kinds can't be compared.
					if _, ok := value.(string); !ok || !slices.Contains(vars[key], value) {
						vars[key] = append(vars[key], value)
					}
				}
			}
		}
		if len(route.Handlers) == 0 && len(route.HandlersRaw) > 0 {
			vars["{not provisioned yet}"] = []any{nil} // it may set any
		}
	}
	eachRoute(w.list, look)
	if w.server != nil {
		eachRoute(w.server.Routes, look)
		if w.server.Errors != nil {
			eachRoute(w.server.Errors.Routes, look)
		}
		for _, named := range w.server.NamedRoutes {
			if named != nil {
				eachRoute(caddyhttp.RouteList{*named}, look)
			}
		}
	}
	return vars
}

// eachRoute calls a function for each route of a list and of the lists within it.
func eachRoute(list caddyhttp.RouteList, f func(*caddyhttp.Route)) {
	for i := range list {
		f(&list[i])
		for _, h := range list[i].Handlers {
			for _, within := range listsWithin(h) {
				eachRoute(within, f)
			}
		}
	}
}

// listsWithin are the lists of routes of a handler.
func listsWithin(h caddyhttp.MiddlewareHandler) (lists []caddyhttp.RouteList) {
	var responses []caddyhttp.ResponseHandler
	switch h := h.(type) {
	case *caddyhttp.Subroute:
		lists = append(lists, h.Routes)
		if h.Errors != nil {
			lists = append(lists, h.Errors.Routes)
		}
	case *intercept.Intercept:
		responses = h.HandleResponse
	case *reverseproxy.Handler:
		responses = h.HandleResponse
	}
	for i := range responses {
		lists = append(lists, responses[i].Routes)
	}
	return lists
}
