package tokenservice

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"runtime"
	"sync"
	"time"
)

// Memory is what services remember from request to request: failures, assertions that
// were used, and tokens that clients have revoked. It outlives configs. It is safe for concurrent use.
type Memory struct {
	gate    gate
	used    usedAssertions
	revoked revokedTokens

	mu    sync.Mutex
	pairs pairs
}

// NewMemory makes an empty one.
func NewMemory() *Memory {
	m := &Memory{gate: gate{slots: min(2, runtime.GOMAXPROCS(0))}}
	m.pairs.init(maxPairs)
	return m
}

// turn asks for the turn of an assertion. It is refused unread if too many from its network
// have failed.
func (m *Memory) turn(p pair, now time.Time) (*turn, *failure) {
	m.mu.Lock()
	defer m.mu.Unlock()
	failed, known := m.pairs.standing(p, now)
	switch {
	case failed >= maxFailures && !known:
		return nil, tooManyFailures
	case failed > 0 && known:
		return &turn{gate: &m.gate, rank: knownFailing}, nil
	case failed > 0:
		return &turn{gate: &m.gate, rank: unknownFailing}, nil
	case known:
		return &turn{gate: &m.gate, rank: knownClean}, nil
	}
	return &turn{gate: &m.gate, rank: unknownClean}, nil
}

// note notes what became of an assertion: a failure counts only if it is the sender's.
func (m *Memory) note(p pair, refused *failure, now time.Time) {
	switch {
	case refused == nil:
		m.mu.Lock()
		m.pairs.succeeded(p, now)
		m.mu.Unlock()
	case refused.code != errUnavailable:
		m.mu.Lock()
		m.pairs.failed(p, now)
		m.mu.Unlock()
	}
}

// use notes that a client has used an assertion, which it can do once.
func (m *Memory) use(issuer, client, id string, until, now time.Time) *failure {
	return m.used.add(digestOf("used", issuer, client), digestOf("used", issuer, client, id), until, now)
}

// digest is a digest of what memory is about: it takes little room, whatever its length.
type digest [16]byte

func digestOf(parts ...string) digest {
	h := sha256.New()
	var length [8]byte
	for _, part := range parts {
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		h.Write([]byte(part))
	}
	return digest(h.Sum(nil)[:len(digest{})])
}

// pair is a client, or a federate, and a network from which requests in its name come.
type pair digest

// pairOf returns a pair. The network is what one customer of a provider has: a /24 of IPv4
// or a /56 of IPv6.
func pairOf(kind, issuer, name string, from netip.Addr) pair {
	from = from.Unmap()
	bits := 56
	if from.Is4() {
		bits = 24
	}
	network, err := from.Prefix(bits)
	if err != nil { // not known
		network = netip.Prefix{}
	}
	return pair(digestOf(kind, issuer, name, network.String()))
}
