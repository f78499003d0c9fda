package integration

import (
	"bytes"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// tap is a port that leads to another one, and keeps every byte that clients send there:
// what a test says of the wire is said of these bytes.
type tap struct {
	addr string
	to   string

	mu   sync.Mutex
	sent bytes.Buffer
}

// newTap opens one in front of an address of this machine.
func newTap(t *testing.T, to string) *tap {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &tap{addr: listener.Addr().String(), to: to}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go p.pass(conn)
		}
	}()
	return p
}

func (p *tap) pass(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(io.MultiWriter(p, server), client)
		_ = server.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(client, server)
}

// Write keeps what a client sends.
func (p *tap) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sent.Write(text)
}

// take returns what clients have sent so far, and forgets it.
func (p *tap) take() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := p.sent.String()
	p.sent.Reset()
	return text
}

// port of the tap.
func (p *tap) port() string {
	_, port, _ := net.SplitHostPort(p.addr)
	return port
}

// A tap keeps what goes through it, whole: else it would prove nothing.
func TestTap(t *testing.T) {
	t.Parallel()
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() {
		conn, err := server.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.Copy(conn, conn)
	}()
	p := newTap(t, server.Addr().String())
	conn, err := net.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	text := strings.Repeat("0123456789", 20_000)
	go func() {
		_, _ = io.WriteString(conn, text)
		_ = conn.(*net.TCPConn).CloseWrite()
	}()
	back, err := io.ReadAll(conn)
	if err != nil || string(back) != text {
		t.Errorf("%d bytes came back, %v; want %d", len(back), err, len(text))
	}
	if got := p.take(); got != text {
		t.Errorf("it kept %d bytes of %d", len(got), len(text))
	}
}
