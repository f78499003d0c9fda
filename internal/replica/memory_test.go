package replica

import (
	"context"
	"io/fs"
	"maps"
	"slices"
	"sync"
)

// memory is a folder of a storage in memory. Its functions, if set, are asked before each
// call for the error of it.
type memory struct {
	mu      sync.Mutex
	objects map[string][]byte
	fail    func(call, name string) error
	short   func(names []string) []string // what a listing shows of all names
	cut     int                           // bytes after which a content is cut off, 0 for none
	calls   map[string]int
}

func newMemory() *memory { return &memory{objects: map[string][]byte{}, calls: map[string]int{}} }

func (m *memory) begin(ctx context.Context, call, name string) error {
	m.mu.Lock()
	m.calls[call]++
	fail := m.fail
	m.mu.Unlock()
	if fail != nil {
		if err := fail(call, name); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

func (m *memory) List(ctx context.Context) ([]string, error) {
	if err := m.begin(ctx, "list", ""); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	names := slices.Sorted(maps.Keys(m.objects))
	if m.short != nil {
		names = m.short(names)
	}
	return names, nil
}

func (m *memory) Load(ctx context.Context, name string) ([]byte, error) {
	if err := m.begin(ctx, "load", name); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	content, ok := m.objects[name]
	if !ok || content == nil {
		return nil, fs.ErrNotExist
	}
	return slices.Clone(content), nil
}

func (m *memory) Store(ctx context.Context, name string, content []byte) error {
	if err := m.begin(ctx, "store", name); err != nil {
		return err
	}
	m.put(name, content)
	return nil
}

func (m *memory) put(name string, content []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cut > 0 && len(content) > m.cut {
		content = content[:m.cut]
	}
	m.objects[name] = slices.Clone(content)
}

func (m *memory) Delete(ctx context.Context, name string) error {
	if err := m.begin(ctx, "delete", name); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.objects, name)
	return nil
}

func (m *memory) Probe(ctx context.Context) error {
	if err := m.begin(ctx, "probe", ""); err != nil {
		return err
	}
	_, err := m.Load(ctx, marker)
	return err
}

// names returns the names of all objects but the marker.
func (m *memory) names() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.DeleteFunc(slices.Sorted(maps.Keys(m.objects)), func(name string) bool { return name == marker })
}

// content returns the content of an object.
func (m *memory) content(name string) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.objects[name]
}

// count returns how often a method was called.
func (m *memory) count(call string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls[call]
}

// on sets what fails from now on; nil for nothing.
func (m *memory) on(fail func(call, name string) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = fail
}
