package admin

import (
	"context"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/internal/terminal"
	"github.com/caddy-jwt/caddy-jwt/revocation"
)

// StateStatus is the shared state of a config on this node.
type StateStatus struct {
	// Cluster and Storage name what the state is shared through.
	Cluster string `json:"cluster"`
	Storage string `json:"storage"`
	// Node is the name of this node, Nodes those that share the state, as far as the
	// storage can be read.
	Node  string   `json:"node"`
	Nodes []string `json:"nodes"`
	// Sets are the revocations, and the stores of API keys.
	Sets []SetStatus `json:"sets"`
	// Rules is the number of revocations by their kind.
	Rules map[string]int `json:"rules,omitempty"`
}

// SetStatus is the state of one shared set on this node.
type SetStatus struct {
	// Name is revocations, or keys- and the name of a store.
	Name string `json:"name"`
	// Ready reports whether the node has all that the set had when it was last listed.
	Ready bool `json:"ready"`
	// Loaded reports whether any state was loaded.
	Loaded bool `json:"loaded"`
	// Unsigned reports that the set was made without a key, though there is one now.
	Unsigned bool `json:"unsigned"`
	// SyncedAt is the time of the last complete sync, AgeSeconds how long ago that was.
	SyncedAt   time.Time `json:"synced_at,omitzero"`
	AgeSeconds float64   `json:"age_seconds"`
	// Objects and Facts are the number of objects in use, and of the facts in them.
	Objects int `json:"objects"`
	Facts   int `json:"facts"`
	// Unstored is the number of objects that hold on this node only.
	Unstored int `json:"unstored"`
	// Damaged is the number of objects that can't be used, Unknown that of facts which
	// this version does not know.
	Damaged int `json:"damaged"`
	Unknown int `json:"unknown"`
	// Keys is the number of API keys of a store.
	Keys *int `json:"keys,omitempty"`
	// Refuses reports whether requests that depend on the set are refused now, and
	// RefusesAt is when that begins if no sync succeeds.
	Refuses   bool      `json:"refuses"`
	RefusesAt time.Time `json:"refuses_at,omitzero"`
	// Error is why the last sync failed, empty if it did not.
	Error string `json:"error,omitempty"`
}

// ready reports whether all sets are ready, and no request is refused for their age.
func (s *StateStatus) ready() bool {
	for i := range s.Sets {
		if !s.Sets[i].Ready || s.Sets[i].Refuses {
			return false
		}
	}
	return true
}

// nodesTime is how long the status page waits for the storage to list nodes.
const nodesTime = 2 * time.Second

// stateStatus returns the status of shared state, nil if there is none.
func stateStatus(ctx context.Context, s State, now time.Time) *StateStatus {
	if s == nil {
		return nil
	}
	status := &StateStatus{Cluster: s.Cluster(), Storage: s.Storage(), Node: s.Node(), Nodes: []string{}, Sets: []SetStatus{}}
	ctx, cancel := context.WithTimeout(ctx, nodesTime)
	defer cancel()
	status.Nodes = append(status.Nodes, s.Nodes(ctx, now)...)
	keys := map[string]int{}
	for _, store := range s.Stores() {
		keys["keys-"+store.Name()] = store.Len()
	}
	for _, set := range s.Sets(now) {
		one := SetStatus{
			Name: set.Name, Ready: set.Ready, Loaded: set.Loaded, Unsigned: set.Unsigned, SyncedAt: set.SyncedAt,
			Objects: set.Objects, Facts: set.Facts, Unstored: set.Unstored, Damaged: set.Damaged, Unknown: set.Unknown,
			Refuses: set.Refuses, RefusesAt: set.RefusesAt,
		}
		if !set.SyncedAt.IsZero() {
			one.AgeSeconds = clock.Age(now, set.SyncedAt).Round(time.Millisecond).Seconds()
		}
		if n, ok := keys[set.Name]; ok {
			one.Keys = &n
		}
		if set.Err != nil {
			one.Error = terminal.Text(set.Err.Error())
		}
		status.Sets = append(status.Sets, one)
	}
	if rules := s.Revocations(); rules != nil {
		status.Rules = map[string]int{}
		for _, k := range revocation.Kinds {
			status.Rules[k.String()] = rules.Snapshot().Len(k)
		}
	}
	return status
}
