package shared

import (
	"context"
	"time"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/replica"
	"github.com/caddy-jwt/caddy-jwt/revocation"
)

// StateSettings are what a config says of shared state.
type StateSettings struct {
	// Cluster is the name that keeps apart what shares a storage.
	Cluster string
	// Interval is how often the storage is listed.
	Interval time.Duration
	// MaxStale is the time after which a set that could not be synced is refused.
	MaxStale time.Duration
	// Serve reports whether requests are served while a set is not ready or too old, as
	// long as there is one in hand.
	Serve bool
	// Keys authenticate what is in the storage: the first signs, all verify.
	Keys [][]byte
	// Revocations reports whether there are revocations, Stores the names of the stores of API keys.
	Revocations bool
	Stores      []string
}

// State is the shared state as one config uses it: revocations and stored API keys.
type State struct{}

// Revocations returns the rules, or nil if the config has no state.
func (s *State) Revocations() *revocation.Set { return nil }

// Store returns the store of API keys with this name, or nil.
func (s *State) Store(name string) *apikey.Store { return nil }

// Stores returns the stores of API keys in the order of their names.
func (s *State) Stores() []*apikey.Store { return nil }

// Usage returns what is counted of a store's keys, or nil.
func (s *State) Usage(store string) *apikey.Usage { return nil }

// Node returns the name of this node: the host's name and 8 hexadecimal digits that differ
// from process to process.
func (s *State) Node() string { return "" }

// Cluster and Storage name what the state is shared through: the name of the cluster and
// the id of the storage's module.
func (s *State) Cluster() string { return "" }
func (s *State) Storage() string { return "" }

// SetStatus is the state of one set.
type SetStatus struct {
	// Name is revocations, or keys- and the name of a store.
	Name string
	replica.Status
	// Refuses reports whether requests that depend on the set are refused now, and
	// RefusesAt is when that begins if no sync succeeds; zero for never.
	Refuses   bool
	RefusesAt time.Time
}

// Sets returns the state of all sets.
func (s *State) Sets(now time.Time) []SetStatus { return nil }

// Nodes returns the names of the nodes that share the state, those of the last week that
// were not stopped.
func (s *State) Nodes(ctx context.Context) ([]string, error) { return nil, nil }

// Accept signs what is in the storage without a signature, in all sets, and returns how
// many objects those were.
func (s *State) Accept(ctx context.Context) (int, error) { return 0, nil }

// Revoked and KeyChanged emit an event for a change that was made on this node.
func (s *State) Revoked(r revocation.Rule)                     {}
func (s *State) KeyChanged(store string, c apikey.StoreChange) {}
