package tokenservice

import (
	"math"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/caddy-jwt/caddy-jwt/revocation"
)

// The limits on the tokens that a client revokes: each is a rule in the memory of all nodes.
const (
	// maxRevokedNow is how many a second, and maxRevoked how many whose rules still hold.
	maxRevokedNow = 10
	maxRevoked    = 1000
)

// revokedTokens are the tokens that clients have revoked here.
type revokedTokens struct {
	mu      sync.Mutex
	clients map[digest]*revokedByClient
	swept   time.Time
}

// revokedByClient are those of one client.
type revokedByClient struct {
	second int64 // in which so many were revoked
	n      int
	rules  map[string]revokedToken // by jti
}

// revokedToken is one of them: until when its rule holds, and the rule itself, as long as it
// is not stored.
type revokedToken struct {
	end     time.Time
	pending *revocation.Rule
}

// tooManyRevoked is RFC 7009 section 2.2.1.
func tooManyRevoked(retryAfter int) *failure {
	return &failure{
		code: errUnavailable, status: http.StatusServiceUnavailable, retryAfter: retryAfter,
		description: "the client has revoked too many tokens; try again later, or let them expire",
	}
}

// add notes a rule that is about to be made or stored, unless the client makes too many.
func (m *revokedTokens) add(client digest, rule *revocation.Rule, now time.Time) *failure {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now.Sub(m.swept).Abs() >= time.Minute {
		m.swept = now
		for id, c := range m.clients {
			if c.sweep(now); len(c.rules) == 0 {
				delete(m.clients, id)
			}
		}
	}
	c := m.clients[client]
	if c == nil {
		c = &revokedByClient{rules: map[string]revokedToken{}}
	}
	if c.second != now.Unix() {
		c.second, c.n = now.Unix(), 0
	}
	if c.n >= maxRevokedNow {
		return tooManyRevoked(1)
	}
	if _, known := c.rules[rule.Value]; !known && len(c.rules) >= maxRevoked {
		if c.sweep(now); len(c.rules) >= maxRevoked {
			return tooManyRevoked(c.room(now))
		}
	}
	c.n++
	c.rules[rule.Value] = revokedToken{rule.End, rule}
	if m.clients == nil {
		m.clients = map[digest]*revokedByClient{}
	}
	m.clients[client] = c
	return nil
}

// stored notes that the rule for a token is stored.
func (m *revokedTokens) stored(client digest, id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.clients[client]; c != nil {
		if known, ok := c.rules[id]; ok {
			c.rules[id] = revokedToken{end: known.end}
		}
	}
}

// forget forgets a rule that could not be made.
func (m *revokedTokens) forget(client digest, id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.clients[client]; c != nil {
		delete(c.rules, id)
	}
}

// pending returns the rule for a token that is in force here, but not stored; nil for none.
func (m *revokedTokens) pending(client digest, id string) *revocation.Rule {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.clients[client]; c != nil {
		return c.rules[id].pending
	}
	return nil
}

func (c *revokedByClient) sweep(now time.Time) {
	for id, r := range c.rules {
		if !now.Before(r.end) {
			delete(c.rules, id)
		}
	}
}

// room returns after how many seconds there is room for another rule.
func (c *revokedByClient) room(now time.Time) int {
	ends := make([]time.Time, 0, len(c.rules))
	for _, r := range c.rules {
		ends = append(ends, r.end)
	}
	first := slices.MinFunc(ends, time.Time.Compare)
	return max(1, int(math.Ceil(first.Sub(now).Seconds())))
}
