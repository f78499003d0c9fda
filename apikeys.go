package caddyjwt

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
)

// APIKey is an API key that the config holds, by its hash.
type APIKey struct {
	// The key's id, which names it in logs: letters, digits, `.`, `_` and `-`. It is
	// not secret.
	ID string `json:"id"`
	// The SHA-256 of the key as `sha256:HEX`, or a placeholder `{env.NAME}` or
	// `{file.PATH}` whose value is the hash or the key itself.
	Hash string `json:"hash"`
	// Who holds the key: the id of the user that it authenticates. Default:
	// the key's id.
	Consumer string `json:"consumer,omitempty"`
	// What the key may do. Default: no scope.
	Scopes []string `json:"scopes,omitempty"`
	// When the key expires, as an RFC 3339 time. Default: never.
	Expires string `json:"expires,omitempty"`
	// Further values, readable as the claims `meta.<name>`. Default: none.
	Meta map[string]string `json:"meta,omitempty"`
}

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

// named adds the key's id to an error.
func (k *APIKey) named(err error) error {
	return fmt.Errorf("api_key %s: %w", k.ID, err)
}

// errPlainAPIKey does not repeat what was written: it may be the key itself.
var errPlainAPIKey = errors.New("an API key can't be written in the config, which Caddy saves to disk and shows at /config/ ({$NAME} puts it there too); write its hash, sha256: and 64 hexadecimal digits, which `caddy jwt api-key hash` prints, or {env.NAME} or {file./path} to read the key from there")

// record checks the key and returns its record. digest returns the digest for what
// the config has as its hash.
func (k *APIKey) record(digest func(written string) (apikey.Digest, error)) (r apikey.Record, err error) {
	if err := apikey.CheckID(k.ID); err != nil {
		return r, fmt.Errorf("api_key: %w", err)
	}
	r = apikey.Record{ID: k.ID, Consumer: k.Consumer, Scopes: k.Scopes}
	if r.Hash, err = digest(k.Hash); err != nil {
		return r, k.named(err)
	}
	if err := notItsName(r); err != nil {
		return r, err
	}
	if k.Consumer != "" {
		if err := apikey.CheckConsumer(k.Consumer); err != nil {
			return r, k.named(fmt.Errorf("consumer: %w", err))
		}
	}
	if err := apikey.CheckScopes(k.Scopes); err != nil {
		return r, k.named(fmt.Errorf("scopes: %w", err))
	}
	if k.Expires != "" {
		if r.Expires, err = apikey.ParseTime(k.Expires); err != nil {
			return r, k.named(fmt.Errorf("expires: %w", err))
		}
	}
	if r.Meta, err = k.meta(); err != nil {
		return r, k.named(fmt.Errorf("meta: %w", err))
	}
	return r, nil
}

// notItsName returns an error if a key is called by its own text.
func notItsName(r apikey.Record) error {
	for _, text := range []string{r.ID, r.Consumer} {
		if apikey.DigestOf(text) == r.Hash {
			return errors.New("api_key: the id or the consumer is the key itself, which would show in logs and at /config/; write another name instead")
		}
	}
	return nil
}

func (k *APIKey) meta() (claims.Value, error) {
	if len(k.Meta) == 0 {
		return claims.Value{}, nil
	}
	members := make([]claims.Member, 0, len(k.Meta))
	for _, name := range slices.Sorted(maps.Keys(k.Meta)) {
		if name == "" {
			return claims.Value{}, errors.New("a name is empty; write meta plan gold")
		}
		members = append(members, claims.Member{Name: name, Value: claims.TextValue(k.Meta[name])})
	}
	v := claims.ObjectValue(members...)
	return v, apikey.CheckMeta(v)
}

// digestShape checks the form of a key's hash without reading any environment
// variable or file. For a placeholder it returns the zero digest.
func digestShape(written string) (apikey.Digest, error) {
	if apikey.IsDigest(written) {
		return apikey.ParseDigest(written)
	}
	return apikey.Digest{}, setting.CheckPlace(written, errPlainAPIKey)
}

// digestOf returns the digest of a key, which it reads from the environment or a
// file where the config has a placeholder. A key that is read there is not kept.
func digestOf(written string) (apikey.Digest, error) {
	if apikey.IsDigest(written) {
		return apikey.ParseDigest(written)
	}
	if err := setting.CheckPlace(written, errPlainAPIKey); err != nil {
		return apikey.Digest{}, err
	}
	value, err := setting.ResolveSecret(written)
	if err != nil {
		return apikey.Digest{}, err
	}
	return digestIn(written, value)
}

// digestIn returns the digest of a key for what was read at its place.
func digestIn(written, value string) (apikey.Digest, error) {
	if apikey.IsDigest(value) {
		d, err := apikey.ParseDigest(value)
		if err != nil {
			return d, fmt.Errorf("%s: %w", written, err)
		}
		return d, nil
	}
	if err := apikey.CheckText(value); err != nil {
		if seemsList(value) {
			err = errors.New("it seems to hold several keys; put each on a line of a key file, with `caddy jwt api-key hash`, and write api_keys <path>")
		}
		return apikey.Digest{}, fmt.Errorf("%s: %w", written, err)
	}
	if apikey.Weak(value) {
		return apikey.Digest{}, fmt.Errorf("%s: the key has few different characters and could be guessed; generate one with `caddy jwt api-key new`", written)
	}
	return apikey.DigestOf(value), nil
}

// seemsList reports whether a text is several keys in a row rather than one.
func seemsList(value string) bool {
	parts := strings.FieldsFunc(value, func(c rune) bool { return strings.ContainsRune(", ;|\r\n\t", c) })
	long := 0
	for _, p := range parts {
		if len(p) >= 8 {
			long++
		}
	}
	return len(parts) > 1 && long == len(parts)
}

// writtenKeys checks the keys that the config holds and returns their records. On
// error it returns those before the invalid key.
func writtenKeys(keys []*APIKey, digest func(string) (apikey.Digest, error)) ([]apikey.Record, error) {
	var records []apikey.Record
	seen := uniqueKeys{}
	for _, k := range keys {
		if k == nil {
			return records, errors.New("api_key: an entry is null; write an object with id and hash")
		}
		r, err := k.record(digest)
		if err == nil {
			err = seen.add(k, r)
		}
		if err != nil {
			return records, err
		}
		records = append(records, r)
	}
	return records, nil
}

// uniqueKeys finds duplicate keys. It maps ids, digests and placeholders to the id
// of their key.
type uniqueKeys map[string]string

func (u uniqueKeys) add(k *APIKey, r apikey.Record) error {
	if _, twice := u["id "+k.ID]; twice {
		return k.named(errors.New("duplicate id; give each key its own"))
	}
	same := []string{"place " + k.Hash}
	if r.Hash != (apikey.Digest{}) {
		same = append(same, "digest "+r.Hash.String())
	}
	for _, s := range same {
		if other, twice := u[s]; twice {
			return k.named(fmt.Errorf("it is the same key as %s; remove one of them", other))
		}
	}
	u["id "+k.ID] = k.ID
	for _, s := range same {
		u[s] = k.ID
	}
	return nil
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
