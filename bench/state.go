package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// state is what revocation costs: a look-up, a change on two nodes that share a storage, and
// requests beside a node's work for it.
type state struct {
	Rules  *goBenches `json:"rules"`
	Writes []writes   `json:"writes"`
	// Quiet is a server that nothing happens to, Busy one that loads rules, takes them into
	// force and merges their objects: medians of slices of time, by turns.
	Quiet  figures `json:"quiet"`
	Busy   figures `json:"busy"`
	Loaded int     `json:"loaded"`        // rules
	Load   float64 `json:"load_seconds"`  // that loading took
	Merge  float64 `json:"merge_seconds"` // that merging took
	Slices int     `json:"slices"`        // of each
}

// writes is how long a storage takes until a revocation is acknowledged.
type writes struct {
	Storage string `json:"storage"`
	Times   int    `json:"times"`
	// P50Millis and P99Millis are of two nodes, with one revocation after the other at each.
	P50Millis float64 `json:"p50_millis"`
	P99Millis float64 `json:"p99_millis"`
	// PerSecond and WaitingP99Millis are of the same with 50 clients at each.
	PerSecond        float64 `json:"per_second"`
	WaitingP99Millis float64 `json:"waiting_p99_millis"`
}

// A run of less than three seconds a round is to see that all works.
func (b *bench) large() bool { return b.seconds >= 3 }

func (b *bench) state() (_ *state, err error) {
	s := new(state)
	if s.Rules, err = b.rules(b.large() && b.tenMillion); err != nil {
		return nil, err
	}
	shared := b.file("state-shared")
	if err := b.write(s, "files", fmt.Sprintf("storage file_system %q", shared)); err != nil {
		return nil, err
	}
	if port, redis, err := b.startRedis(); err != nil {
		return nil, err
	} else if redis != nil {
		err := b.write(s, "Redis, appendfsync always", fmt.Sprintf("storage redis {\naddress 127.0.0.1:%d\n}", port))
		_ = redis.Process.Kill()
		_ = redis.Wait()
		if err != nil {
			return nil, err
		}
	}
	return s, b.beside(s)
}

// startRedis runs a Redis that keeps what it acknowledges, if there is one.
func (b *bench) startRedis() (int, *exec.Cmd, error) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		b.say("redis-server is not installed, so changes that are stored there are not measured")
		return 0, nil, nil
	}
	port, _, err := freePorts()
	if err != nil {
		return 0, nil, err
	}
	dir, err := os.MkdirTemp(b.dir, "redis-")
	if err != nil {
		return 0, nil, err
	}
	redis := exec.CommandContext(b.ctx, "redis-server", "--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--dir", dir, "--save", "", "--appendonly", "yes", "--appendfsync", "always")
	if err := redis.Start(); err != nil {
		return 0, nil, err
	}
	for range 200 {
		if c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			return port, redis, c.Close()
		}
		time.Sleep(20 * time.Millisecond)
	}
	_ = redis.Process.Kill()
	_ = redis.Wait()
	return 0, nil, errors.New("redis-server does not answer")
}

// startNode runs a Caddy with shared state, and returns when that is ready.
func (b *bench) startNode(name, storage string) (*server, error) {
	global := storage + "\njwt {\nstate {\nsync_interval 1s\n}\n}"
	s, err := b.startCaddy(name, "http", global, fmt.Sprintf("jwt {\nissuer %s {\npublic_key %q\n}\naudience %s\n}\nrespond ok", issuer, b.keys.rsaFile, audience))
	if err != nil {
		return nil, err
	}
	for range 600 {
		res, err := client.Get(s.admin + "/jwt/status?ready")
		if err != nil {
			return nil, err
		}
		_ = res.Body.Close()
		if res.StatusCode == http.StatusOK {
			return s, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil, fmt.Errorf("%s is not ready:\n%s", name, s.log)
}

// write measures what two nodes on a storage take.
func (b *bench) write(s *state, name, storage string) error {
	nodes := make([]*server, 2)
	for i := range nodes {
		var err error
		if nodes[i], err = b.startNode(fmt.Sprintf("state-%d-%d", len(s.Writes), i), storage); err != nil {
			return err
		}
	}
	w := writes{Storage: name, Times: 2000}
	if !b.large() {
		w.Times = 100
	}
	one, _, err := b.revoke(nodes, 1, w.Times)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	many, took, err := b.revoke(nodes, 50, 5*w.Times)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	w.P50Millis, w.P99Millis = one[len(one)/2].Seconds()*1000, one[len(one)*99/100].Seconds()*1000
	w.PerSecond, w.WaitingP99Millis = float64(len(many))/took.Seconds(), many[len(many)*99/100].Seconds()*1000
	s.Writes = append(s.Writes, w)
	return b.stopServers()
}

var (
	revoking = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 200}}
	revoked  int // so that no two rules are alike
)

// revoke makes so many rules, with so many clients at each node at a time, and returns how
// long each took, sorted, and all together.
func (b *bench) revoke(nodes []*server, clients, times int) ([]time.Duration, time.Duration, error) {
	var (
		group sync.WaitGroup
		mu    sync.Mutex
		taken []time.Duration
		errs  []error
	)
	each := times / (clients * len(nodes))
	began := time.Now()
	for _, n := range nodes {
		for range clients {
			first := revoked
			revoked += each
			group.Go(func() {
				for i := range each {
					d, err := revokeOne(n.admin, first+i)
					mu.Lock()
					taken, errs = append(taken, d), append(errs, err)
					mu.Unlock()
					if err != nil {
						return
					}
				}
			})
		}
	}
	group.Wait()
	took := time.Since(began)
	slices.Sort(taken)
	return taken, took, errors.Join(errs...)
}

// revokeOne makes a rule about a token that nobody has, which must be stored.
func revokeOne(admin string, n int) (time.Duration, error) {
	body, err := json.Marshal(map[string]string{
		"kind": "jti", "value": fmt.Sprintf("%08x-0000-4000-8000-%012x", n*2654435761%(1<<32), n), "issuer": issuer, "end": time.Now().Add(time.Hour).Format(time.RFC3339),
	})
	if err != nil {
		return 0, err
	}
	began := time.Now()
	res, err := revoking.Post(admin+"/jwt/revocations", "application/json", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	answer, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err == nil && res.StatusCode != http.StatusCreated {
		err = fmt.Errorf("revoking: %s\n%s", res.Status, answer)
	}
	return time.Since(began), err
}

// beside has a server answer requests while it loads what another one has written.
func (b *bench) beside(s *state) error {
	s.Loaded, s.Slices = 30_000, 15 // a merge begins within a minute
	if !b.large() {
		s.Loaded, s.Slices = 3000, 3
	}
	writer, err := b.startNode("state-writer", fmt.Sprintf("storage file_system %q", b.file("state-written")))
	if err != nil {
		return err
	}
	if _, _, err := b.revoke([]*server{writer}, 100, s.Loaded); err != nil {
		return err
	}
	if err := b.stopServers(); err != nil {
		return err
	}
	measured := b.file("state-measured")
	quiet, err := b.startNode("state-quiet", fmt.Sprintf("storage file_system %q", b.file("state-quiet-storage")))
	if err != nil {
		return err
	}
	node, err := b.startNode("state-node", fmt.Sprintf("storage file_system %q", measured))
	if err != nil {
		return err
	}
	text, err := token(jwt.SigningMethodRS256, b.keys.rsa, 0)
	if err != nil {
		return err
	}
	c := credential{file: b.file("state-token.txt"), header: "Authorization", prefix: "Bearer "}
	if err := os.WriteFile(c.file, []byte(text+"\n"), 0o600); err != nil {
		return err
	}
	var idle, busy []sample
	for slice := range s.Slices {
		x, err := b.sampleOf(quiet, c)
		if err != nil {
			return err
		}
		if err := copyObjects(b.file("state-written"), measured, slice, s.Slices); err != nil {
			return err
		}
		y, err := b.sampleOf(node, c)
		if err != nil {
			return err
		}
		idle, busy = append(idle, x), append(busy, y)
	}
	if s.Quiet, err = summary(idle, quiet); err != nil {
		return err
	}
	if s.Busy, err = summary(busy, node); err != nil {
		return err
	}
	var page func(string) float64
	loaded := 0
	for deadline := time.Now().Add(20 * time.Second); loaded != s.Loaded; time.Sleep(100 * time.Millisecond) {
		if page, err = metricsOf(node); err != nil {
			return err
		}
		if loaded = int(page(`caddy_jwt_revocation_rules{kind="jti"}`)); loaded != s.Loaded && time.Now().After(deadline) {
			return fmt.Errorf("%d of %d rules are loaded", loaded, s.Loaded)
		}
	}
	s.Load, s.Merge = page(`caddy_jwt_state_load_seconds{set="revocations"}`), page(`caddy_jwt_state_merge_seconds{set="revocations"}`)
	return nil
}

// stateSlice is how long requests are sent to one of two servers at a time.
const stateSlice = 5 * time.Second

// sampleOf sends one token again and again.
func (b *bench) sampleOf(s *server, c credential) (sample, error) {
	before, err := s.processorTime()
	if err != nil {
		return sample{}, err
	}
	t, err := b.send(s.url, c, stateSlice)
	if err != nil {
		return sample{}, err
	}
	if t.refused > 0 {
		return sample{}, fmt.Errorf("%d of %d requests were refused", t.refused, t.requests)
	}
	after, err := s.processorTime()
	return sample{float64((after - before).Microseconds()) / float64(t.requests), t}, err
}

// copyObjects puts a part of a set's objects into another folder, each whole or not at all.
func copyObjects(from, to string, part, parts int) error {
	const set = "jwt/default/revocations"
	entries, err := os.ReadDir(filepath.Join(from, set))
	if err != nil {
		return err
	}
	for i, e := range entries {
		if i%parts != part || e.Name() == "zz-caddy-jwt-1" {
			continue
		}
		content, err := os.ReadFile(filepath.Join(from, set, e.Name()))
		if err != nil {
			return err
		}
		path := filepath.Join(to, set, e.Name())
		if err := errors.Join(os.WriteFile(path+".tmp", content, 0o600), os.Rename(path+".tmp", path)); err != nil {
			return err
		}
	}
	return nil
}

// metricsOf reads a server's metrics.
func metricsOf(s *server) (func(series string) float64, error) {
	res, err := client.Get(s.admin + "/metrics")
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	page, err := io.ReadAll(res.Body)
	return func(series string) float64 {
		m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` (\S+)$`).FindSubmatch(page)
		if m == nil {
			return 0
		}
		v, err := strconv.ParseFloat(string(m[1]), 64)
		if err != nil {
			return 0
		}
		return v
	}, err
}
