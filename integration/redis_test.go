package integration

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	caddycore "github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"
	storageredis "github.com/pberkel/caddy-storage-redis"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
	"github.com/caddy-jwt/caddy-jwt/internal/replica"
)

// redisServer is a Redis of the test's own. It syncs what it acknowledges: with the default,
// once a second, it loses up to two seconds even if only its process ends.
type redisServer struct {
	t       *testing.T
	port    int
	dir     string
	process *exec.Cmd
	log     *logBook

	open    sync.Once
	storage certmagic.Storage // as a Caddy has it by default, once it was asked for
}

// startRedis runs one until the end of the test.
func startRedis(t *testing.T) *redisServer {
	t.Helper()
	need(t, redis)
	r := &redisServer{t: t, port: peers.FreePort(t), dir: t.TempDir()}
	r.start()
	t.Cleanup(r.kill)
	return r
}

// start runs it on the data that there is, and returns once it answers.
func (r *redisServer) start() {
	r.t.Helper()
	r.log = &logBook{}
	r.process = exec.Command("redis-server", "--port", strconv.Itoa(r.port), "--bind", "127.0.0.1",
		"--dir", r.dir, "--appendonly", "yes", "--appendfsync", "always", "--save", "")
	r.process.SysProcAttr = childAttributes()
	r.process.Stdout, r.process.Stderr = r.log, r.log
	if err := r.process.Start(); err != nil {
		r.t.Fatalf("starting Redis: %v", err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		answer, err := r.ask("PING")
		if err == nil && answer == "+PONG" {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("Redis does not answer: %q, %v\n%s", answer, err, r.log)
		}
	}
}

// kill ends it without any warning, if it runs.
func (r *redisServer) kill() {
	_ = r.process.Process.Kill() // it may have been killed before
	_ = r.process.Wait()
}

// flush takes all that it holds away.
func (r *redisServer) flush() {
	r.t.Helper()
	r.do("FLUSHALL")
}

// do gives it a command whose arguments have no spaces.
func (r *redisServer) do(command string) {
	r.t.Helper()
	if answer, err := r.ask(command); err != nil || strings.HasPrefix(answer, "-") {
		r.t.Fatalf("%s: %q, %v\n%s", command, answer, err, r.log)
	}
}

// ask returns the first line of the answer to a command.
func (r *redisServer) ask(command string) (string, error) {
	conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", r.port), 5*time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second)) // fails only where there are none
	if _, err := fmt.Fprintf(conn, "%s\r\n", command); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	return strings.TrimRight(line, "\r\n"), err
}

// option is the global option that makes it the storage of a Caddy; options.redis adds it.
func (r *redisServer) option() string {
	return fmt.Sprintf("storage redis {\n\t\taddress 127.0.0.1:%d\n\t}", r.port)
}

// load reads what a Caddy has stored in it.
func (r *redisServer) load(key string) ([]byte, error) {
	r.open.Do(func() { r.storage = r.newStorage(nil) })
	return r.storage.Load(context.Background(), key)
}

// newStorage is the plugin's storage in it, as a Caddy has it, with other settings if
// change makes some.
func (r *redisServer) newStorage(change func(*storageredis.RedisStorage)) certmagic.Storage {
	r.t.Helper()
	s := storageredis.New()
	s.Address = []string{fmt.Sprintf("127.0.0.1:%d", r.port)}
	if change != nil {
		change(s)
	}
	ctx, cancel := caddycore.NewContext(caddycore.Context{Context: context.Background()})
	r.t.Cleanup(cancel)
	if err := s.Provision(ctx); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = s.Cleanup() })
	return s
}

const (
	redisFolder = "jwt/default/revocations"
	redisMarker = "zz-caddy-jwt-1"
)

// redisNames compares what is in a folder.
func redisNames(t *testing.T, o replica.Objects, want ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if got, err := o.List(ctx); err != nil || !slices.Equal(got, want) {
		t.Errorf("listed %q, %v; want %q", got, err, want)
	}
}

func TestAFolderInRedis(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	large := bytes.Repeat([]byte("0123456789abcdef"), 16<<10) // 256 KiB
	for name, change := range map[string]func(*storageredis.RedisStorage){
		"as it is by default": func(s *storageredis.RedisStorage) { s.KeyPrefix = "a" },
		"with compression":    func(s *storageredis.RedisStorage) { s.KeyPrefix, s.Compression = "b", storageredis.CompressionZlib },
		"with encryption": func(s *storageredis.RedisStorage) {
			s.KeyPrefix, s.EncryptionKey = "c", strings.Repeat("k", 32)
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := context.Background()
			storage := r.newStorage(change)
			o, beside := replica.Folder(storage, redisFolder), replica.Folder(storage, redisFolder+"-old")
			redisNames(t, o)
			if err := o.Probe(ctx); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a probe of nothing: %v", err)
			}
			for _, name := range []string{redisMarker, "2-b", "1-a"} {
				if err := errors.Join(o.Store(ctx, name, large), beside.Store(ctx, "x"+name, large)); err != nil {
					t.Fatal(err)
				}
			}
			redisNames(t, o, "1-a", "2-b", redisMarker)
			for _, name := range []string{"1-a", "2-b", redisMarker} {
				if got, err := o.Load(ctx, name); err != nil || !bytes.Equal(got, large) {
					t.Errorf("%s: %d bytes, %v", name, len(got), err)
				}
			}
			if err := errors.Join(o.Probe(ctx), o.Delete(ctx, "1-a"), o.Delete(ctx, "1-a"), o.Delete(ctx, "9-none")); err != nil {
				t.Error(err)
			}
			redisNames(t, o, "2-b", redisMarker)
			if _, err := o.Load(ctx, "1-a"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("what was deleted: %v", err)
			}
			redisNames(t, beside, "x1-a", "x2-b", "x"+redisMarker)
		})
	}
}

// A Store that is killed between its two steps leaves a name without content.
func TestANameWithoutContentInRedis(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	ctx := context.Background()
	o := replica.Folder(r.newStorage(nil), redisFolder)
	if err := o.Store(ctx, redisMarker, []byte("marker")); err != nil {
		t.Fatal(err)
	}
	r.do("ZADD caddy/" + redisFolder + " 1 1-ghost")
	redisNames(t, o, "1-ghost", redisMarker)
	if _, err := o.Load(ctx, "1-ghost"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("loading it: %v", err)
	}
	if err := o.Delete(ctx, "1-ghost"); err != nil {
		t.Error(err)
	}
	redisNames(t, o, redisMarker)

	// An index that has lost the marker is no empty folder.
	r.do("DEL caddy/" + redisFolder)
	if names, err := o.List(ctx); !errors.Is(err, replica.ErrIncomplete) {
		t.Errorf("without an index: %q, %v", names, err)
	}
	// One without anything is.
	r.flush()
	redisNames(t, o)
}

func TestARedisThatIsDownIsNotEmpty(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	o := replica.Folder(r.newStorage(nil), redisFolder)
	for _, name := range []string{redisMarker, "1-a"} {
		if err := o.Store(ctx, name, []byte("A")); err != nil {
			t.Fatal(err)
		}
	}
	down := func(when string, ctx context.Context) {
		t.Helper()
		var calls sync.WaitGroup // at once, as each waits for the plugin's own attempts
		for method, call := range map[string]func() error{
			"List":   func() error { _, err := o.List(ctx); return err },
			"Load":   func() error { _, err := o.Load(ctx, "1-a"); return err },
			"Probe":  func() error { return o.Probe(ctx) },
			"Store":  func() error { return o.Store(ctx, "1-b", []byte("B")) },
			"Delete": func() error { return o.Delete(ctx, "1-a") },
		} {
			calls.Go(func() {
				// The plugin's own Load says that it does not exist.
				if err := call(); err == nil || errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s: %s: %v", when, method, err)
				}
			})
		}
		calls.Wait()
	}
	r.kill()
	down("killed", ctx)
	r.start()
	answers(t, o)
	redisNames(t, o, "1-a", redisMarker)
	if got, err := o.Load(ctx, "1-a"); err != nil || string(got) != "A" {
		t.Errorf("after it was killed: %q, %v", got, err)
	}

	// It hangs, and the plugin does not mind the context.
	r.do("CLIENT PAUSE 2000 ALL")
	short, end := context.WithTimeout(ctx, 300*time.Millisecond)
	defer end()
	began := time.Now()
	down("hanging", short)
	if took := time.Since(began); took > 1500*time.Millisecond {
		t.Errorf("calls with 0.3 s took %s", took)
	}
	answers(t, o)
}

// answers waits for the plugin to notice that Redis is back, which it looks for once a
// second.
func answers(t *testing.T, o replica.Objects) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for {
		err := o.Probe(ctx)
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("Redis is back, but: %v", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestWhatRedisAcknowledgedSurvivesItsKilling(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	o := replica.Folder(r.newStorage(nil), redisFolder)
	if err := o.Store(ctx, redisMarker, []byte("marker")); err != nil {
		t.Fatal(err)
	}
	var (
		mu           sync.Mutex
		acknowledged []string
		writers      sync.WaitGroup
		enough       = make(chan struct{})
	)
	for w := range 4 {
		writers.Go(func() {
			for n := 0; ; n++ {
				name := fmt.Sprintf("%d-%d", n, w)
				if o.Store(ctx, name, []byte(name)) != nil {
					return // it is killed
				}
				mu.Lock()
				if acknowledged = append(acknowledged, name); len(acknowledged) == 200 {
					close(enough)
				}
				mu.Unlock()
			}
		})
	}
	<-enough
	r.kill()
	writers.Wait()
	r.start()
	answers(t, o)
	names, err := o.List(ctx)
	if err != nil || !slices.Contains(names, redisMarker) {
		t.Fatalf("%d names, %v", len(names), err)
	}
	for _, name := range acknowledged {
		if got, err := o.Load(ctx, name); err != nil || string(got) != name || !slices.Contains(names, name) {
			t.Errorf("%s: listed %t, %q, %v", name, slices.Contains(names, name), got, err)
		}
	}
}

func TestACaddyKeepsItsStorageInRedis(t *testing.T) {
	t.Parallel()
	need(t, redisPlugin)
	r := startRedis(t)
	c := startCaddy(t, "https://api.example.test {\n\trespond ok\n}", options{redis: r})
	if _, err := r.load("certificates/local/api.example.test/api.example.test.key"); err != nil {
		t.Error(err)
	}
	if exists(c.dataFile("certificates")) {
		t.Error("there are certificates in files too")
	}
	c.restart(func() { r.kill(); r.start() })
}
