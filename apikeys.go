package caddyjwt

import (
	"errors"
	"fmt"
	"maps"
	"slices"
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
