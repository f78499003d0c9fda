package integration

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// redisProxy stands between a Caddy and its Redis. While it is shut it ends the connection
// at the first command about the shared state, so that the plugin finds a Redis that is
// there when it starts, and that is gone a moment later.
type redisProxy struct {
	port int
	shut atomic.Bool
	gone atomic.Bool // nothing gets through any more

	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

func startRedisProxy(t *testing.T, r *redisServer) *redisProxy {
	t.Helper()
	p := &redisProxy{port: peers.FreePort(t), conns: map[net.Conn]struct{}{}}
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p.port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = listener.Close()
		p.drop()
	})
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go p.serve(conn, r.port)
		}
	}()
	return p
}

func (p *redisProxy) option() string {
	return fmt.Sprintf("storage redis {\n\t\taddress 127.0.0.1:%d\n\t}", p.port)
}

func (p *redisProxy) serve(conn net.Conn, port int) {
	defer conn.Close()
	if p.gone.Load() {
		return
	}
	server, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return
	}
	defer server.Close()
	p.mu.Lock()
	p.conns[conn] = struct{}{}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.conns, conn)
		p.mu.Unlock()
	}()
	go func() {
		defer conn.Close()
		buffer := make([]byte, 32<<10)
		for {
			n, err := server.Read(buffer)
			if n > 0 {
				if _, err := conn.Write(buffer[:n]); err != nil {
					return
				}
			}
			if err != nil {
				return
			}
		}
	}()
	buffer := make([]byte, 32<<10)
	for {
		n, err := conn.Read(buffer)
		if p.shut.Load() && bytes.Contains(buffer[:n], []byte("jwt/")) {
			p.gone.Store(true)
			p.drop()
		}
		if err != nil || p.gone.Load() {
			return
		}
		if _, err := server.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// close ends what is open and lets nothing through but what comes before the next command
// about the shared state.
func (p *redisProxy) close() { p.shut.Store(true) }

// open lets everything through.
func (p *redisProxy) open() {
	p.shut.Store(false)
	p.gone.Store(false)
}

func (p *redisProxy) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		_ = conn.Close()
	}
}

// A node that can't read the state knows of no rule, which is not that there are none.
func TestThreat37_AFolderThatCantBeRead(t *testing.T) {
	t.Parallel()
	for _, onStale := range []string{"deny", "serve"} {
		t.Run(onStale, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			n := startNode(t, options{global: clusterOptions(t, fileStorage(dir), "on_stale "+onStale)})
			n.untilReady(t, 20*time.Second)
			n.mustRevoke(t, http.StatusCreated, "bad")
			good, bad := jtiToken(t, "good"), jtiToken(t, "bad")
			folder := filepath.Join(dir, "jwt", "default", "revocations")
			away := filepath.Join(dir, "away")

			// While it runs, it goes on with what it has.
			hide := func() {
				if err := os.Rename(folder, away); err != nil {
					t.Fatal(err)
				}
				writeFile(t, folder, "no folder") // rights are not asked of root
			}
			show := func() {
				removeFile(t, folder)
				if err := os.Rename(away, folder); err != nil {
					t.Fatal(err)
				}
			}
			hide()
			n.untilSet(t, "it fails", "revocations", 10*time.Second, func(s setStatus) bool { return s.Error != "" })
			n.is(t, "a good token, the folder unreadable", n.withToken(good), accepted)
			n.is(t, "a revoked token, the folder unreadable", n.withToken(bad), isRevoked)

			mark := n.logs.mark()
			n.kill()
			n.again()
			n.is(t, "a good token after the start", n.withToken(good), unavailable)
			n.is(t, "a revoked token after the start", n.withToken(bad), unavailable)
			n.is(t, "a site without jwt", n.send("open.example.test"), accepted)
			if s := n.set(t, "revocations"); s.Ready || s.Loaded || !s.Refuses || s.Error == "" {
				t.Errorf("%+v", s)
			}
			if a, err := n.adminDo(http.MethodGet, "/jwt/status?ready", 5*time.Second); err != nil || a.status != http.StatusServiceUnavailable {
				t.Errorf("GET /jwt/status?ready: %d, %v; want 503", a.status, err)
			}
			if n.logged(mark, "can't be loaded") == 0 {
				t.Error("no line of the log says that the state can't be loaded")
			}
			show()
			n.becomes(t, "a good token, the folder readable again", spread(), func() exchange { return n.withToken(good) }, accepted)
			n.is(t, "a revoked token, the folder readable again", n.withToken(bad), isRevoked)
			if a, err := n.adminDo(http.MethodGet, "/jwt/status?ready", 5*time.Second); err != nil || a.status != http.StatusOK {
				t.Errorf("GET /jwt/status?ready: %d, %v; want 200", a.status, err)
			}
		})
	}
}

// Redis answers the plugin's first questions and is gone when the state is read.
func TestThreat37_RedisGoesAwayDuringTheStart(t *testing.T) {
	t.Parallel()
	need(t, redisPlugin)
	for _, onStale := range []string{"deny", "serve"} {
		t.Run(onStale, func(t *testing.T) {
			t.Parallel()
			r := startRedis(t)
			p := startRedisProxy(t, r)
			n := startNode(t, options{global: clusterOptions(t, p.option(), "on_stale "+onStale)})
			n.untilReady(t, 20*time.Second)
			n.mustRevoke(t, http.StatusCreated, "bad")
			key, off := n.mustCreateKey(t), n.mustCreateKey(t)
			n.must(t, http.StatusOK, http.MethodPatch, "/jwt/api-keys/"+off.ID, map[string]any{"enabled": false})
			good, bad, late := jtiToken(t, "good"), jtiToken(t, "bad"), jtiToken(t, "late")
			time.Sleep(2 * syncInterval) // the mirror gets what the storage has after a sync

			// What holds on this node alone is in its mirror too.
			p.close()
			n.mustRevoke(t, http.StatusAccepted, "late")
			n.is(t, "revoked while Redis is away", n.withToken(late), isRevoked)
			n.kill()

			p.open()
			p.close()
			n.again()
			want := map[string]string{good: unavailable, bad: unavailable, late: unavailable}
			keyWant, offWant := "503 api_keys_unavailable", "503 api_keys_unavailable"
			if onStale == "serve" {
				want = map[string]string{good: accepted, bad: isRevoked, late: isRevoked}
				keyWant, offWant = accepted, isDisabled
			}
			all := func() {
				t.Helper()
				for name, token := range map[string]string{"a good token": good, "a revoked token": bad, "a token revoked while Redis was away": late} {
					n.is(t, name, n.withToken(token), want[token])
				}
				n.is(t, "a key", n.withAPIKey(key.Key), keyWant, "503 revocations_unavailable")
				n.is(t, "a disabled key", n.withAPIKey(off.Key), offWant, "503 revocations_unavailable")
			}
			all()
			n.is(t, "a site without jwt", n.send("open.example.test"), accepted)

			// Another node, which has no mirror, serves nothing.
			way := startRedisProxy(t, r)
			way.close()
			fresh := startNode(t, options{global: clusterOptions(t, way.option(), "on_stale "+onStale)})
			fresh.is(t, "a good token on a node without a mirror", fresh.withToken(good), unavailable)
			fresh.is(t, "a revoked token on a node without a mirror", fresh.withToken(bad), unavailable)

			p.open()
			way.open()
			want = map[string]string{good: accepted, bad: isRevoked, late: isRevoked}
			keyWant, offWant = accepted, isDisabled
			n.becomes(t, "Redis is back", 15*time.Second, func() exchange { return n.withToken(good) }, accepted)
			n.untilReady(t, 15*time.Second)
			all()
			// What this node alone knew reaches the others.
			fresh.becomes(t, "Redis is back, on the other node", 15*time.Second, func() exchange { return fresh.withToken(bad) }, isRevoked)
			fresh.becomes(t, "what the killed node alone knew", 15*time.Second, func() exchange { return fresh.withToken(late) }, isRevoked)
		})
	}
}
