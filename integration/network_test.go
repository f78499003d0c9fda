package integration

import (
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// countingProxy is a proxy that only counts who asks it for what.
type countingProxy struct {
	addr string

	mu    sync.Mutex
	asked []string
}

func newCountingProxy(t *testing.T) *countingProxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	c := &countingProxy{addr: listener.Addr().String()}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
			request := make([]byte, 512)
			n, _ := conn.Read(request)
			line, _, _ := strings.Cut(string(request[:n]), "\r\n")
			c.mu.Lock()
			c.asked = append(c.asked, line)
			c.mu.Unlock()
			_, _ = io.WriteString(conn, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			_ = conn.Close()
		}
	}()
	return c
}

func (c *countingProxy) requests() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.asked...)
}

func (c *countingProxy) environment(more map[string]string) map[string]string {
	env := map[string]string{"HTTPS_PROXY": "http://" + c.addr, "HTTP_PROXY": "http://" + c.addr}
	for name, value := range more {
		env[name] = value
	}
	return env
}

const distantIssuer = `
https://api.example.test {
	jwt https://issuer.example.test https://api.example.test
	respond "in"
}
`

// A config is checked on machines that reach nothing, and a broken issuer is no
// fault of the config.
func TestValidateMakesNoConnection(t *testing.T) {
	t.Parallel()
	proxy := newCountingProxy(t)
	issuer := peers.NewKeyServer(t, peers.NewCA(t))
	nearIssuer := `
https://api.example.test {
	jwt {
		issuer {$ISSUER} {
			ca {$CA}
		}
		issuer https://other.example.test {
			jwks_url {$ISSUER}/jwks.json
			ca {$CA}
		}
		audience https://api.example.test
	}
}
`
	env := proxy.environment(map[string]string{"ISSUER": issuer.URL, "CA": issuer.CA.File})
	for name, config := range map[string]string{"an issuer nearby": nearIssuer, "a distant issuer": distantIssuer} {
		for _, command := range []string{"validate", "adapt"} {
			t.Run(command+" of "+name, func(t *testing.T) {
				if code, output := caddyCommand(t, config, env, command); code != 0 {
					t.Errorf("exit code %d\n%s", code, output)
				}
			})
		}
	}
	if n := issuer.Dials(); n != 0 {
		t.Errorf("the issuer was dialled %d times", n)
	}
	if asked := proxy.requests(); len(asked) != 0 {
		t.Errorf("the proxy was asked: %q", asked)
	}

	t.Run("a running server asks the proxy, so that it would have counted", func(t *testing.T) {
		k := keys(t)
		s := newFixture(t, distantIssuer, options{env: env}, k.RS256)
		token := k.RS256.Token(t, peers.Claims("https://issuer.example.test", audience, nil), nil)
		if a := s.get(t, site, token); a.status != http.StatusServiceUnavailable {
			t.Errorf("status %d; want 503", a.status)
		}
		s.eventually("the proxy is asked", 5*time.Second, func() bool {
			return len(proxy.requests()) > 0
		}, func() string { return "nothing came" })
		if line := proxy.requests()[0]; !strings.HasPrefix(line, "CONNECT issuer.example.test:443") {
			t.Errorf("it was asked: %q", line)
		}
	})
}
