package explain

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"golang.org/x/net/http/httpguts"
)

// asked is a question, read.
type asked struct {
	*Question
	method string
	uri    *url.URL    // path and query, as a server gets them
	scheme string      // of a whole URL; else empty
	host   string      // of a whole URL, without the port; else empty
	port   string      // of a whole URL, and else of the site; empty if neither has one
	site   string      // the site as it is asked for, without scheme and port
	header http.Header // with canonical names, without Host
	toHost string      // the header Host; else empty
	remote string      // with a port
}

// readQuestion reads a question, with the defaults that Question has.
func readQuestion(q *Question) (*asked, error) {
	a := &asked{Question: q, method: strings.ToUpper(q.Method), header: http.Header{}}
	switch {
	case a.method != "":
	case q.Body != nil:
		a.method = http.MethodPost
	default:
		a.method = http.MethodGet
	}
	if !httpguts.ValidHeaderFieldName(a.method) {
		return nil, fmt.Errorf("%q is no method; write one such as POST", q.Method)
	}
	if err := a.readURI(); err != nil {
		return nil, err
	}
	for name, values := range q.Header {
		if !httpguts.ValidHeaderFieldName(name) {
			return nil, fmt.Errorf("%q is no name of a header; write one such as X-API-Key", name)
		}
		for _, value := range values {
			if !httpguts.ValidHeaderFieldValue(value) {
				return nil, fmt.Errorf("the header %s has a character that no header can have; write it on one line", name)
			}
		}
		name = http.CanonicalHeaderKey(name)
		if name == "Host" {
			if len(values) > 0 {
				a.toHost = values[0]
			}
			continue
		}
		a.header[name] = append(a.header[name], values...)
	}
	return a, a.readSiteAndRemote()
}

// readURI reads a path with a query, or a whole URL.
func (a *asked) readURI() error {
	text := a.URI
	if text == "" {
		text = "/"
	}
	u, err := url.ParseRequestURI(text)
	if err != nil || !strings.HasPrefix(text, "/") && text != "*" && (u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		return errors.New("the URI is neither a path nor a URL; write a path such as /orders?id=1, or a URL such as https://api.example.com/orders")
	}
	if strings.HasPrefix(text, "/") || text == "*" {
		a.uri = u
		return nil
	}
	a.scheme, a.host, a.port = u.Scheme, u.Hostname(), u.Port()
	if a.port == "" {
		a.port = defaultPort(u.Scheme)
	}
	a.uri = &url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery, ForceQuery: u.ForceQuery}
	if a.uri.Path == "" {
		a.uri.Path = "/"
	}
	return nil
}

func defaultPort(scheme string) string {
	if scheme == "http" {
		return strconv.Itoa(caddyhttp.DefaultHTTPPort)
	}
	return strconv.Itoa(caddyhttp.DefaultHTTPSPort)
}

func (a *asked) readSiteAndRemote() error {
	a.site = a.Site
	if scheme, rest, ok := strings.Cut(a.site, "://"); ok { // as a Caddyfile has it
		a.site, _, _ = strings.Cut(rest, "/")
		if !strings.Contains(a.site, ":") && a.port == "" {
			a.port = defaultPort(scheme)
		}
	}
	if host, port, err := net.SplitHostPort(a.site); err == nil && !strings.ContainsAny(a.site, ", ") {
		a.site = host
		if a.port == "" || port != "" {
			a.port = port
		}
	}
	a.remote = a.Remote
	if a.remote == "" {
		a.remote = "127.0.0.1"
	}
	if net.ParseIP(strings.Trim(a.remote, "[]")) != nil {
		a.remote = net.JoinHostPort(strings.Trim(a.remote, "[]"), "49152") // a port such as clients have
	}
	if host, _, err := net.SplitHostPort(a.remote); err != nil || net.ParseIP(host) == nil {
		return fmt.Errorf("%q is no address of a client; write an IP address such as 192.0.2.1", a.Remote)
	}
	return nil
}

// hostAsked is the host that the request is for, as far as the question says.
func (a *asked) hostAsked() string {
	if a.toHost != "" {
		return withoutPort(a.toHost)
	}
	return a.host
}

func withoutPort(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		return h
	}
	return strings.Trim(host, "[]")
}

// request makes the request as the server of a target gets it.
func (a *asked) request(ctx context.Context, w http.ResponseWriter, t *target) *http.Request {
	u := *a.uri
	r := &http.Request{
		Method: a.method, URL: &u, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: http.NoBody, Host: t.host, RemoteAddr: a.remote, RequestURI: u.RequestURI(),
	}
	maps.Copy(r.Header, a.header.Clone())
	if a.Body != nil {
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(a.Body)), int64(len(a.Body))
		r.Header["Content-Length"] = []string{strconv.Itoa(len(a.Body))}
		if len(r.Header["Content-Type"]) == 0 {
			r.Header["Content-Type"] = []string{"application/json"}
		}
	}
	if t.tls {
		r.TLS = &tls.ConnectionState{Version: tls.VersionTLS13, HandshakeComplete: true, ServerName: t.serverName, NegotiatedProtocol: "http/1.1"}
	}
	port, _ := strconv.Atoi(t.port)
	ctx = context.WithValue(ctx, http.LocalAddrContextKey, net.Addr(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}))
	return caddyhttp.PrepareRequest(r.WithContext(ctx), caddy.NewReplacer(), w, t.server)
}

// shownURI is the URI without the values of credentials.
func (t *target) shownURI(a *asked) string {
	uri := a.uri.RequestURI()
	for _, site := range t.sites {
		for _, h := range site.Handlers {
			uri = h.Handler.(Explainer).CleanURI(uri)
		}
	}
	return hide(uri, a.Credential)
}

// isCredential reports whether the value of a parameter is the credential, or a token.
func isCredential(value, credential string) bool {
	plain, err := url.QueryUnescape(value)
	if err != nil {
		plain = value
	}
	const token = "eyJ" // how the header of a JWT begins, {" in base64
	return credential != "" && strings.Contains(plain, credential) || strings.HasPrefix(plain, token)
}
