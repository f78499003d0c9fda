package routes

import (
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// proxy walks a reverse proxy. It makes a page if the upstream gets a GET for a path
// and a query that the site chose, and no header from which it could take another.
func (w *walk) proxy(h *reverseproxy.Handler, s state) []state {
	if _, ok := h.Transport.(*reverseproxy.HTTPTransport); !ok {
		// FastCGI gets the original URI as REQUEST_URI, whatever was rewritten: a
		// front controller serves that.
		if id := moduleID(h.Transport); id != "http.reverse_proxy.transport.fastcgi" {
			return w.fail("reverse_proxy with the transport " + strings.TrimPrefix(id, "http.reverse_proxy.transport."))
		}
		return w.fail("php_fastcgi")
	}
	// Its own rewrite is for the upstream alone.
	sent := s
	if h.Rewrite != nil {
		sent = w.rewrite(h.Rewrite, s)
	}
	switch {
	case !sent.path:
		return w.fail("reverse_proxy by the request's own path")
	case !sent.get:
		return w.fail("reverse_proxy with the request's own method")
	case !sent.query:
		return w.fail("reverse_proxy with the request's own query")
	case !s.own || h.Headers != nil && h.Headers.Request != nil && !w.keepsQuiet(h.Headers.Request, s):
		return w.fail("reverse_proxy with a header that may hold the request's own path")
	case !chosenUpstreams(h):
		return w.fail("reverse_proxy to an upstream that the request chooses")
	}
	if h.CB != nil {
		return w.fail("reverse_proxy with the circuit breaker " + moduleID(h.CB) + ", which is not known")
	}
	if lb := h.LoadBalancing; lb != nil {
		if lb.SelectionPolicy != nil && !strings.HasPrefix(typeName(lb.SelectionPolicy), caddyHTTP+"/reverseproxy.") {
			return w.fail("reverse_proxy with the policy " + moduleID(lb.SelectionPolicy) + ", which is not known")
		}
		// Its matchers may include one for files, which leaves behind what it found.
		s.file = s.file && len(lb.RetryMatch) == 0
	}
	// The routes for answers get the request that came, and what follows the proxy
	// follows them.
	var out []state
	for i := range h.HandleResponse {
		if rh := &h.HandleResponse[i]; rh.StatusCode == "" {
			for _, after := range w.routes(rh.Routes, []state{s}) {
				out = w.add(out, after)
			}
		}
		if w.unsafe != "" {
			return nil
		}
	}
	return out
}

// chosenUpstreams reports whether the site alone says where requests go.
func chosenUpstreams(h *reverseproxy.Handler) bool {
	for _, u := range h.Upstreams {
		if u == nil || !every(u.Dial, isSetting) {
			return false
		}
	}
	switch d := h.DynamicUpstreams.(type) {
	case nil:
		return true
	case *reverseproxy.SRVUpstreams:
		return every(d.Service, isSetting) && every(d.Proto, isSetting) && every(d.Name, isSetting)
	case *reverseproxy.AUpstreams:
		return every(d.Name, isSetting) && every(d.Port, isSetting)
	}
	return false
}
