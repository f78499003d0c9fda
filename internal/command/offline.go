package command

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/caddyserver/certmagic"

	"github.com/caddy-jwt/caddy-jwt/internal/replica"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
)

// stateConfig is what a config says of shared state.
type stateConfig struct {
	Admin struct {
		Disabled bool `json:"disabled"`
	} `json:"admin"`
	StorageRaw json.RawMessage `json:"storage" caddy:"namespace=caddy.storage inline_key=module"`
	Apps       struct {
		JWT struct {
			State *struct {
				Cluster string   `json:"cluster"`
				Key     []string `json:"key"`
			} `json:"state"`
			APIKeys map[string]struct {
				Storage bool `json:"storage"`
			} `json:"api_keys"`
			Issuer map[string]configIssuer `json:"issuer"`
		} `json:"jwt"`
	} `json:"apps"`

	all json.RawMessage // the whole config
}

// readStateConfig reads a config file.
func readStateConfig(path, adapter string) (*stateConfig, error) {
	text, _, _, err := caddycmd.LoadConfig(path, adapter)
	if err != nil {
		return nil, err
	}
	c := new(stateConfig)
	if err := json.Unmarshal(text, c); err != nil {
		return nil, fmt.Errorf("reading the config: %w", err)
	}
	c.all = text
	return c, nil
}

// sets returns the names of the sets that a server with this config has: the revocations,
// and the stores of API keys.
func (c *stateConfig) sets() []string {
	var names []string
	for name, keys := range c.Apps.JWT.APIKeys {
		if keys.Storage {
			names = append(names, keysSet(name))
		}
	}
	slices.Sort(names)
	services, _ := c.services()
	if c.Apps.JWT.State != nil || len(names) > 0 || len(services) > 0 {
		names = append([]string{revocationsSet}, names...)
	}
	return names
}

// cluster returns the name of the cluster.
func (c *stateConfig) cluster() string {
	if s := c.Apps.JWT.State; s != nil && s.Cluster != "" {
		return s.Cluster
	}
	return "default"
}

// keys returns the keys that sign what is in the storage. Its errors don't show them.
func (c *stateConfig) keys() ([][]byte, error) {
	if c.Apps.JWT.State == nil {
		return nil, nil
	}
	var keys [][]byte
	for n, text := range c.Apps.JWT.State.Key {
		secret, err := setting.ResolveSecret(text)
		if err != nil {
			return nil, fmt.Errorf("state: key %d: %w", n+1, err)
		}
		key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(secret))
		if err != nil || len(key) != 32 {
			return nil, fmt.Errorf("state: key %d is not 32 bytes in base64; set the variable or the file as the server has it", n+1)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// stateStorage is the storage that a config names, for a command that works on it while
// the server is down.
type stateStorage struct {
	config  *stateConfig
	storage certmagic.Storage
	place   string // the storage as people find it: its module and, of files, the path
	signing [][]byte
	close   func()
}

// openStorage loads the storage of a config as Caddy does.
func openStorage(ctx context.Context, c *stateConfig) (*stateStorage, error) {
	keys, err := c.keys()
	if err != nil {
		return nil, err
	}
	s := &stateStorage{config: c, storage: caddy.DefaultStorage, place: "caddy.storage.file_system", signing: keys, close: func() {}}
	if c.StorageRaw != nil && string(c.StorageRaw) != "null" {
		caddyCtx, cancel := caddy.NewContext(caddy.Context{Context: ctx})
		module, err := caddyCtx.LoadModule(c, "StorageRaw")
		if err != nil {
			cancel()
			return nil, fmt.Errorf("loading the storage of the config: %w", err)
		}
		s.close = cancel
		converter, ok := module.(caddy.StorageConverter)
		if !ok {
			cancel()
			return nil, errors.New("loading the storage of the config: the module is no storage")
		}
		if s.storage, err = converter.CertMagicStorage(); err != nil {
			cancel()
			return nil, fmt.Errorf("loading the storage of the config: %w", err)
		}
		if m, ok := module.(caddy.Module); ok {
			s.place = string(m.CaddyModule().ID)
		}
	}
	if files, ok := s.storage.(*certmagic.FileStorage); ok {
		s.place += " at " + files.Path
	}
	return s, nil
}

// binding returns where a set is kept, and the name of its place.
func (s *stateStorage) binding(set string) (string, replica.Binding) {
	name := "jwt/" + s.config.cluster() + "/" + set
	return name, replica.Binding{
		Objects: replica.Folder(s.storage, name),
		Local:   replica.IsLocal(s.storage),
		Keys:    s.signing,
	}
}

// noSet is the error for a set that can't be used.
func (s *stateStorage) noSet(set string, err error) error {
	name, _ := s.binding(set)
	if !errors.Is(err, replica.ErrNoSet) {
		return fmt.Errorf("%s in the storage %s: %w", name, s.place, err)
	}
	return withHint(fmt.Errorf("%s in the storage %s: %w, and nothing was changed", name, s.place, err),
		"only the server makes a set; is this the storage of the server? run the command as its user and with its environment (HOME, XDG_DATA_HOME), or write the path of the storage into the config")
}
