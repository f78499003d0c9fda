package admin

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/replica"
	"github.com/caddy-jwt/caddy-jwt/internal/shared"
	"github.com/caddy-jwt/caddy-jwt/revocation"
	"github.com/caddy-jwt/caddy-jwt/tokenservice"
)

// State is what the endpoint needs of the shared state. *shared.State meets it by way of
// StateOf.
type State interface {
	// Revocations returns the rules, nil if the config has none.
	Revocations() Revocations
	// Stores returns the stores of API keys in the order of their names.
	Stores() []Store
	// Usage returns what is counted of a store's keys, or nil.
	Usage(store string) Usage
	// SigningSets returns the signing keys of the token services, those of a service for
	// itself before those for upstreams.
	SigningSets() []SigningSet
	// The rest is that of shared.State.
	Node() string
	Cluster() string
	Storage() string
	Sets(now time.Time) []shared.SetStatus
	Nodes(ctx context.Context, now time.Time) []string
	Accept(ctx context.Context) (int, error)
	Revoked(r revocation.Rule)
	KeyChanged(store string, c apikey.StoreChange)
}

// Revocations is what the endpoint needs of the rules.
type Revocations interface {
	Add(ctx context.Context, rules []revocation.Rule) (stored bool, err error)
	Remove(ctx context.Context, id, by, node, reason string) (revocation.Rule, error)
	List(ctx context.Context, q revocation.Query) (rules []revocation.Rule, next string, err error)
	Snapshot() *revocation.Snapshot
}

// Store is what the endpoint needs of a store of API keys.
type Store interface {
	Name() string
	Len() int
	Status() replica.Status
	Sync(ctx context.Context) error
	Create(ctx context.Context, r apikey.Record, by apikey.Actor) error
	Import(ctx context.Context, records []apikey.Record, by apikey.Actor) error
	IDOf(d apikey.Digest) (id string, ok bool)
	Roll(ctx context.Context, id string, hash apikey.Digest, overlap time.Duration, by apikey.Actor) (oldUntil time.Time, err error)
	Edit(ctx context.Context, id string, change func(*apikey.Record) error, by apikey.Actor) (stored bool, err error)
	Disable(ctx context.Context, id string, by apikey.Actor) (stored bool, err error)
	Enable(ctx context.Context, id string, by apikey.Actor) error
	Delete(ctx context.Context, id string, by apikey.Actor) (stored bool, err error)
	Get(id string, now time.Time) (apikey.StoredKey, error)
	List(after string, limit int, now time.Time) (keys []apikey.StoredKey, next string)
}

// Usage is what the endpoint needs of the counts of a store.
type Usage interface {
	Read(ctx context.Context) (map[string]apikey.Uses, error)
}

// SigningSet are the signing keys of a token service for one use.
type SigningSet struct {
	// Service is the issuer of the service, and Use shared.UseService or shared.UseForward.
	Service, Use string
	// The issuer of it is the "iss" of what the keys sign.
	tokenservice.SigningSettings
	// Keys are nil before the first start.
	Keys SigningKeys
}

// SigningKeys is what the endpoint needs of signing keys.
type SigningKeys interface {
	List(now time.Time) []tokenservice.SigningKey
	Rotate(ctx context.Context, by, node string) (tokenservice.RotateResult, error)
	RetireNow(ctx context.Context, by, node string) (tokenservice.RotateResult, error)
}

// list returns the keys, none before the first start.
func (s *SigningSet) list(now time.Time) []tokenservice.SigningKey {
	if s.Keys == nil {
		return nil
	}
	return s.Keys.List(now)
}

// StateOf returns the shared state of a config for the endpoint: nil for nil.
func StateOf(s *shared.State) State {
	if s == nil {
		return nil
	}
	return sharedState{s}
}

// sharedState is a *shared.State as a State.
type sharedState struct{ *shared.State }

func (s sharedState) Revocations() Revocations {
	if set := s.State.Revocations(); set != nil {
		return set
	}
	return nil
}

func (s sharedState) Stores() []Store {
	var stores []Store
	for _, name := range s.StoreNames() {
		if store := s.Store(name); store != nil {
			stores = append(stores, store)
		}
	}
	return stores
}

func (s sharedState) SigningSets() []SigningSet {
	var sets []SigningSet
	for _, use := range s.SigningUses() {
		set := SigningSet{Service: use.Service, Use: use.Use, SigningSettings: use.Settings()}
		if keys := use.SigningKeys(); keys != nil {
			set.Keys = keys
		}
		sets = append(sets, set)
	}
	return sets
}

func (s sharedState) Cluster() string { return s.StateSettings.Cluster }
func (s sharedState) Storage() string { return s.StorageModule }

func (s sharedState) Usage(store string) Usage {
	if usage := s.State.Usage(store); usage != nil {
		return usage
	}
	return nil
}

// KeyFile is a file of API keys that the config uses.
type KeyFile struct {
	// Path is the file.
	Path string
	// Names are the names under which the app declares it.
	Names []string
	// Keys are the keys in use.
	Keys *apikey.Set
}

// KeyFilesOf returns the key files of a config. names returns the names under which the app
// declares a file.
func KeyFilesOf(sources *shared.Sources, names func(path string) []string) []KeyFile {
	var files []KeyFile
	for _, f := range sources.KeyFileList() {
		files = append(files, KeyFile{f.Path, names(f.Path), f.Set()})
	}
	return files
}

// errNoState and errNoStore are the errors for a change that the config has no place for.
var (
	errNoState = refusal(http.StatusConflict, "the config has no shared state; add the line `state` to the block `jwt` of the global options")
	errNoStore = refusal(http.StatusConflict, "the config has no store of API keys that can be changed here; add one to the block `jwt` of the global options: `api_keys partners {`, in the next line `storage`, then `}`")
)

// storageError returns the error for a set's error, with the status of what is no other.
func storageError(err error, otherwise int) error {
	if api, ok := errors.AsType[caddy.APIError](err); ok {
		return api
	}
	status := otherwise
	switch {
	case errors.Is(err, revocation.ErrNoRule), errors.Is(err, apikey.ErrNoKey):
		status = http.StatusNotFound
	case errors.Is(err, apikey.ErrKeyDeleted):
		status = http.StatusGone
	case errors.Is(err, apikey.ErrKeyExists), errors.Is(err, revocation.ErrManyRules), errors.Is(err, replica.ErrNoKey):
		status = http.StatusConflict
	case errors.Is(err, replica.ErrTooLarge):
		status = http.StatusBadRequest
	case errors.Is(err, replica.ErrNotStored), errors.Is(err, replica.ErrNoSet), errors.Is(err, tokenservice.ErrKeysUnavailable),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		status = http.StatusServiceUnavailable
	}
	return refusal(status, "%v", err)
}
