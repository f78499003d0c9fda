package apikey

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/internal/replica"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// StoreConfig is the config of a Store.
type StoreConfig struct {
	// Name is the store's name in the config.
	Name string
	// Place is the place of the set, such as jwt/default/keys-partners.
	Place string
	// Binding is where the set is kept.
	Binding replica.Binding
	// Observe is called for changes of state; nil for nobody.
	Observe func(replica.Event)
	// Learned is called with changes that other nodes made; nil for nobody. It is not
	// called for what was there when the node started.
	Learned func([]StoreChange)
	// Clock is the time. Default: the clock of the process.
	Clock clock.Clock
}

// StoreChange is a change of a key, for logs and events.
type StoreChange struct {
	// ID is the key's.
	ID string
	// Change is created, rolled, edited, disabled, enabled or deleted.
	Change string
	// By and Node are who made it, and where.
	By, Node string
}

// Store is a set of API keys that the nodes of a cluster share through a storage, and that
// is changed while they run. It is safe for concurrent use.
type Store struct{}

// NewStore makes a store, without reading anything.
func NewStore(c StoreConfig) *Store { return &Store{} }

// Start, Close, Rebind, Sync, Accept, Ready and Status are those of replica.Replica.
func (s *Store) Start()                                      {}
func (s *Store) Close(ctx context.Context)                   {}
func (s *Store) Rebind(b replica.Binding, same bool)         {}
func (s *Store) Sync(ctx context.Context) error              { return errors.ErrUnsupported }
func (s *Store) Accept(ctx context.Context) (int, error)     { return 0, errors.ErrUnsupported }
func (s *Store) Ready() <-chan struct{}                      { return nil }
func (s *Store) Freshness() (ready bool, syncedAt time.Time) { return false, time.Time{} }
func (s *Store) Status() replica.Status                      { return replica.Status{} }

// Name returns the store's name in the config.
func (s *Store) Name() string { return "" }

// Len returns how many keys there are that are not deleted.
func (s *Store) Len() int { return 0 }

// Find finds a key by its digest, in one look-up: "" for a valid one, else the reason.
func (s *Store) Find(d Digest, now time.Time) (Key, reason.Code) { return Key{}, reason.UnknownAPIKey }

// Has reports whether there is a key with this digest, valid or not.
func (s *Store) Has(d Digest) bool { return false }

// StoredKey is a key as people see it.
type StoredKey struct {
	// Record has all but the hash, which is zero. Disabled is whether it is disabled.
	Record
	// Secrets is how many secrets of the key are accepted now: two during the overlap
	// of a roll.
	Secrets int
	// OldUntil is the time from which only the newest secret is accepted; zero if that
	// is so now.
	OldUntil time.Time
}

// Errors of a store's changes.
var (
	// ErrNoKey: there is no key with this id.
	ErrNoKey = errors.New("there is no key with this id")
	// ErrKeyDeleted: the key was deleted, which is final.
	ErrKeyDeleted = errors.New("the key was deleted, which is final; make a new one")
	// ErrKeyExists: another key has this id, or this secret.
	ErrKeyExists = errors.New("there is a key with this id already")
)

// Actor is who changes a key, for the facts.
type Actor struct{ By, Node string }

// Create adds a key, with its hash. It holds once it is stored; the error is ErrKeyExists,
// ErrKeyDeleted, replica.ErrNotStored, or one about the record.
func (s *Store) Create(ctx context.Context, r Record, by Actor) error { return errors.ErrUnsupported }

// Import adds many keys at once, or replaces the profiles of those that have the same id
// and hash.
func (s *Store) Import(ctx context.Context, records []Record, by Actor) error {
	return errors.ErrUnsupported
}

// Roll adds a secret to a key. Its other secrets are accepted for the time overlap, 0 for
// not at all. It holds once it is stored; nothing is retired if it is not.
func (s *Store) Roll(ctx context.Context, id string, hash Digest, overlap time.Duration, by Actor) (oldUntil time.Time, err error) {
	return time.Time{}, errors.ErrUnsupported
}

// Edit replaces the profile of a key: all of the record but ID, Hash, Disabled and Created.
// change gets the current one. stored is false if the change only tightens, and holds on
// this node only until it can be stored; one that does not only tighten holds once it is
// stored.
func (s *Store) Edit(ctx context.Context, id string, change func(*Record) error, by Actor) (stored bool, err error) {
	return false, errors.ErrUnsupported
}

// Disable makes the nodes refuse a key, at once on this one.
func (s *Store) Disable(ctx context.Context, id string, by Actor) (stored bool, err error) {
	return false, errors.ErrUnsupported
}

// Enable makes them accept it again, once that is stored. A disabling that this node has not
// seen stays.
func (s *Store) Enable(ctx context.Context, id string, by Actor) error { return errors.ErrUnsupported }

// Delete removes a key for ever, at once on this node.
func (s *Store) Delete(ctx context.Context, id string, by Actor) (stored bool, err error) {
	return false, errors.ErrUnsupported
}

// Get returns a key.
func (s *Store) Get(id string, now time.Time) (StoredKey, error) { return StoredKey{}, ErrNoKey }

// List returns the keys in the order of their ids, behind the id after, at most limit of
// them, and where to continue, empty if there are no more.
func (s *Store) List(after string, limit int, now time.Time) (keys []StoredKey, next string) {
	return nil, ""
}

// AwaitUnknown reports whether a key that was not found may have been learned of since. For
// a well-formed key it brings one sync forward and waits for that, within limits.
func (s *Store) AwaitUnknown(ctx context.Context, text string, d Digest) bool { return false }
