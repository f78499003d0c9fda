package service

import (
	"sync"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-jwt/caddy-jwt/tokenservice"
)

// memories are what services remember, by issuer. They outlive configs, so that a reload
// forgets neither failures nor assertions that were used.
var memories = caddy.NewUsagePool()

// Memory is what a service remembers, as long as a config uses it.
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
func (m *Memory) Release() {
	if m != nil {
		m.released.Do(func() { _, _ = memories.Delete(m.issuer) })
	}
}
