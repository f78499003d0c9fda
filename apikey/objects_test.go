package apikey

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/caddy-jwt/caddy-jwt/internal/replica"
)

// memory is a folder that several nodes share.
type memory struct {
	mu      sync.Mutex
	content map[string][]byte
	down    bool
	loads   int
	stored  []string        // the names, in the order of the calls
	lose    func(bool) bool // whether a Store fails; it is asked before and after it
	hang    chan struct{}   // a Store waits until it is closed
}

var (
	_       replica.Objects = (*memory)(nil)
	errDown                 = errors.New("the storage is down")
)

func newMemory() *memory { return &memory{content: map[string][]byte{}} }

func (m *memory) List(context.Context) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		return nil, errDown
	}
	return slices.Collect(maps.Keys(m.content)), nil
}

func (m *memory) Load(_ context.Context, name string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.loads++
	content, ok := m.content[name]
	if m.down || !ok { // as some storages answer
		return nil, fs.ErrNotExist
	}
	return bytes.Clone(content), nil
}

func (m *memory) Store(ctx context.Context, name string, content []byte) error {
	if strings.Trim(name, "0123456789abcdefghijklmnopqrstuvwxyz-") != "" || len(name) > 64 || len(content) > 256<<10 {
		panic("the object " + name + " can't be stored everywhere")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if hang := m.hang; hang != nil {
		m.mu.Unlock()
		select {
		case <-hang:
		case <-ctx.Done():
		}
		m.mu.Lock()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if m.down || m.lose != nil && m.lose(false) {
		return errDown
	}
	m.content[name] = bytes.Clone(content)
	m.stored = append(m.stored, name)
	if m.lose != nil && m.lose(true) {
		return errDown
	}
	return nil
}

func (m *memory) Delete(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		return errDown
	}
	delete(m.content, name)
	return nil
}

func (m *memory) Probe(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		return errDown
	}
	return nil
}

func (m *memory) setDown(down bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = down
}

// take returns the names that were stored since the last time.
func (m *memory) take() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := m.stored
	m.stored = nil
	return names
}

func (m *memory) copied() *memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &memory{content: maps.Clone(m.content)}
}
