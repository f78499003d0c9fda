package service

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-jwt/caddy-jwt/tokenservice"
)

// Endpoint gives a service the requests that are for it.
type Endpoint struct {
	service *tokenservice.Service
	host    string // of the issuer, without a default port
	port    string // the default port, with a colon
	plain   bool   // whether the issuer is an http URL, of this machine
	paths   map[string]bool
}

// NewEndpoint returns the endpoint of a service with a checked issuer.
func NewEndpoint(issuer string, service *tokenservice.Service) *Endpoint {
	e := &Endpoint{service: service, port: ":443", paths: map[string]bool{}}
	if u, err := url.Parse(issuer); err == nil {
		e.host = u.Host
		if e.plain = u.Scheme == "http"; e.plain {
			e.port = ":80"
		}
	}
	for _, p := range service.Paths() {
		e.paths[p] = true
	}
	return e
}

// Host returns the host of the issuer, with its port unless that is the default.
func (e *Endpoint) Host() string { return e.host }

// Unreached returns the paths that reaches says no request comes to. Those of the keys of
// forwarded tokens count only where there are such.
func (e *Endpoint) Unreached(forward bool, reaches func(*http.Request) bool) []string {
	var list []string
	for _, p := range e.service.Paths() {
		if !forward && (strings.HasSuffix(p, "/forward") || strings.Contains(p, "/forward/")) {
			continue
		}
		method := http.MethodGet
		if strings.Contains(p, "/oauth2/") {
			method = http.MethodPost
		}
		r := &http.Request{Method: method, URL: &url.URL{Path: p}, Host: e.host, Header: http.Header{}, Body: http.NoBody, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
		if !e.plain {
			r.TLS = &tls.ConnectionState{HandshakeComplete: true}
		}
		if !reaches(r) {
			list = append(list, p)
		}
	}
	return list
}

// Path returns the path that a request is for, as the client wrote it, and whether it is
// one of the service's. A handler in front may have rewritten the URL.
func (e *Endpoint) Path(r *http.Request) (path string, ours bool) {
	if !e.isHost(r.Host) {
		return "", false
	}
	path = r.URL.EscapedPath()
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && original.URL != nil {
		path = original.URL.EscapedPath()
	}
	return path, e.paths[path]
}

// isHost reports whether a request's host is that of the issuer.
func (e *Endpoint) isHost(host string) bool {
	if len(host) == len(e.host)+len(e.port) && strings.HasSuffix(host, e.port) {
		host = host[:len(e.host)]
	}
	return strings.EqualFold(host, e.host)
}

// Serve answers a request for a path of the service.
func (e *Endpoint) Serve(w http.ResponseWriter, r *http.Request, path string) (served bool) {
	return e.service.Serve(w, asWritten(r), tokenservice.Request{Path: path, Host: e.host, Secure: e.secure(r), Client: clientOf(r)})
}

// asWritten returns a request with the URL that the client wrote. A handler in front may have
// added a query, as for a front controller, or taken out one that has a secret in it.
func asWritten(r *http.Request) *http.Request {
	original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
	if !ok || original.URL == nil || r.URL.RawQuery == original.URL.RawQuery && r.RequestURI == original.RequestURI {
		return r
	}
	written := r.WithContext(r.Context())
	written.URL, written.RequestURI = original.URL, original.RequestURI
	return written
}

// secure reports whether nobody on the way could read a request: the connection is
// encrypted, up to a trusted proxy that says so, or, where the issuer is this machine, of
// this machine.
func (e *Endpoint) secure(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	// The ranges of trusted proxies often have this machine in them, which asks directly
	// too.
	if trusted && !(e.plain && direct(r.Header)) {
		// More than one, or a list, would be of several proxies, of which only the
		// last is trusted.
		proto := r.Header.Values("X-Forwarded-Proto")
		return len(proto) == 1 && strings.EqualFold(proto[0], "https")
	}
	if !e.plain {
		return false
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && from.Addr().Unmap().IsLoopback()
}

// direct reports whether no proxy says that it has forwarded a request.
func direct(h http.Header) bool {
	for _, name := range [...]string{"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip"} {
		if len(h[name]) > 0 {
			return false
		}
	}
	return true
}

// clientOf returns the client's address, as far as proxies are trusted.
func clientOf(r *http.Request) netip.Addr {
	text, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	if text == "" {
		text, _, _ = net.SplitHostPort(r.RemoteAddr)
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}
