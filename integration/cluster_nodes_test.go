package integration

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// spread is how long what one node knows may take to the others: the interval and a second,
// and more where the race detector makes everything slow.
func spread() time.Duration {
	if raceEnabled {
		return syncInterval + 5*time.Second
	}
	return syncInterval + time.Second
}

// twoNodes are two Caddys on one Redis.
func twoNodes(t *testing.T) (r *redisServer, a, b *node) {
	t.Helper()
	need(t, redisPlugin)
	r = startRedis(t)
	a = startNode(t, options{global: clusterOptions(t, r.option(), "")})
	a.untilReady(t, 20*time.Second)
	b = startNode(t, options{global: clusterOptions(t, r.option(), "")})
	b.untilReady(t, 20*time.Second)
	return r, a, b
}

// quantiles are the median, the 99th percentile and the longest.
func quantiles(took []time.Duration) (p50, p99, most time.Duration) {
	slices.Sort(took)
	return took[len(took)/2], took[len(took)*99/100], took[len(took)-1]
}

func TestThreat37_TwoNodesShareOneRedis(t *testing.T) {
	t.Parallel()
	_, a, b := twoNodes(t)

	t.Run("a revocation", func(t *testing.T) {
		for i, from := range []*node{a, b} {
			to := b
			if from == b {
				to = a
			}
			jti := fmt.Sprintf("one-%d", i)
			token := jtiToken(t, jti)
			from.is(t, "before", from.withToken(token), accepted)
			to.is(t, "before, on the other node", to.withToken(token), accepted)
			from.mustRevoke(t, http.StatusCreated, jti)
			from.is(t, "at once", from.withToken(token), isRevoked)
			took := to.becomes(t, "on the other node", spread(), func() exchange { return to.withToken(token) }, isRevoked)
			t.Logf("it holds on the other node after %s", took.Round(time.Millisecond))
		}
	})

	t.Run("a key", func(t *testing.T) {
		key := a.mustCreateKey(t)
		a.is(t, "at once", a.withAPIKey(key.Key), accepted)
		// The other node asks the storage before it refuses a key that it does not know.
		b.becomes(t, "on the other node", spread(), func() exchange { return b.withAPIKey(key.Key) }, accepted)
		b.must(t, http.StatusOK, http.MethodPatch, "/jwt/api-keys/"+key.ID, map[string]any{"enabled": false})
		b.is(t, "disabled", b.withAPIKey(key.Key), isDisabled)
		a.becomes(t, "disabled on the other node", spread(), func() exchange { return a.withAPIKey(key.Key) }, isDisabled)
		a.must(t, http.StatusOK, http.MethodPatch, "/jwt/api-keys/"+key.ID, map[string]any{"enabled": true})
		a.is(t, "enabled", a.withAPIKey(key.Key), accepted)
		b.becomes(t, "enabled on the other node", spread(), func() exchange { return b.withAPIKey(key.Key) }, accepted)
		// Rolled on both at the same time: each of the two secrets that were shown works.
		var rolled [2]changeAnswer
		var both sync.WaitGroup
		for i, n := range []*node{a, b} {
			both.Go(func() {
				var err error
				rolled[i], err = n.change(http.MethodPut, "/jwt/api-keys/"+key.ID+"/secret", map[string]any{"overlap": "1h"})
				if err != nil || rolled[i].status != http.StatusOK {
					t.Errorf("rolling: status %d, %s, %v", rolled[i].status, rolled[i].Error, err)
				}
			})
		}
		both.Wait()
		for _, n := range []*node{a, b} {
			for i, secret := range []string{key.Key, rolled[0].Key, rolled[1].Key} {
				n.becomes(t, fmt.Sprintf("secret %d", i), spread(), func() exchange { return n.withAPIKey(secret) }, accepted)
			}
		}
		b.must(t, http.StatusOK, http.MethodDelete, "/jwt/api-keys/"+key.ID, nil)
		for _, n := range []*node{a, b} {
			for i, secret := range []string{key.Key, rolled[0].Key, rolled[1].Key} {
				n.becomes(t, fmt.Sprintf("secret %d of the deleted key", i), spread(), func() exchange { return n.withAPIKey(secret) }, isUnknown)
			}
		}
	})

	t.Run("2 times 1,000 revocations at once", func(t *testing.T) {
		const each, writers = 1000, 50
		before := a.shared(t).Rules["jti"]
		var (
			mu   sync.Mutex
			took []time.Duration
			all  sync.WaitGroup
		)
		began := time.Now()
		for name, n := range map[string]*node{"a": a, "b": b} {
			for w := range writers {
				all.Go(func() {
					for i := w; i < each; i += writers {
						c, err := n.revoke(fmt.Sprintf("many-%s-%d", name, i))
						if err != nil || c.status != http.StatusCreated || !c.kept() {
							t.Errorf("status %d, %s, %v; want 201", c.status, c.Error, err)
							return
						}
						mu.Lock()
						took = append(took, c.took)
						mu.Unlock()
					}
				})
			}
		}
		all.Wait()
		whole := time.Since(began)
		p50, p99, most := quantiles(took)
		t.Logf("%d answers in %s: p50 %s, p99 %s, at most %s", len(took), whole.Round(time.Millisecond), p50, p99, most)
		for _, n := range []*node{a, b} {
			n.eventually("all hold", spread(), func() bool { return n.shared(t).Rules["jti"] == before+2*each },
				func() string { return fmt.Sprintf("%+v", n.shared(t)) })
			if rules := n.metrics(t)[`caddy_jwt_revocation_rules{kind="jti"}`]; rules != float64(before+2*each) {
				t.Errorf("the metric shows %v rules; want %d", rules, before+2*each)
			}
			for i := 0; i < each; i += 17 {
				for _, name := range []string{"a", "b"} {
					jti := fmt.Sprintf("many-%s-%d", name, i)
					n.is(t, jti, n.withToken(jtiToken(t, jti)), isRevoked)
				}
			}
			n.is(t, "another token", n.withToken(jtiToken(t, "another")), accepted)
		}
	})
}

// outage is how long Redis is down: OUTAGE, or 8 s.
func outageTime(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("OUTAGE")
	if text == "" {
		return 8 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// With the storage away, requests are served, what is revoked holds at once on its node, and
// nothing is let in that was not before, neither now nor later.
func TestThreat57_NothingIsLooserWhileTheStorageIsAway(t *testing.T) {
	t.Parallel()
	r, a, b := twoNodes(t)
	good := jtiToken(t, "good")
	lifted, held := a.mustRevoke(t, http.StatusCreated, "lifted"), a.mustCreateKey(t)
	off, doomed := a.mustCreateKey(t), a.mustCreateKey(t)
	a.must(t, http.StatusOK, http.MethodPatch, "/jwt/api-keys/"+off.ID, map[string]any{"enabled": false})
	liftedToken := jtiToken(t, "lifted")
	b.becomes(t, "lifted", spread(), func() exchange { return b.withToken(liftedToken) }, isRevoked)
	b.becomes(t, "held", spread(), func() exchange { return b.withAPIKey(held.Key) }, accepted)
	b.becomes(t, "off", spread(), func() exchange { return b.withAPIKey(off.Key) }, isDisabled)
	loads := map[string]*load{}
	for name, n := range map[string]*node{"a": a, "b": b} {
		loads[name] = n.loadAtRate(100, func(i int) exchange {
			if i%2 == 0 {
				return n.withToken(good)
			}
			return n.withAPIKey(held.Key)
		})
	}
	mark := a.logs.mark()
	r.kill()
	down := time.Now()

	t.Run("what tightens holds on its node", func(t *testing.T) {
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				jti := fmt.Sprintf("away-%d", i)
				done := make(chan changeAnswer, 1)
				go func() {
					c, err := a.revoke(jti)
					if err != nil {
						t.Error(err)
					}
					done <- c
				}()
				// It holds at once, not only with the answer.
				a.becomes(t, jti, 2*time.Second, func() exchange { return a.withToken(jtiToken(t, jti)) }, isRevoked)
				c := <-done
				if c.status != http.StatusAccepted || c.Stored == nil || *c.Stored {
					t.Errorf("revoking: status %d, stored %v, %s; want 202, false", c.status, c.Stored, c.Error)
				}
				t.Logf("answered after %s", c.took.Round(time.Millisecond))
			})
		}
		all.Go(func() {
			c, err := a.change(http.MethodDelete, "/jwt/api-keys/"+doomed.ID, nil)
			if err != nil || c.status != http.StatusAccepted || c.Stored == nil || *c.Stored {
				t.Errorf("deleting a key: status %d, stored %v, %s, %v; want 202, false", c.status, c.Stored, c.Error, err)
			}
		})
		all.Wait()
		a.is(t, "the deleted key", a.withAPIKey(doomed.Key), isUnknown)
	})
	t.Run("what loosens does not happen", func(t *testing.T) {
		var all sync.WaitGroup
		for name, change := range map[string]func() (changeAnswer, error){
			"un-revoking": func() (changeAnswer, error) {
				return a.change(http.MethodDelete, "/jwt/revocations/"+lifted.ID+"?reason=test", nil)
			},
			"creating": func() (changeAnswer, error) { return a.createKey() },
			"enabling": func() (changeAnswer, error) {
				return a.change(http.MethodPatch, "/jwt/api-keys/"+off.ID, map[string]any{"enabled": true})
			},
			"rolling": func() (changeAnswer, error) {
				return a.change(http.MethodPut, "/jwt/api-keys/"+held.ID+"/secret", map[string]any{"overlap": "0s"})
			},
			"more scopes": func() (changeAnswer, error) {
				return a.change(http.MethodPatch, "/jwt/api-keys/"+held.ID, map[string]any{"scopes": []string{"admin"}})
			},
		} {
			all.Go(func() {
				c, err := change()
				if err != nil || c.status != http.StatusServiceUnavailable || c.Key != "" || c.header.Get("Retry-After") == "" {
					t.Errorf("%s: status %d, Retry-After %q, %s, %v; want 503", name, c.status, c.header.Get("Retry-After"), c.Error, err)
				}
				if !strings.Contains(c.Error, "may still appear") && name != "un-revoking" {
					t.Errorf("%s: the error does not say that it may still appear: %s", name, c.Error)
				}
			})
		}
		all.Wait()
		for _, n := range []*node{a, b} {
			n.is(t, "the rule that was to go", n.withToken(liftedToken), isRevoked)
			n.is(t, "the key that was to be enabled", n.withAPIKey(off.Key), isDisabled)
			n.is(t, "the secret that was to be replaced", n.withAPIKey(held.Key), accepted)
		}
	})
	if left := outageTime(t) - time.Since(down); left > 0 {
		time.Sleep(left)
	}
	if s := a.set(t, "revocations"); s.Unstored == 0 || !s.Ready || s.Error == "" || s.Refuses {
		t.Errorf("while it is away: %+v", s)
	}
	b.is(t, "what the other node can't know", b.withToken(jtiToken(t, "away-0")), accepted)

	r.start()
	back := time.Now()
	// The plugin looks for Redis once a second, and what waits is stored after a sync.
	const patience = 10 * time.Second
	for i := range 8 {
		jti := fmt.Sprintf("away-%d", i)
		b.becomes(t, jti+" on the other node", patience, func() exchange { return b.withToken(jtiToken(t, jti)) }, isRevoked)
	}
	b.becomes(t, "the deleted key on the other node", patience, func() exchange { return b.withAPIKey(doomed.Key) }, isUnknown)
	t.Logf("all holds on the other node %s after Redis is back", time.Since(back).Round(time.Millisecond))
	a.untilSet(t, "all is stored", "revocations", patience, func(s setStatus) bool { return s.Unstored == 0 && s.Error == "" })
	for _, n := range []*node{a, b} {
		n.is(t, "the rule that was to go", n.withToken(liftedToken), isRevoked)
		n.is(t, "the key that was to be enabled", n.withAPIKey(off.Key), isDisabled)
	}
	for name, l := range loads {
		all := l.stop()
		if bad := withOtherStatus(all, http.StatusOK); len(bad) > 0 || len(all) < 500 {
			t.Errorf("node %s: %d of %d requests failed, the first: %s", name, len(bad), len(all), append(bad, exchange{})[0])
		} else {
			t.Logf("node %s: %d requests served, p99 %s", name, len(all), p99(all))
		}
	}
	for _, text := range []string{"can't be brought up to date", "up to date again", "holds on this node only", "are stored"} {
		if a.logged(mark, text) == 0 {
			t.Errorf("no line of the log says %q", text)
		}
	}
}

// A storage that has lost everything gets it back from the nodes, and one that starts
// meanwhile does not take the empty storage for the truth.
func TestThreat58_AnEmptiedStorageIsNoLicence(t *testing.T) {
	t.Parallel()
	r, a, b := twoNodes(t)
	key, off := a.mustCreateKey(t), b.mustCreateKey(t)
	b.must(t, http.StatusOK, http.MethodPatch, "/jwt/api-keys/"+off.ID, map[string]any{"enabled": false})
	for i := range 20 {
		n := []*node{a, b}[i%2]
		n.mustRevoke(t, http.StatusCreated, fmt.Sprintf("rule-%d", i))
	}
	both := func(within time.Duration) {
		t.Helper()
		for _, n := range []*node{a, b} {
			for i := range 20 {
				n.becomes(t, fmt.Sprintf("rule %d", i), within, func() exchange { return n.withToken(jtiToken(t, fmt.Sprintf("rule-%d", i))) }, isRevoked)
			}
			n.becomes(t, "the key", within, func() exchange { return n.withAPIKey(key.Key) }, accepted)
			n.becomes(t, "the disabled key", within, func() exchange { return n.withAPIKey(off.Key) }, isDisabled)
		}
	}
	both(spread())
	rule := jtiToken(t, "rule-7")

	r.flush()
	flushed := time.Now()
	c := newNode(t, options{global: clusterOptions(t, r.option(), "")})
	c.begin()
	both(0) // on those that run nothing changes
	for seen := map[string]int{}; ; {
		e := c.withToken(rule)
		if e.err == nil {
			seen[e.String()]++
		}
		if e.status == http.StatusOK {
			t.Fatalf("the node that started after the loss accepts what is revoked: %v\n%s", seen, c.logs)
		}
		if e.String() == isRevoked {
			t.Logf("the fresh node refuses it %s after the loss: %v", time.Since(flushed).Round(time.Millisecond), seen)
			break
		}
		if time.Since(flushed) > 30*time.Second {
			t.Fatalf("%v\n%s", seen, c.logs)
		}
		time.Sleep(5 * time.Millisecond)
	}
	c.untilReady(t, 20*time.Second)
	for i := range 20 {
		c.is(t, fmt.Sprintf("rule %d on the fresh node", i), c.withToken(jtiToken(t, fmt.Sprintf("rule-%d", i))), isRevoked)
	}
	c.is(t, "the key on the fresh node", c.withAPIKey(key.Key), accepted)
	c.is(t, "the disabled key on the fresh node", c.withAPIKey(off.Key), isDisabled)
	both(0)

	// All is in the storage again: a node that starts with no other there has it.
	for _, n := range []*node{a, b, c} {
		n.kill()
	}
	c.again()
	c.untilReady(t, 20*time.Second)
	for i := range 20 {
		c.is(t, fmt.Sprintf("rule %d after all were killed", i), c.withToken(jtiToken(t, fmt.Sprintf("rule-%d", i))), isRevoked)
	}
}

// The marker alone is gone: the set is not taken for one that was never made.
func TestThreat58_AMissingMarkerIsNoEmptySet(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := startNode(t, options{global: clusterOptions(t, fileStorage(dir), "")})
	n.untilReady(t, 20*time.Second)
	n.mustRevoke(t, http.StatusCreated, "rule")
	token := jtiToken(t, "rule")
	marker := dir + "/jwt/default/revocations/zz-caddy-jwt-1"
	removeFile(t, marker)
	for range 20 {
		n.is(t, "without the marker", n.withToken(token), isRevoked)
		time.Sleep(20 * time.Millisecond)
	}
	n.eventually("the marker is written again", 10*time.Second, func() bool { return exists(marker) }, func() string { return n.logs.String() })
	n.kill()
	removeFile(t, marker)
	n.again()
	n.is(t, "started without the marker", n.withToken(token), isRevoked)
}
