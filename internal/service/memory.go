package service

import (
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/tokenservice"
)

// memories are what services remember, by issuer. They outlive configs, so that a reload
// forgets neither failures nor assertions that were used.
var memories = caddy.NewUsagePool()

// rememberFor is for how long more there is a memory that no config uses: longer than an
// assertion is valid, which could otherwise be used twice after a config without the service.
const rememberFor = 15 * time.Minute

// Memory is what a service remembers, as long as a config uses it and a while longer.
type Memory struct {
	*tokenservice.Memory
	issuer   string
	released sync.Once
}

type pooledMemory struct{ *tokenservice.Memory }

// Destruct implements caddy.Destructor.
func (pooledMemory) Destruct() error { return nil }

func acquireMemory(issuer string) (*Memory, error) {
	v, _, err := memories.LoadOrNew(issuer, func() (caddy.Destructor, error) {
		return pooledMemory{tokenservice.NewMemory()}, nil
	})
	if err != nil {
		return nil, err
	}
	return &Memory{Memory: v.(pooledMemory).Memory, issuer: issuer}, nil
}

// Release gives the memory back. A second call does nothing.
func (m *Memory) Release() { m.release(clock.System()) }

func (m *Memory) release(c clock.Clock) {
	if m == nil {
		return
	}
	m.released.Do(func() {
		c.AfterFunc(rememberFor, func() { _, _ = memories.Delete(m.issuer) })
	})
}
