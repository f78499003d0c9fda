package peers

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/fcgi"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// Seen is one request as it reached an upstream.
type Seen struct {
	Method  string
	URI     string
	Proto   string
	Host    string
	Header  http.Header
	Trailer http.Header
	Body    string
	// Env are the FastCGI parameters that net/http/fcgi did not turn into parts
	// of the request.
	Env map[string]string
}

// Upstream records every request and answers with it as JSON.
type Upstream struct {
	// Addr is host:port, as reverse_proxy and php_fastcgi take it.
	Addr string

	mu   sync.Mutex
	seen []Seen
	wire bytes.Buffer
}

// NewUpstream starts an HTTP upstream.
func NewUpstream(t testing.TB) *Upstream {
	t.Helper()
	u := &Upstream{}
	server := httptest.NewUnstartedServer(u)
	server.Listener = u.tap(server.Listener)
	server.Start()
	u.Addr = server.Listener.Addr().String()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return u
}

// NewFastCGI starts a FastCGI responder.
func NewFastCGI(t testing.TB) *Upstream {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("starting the FastCGI responder: %v", err)
	}
	u := &Upstream{Addr: listener.Addr().String()}
	go func() { _ = fcgi.Serve(u.tap(listener), u) }()
	t.Cleanup(func() { _ = listener.Close() })
	return u
}

// Take returns the requests since the last call.
func (u *Upstream) Take() []Seen {
	u.mu.Lock()
	defer u.mu.Unlock()
	seen := u.seen
	u.seen = nil
	return seen
}

// Wire is every byte that reached the upstream so far: what must not arrive is
// looked for there, so that no field of a request can be forgotten.
func (u *Upstream) Wire() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.wire.String()
}

// ServeHTTP records and echoes.
func (u *Upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		u.record(r, "")
		upgrade(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	seen := u.record(r, string(body))
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(seen)
}

func (u *Upstream) record(r *http.Request, body string) Seen {
	seen := Seen{
		Method:  r.Method,
		URI:     r.RequestURI,
		Proto:   r.Proto,
		Host:    r.Host,
		Header:  r.Header.Clone(),
		Trailer: r.Trailer.Clone(),
		Body:    body,
		Env:     fcgi.ProcessEnv(r),
	}
	if seen.URI == "" { // FastCGI leaves it empty
		seen.URI = r.URL.RequestURI()
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.seen = append(u.seen, seen)
	return seen
}

// upgrade answers a WebSocket handshake (RFC 6455 §4.2.2) and echoes the bytes
// that follow; nothing between the ends parses frames.
func upgrade(w http.ResponseWriter, r *http.Request) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer conn.Close()
	digest := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	_, err = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Accept: "+base64.StdEncoding.EncodeToString(digest[:])+"\r\n\r\n")
	if err == nil {
		_, _ = io.Copy(conn, buffered)
	}
}

func (u *Upstream) tap(listener net.Listener) net.Listener {
	return &tappedListener{Listener: listener, upstream: u}
}

type tappedListener struct {
	net.Listener
	upstream *Upstream
}

func (l *tappedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &tappedConn{Conn: conn, upstream: l.upstream}, nil
}

type tappedConn struct {
	net.Conn
	upstream *Upstream
}

func (c *tappedConn) Read(into []byte) (int, error) {
	n, err := c.Conn.Read(into)
	c.upstream.mu.Lock()
	c.upstream.wire.Write(into[:n])
	c.upstream.mu.Unlock()
	return n, err
}
