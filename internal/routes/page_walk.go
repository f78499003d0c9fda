package routes

import (
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/intercept"
)

// routes walks a list and returns the states in which a request can come to what
// follows behind it.
func (w *walk) routes(list caddyhttp.RouteList, in []state) []state {
	if w.depth++; w.depth > maxDepth {
		return w.fail(tooLarge)
	}
	defer func() { w.depth-- }()
	states := in
	for i := range list {
		if states = w.route(&list[i], states); w.unsafe != "" {
			return nil
		}
	}
	return states
}

// route walks a route. A route whose matchers may or may not match goes on in both
// ways.
func (w *walk) route(route *caddyhttp.Route, in []state) []state {
	if len(route.Handlers) == 0 && len(route.HandlersRaw) > 0 || len(route.MatcherSets) == 0 && len(route.MatcherSetsRaw) > 0 {
		return w.fail("a route that is not provisioned")
	}
	var out, taken []state
	for _, s := range in {
		if route.Group != "" {
			if s.satisfied(route.Group) {
				out = w.add(out, s)
				continue
			}
			// Caddy goes on with the groups of the primary routes in error routes.
			if w.satisfiedBefore(route.Group) {
				out = w.add(out, s)
			}
		}
		switch verdict, yes, no := w.match(route.MatcherSets, s); verdict {
		case never:
			out = w.add(out, no)
			w.reconsider(s, no)
		case perhaps:
			out = w.add(out, no)
			w.reconsider(s, no)
			fallthrough
		case always:
			if route.Group != "" {
				yes.groups += "\x00" + route.Group + "\x00"
			}
			taken = w.add(taken, yes)
			w.reconsider(s, yes)
		}
		if w.unsafe != "" {
			return nil
		}
	}
	for _, h := range route.Handlers {
		if len(taken) == 0 || w.unsafe != "" {
			break
		}
		var next []state
		for _, s := range taken {
			if w.steps++; w.steps > maxSteps {
				return w.fail(tooLarge)
			}
			for _, after := range w.handler(h, s) {
				next = w.add(next, after)
				w.reconsider(s, after)
			}
			if w.unsafe != "" {
				return nil
			}
		}
		taken = next
	}
	if !route.Terminal { // else nothing follows, not behind the list around it either
		for _, s := range taken {
			out = w.add(out, s)
		}
	}
	return out
}

func (s state) satisfied(group string) bool {
	return strings.Contains(s.groups, "\x00"+group+"\x00")
}

// satisfiedBefore reports whether a route of the group may have been taken before the
// walk begins: in primary routes, or in a named route that they invoke.
func (w *walk) satisfiedBefore(group string) bool {
	if w.before == nil {
		w.before = map[string]bool{}
		if w.server != nil {
			w.markGroups(w.server.Routes, false, map[string]bool{})
		}
	}
	return w.before[group]
}

// markGroups notes the groups of a list and of the lists within it. The list that is
// walked does not come before itself, unless it is part of a route that can be invoked
// twice.
func (w *walk) markGroups(list caddyhttp.RouteList, named bool, seen map[string]bool) {
	if !named && len(list) > 0 && len(w.list) > 0 && &list[0] == &w.list[0] {
		return
	}
	for i := range list {
		w.before[list[i].Group] = true
		for _, h := range list[i].Handlers {
			for _, within := range listsWithin(h) {
				w.markGroups(within, named, seen)
			}
			if h, ok := h.(*caddyhttp.Invoke); ok && !seen[h.Name] {
				seen[h.Name] = true
				if route := w.server.NamedRoutes[h.Name]; route != nil {
					w.markGroups(caddyhttp.RouteList{*route}, true, seen)
				}
			}
		}
	}
}

// invoke walks a named route.
func (w *walk) invoke(name string, s state) []state {
	if w.server == nil {
		return w.fail("invoke " + name)
	}
	named, ok := w.server.NamedRoutes[name]
	if !ok {
		return nil // an error
	}
	if named == nil {
		return w.fail("invoke " + name)
	}
	// A route that invokes itself comes to the limit of depth.
	return w.routes(caddyhttp.RouteList{*named}, []state{s})
}

// intercept walks the routes of an intercept. They run when what follows has
// answered, or hasn't been asked yet for all that is known here, and nothing follows
// them.
func (w *walk) intercept(h *intercept.Intercept, s state) []state {
	w.intercepts = append(w.intercepts, h)
	w.visit(len(w.intercepts)-1, s)
	return []state{s}
}

// reconsider walks the routes of the intercepts in front once more, where something
// behind them has made a part of the request the client's again, or has used up a
// group. They get the request as it was left there.
func (w *walk) reconsider(before, after state) {
	if !after.worse(before) && after.groups == before.groups {
		return
	}
	for i := range w.intercepts {
		w.visit(i, after)
	}
}

func (w *walk) visit(i int, s state) {
	s.template = false // templates behind an intercept don't see what it answers
	h := w.intercepts[i]
	if w.again[visit{h, s}] || w.unsafe != "" {
		return
	}
	if w.again == nil {
		w.again = map[visit]bool{}
	}
	w.again[visit{h, s}] = true
	// What runs here stands behind the intercepts further in front alone.
	all := w.intercepts
	w.intercepts = all[:i:i]
	for j := range h.HandleResponse {
		w.routes(h.HandleResponse[j].Routes, []state{s})
	}
	w.intercepts = all
}

// describe names a handler that is not known.
func describe(h caddyhttp.MiddlewareHandler) string {
	id := moduleID(h)
	switch id {
	case "":
		return fmt.Sprintf("a handler of the type %T, which is not known", h)
	case "http.handlers.metrics", "http.handlers.acme_server":
		return strings.TrimPrefix(id, "http.handlers.")
	}
	return "the handler " + id + ", which is not known"
}
