package tokenservice

import (
	"sync"
	"time"
)

// maxUsed is how many assertions of a client are remembered: those that have not expired.
const maxUsed = 10_000

// sweepEvery is how often those that have expired are looked for.
const sweepEvery = time.Second

// usedAssertions are the assertions that were used and have not expired.
type usedAssertions struct {
	mu      sync.Mutex
	clients map[digest]*usedByClient
	swept   time.Time
}

// usedByClient are those of one client: until when each is remembered.
type usedByClient struct {
	until map[digest]time.Time
	swept time.Time
}

// add notes an assertion of a client, unless it is known.
func (u *usedAssertions) add(client, assertion digest, until, now time.Time) *failure {
	u.mu.Lock()
	defer u.mu.Unlock()
	// A client that is no longer in the config is not asked for any more.
	if now.Sub(u.swept).Abs() >= time.Minute {
		u.swept = now
		for id, c := range u.clients {
			if c.sweep(now); len(c.until) == 0 {
				delete(u.clients, id)
			}
		}
	}
	c := u.clients[client]
	if c == nil {
		c = &usedByClient{until: map[digest]time.Time{}}
		if u.clients == nil {
			u.clients = map[digest]*usedByClient{}
		}
		u.clients[client] = c
	}
	if end, known := c.until[assertion]; known && now.Before(end) {
		return usedAssertion
	}
	if len(c.until) >= maxUsed && now.Sub(c.swept).Abs() >= sweepEvery {
		c.sweep(now)
	}
	if len(c.until) >= maxUsed {
		return tooManyUsed
	}
	c.until[assertion] = until
	return nil
}

func (c *usedByClient) sweep(now time.Time) {
	c.swept = now
	for id, end := range c.until {
		if !now.Before(end) {
			delete(c.until, id)
		}
	}
}
