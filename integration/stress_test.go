package integration

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// stressTime is how long requests with trailers are sent: STRESS_TIME, or 8 s.
func stressTime(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("STRESS_TIME")
	if text == "" {
		return 8 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("STRESS_TIME: %v", err)
	}
	return d
}

// hasty is an upstream that answers, resets or closes before it has read the body.
func hasty(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go answerEarly(conn.(*net.TCPConn))
		}
	}()
	return l.Addr().String()
}

func answerEarly(conn *net.TCPConn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	in := bufio.NewReader(conn)
	for { // the head
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		if line == "\r\n" {
			break
		}
	}
	switch rand.IntN(6) {
	case 0:
		_ = conn.SetLinger(0) // a reset
		return
	case 1:
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	case 2:
		_, _ = io.WriteString(conn, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	default:
		_, _ = io.WriteString(conn, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
	}
	_, _ = io.Copy(io.Discard, in)
}

// stressedSites are sites in which a request may end in an error while a proxy still
// reads its body.
const stressedSites = `
https://response.example.test {
	jwt {
		import issuer
		forward user X-User
	}
	reverse_proxy {$HASTY} {
		@e status 404
		handle_response @e {
			root * /nowhere
			rewrite * /{rp.status_code}.html
			file_server
		}
	}
}
https://errors.example.test {
	jwt {
		import issuer
		optional
		forward user X-User
	}
	reverse_proxy {$HASTY} {
		@e status 4xx
		handle_response @e {
			error 500
		}
	}
	handle_errors {
		reverse_proxy {$UPSTREAM}
	}
}
https://intercept.example.test {
	intercept {
		@e status 4xx
		handle_response @e {
			error 502
		}
	}
	handle {
		jwt {
			import issuer
			forward user X-User
		}
		reverse_proxy {$HASTY}
	}
	handle_errors {
		respond "{http.request.header.X-User} {err.status_code}"
	}
}
https://two.example.test {
	tracing
	jwt {
		import issuer
		forward user X-User
	}
	reverse_proxy {$HASTY} {
		@e status 404
		handle_response @e {
			jwt {
				import issuer
				forward email X-Email
			}
			error 500
		}
	}
	handle_errors {
		jwt {
			import issuer
			optional
			forward user X-User
		}
		respond "{err.status_code}"
	}
}
`

// A request whose upstream answers before its body has ended, with trailers, and whose
// answer ends in an error, must not end the process: the server fills the trailers in
// while the request is in error routes.
func TestThreat21_TrailersUnderStress(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newFixture(t, stressedSites, options{level: "ERROR", env: map[string]string{"HASTY": hasty(t)}}, k.RS256)
	token := k.RS256.Token(t, s.claims(map[string]any{"email": "a@example.test"}), nil)
	hosts := []string{"response.example.test", "errors.example.test", "intercept.example.test", "two.example.test"}
	var names []string
	for i := range 560 {
		names = append(names, fmt.Sprintf("a%d", i))
	}
	names = append(names, "X-User", "X_User")
	declared := strings.Join(names, ", ")
	var trailers strings.Builder
	for _, name := range names {
		trailers.WriteString(name + ": " + forged + "\r\n")
	}
	ctx, cancel := context.WithTimeout(t.Context(), stressTime(t))
	defer cancel()
	var wait sync.WaitGroup
	var sent, answered atomic.Int64
	configs := map[string]*tls.Config{}
	for _, host := range hosts {
		configs[host] = s.tlsConfig(host, "http/1.1")
	}
	for range 6 {
		wait.Go(func() {
			for ctx.Err() == nil {
				host := hosts[rand.IntN(len(hosts))]
				conn, err := (&tls.Dialer{NetDialer: &net.Dialer{Timeout: 5 * time.Second}, Config: configs[host]}).Dial("tcp", s.address())
				if err != nil {
					continue // the queue of the machine is full; that Caddy lives is checked at the end
				}
				_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
				sent.Add(1)
				_, _ = io.WriteString(conn, "POST /x HTTP/1.1\r\nHost: "+host+"\r\nAuthorization: Bearer "+token+"\r\nX-User: "+forged+"\r\nTransfer-Encoding: chunked\r\nTrailer: "+declared+"\r\n\r\n5\r\nhello\r\n")
				time.Sleep(time.Duration(rand.IntN(500)) * time.Microsecond)
				_, _ = io.WriteString(conn, "0\r\n"+trailers.String()+"\r\n")
				if res, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
					_, _ = io.Copy(io.Discard, res.Body)
					answered.Add(1)
				}
				_ = conn.Close()
			}
		})
	}
	client := s.client(http2)
	for range 3 {
		wait.Go(func() {
			for ctx.Err() == nil {
				reader, writer := io.Pipe()
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url(hosts[rand.IntN(len(hosts))], "/x"), reader)
				if err != nil {
					t.Error(err)
					return
				}
				r.Header.Set("Authorization", "Bearer "+token)
				r.Trailer = http.Header{}
				for _, name := range names[:200] {
					r.Trailer.Set(name, forged)
				}
				go func() {
					_, _ = io.WriteString(writer, "hello")
					time.Sleep(time.Duration(rand.IntN(500)) * time.Microsecond)
					_ = writer.Close()
				}()
				sent.Add(1)
				if res, err := client.Do(r); err == nil {
					_, _ = io.Copy(io.Discard, res.Body)
					_ = res.Body.Close()
					answered.Add(1)
				}
				_ = reader.Close()
			}
		})
	}
	wait.Wait()
	if sent.Load() < 50 || answered.Load() < sent.Load()/4 {
		t.Errorf("%d requests, %d answers", sent.Load(), answered.Load())
	}
	if a := s.send(t, s.http, http.MethodGet, "errors.example.test", "/x"); a.status == 0 {
		t.Error("Caddy does not answer any more")
	}
	if strings.Contains(s.upstream.Wire(), forged) {
		t.Error("what a client forged reached an upstream")
	}
	t.Logf("%d requests with trailers, %d answers", sent.Load(), answered.Load())
}
