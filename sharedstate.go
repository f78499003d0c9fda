package caddyjwt

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/internal/admin"
	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/internal/identity"
	"github.com/caddy-jwt/caddy-jwt/internal/replica"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
	"github.com/caddy-jwt/caddy-jwt/internal/shared"
)

// SharedState is how revocations and stored API keys are kept: in Caddy's storage, which all
// nodes of a cluster share. An empty object switches it on.
type SharedState struct {
	// How often the storage is listed: what one node revokes, the others refuse after
	// this time at the latest. From 1s to 5m. Default: 5s.
	SyncInterval caddy.Duration `json:"sync_interval,omitempty"`
	// A name that keeps apart clusters that share one storage: 1 to 32 of a to z, 0 to 9
	// and -. Default: default.
	Cluster string `json:"cluster,omitempty"`
	// The key that authenticates what is in the storage, as a placeholder `{env.NAME}` or
	// `{file.PATH}` for 32 bytes in base64. The first of two signs, and both verify.
	// Default: none, so that anyone who can write to the storage can make API keys.
	Key []string `json:"key,omitempty"`
	// How long requests are served while the storage is away; after that OnStale
	// decides. Default: 24h.
	MaxStale caddy.Duration `json:"max_stale,omitempty"`
	// What becomes of requests while the state can't be read at the start, or is older
	// than MaxStale: `deny` refuses them with 503, `serve` serves them with the state
	// that is in hand, and refuses them if there is none. Default: deny.
	OnStale string `json:"on_stale,omitempty"`
}

// The values of on_stale, and the bounds of durations.
const (
	staleServe      = "serve"
	staleDeny       = "deny"
	minSyncInterval = time.Second
	maxSyncInterval = 5 * time.Minute
)

// sharedName is the form of names that become part of a path in the storage.
var sharedName = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

var errPlainKey = errors.New("a key can't be in the config, which Caddy saves to disk and shows at /config/ ({$NAME} puts it there too); write {env.NAME} or {file./path} to read it from there; `openssl rand -base64 32` makes one")

// check checks the settings without reading any environment variable or file.
func (s *SharedState) check() error {
	d := time.Duration(s.SyncInterval)
	switch {
	case d != 0 && (d < minSyncInterval || d > maxSyncInterval):
		return setting.InOption("sync_interval", "%s is not from 1s to 5m; write sync_interval 5s", d)
	case s.MaxStale < 0 || s.MaxStale != 0 && time.Duration(s.MaxStale) < time.Minute:
		return setting.InOption("max_stale", "%s is less than 1m; write max_stale 24h", time.Duration(s.MaxStale))
	case s.OnStale != "" && s.OnStale != staleServe && s.OnStale != staleDeny:
		return setting.InOption("on_stale", "%q is not a valid value; write serve or deny", s.OnStale)
	case len(s.Key) > 2:
		return setting.InOption("key", "there are %d keys, and at most two are used; write the new one and then the older one", len(s.Key))
	}
	for _, k := range s.Key {
		if err := setting.CheckPlace(k, errPlainKey); err != nil {
			return setting.InOption("key", "%w", err)
		}
	}
	if s.Cluster != "" {
		return checkSharedName("cluster", s.Cluster)
	}
	return nil
}

// checkSharedName checks a name that becomes part of a path in the storage.
func checkSharedName(option, name string) error {
	if !sharedName.MatchString(name) || name == "keys" {
		return setting.InOption(option, "%q is not a valid name in the storage; write 1 to 32 of a to z, 0 to 9 and -, but not keys", name)
	}
	return nil
}

// keys reads the keys.
func (s *SharedState) keys() (keys [][]byte, err error) {
	for _, place := range s.Key {
		text, err := setting.ResolveSecret(place)
		if err != nil {
			return nil, setting.InOption("key", "%w", err)
		}
		k, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(k) != 32 {
			return nil, setting.InOption("key", "%s does not hold 32 bytes in base64; `openssl rand -base64 32` makes a key", place)
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// storedKeys returns the names of the stores of API keys that are in the storage.
func (a *App) storedKeys() []string {
	var names []string
	for name, store := range a.APIKeys {
		if store != nil && store.Storage {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// provisionState makes the shared state, if the config asks for it. It reads nothing.
func (a *App) provisionState(ctx caddy.Context) error {
	if a.State == nil && len(a.storedKeys()) == 0 {
		return nil
	}
	return a.needState(ctx)
}

// needState makes the shared state if there is none yet, with the defaults if the config
// says nothing of it. Handlers that were provisioned before use it too, as they ask for it
// at each request.
func (a *App) needState(ctx caddy.Context) error {
	if a.state != nil {
		return nil
	}
	stores, s := a.storedKeys(), a.State
	if s == nil {
		s = new(SharedState)
	}
	keys, err := s.keys()
	if err != nil {
		return fmt.Errorf("jwt: state: %w", err)
	}
	storage := a.sources.Storage()
	module, mirror := storageModule(storage), ""
	if settings, err := json.Marshal(storage); err == nil && !replica.IsLocal(storage) {
		mirror = filepath.Join(caddy.AppDataDir(), "jwt-mirror", shared.MirrorName(module, settings))
	}
	if w := replica.Warning(module); w != "" {
		a.logger.Warn(w, zap.String("storage", module))
	}
	a.state, err = a.sources.NewState(shared.StateSettings{
		Cluster: or(s.Cluster, shared.DefaultCluster), Interval: or(time.Duration(s.SyncInterval), shared.DefaultInterval),
		MaxStale: or(time.Duration(s.MaxStale), shared.DefaultMaxStale), Serve: s.OnStale == staleServe, Keys: keys,
		Stores: stores, StorageModule: module, MirrorFolder: mirror,
		LearnedRules: admin.LearnedRules(a.audit), LearnedKeys: admin.LearnedKeys(a.audit), RotatedKeys: admin.ChangedSigningKeys(a.audit),
	})
	return err
}

// used counts a use of a stored API key.
func (a *App) used(id *identity.Identity) {
	if a.state == nil {
		return
	}
	if k, ok := id.Key(); ok {
		a.state.Used(k, clock.System().Now())
	}
}

// or returns v, or the default if v is zero.
func or[T comparable](v, otherwise T) T {
	if v == *new(T) {
		return otherwise
	}
	return v
}

// storageModule returns the id of a storage's module.
func storageModule(storage any) string {
	if m, ok := storage.(caddy.Module); ok {
		return string(m.CaddyModule().ID)
	}
	return "caddy.storage.file_system"
}
