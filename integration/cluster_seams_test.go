//go:build unix

package integration

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Changes that are made while configs are replaced are made, or not answered.
func TestThreat37_ChangesDuringReloads(t *testing.T) {
	t.Parallel()
	for name, opts := range clusterStorages(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := opts(t)
			o.level = "INFO"
			n := startNode(t, o)
			n.untilReady(t, 20*time.Second)
			with := n.opts.global
			l := &ledger{rounds: map[int]*promises{}}
			stop := make(chan struct{})
			var writers sync.WaitGroup
			for w := range 4 {
				writers.Go(func() {
					for i := 0; ; i++ {
						select {
						case <-stop:
							return
						default:
						}
						jti := fmt.Sprintf("reloaded-%d-%d", w, i)
						c, err := n.revoke(jti)
						if err != nil {
							continue // the endpoint was just replaced
						}
						if c.status != http.StatusCreated || !c.kept() {
							t.Errorf("revoking: status %d, %s", c.status, c.Error)
							return
						}
						l.note(0, 1, func(p *promises) { p.revoked = append(p.revoked, jti) })
						if i%3 == 0 {
							if _, err := n.writeKey(0, i/3, l); err != nil {
								t.Error(err)
								return
							}
						}
					}
				})
			}
			// On a busy machine reloads may be faster than changes.
			for i := 0; i < 25 || i < 1000 && l.count() < 50; i++ {
				n.use(t, clusterSites, generationOptions(with, i))
			}
			close(stop)
			writers.Wait()
			running := l.lost(t, n, 0)
			n.kill()
			n.again()
			n.untilReady(t, 20*time.Second)
			t.Logf("%d changes acknowledged, %d lost, %d after the restart", l.acknowledged, running, l.lost(t, n, 0))
			if l.acknowledged < 50 {
				t.Error("too few changes to say anything")
			}
		})
	}
}

// Redis hangs: it takes connections and answers nothing. Nobody waits for it but who changes
// something, and what was begun is made though the client has gone.
func TestThreat37_ARedisThatHangs(t *testing.T) {
	t.Parallel()
	r, a, b := twoNodes(t)
	good := jtiToken(t, "good")
	key := a.mustCreateKey(t)
	a.is(t, "a key", a.withAPIKey(key.Key), accepted)
	load := a.loadAtRate(100, func(i int) exchange {
		if i%2 == 0 {
			return a.withToken(good)
		}
		return a.withAPIKey(key.Key)
	})
	if err := r.process.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	hangs := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+a.adminAddress()+"/jwt/revocations",
		strings.NewReader(`{"kind":"jti","value":"gone-away","issuer":"`+clusterIssuer+`","reason":"test"}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	if res, err := adminChanges.Do(request); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("an answer within 0.3 s, %v", err)
		if err == nil {
			_ = res.Body.Close()
		}
	}
	a.is(t, "what a client revoked that has gone", a.withToken(jtiToken(t, "gone-away")), isRevoked)
	waiting := make(chan changeAnswer, 1)
	go func() {
		c, err := a.revoke("hanging")
		if err != nil {
			t.Error(err)
		}
		waiting <- c
	}()
	a.becomes(t, "at once", time.Second, func() exchange { return a.withToken(jtiToken(t, "hanging")) }, isRevoked)
	began := time.Now()
	if s := a.set(t, "revocations"); s.Refuses {
		t.Errorf("%+v", s)
	}
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("the status took %s", took)
	}
	// Unknown keys ask the storage, and are refused whether it answers or not.
	var strangers sync.WaitGroup
	for range 50 {
		strangers.Go(func() {
			if e := a.withAPIKey("key_unknown_0123456789012345678901234567890"); e.String() != isUnknown || e.took > 3*time.Second {
				t.Errorf("an unknown key: %s after %s", e, e.took)
			}
		})
	}
	strangers.Wait()
	time.Sleep(5*time.Second - time.Since(hangs))
	if err := r.process.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	c := <-waiting
	if c.status != http.StatusCreated && c.status != http.StatusAccepted {
		t.Errorf("status %d, %s", c.status, c.Error)
	}
	t.Logf("answered %d after %s", c.status, c.took.Round(time.Millisecond))
	for _, jti := range []string{"gone-away", "hanging"} {
		b.becomes(t, jti+" on the other node", 15*time.Second, func() exchange { return b.withToken(jtiToken(t, jti)) }, isRevoked)
	}
	a.untilSet(t, "all is stored", "revocations", 15*time.Second, func(s setStatus) bool { return s.Unstored == 0 && s.Error == "" })
	all := load.stop()
	if bad := withOtherStatus(all, http.StatusOK); len(bad) > 0 {
		t.Errorf("%d of %d requests were not served, the first: %s", len(bad), len(all), bad[0])
	}
	t.Logf("%d requests, p99 %s", len(all), p99(all))
}

// Redis is away during a reload, which fails then, and back just before the node stops:
// what held on it alone is stored all the same.
func TestThreat37_AReloadAndAStopAroundAnOutage(t *testing.T) {
	t.Parallel()
	r, a, b := twoNodes(t)
	good, bad := jtiToken(t, "good"), jtiToken(t, "bad")
	with := a.opts.global
	a.mustRevoke(t, http.StatusCreated, "bad")
	stop := a.watched(t, good, bad, isRevoked)
	r.kill()
	a.mustRevoke(t, http.StatusAccepted, "away")
	if err := a.reload(generationOptions(with, 1)); err == nil {
		t.Error("a config was loaded whose storage is away")
	}
	a.is(t, "revoked while Redis is away, after a failed reload", a.withToken(jtiToken(t, "away")), isRevoked)
	c := a.mustRevoke(t, http.StatusAccepted, "away-too")
	if c.Stored == nil || *c.Stored {
		t.Errorf("%+v", c)
	}
	r.start()
	a.use(t, clusterSites, generationOptions(with, 2))
	for _, jti := range []string{"away", "away-too"} {
		a.is(t, jti+" after the reload", a.withToken(jtiToken(t, jti)), isRevoked)
		b.becomes(t, jti+" on the other node", 15*time.Second, func() exchange { return b.withToken(jtiToken(t, jti)) }, isRevoked)
	}
	stop()

	r.kill()
	a.mustRevoke(t, http.StatusAccepted, "last-words")
	r.start()
	a.stop()
	b.becomes(t, "what the stopped node alone knew", 15*time.Second, func() exchange { return b.withToken(jtiToken(t, "last-words")) }, isRevoked)
	a.again()
	a.is(t, "and itself", a.withToken(jtiToken(t, "last-words")), isRevoked)
}

// A config that moves from one Redis to another takes along what is in force.
func TestThreat37_AReloadToAnotherRedis(t *testing.T) {
	t.Parallel()
	_, a, b := twoNodes(t)
	other := startRedis(t)
	a.mustRevoke(t, http.StatusCreated, "first")
	lifted := a.mustRevoke(t, http.StatusCreated, "lifted")
	key, deleted := a.mustCreateKey(t), a.mustCreateKey(t)
	a.must(t, http.StatusOK, http.MethodDelete, "/jwt/revocations/"+lifted.ID+"?reason=test", nil)
	a.must(t, http.StatusOK, http.MethodDelete, "/jwt/api-keys/"+deleted.ID, nil)
	b.becomes(t, "the key", spread(), func() exchange { return b.withAPIKey(key.Key) }, accepted)
	stop := a.watched(t, jtiToken(t, "good"), jtiToken(t, "first"), isRevoked)
	moved := clusterOptions(t, other.option(), "")
	a.use(t, clusterSites, moved)
	a.mustRevoke(t, http.StatusCreated, "second")
	time.Sleep(3 * spread())
	stop()
	c := startNode(t, options{global: moved})
	c.untilReady(t, 20*time.Second)
	for _, n := range []*node{a, c} {
		n.is(t, "revoked before", n.withToken(jtiToken(t, "first")), isRevoked)
		n.is(t, "revoked after", n.withToken(jtiToken(t, "second")), isRevoked)
		n.is(t, "lifted before", n.withToken(jtiToken(t, "lifted")), accepted)
		n.is(t, "a key", n.withAPIKey(key.Key), accepted)
		n.is(t, "a deleted key", n.withAPIKey(deleted.Key), isUnknown)
	}
}

// A config that adds shared state and can't be started leaves nothing behind that a later
// one would stumble over. Nor does one that is only looked at.
func TestThreat37_ConfigsThatNeverRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := startStateless(t, options{global: statelessOptions(t, fileStorage(dir))})
	with := clusterOptions(t, fileStorage(dir), "")
	stop := n.watched(t, jtiToken(t, "good"), jtiToken(t, "good"), accepted)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for i := range 5 {
		n.sites = strings.Replace(clusterSites, "http://open.example.test {", fmt.Sprintf("http://open.example.test, http://open.example.test:%d {", taken.Addr().(*net.TCPAddr).Port), 1)
		if err := n.reload(generationOptions(with, i)); err == nil {
			t.Error("a config was loaded that can't be started")
		}
		if c, err := n.revoke("none"); err == nil && c.status != http.StatusConflict {
			t.Errorf("revoking: status %d; want 409", c.status)
		}
	}
	n.use(t, clusterSites, with)
	n.untilReady(t, 20*time.Second)
	n.mustRevoke(t, http.StatusCreated, "bad")
	n.is(t, "revoked", n.withToken(jtiToken(t, "bad")), isRevoked)
	stop()

	untouched := t.TempDir()
	looked := newNode(t, options{global: clusterOptions(t, fileStorage(untouched), "")})
	for _, command := range []string{"validate", "adapt"} {
		if code, text := caddyCommand(t, looked.caddyfile(snippets+looked.sites), nil, command); code != 0 {
			t.Errorf("%s: exit code %d\n%s", command, code, text)
		}
	}
	if exists(filepath.Join(untouched, "jwt")) {
		t.Error("looking at a config made a set")
	}
}

// Three nodes start at the same time, where there is no set yet.
func TestThreat37_NodesThatMakeOneSet(t *testing.T) {
	t.Parallel()
	for name, opts := range clusterStorages(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := opts(t)
			var nodes []*node
			for range 3 {
				n := newNode(t, o)
				n.begin()
				nodes = append(nodes, n)
			}
			for i, n := range nodes {
				n.waitUntilItRuns()
				jti := fmt.Sprintf("early-%d", i)
				n.eventually("it can revoke", 10*time.Second, func() bool {
					c, err := n.revoke(jti)
					return err == nil && c.kept() && c.status == http.StatusCreated
				}, func() string { return n.logs.String() })
			}
			for _, n := range nodes {
				for i := range nodes {
					jti := fmt.Sprintf("early-%d", i)
					n.becomes(t, jti, 10*time.Second, func() exchange { return n.withToken(jtiToken(t, jti)) }, isRevoked)
				}
				n.untilReady(t, 20*time.Second)
				n.is(t, "a good token", n.withToken(jtiToken(t, "good")), accepted)
			}
		})
	}
}
