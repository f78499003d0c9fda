package tokenservice

import (
	"maps"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/key"
)

// cluster is some nodes on one storage, through rotations, retirements, kills, outages and
// copies of the storage that are put back, while each of them signs.
type cluster struct {
	t     *testing.T
	r     *rand.Rand
	now   time.Time
	disk  *disk
	nodes []*member
	// tokens are those that have not expired.
	tokens []modelToken
	// retiredAt is when there was a retirement last, the start for none.
	retiredAt time.Time
	// dead are the keys that a retirement has named: since when all must refuse them that
	// sync, zero for not known.
	dead   map[string]time.Time
	copied map[string][]byte
	seen   map[string]bool // keys that have signed
	did    map[string]int
}

// member is a node of a cluster.
type member struct {
	*node
	skew   time.Duration // its clock
	until  time.Time     // until when it is cut off
	synced time.Time     // when it last was
	holds  []string      // keys that are retired on it only
}

type modelToken struct {
	s       *key.Signer
	expires time.Time
}

const (
	modelStep   = 20 * time.Minute
	modelLife   = 2 * time.Hour
	modelRotate = 2 * day
	modelStale  = day
)

func (m *cluster) start(i int) {
	old := m.nodes[i]
	next := &member{skew: time.Duration(m.r.IntN(60)-30) * time.Second}
	if old != nil {
		next.skew = old.skew
	}
	next.node = startNode(m.t, m.disk, clock.NewFake(m.now.Add(next.skew)), func(c *SigningConfig) {
		c.Rotate, c.Lifetime, c.MaxStale, c.Binding.Interval = modelRotate, modelLife, modelStale, modelStep/2
	})
	m.nodes[i] = next
}

// maySign reports whether a node signs: as the state of a config has it, not if it has not
// synced for too long.
func (n *member) maySign() bool {
	ready, syncedAt := n.Freshness()
	return ready && n.clock.Now().Sub(syncedAt) <= modelStale
}

func (m *cluster) disturb() {
	n := m.nodes[m.r.IntN(len(m.nodes))]
	switch m.r.IntN(40) {
	case 0, 1: // cut off, for hours or long
		hours := m.r.IntN(6)
		if m.r.IntN(4) == 0 {
			hours = 20 + m.r.IntN(60)
		}
		n.until = m.now.Add(time.Duration(hours)*time.Hour + modelStep)
		m.disk.set(func() { n.cut = true })
		m.did["cut"]++
	case 2, 3: // killed
		if n.Status().Unstored == 0 { // what holds on one node only dies with it
			n.kill()
			for i := range m.nodes {
				if m.nodes[i] == n {
					m.start(i)
				}
			}
			m.did["kill"]++
		}
	case 4:
		if _, err := n.Rotate(m.t.Context(), "ann", "n"); err == nil {
			m.did["rotate"]++
		}
	case 5:
		if m.r.IntN(4) == 0 {
			r, err := n.RetireNow(m.t.Context(), "ann", "n")
			if err != nil {
				return
			}
			m.did["retire"]++
			m.retiredAt = m.now
			for _, kid := range r.Retired {
				if r.Stored {
					m.dead[kid] = m.now
					continue
				}
				n.holds = append(n.holds, kid)
				if _, ok := m.dead[kid]; !ok {
					m.dead[kid] = time.Time{}
				}
			}
		}
	case 6:
		m.copied = m.disk.copied()
	case 7:
		if m.copied != nil {
			m.disk.set(func() { maps.Copy(m.disk.content, m.copied) })
			m.did["restore"]++
		}
	}
}

func (m *cluster) step() {
	m.now = m.now.Add(modelStep)
	for _, n := range m.nodes {
		n.clock.Advance(m.now.Add(n.skew).Sub(n.clock.Now()))
		if n.cut && m.now.After(n.until) {
			m.disk.set(func() { n.cut = false })
		}
	}
	m.disturb()
	for range 2 { // what one makes, the others have by then
		for _, n := range m.nodes {
			if n.Sync(m.t.Context()) == nil && n.Status().Ready {
				n.synced = m.now
				if len(n.holds) > 0 && n.Status().Unstored == 0 {
					for _, kid := range n.holds {
						m.dead[kid] = m.now
					}
					n.holds, m.retiredAt = nil, m.now
				}
			}
		}
	}
	live := m.tokens[:0]
	for _, token := range m.tokens {
		if token.expires.After(m.now.Add(time.Minute)) {
			live = append(live, token)
		}
	}
	m.tokens = live
	for i, n := range m.nodes {
		if n.maySign() {
			m.sign(i, n)
		}
	}
	for i, n := range m.nodes {
		if n.synced.Equal(m.now) {
			m.check(i, n)
		}
	}
	m.checkPrivate()
}

func (m *cluster) sign(i int, n *member) {
	now := n.clock.Now()
	s := n.view.Load().signer(now.Unix())
	if s == nil {
		if n.synced.Equal(m.now) && m.now.Sub(m.retiredAt) > time.Hour {
			m.t.Fatalf("%s, node %d: nothing signs: %s, last retirement at %s", m.now, i, n.states(), m.retiredAt)
		}
		return
	}
	for _, k := range n.List(now) {
		if k.ID != s.ID() {
			continue
		}
		atOnce := k.SignsFrom.Equal(k.Made)
		if !atOnce && now.Sub(k.Made) < day-time.Minute {
			m.t.Fatalf("%s, node %d: %s signs, made at %s", m.now, i, k.ID, k.Made)
		}
		if atOnce && k.Made.Sub(noon) > time.Hour && k.Made.Sub(m.retiredAt) > modelStale {
			m.t.Fatalf("%s, node %d: %s signs at once, with the last retirement at %s", m.now, i, k.ID, m.retiredAt)
		}
	}
	if at, ok := m.dead[s.ID()]; ok && !at.IsZero() && n.synced.Equal(m.now) {
		m.t.Fatalf("%s, node %d: a retired key signs", m.now, i)
	}
	m.seen[s.ID()] = true
	m.tokens = append(m.tokens, modelToken{s, now.Add(modelLife)})
}

func (m *cluster) check(i int, n *member) {
	asked := map[string]bool{}
	for _, token := range m.tokens {
		kid := token.s.ID()
		if asked[kid] {
			continue
		}
		asked[kid] = true
		if _, ok := m.dead[kid]; !ok && n.view.Load().retired[kid] {
			m.dead[kid] = time.Time{} // with its generation
		}
		_, dead := m.dead[kid]
		if !dead && !n.accepts(m.t, token.s) {
			m.t.Fatalf("%s, node %d: a token of %s is refused that expires at %s; %+v", m.now, i, kid, token.expires, n.List(m.now))
		}
	}
	for kid, at := range m.dead {
		if at.IsZero() {
			continue
		}
		if _, err := n.Keys(m.t.Context(), kid); err == nil {
			m.t.Fatalf("%s, node %d: %s verifies, retired at %s", m.now, i, kid, at)
		}
	}
	// Nodes that know the same agree.
	for _, other := range m.nodes {
		if other.synced.Equal(m.now) {
			a, b := n.view.Load().turn(m.now.Unix()), other.view.Load().turn(m.now.Unix())
			if (a == nil) != (b == nil) || a != nil && a.kid != b.kid {
				m.t.Fatalf("%s: the nodes don't agree:\n%+v\n%+v", m.now, n.List(m.now), other.List(m.now))
			}
		}
	}
}

// checkPrivate looks whether there are private keys that must not be there.
func (m *cluster) checkPrivate() {
	reached := false
	for _, n := range m.nodes {
		reached = reached || n.synced.Equal(m.now)
	}
	if !reached {
		return
	}
	for _, name := range m.disk.names(privateFolder) {
		kid, _ := privateOf(name)
		if at := m.dead[kid]; !at.IsZero() {
			m.t.Fatalf("%s: the private key of %s is there, retired at %s", m.now, kid, at)
		}
	}
}

// TestSigningKeysOfAClusterUnderTrouble: every node accepts what any other has signed, no key
// signs that verifiers may not know, and what is retired is never accepted again. MODEL_RUNS
// is ten times the number of runs.
func TestSigningKeysOfAClusterUnderTrouble(t *testing.T) {
	t.Parallel()
	runs := uint64(2)
	if text := os.Getenv("MODEL_RUNS"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		runs = n / 10
	}
	for seed := range runs {
		m := &cluster{
			t: t, r: rand.New(rand.NewPCG(seed, 16)), now: noon, disk: newDisk(), nodes: make([]*member, 3), retiredAt: noon,
			dead: map[string]time.Time{}, seen: map[string]bool{}, did: map[string]int{},
		}
		for i := range m.nodes {
			m.start(i)
		}
		for range 3 * 24 * 24 {
			m.step()
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
		for _, n := range m.nodes {
			n.kill()
		}
		if len(m.seen) < 10 || m.did["cut"] == 0 || m.did["kill"] == 0 || m.did["rotate"] == 0 || m.did["retire"] == 0 || m.did["restore"] == 0 {
			t.Errorf("seed %d: only %d keys have signed, %v", seed, len(m.seen), m.did)
		}
	}
}
