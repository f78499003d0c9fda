package shared

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-jwt/caddy-jwt/internal/replica"
	"github.com/caddy-jwt/caddy-jwt/keystore"
)

// Look is how a config is looked at that no server runs. Its sources and its state are its
// own: none is shared with a config of this process, and nothing is fetched, stored or
// counted. What is in the storage is read once.
type Look struct {
	// Keys take the place of all keys that would be fetched; nil for those that a server
	// has stored.
	Keys *keystore.Set
	// Fetch allows fetching keys, which are not stored.
	Fetch bool
	// Introspect allows asking issuers about tokens.
	Introspect bool

	mu    sync.Mutex
	notes []string
}

// Storage returns a storage that can only be read, for a config that is looked at. Sources
// that are made with it know of the look by it.
func (l *Look) Storage(of certmagic.Storage) certmagic.Storage { return &lookedAt{of, l} }

// Notes returns what the reader of the answer should know, in the order in which it came up.
func (l *Look) Notes() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.notes)
}

// note notes something, once.
func (l *Look) note(format string, values ...any) {
	text := fmt.Sprintf(format, values...)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Contains(l.notes, text) {
		l.notes = append(l.notes, text)
	}
}

// lookedAt is a storage from which can only be read.
type lookedAt struct {
	certmagic.Storage
	look *Look
}

// Store implements certmagic.Storage.
func (*lookedAt) Store(context.Context, string, []byte) error { return replica.ErrReadOnly }

// Delete implements certmagic.Storage.
func (*lookedAt) Delete(context.Context, string) error { return replica.ErrReadOnly }

// Lock and Unlock implement certmagic.Locker. A lock would be a file, and who changes nothing
// needs none.
func (*lookedAt) Lock(context.Context, string) error   { return nil }
func (*lookedAt) Unlock(context.Context, string) error { return nil }

// Looking reports whether the config is only looked at.
func (s *Sources) Looking() bool { return s.look != nil }

// Storage returns the storage of the config as it was made.
func (s *Sources) Storage() certmagic.Storage {
	if l, ok := s.store.storage.(*lookedAt); ok {
		return l.Storage
	}
	return s.store.storage
}

// ReadState reads the shared state from the storage, once: what can't be read is not
// available, and noted if it is asked for. It is for a config that is looked at, and Settle comes first.
func (s *Sources) ReadState(ctx context.Context) {
	st := s.State()
	if st == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, stateReadTime)
	defer cancel()
	var reading sync.WaitGroup
	for _, set := range st.all() {
		reading.Go(func() { set.unread = set.read(ctx, st) })
	}
	reading.Wait()
}

// stateReadTime limits reading all sets. They are read at the same time.
const stateReadTime = 15 * time.Second

// endLook ends what ReadState has begun.
func (st *State) endLook() {
	ctx, cancel := context.WithTimeout(context.Background(), stateEnd)
	defer cancel()
	for _, set := range st.all() {
		if r := set.replicated(); r != nil {
			r.Close(ctx) // it has nothing to store
		}
	}
}
