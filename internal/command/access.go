package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/admin"
)

// access is how commands change shared state: through the running server, or, while it is
// down, in the storage that the config names.
type access interface {
	addRule(ctx context.Context, body ruleBody) (madeRule, error)
	// eachRule visits rules until visit returns false.
	eachRule(ctx context.Context, q ruleQuery, visit func(listedRule) bool) error
	removeRule(ctx context.Context, id, reason string) error

	newKey(ctx context.Context, store string, k keyBody) (madeKey, error)
	// importKeys takes over records with hashes. It returns what was done with each.
	importKeys(ctx context.Context, store string, records []apikey.Record) ([]importedKey, error)
	key(ctx context.Context, store, id string) (storedKey, error)
	// eachKey visits the keys of a store until visit returns false.
	eachKey(ctx context.Context, store string, visit func(storedKey) bool) error
	editKey(ctx context.Context, store, id string, edit keyEdit) (stored bool, err error)
	rollKey(ctx context.Context, store, id string, overlap time.Duration) (rolledKey, error)
	deleteKey(ctx context.Context, store, id string) (stored bool, err error)

	// accept signs what is in the storage without a signature.
	accept(ctx context.Context) (int, error)
	// stored reports whether all changes of a set are stored by now.
	stored(ctx context.Context, set string) (bool, error)
	close()
}

// ruleBody is a rule to make.
type ruleBody struct {
	Kind      string    `json:"kind"`
	Value     string    `json:"value"`
	Issuer    string    `json:"issuer,omitempty"`
	AnyIssuer bool      `json:"any_issuer,omitempty"`
	Store     string    `json:"store,omitempty"`
	NotBefore time.Time `json:"not_before,omitzero"`
	End       time.Time `json:"end,omitzero"`
	Reason    string    `json:"reason,omitempty"`
}

// madeRule is a rule that was made.
type madeRule struct {
	ID     string `json:"id"`
	Stored bool   `json:"stored"`
	// CachedTokensRefused is how many of the tokens that the node has seen the rule
	// refuses; nil if no server was asked.
	CachedTokensRefused *int     `json:"cached_tokens_refused,omitempty"`
	APIKeysStillValid   []string `json:"api_keys_still_valid,omitempty"`
	Notes               []string `json:"notes,omitempty"`
}

// ruleQuery selects rules.
type ruleQuery struct{ kind, value, issuer string }

// listedRule is a rule as it is listed.
type listedRule struct {
	ID        string    `json:"id"`
	Kind      string    `json:"kind"`
	Value     string    `json:"value"`
	Issuer    string    `json:"issuer,omitempty"`
	Store     string    `json:"store,omitempty"`
	NotBefore time.Time `json:"not_before,omitzero"`
	End       time.Time `json:"end,omitzero"`
	Reason    string    `json:"reason,omitempty"`
	By        string    `json:"by,omitempty"`
	Node      string    `json:"node,omitempty"`
	At        time.Time `json:"at,omitzero"`
}

// keyBody is a key to make.
type keyBody struct {
	Name     string          `json:"name,omitempty"`
	Consumer string          `json:"consumer,omitempty"`
	Scopes   []string        `json:"scopes,omitempty"`
	Expires  time.Time       `json:"expires,omitzero"`
	Meta     json.RawMessage `json:"meta,omitempty"`
}

// storedKey is a key of a store.
type storedKey struct {
	listedKey
	Store    string          `json:"store,omitempty"`
	Meta     json.RawMessage `json:"meta,omitempty"`
	Secrets  int             `json:"secrets,omitempty"`
	OldUntil time.Time       `json:"old_until,omitzero"`
	LastUsed time.Time       `json:"last_used,omitzero"`
	UsedDay  uint64          `json:"uses_today,omitempty"`
	Used30   uint64          `json:"uses_30_days,omitempty"`
}

// madeKey is a key that was made.
type madeKey struct {
	Key string `json:"key"`
	storedKey
}

// rolledKey is a key's new secret.
type rolledKey struct {
	ID       string    `json:"id"`
	Key      string    `json:"key"`
	OldUntil time.Time `json:"old_until,omitzero"`
}

// importedKey is what was done with a record.
type importedKey struct {
	ID     string `json:"id"`
	Action string `json:"action"`
	Note   string `json:"note,omitempty"`
}

const (
	storedWait = 10 * time.Second       // how long a command waits until a change is stored
	storedPoll = 200 * time.Millisecond // how often it asks
)

// open returns how shared state is changed: through the server, if one answers, else in the
// storage of the config that the flags name.
func (s *serverAddress) open(ctx context.Context) (access, error) {
	var config *stateConfig
	if s.config != "" {
		var err error
		if config, err = readStateConfig(s.config, s.adapter); err != nil {
			return nil, err
		}
	}
	disabled := config != nil && config.Admin.Disabled && s.address == ""
	switch {
	case !disabled && admin.Listens(s.endpoint):
		return newServerAccess(s.endpoint), nil
	case config != nil && s.address == "":
		return newStorageAccess(ctx, config)
	}
	return nil, withHint(fmt.Errorf("no server answers at %s, and nothing was changed", s.endpoint),
		"is its admin endpoint elsewhere? name it with --address or --config; while the server is down, --config FILE works on the storage that the config names")
}

// awaitStored waits until a change that holds already is stored.
func awaitStored(cmd *cobra.Command, a access, set string, stored bool) error {
	deadline := time.Now().Add(storedWait)
	for {
		if stored {
			return nil
		}
		if time.Now().After(deadline) {
			return errUnstored
		}
		time.Sleep(storedPoll)
		var err error
		if stored, err = a.stored(cmd.Context(), set); err != nil && time.Now().After(deadline) {
			return fmt.Errorf("%w: %w", errUnstored, err)
		}
	}
}

// errUnstored: a change is in force, but not for the other nodes.
var errUnstored = withHint(errors.New("the change holds on this node only, as the storage does not take it"),
	"the server goes on trying until it is stopped; caddy jwt status shows when it is stored")
