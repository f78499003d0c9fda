package caddyjwt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
)

// APIKeySource is a store of API keys outside the config.
type APIKeySource struct {
	// The path of a key file: JSON Lines, one record per line. Changes are picked up
	// while Caddy runs. Default: none, the store is named.
	File string `json:"file,omitempty"`
	// The name of a store that the app `jwt` declares. Default: none, the
	// store is a file.
	Name string `json:"name,omitempty"`
}

// APIKeyStore is a store of API keys that sites refer to by name: a file, or Caddy's
// storage.
type APIKeyStore struct {
	// The path of a key file: JSON Lines, one record per line. Changes are picked up
	// while Caddy runs. Default: none, the keys are in the storage.
	File string `json:"file,omitempty"`
	// Keeps the keys in Caddy's storage, where they are made, rolled and deleted while
	// Caddy runs, on any node of a cluster. Default: false, they are in a file.
	Storage bool `json:"storage,omitempty"`
}

// check checks the store with this name.
func (s *APIKeyStore) check(name string) error {
	switch {
	case s == nil || s.File == "" && !s.Storage:
		return errors.New("it has neither a file nor storage; write file /etc/caddy/keys.jsonl, or storage")
	case s.File != "" && s.Storage:
		return errors.New("it has both a file and storage; remove one, and take the keys of the file over with caddy jwt api-key import " + s.File + " --store " + name)
	case s.Storage:
		return checkSharedName("storage", name)
	}
	return setting.CheckPath(s.File)
}

// keyFiles checks the sources of a handler's API keys and returns the paths of their
// files, and the names of stores in the storage.
func keyFiles(list []*APIKeySource, stores map[string]*APIKeyStore) (paths, names []string, err error) {
	for _, s := range list {
		if s == nil {
			return paths, names, errors.New("api_keys: an entry is null; write an object with file or name")
		}
		path := s.File
		if _, isKey := apikey.IDOf(s.File + s.Name); isKey {
			return paths, names, fmt.Errorf("api_keys: it needs the path of a key file, and this is a key itself; %w", errPlainAPIKey)
		}
		switch {
		case (s.File == "") == (s.Name == ""):
			return paths, names, errors.New("api_keys: write the path of a key file, or the name of a store, not both")
		case s.Name != "" && stores[s.Name] == nil:
			return paths, names, fmt.Errorf("api_keys %s: no store of this name is declared; for a file write ./%s, else declare it in the global options: jwt { api_keys %s { file /etc/caddy/keys.jsonl } }", s.Name, s.Name, s.Name)
		case s.Name != "" && stores[s.Name].Storage:
			if slices.Contains(names, s.Name) {
				return paths, names, fmt.Errorf("api_keys: duplicate store %s; remove one", s.Name)
			}
			names = append(names, s.Name)
			continue
		case s.Name != "":
			path = stores[s.Name].File
		}
		if err := setting.CheckPath(path); err != nil {
			return paths, names, fmt.Errorf("api_keys: %w", err)
		}
		for _, other := range paths {
			if filepath.Clean(other) == filepath.Clean(path) {
				return paths, names, fmt.Errorf("api_keys: duplicate file %s; remove one", path)
			}
		}
		paths = append(paths, path)
	}
	return paths, names, nil
}

// hasAPIKeys reports whether API keys are configured.
func (h *Handler) hasAPIKeys() bool { return len(h.APIKey) > 0 || len(h.APIKeys) > 0 }

// checkAPIKeyOptions checks the options that are only for API keys.
func checkAPIKeyOptions(h *Handler) error {
	switch {
	case h.APIKeyUserPrefix == "":
		return nil
	case !h.hasAPIKeys():
		return setting.InOption("api_key_user_prefix", "no API key is configured; add keys, such as api_keys /etc/caddy/keys.jsonl, or remove it")
	}
	if err := apikey.CheckConsumer(h.APIKeyUserPrefix + "x"); err != nil {
		return setting.InOption("api_key_user_prefix", "%s can't begin a user's id; write a short text such as key:", strconv.Quote(h.APIKeyUserPrefix))
	}
	return nil
}

// provisionAPIKeys loads the keys of the config and its files.
func (h *Handler) provisionAPIKeys() (*apikey.Lookup, error) {
	if err := checkAPIKeyOptions(h); err != nil || !h.hasAPIKeys() {
		return nil, err
	}
	return h.app.provisionKeys(h.APIKey, h.APIKeys, h.site)
}

// provisionKeys loads the keys of a config and those of its stores, for a site.
func (a *App) provisionKeys(list []*APIKey, stores []*APIKeySource, site string) (*apikey.Lookup, error) {
	keys := new(apikey.Lookup)
	if err := a.provisionWritten(list, site, keys); err != nil {
		return nil, err
	}
	paths, names, err := keyFiles(stores, a.APIKeys)
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		file, err := a.sources.KeyFile(path)
		if err != nil {
			return nil, fmt.Errorf("api_keys: %w", keyFileError(path, err))
		}
		keys.Files = append(keys.Files, file)
	}
	for _, name := range names {
		keys.Stores = append(keys.Stores, a.state.KeysOf(name))
	}
	a.accepted.addKeys(keys)
	return keys, nil
}

// provisionWritten loads the keys that the config holds. Those in files of their own are
// read again when a file changes.
func (a *App) provisionWritten(list []*APIKey, site string, keys *apikey.Lookup) error {
	records, err := writtenKeys(list, digestOf)
	if err != nil {
		return err
	}
	for _, k := range list {
		if value, err := setting.ResolveSecret(k.Hash); err == nil && seemsList(value) {
			a.warnings.add(site, "api_key "+k.ID+": what "+k.Hash+" holds seems to be several keys, and is taken for one; put each on a line of a key file, with `caddy jwt api-key hash`, and write api_keys <path>")
		}
	}
	var written, placed []apikey.Record
	var paths, places []string
	for i, r := range records {
		if path, ok := setting.SecretPath(list[i].Hash); ok {
			placed, paths, places = append(placed, r), append(paths, path), append(places, list[i].Hash)
		} else {
			written = append(written, r)
		}
	}
	if len(written) > 0 {
		if keys.Written, err = apikey.NewSet(written); err != nil {
			return err
		}
	}
	if len(placed) == 0 {
		return nil
	}
	keys.Placed, err = apikey.NewPlaced(apikey.PlacedConfig{Paths: paths, Build: func(contents [][]byte) (*apikey.Set, error) {
		now := slices.Clone(placed)
		for i := range now {
			value, err := setting.SecretOf(paths[i], contents[i])
			if err == nil {
				now[i].Hash, err = digestIn(places[i], value)
			}
			if err == nil {
				err = notItsName(now[i])
			}
			if err != nil {
				return nil, err
			}
		}
		return apikey.NewSet(now)
	}})
	if err != nil {
		return fmt.Errorf("api_key: %w", setting.Located(err))
	}
	a.sources.PlacedKeys(keys.Placed)
	return nil
}

// keyFileError adds to an error what to do about a key file that is missing or that
// Caddy may not read.
func keyFileError(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; give it to the user that Caddy runs as, such as chown caddy: %s", err, path)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	err = fmt.Errorf("%w; make it with caddy jwt api-key new --append %s", err, path)
	if dir, unknown := os.Getwd(); unknown == nil && !filepath.IsAbs(path) {
		err = fmt.Errorf("%w (%s is relative to %s, where Caddy runs; write a full path)", err, path, dir)
	}
	return err
}

// apiKeySource returns the source that an argument of api_keys means: a declared
// name, or else a path.
func apiKeySource(global *App, arg string) *APIKeySource {
	if global.APIKeys[arg] != nil || setting.IsName(arg) {
		return &APIKeySource{Name: arg}
	}
	return &APIKeySource{File: arg}
}
