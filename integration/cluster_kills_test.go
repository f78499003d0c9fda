package integration

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// kills is how often a node is killed for each storage: KILLS, or 8.
func kills(t *testing.T) int {
	t.Helper()
	text := os.Getenv("KILLS")
	if text == "" {
		return 8
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("KILLS=%q is no number of kills", text)
	}
	return n
}

// killWriters is how many writers there are at the admin endpoint at the same time.
const killWriters = 6

// ledger is what the answers to changes have said, and so what must hold.
type ledger struct {
	mu           sync.Mutex
	acknowledged int
	rounds       map[int]*promises
}

// promises are those that were made in one life of a node.
type promises struct {
	revoked []string          // jti
	keys    map[string]string // secrets, and the answer to each
}

func (l *ledger) note(round int, count int, f func(*promises)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acknowledged += count
	p := l.rounds[round]
	if p == nil {
		p = &promises{keys: map[string]string{}}
		l.rounds[round] = p
	}
	f(p)
}

// count returns how many changes were acknowledged.
func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acknowledged
}

// writeUntilKilled makes changes, one after the other, until one is not answered. What that
// one was about may hold or not.
func (n *node) writeUntilKilled(round, writer int, l *ledger, pause time.Duration) error {
	for i := 0; ; i++ {
		time.Sleep(pause)
		jti := fmt.Sprintf("round-%d-%d-%d", round, writer, i)
		c, err := n.revoke(jti)
		if err != nil {
			return nil
		}
		if c.status != http.StatusCreated || !c.kept() {
			return fmt.Errorf("revoking %s: status %d, %s", jti, c.status, c.Error)
		}
		l.note(round, 1, func(p *promises) { p.revoked = append(p.revoked, jti) })
		if i%3 == 0 {
			if goOn, err := n.writeKey(round, i/3, l); !goOn {
				return err
			}
		}
	}
}

// writeKey makes a key and changes it.
func (n *node) writeKey(round, i int, l *ledger) (goOn bool, err error) {
	made, err := n.createKey()
	if err != nil {
		return false, nil
	}
	if made.status != http.StatusCreated || !made.kept() {
		return false, fmt.Errorf("creating a key: status %d, %s", made.status, made.Error)
	}
	path, state := "/jwt/api-keys/"+made.ID, accepted
	l.note(round, 1, func(p *promises) { p.keys[made.Key] = state })
	var c changeAnswer
	unknown := func() { l.note(round, 0, func(p *promises) { delete(p.keys, made.Key) }) }
	switch i % 5 {
	case 0:
		return true, nil
	case 1:
		state = isDisabled
		c, err = n.change(http.MethodPatch, path, map[string]any{"enabled": false})
	case 2:
		state = isUnknown
		c, err = n.change(http.MethodDelete, path, nil)
	case 3:
		state = isExpired
		c, err = n.change(http.MethodPut, path+"/secret", map[string]any{"overlap": "0s"})
	case 4:
		state = isRevoked
		c, err = n.change(http.MethodPost, "/jwt/revocations", map[string]any{"kind": "key", "value": made.ID, "reason": "test"})
	}
	if err != nil {
		unknown()
		return false, nil
	}
	if !c.kept() {
		return false, fmt.Errorf("change %d of a key: status %d, %s", i%5, c.status, c.Error)
	}
	l.note(round, 1, func(p *promises) {
		p.keys[made.Key] = state
		if c.Key != "" && c.Key != made.Key {
			p.keys[c.Key] = accepted
		}
	})
	return true, nil
}

// lost counts what does not hold of what was promised in some rounds.
func (l *ledger) lost(t *testing.T, n *node, rounds ...int) (lost int) {
	t.Helper()
	for _, round := range rounds {
		p := l.rounds[round]
		if p == nil {
			continue
		}
		for _, jti := range p.revoked {
			if got := n.withToken(jtiToken(t, jti)).String(); got != isRevoked {
				lost++
				t.Errorf("round %d: the token %s that was revoked: %s", round, jti, got)
			}
		}
		for key, want := range p.keys {
			if got := n.withAPIKey(key).String(); got != want {
				lost++
				t.Errorf("round %d: a key: %s; want %s", round, got, want)
			}
		}
	}
	return lost
}

// Whatever was answered as stored holds after the node was killed.
func TestThreat37_NothingIsLostByKills(t *testing.T) {
	t.Parallel()
	for name, opts := range clusterStorages(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := startNode(t, opts(t))
			l := &ledger{rounds: map[int]*promises{}}
			times, lost := kills(t), 0
			n.untilReady(t, 20*time.Second)
			for round := range times {
				life, pause := time.Duration(100+rand.IntN(300))*time.Millisecond, time.Duration(0)
				if times > 20 && round%33 == 32 {
					life, pause = 100*time.Second, time.Second // so that objects are merged, too
				}
				var writers sync.WaitGroup
				for w := range killWriters {
					writers.Go(func() {
						if err := n.writeUntilKilled(round, w, l, pause); err != nil {
							t.Errorf("round %d: %v", round, err)
						}
					})
				}
				time.Sleep(life)
				n.kill()
				writers.Wait()
				n.again()
				n.untilReady(t, 20*time.Second)
				lost += l.lost(t, n, round)
			}
			if all := l.lost(t, n, slices.Sorted(maps.Keys(l.rounds))...); all > 0 {
				lost += all
			}
			s := n.shared(t)
			t.Logf("%d kills, %d changes acknowledged, %d lost; %d rules; %+v", times, l.acknowledged, lost, s.Rules["jti"], s.Sets)
			if l.acknowledged < times*killWriters {
				t.Errorf("only %d changes were acknowledged", l.acknowledged)
			}
		})
	}
}

// clusterStorages are what the state is kept in.
func clusterStorages(t *testing.T) map[string]func(t *testing.T) options {
	t.Helper()
	return map[string]func(t *testing.T) options{
		"files": func(t *testing.T) options { return options{global: clusterOptions(t, fileStorage(t.TempDir()), "")} },
		"Redis": func(t *testing.T) options {
			need(t, redisPlugin)
			r := startRedis(t)
			return options{global: clusterOptions(t, r.option(), "")}
		},
	}
}
