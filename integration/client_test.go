package integration

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// patience is how long a client waits for an answer. On a busy machine, under the race
// detector, a wrong password alone keeps Caddy busy for many seconds.
const patience = time.Minute

// protocol is a version of HTTP.
type protocol string

const (
	http1 protocol = "HTTP/1.1"
	http2 protocol = "HTTP/2.0"
	h3    protocol = "HTTP/3.0"
)

func (c *caddy) address() string { return fmt.Sprintf("127.0.0.1:%d", c.port) }

// url is a path at one of the sites.
func (c *caddy) url(host, path string) string {
	return fmt.Sprintf("https://%s:%d%s", host, c.port, path)
}

// origin is the site as a browser names it.
func (c *caddy) origin(host string) string { return c.url(host, "") }

func (c *caddy) tlsConfig(host string, alpn ...string) *tls.Config {
	c.t.Helper()
	roots, err := c.roots()
	if err != nil {
		c.t.Fatal(err)
	}
	return &tls.Config{RootCAs: roots, ServerName: host, NextProtos: alpn}
}

// client speaks one version of HTTP and nothing else. Every host name leads to
// this Caddy.
func (c *caddy) client(version protocol) *http.Client {
	c.t.Helper()
	client := &http.Client{
		Timeout: patience,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
	if version == h3 {
		transport := &http3.Transport{
			TLSClientConfig: c.tlsConfig(""),
			Dial: func(ctx context.Context, _ string, tlsConfig *tls.Config, config *quic.Config) (*quic.Conn, error) {
				return quic.DialAddrEarly(ctx, c.address(), tlsConfig, config)
			},
		}
		c.t.Cleanup(func() { _ = transport.Close() })
		client.Transport = transport
		return client
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(version == http1)
	protocols.SetHTTP2(version == http2)
	transport := &http.Transport{
		TLSClientConfig:       c.tlsConfig(""),
		Protocols:             protocols,
		ExpectContinueTimeout: time.Second,
		DisableCompression:    true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, c.address())
		},
	}
	c.t.Cleanup(transport.CloseIdleConnections)
	client.Transport = transport
	return client
}

// answer is a response read to its end.
type answer struct {
	status int
	proto  string
	header http.Header
	body   string
}

// code is the `error` member of a refusal's body.
func (a answer) code() string {
	var body struct {
		Error string `json:"error"`
	}
	_ = json.Unmarshal([]byte(a.body), &body)
	return body.Error
}

// upstream is the echo of a request that went through.
func (a answer) upstream(t *testing.T) peers.Seen {
	t.Helper()
	var seen peers.Seen
	if err := json.Unmarshal([]byte(a.body), &seen); err != nil {
		t.Fatalf("status %d, and the body is not the upstream's: %q", a.status, a.body)
	}
	return seen
}

// change is something that a request has besides its address.
type change func(*http.Request)

func bearer(token string) change { return header("Authorization", "Bearer "+token) }

func apiKey(text string) change { return header("X-API-Key", text) }

func header(name, value string) change {
	return func(r *http.Request) { r.Header.Add(name, value) }
}

func cookie(name, value string) change {
	return func(r *http.Request) { r.AddCookie(&http.Cookie{Name: name, Value: value}) }
}

func body(text string) change {
	return func(r *http.Request) {
		r.Body = io.NopCloser(strings.NewReader(text))
		r.ContentLength = int64(len(text))
	}
}

// send makes a request over any client and reads the answer.
func (c *caddy) send(t *testing.T, client *http.Client, method, host, path string, changes ...change) answer {
	t.Helper()
	r, err := http.NewRequest(method, c.url(host, path), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range changes {
		change(r)
	}
	// Nothing sent in Authorization may be in the log, at any level.
	for _, value := range r.Header.Values("Authorization") {
		_, credential, _ := strings.Cut(value, " ")
		c.logs.forbid(strings.TrimSpace(credential))
	}
	res, err := client.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return read(t, res)
}

func read(t *testing.T, res *http.Response) answer {
	t.Helper()
	defer res.Body.Close()
	a := answer{status: res.StatusCode, proto: res.Proto, header: res.Header}
	if res.StatusCode == http.StatusSwitchingProtocols {
		return a // what follows is no body and has no end
	}
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("reading the answer: %v", err)
	}
	a.body = string(text)
	return a
}

// dial opens a TLS connection on which a test writes what no client would.
func (c *caddy) dial(t *testing.T, host string) *tls.Conn {
	t.Helper()
	dialer := &tls.Dialer{
		NetDialer: &net.Dialer{Timeout: 5 * time.Second},
		Config:    c.tlsConfig(host, "http/1.1"),
	}
	conn, err := dialer.Dial("tcp", c.address())
	if err != nil {
		t.Fatalf("dialling Caddy: %v", err)
	}
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn.(*tls.Conn)
}

// raw sends one HTTP/1.1 request byte for byte, lines ending as they are given,
// and reads one answer.
func (c *caddy) raw(t *testing.T, host, request string) answer {
	t.Helper()
	conn := c.dial(t, host)
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatalf("writing the request: %v", err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("reading the answer: %v", err)
	}
	return read(t, res)
}
