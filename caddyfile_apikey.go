package caddyjwt

import (
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/credential"
	"github.com/caddy-jwt/caddy-jwt/internal/grammar"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
)

// unmarshalAPIKey reads an API key:
//
//	api_key <id> <sha256:HEX | {env.NAME} | {file.PATH}> {
//	    consumer <name>
//	    scopes <scope>...
//	    expires <RFC 3339 time>
//	    meta <name> <value>
//	}
//
// meta may be repeated. The block may be left out.
func (h *Handler) unmarshalAPIKey(d *caddyfile.Dispenser) error {
	at := *d
	args := d.RemainingArgs()
	if len(args) != 2 {
		return d.Err("an API key needs an id and its hash; write api_key partner sha256:HEX with the hash that `caddy jwt api-key hash` prints, or api_key partner {env.PARTNER_KEY}")
	}
	k := &APIKey{ID: args[0], Hash: args[1]}
	r, err := k.record(digestShape)
	if err == nil {
		if h.written == nil {
			h.written = uniqueKeys{}
		}
		err = h.written.add(k, r)
	}
	if err != nil {
		return at.Errf("%v", err)
	}
	seen := grammar.Once{}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		line := *d
		if err := k.unmarshalOption(d, seen); err != nil {
			return err
		}
		if _, err := k.record(digestShape); err != nil {
			return line.Errf("%v", err)
		}
	}
	h.APIKey = append(h.APIKey, k)
	return nil
}

func (k *APIKey) unmarshalOption(d *caddyfile.Dispenser, seen grammar.Once) error {
	switch option := d.Val(); option {
	case "consumer":
		return seen.Text(d, &k.Consumer, "consumer partner")
	case "scopes":
		return seen.List(d, &k.Scopes, "scopes orders:read orders:write")
	case "expires":
		return seen.Text(d, &k.Expires, "expires 2030-12-31T23:59:59Z")
	case "meta":
		return k.unmarshalMeta(d)
	default:
		if near := setting.Nearest(option, apiKeyOptions); near != "" {
			return d.Errf("an API key has no option %q; write %s", option, near)
		}
		return d.Errf("an API key has no option %q; there are %s", option, strings.Join(apiKeyOptions, ", "))
	}
}

// apiKeyOptions are the options of an API key.
var apiKeyOptions = []string{"consumer", "scopes", "expires", "meta"}

func (k *APIKey) unmarshalMeta(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 {
		return d.Err("meta needs a name and a value; write meta plan gold")
	}
	if _, twice := k.Meta[args[0]]; twice {
		return d.Errf("meta %s is there twice; remove one", args[0])
	}
	if k.Meta == nil {
		k.Meta = map[string]string{}
	}
	k.Meta[args[0]] = args[1]
	return grammar.NoBlock(d, "meta")
}

func (h *Handler) unmarshalAPIKeys(d *caddyfile.Dispenser) error {
	var path string
	if err := grammar.Text(d, &path, "api_keys /etc/caddy/keys.jsonl"); err != nil {
		return err
	}
	if apikey.IsDigest(path) {
		return d.Err("api_keys names a key file; for one key write api_key <id> sha256:HEX")
	}
	h.APIKeys = append(h.APIKeys, h.apiKeySource(path))
	if _, err := h.keyFiles(); err != nil {
		return d.Errf("%v", err)
	}
	return nil
}

func (h *Handler) unmarshalAPIKeyFrom(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) == 0 || len(args) > 3 || len(args) == 1 && args[0] != credential.FromBasic {
		return d.Err("api_key_from needs a place and a name; write api_key_from header X-API-Key, api_key_from query api_key, api_key_from cookie key or api_key_from basic")
	}
	if err := grammar.NoBlock(d, "api_key_from"); err != nil {
		return err
	}
	s := &CredentialSource{From: args[0]}
	if len(args) > 1 {
		s.Name = args[1]
	}
	if len(args) > 2 {
		s.Scheme = args[2]
	}
	h.APIKeyFrom = append(h.APIKeyFrom, s)
	if _, err := credential.New(credential.Settings{APIKeys: true, APIKeyFrom: sources(h.APIKeyFrom)}); err != nil {
		return d.Errf("%v", err)
	}
	return nil
}

// unmarshalAPIKeys reads a store of the global option.
func (a *App) unmarshalAPIKeys(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 1 {
		return d.Err("a store of API keys has a name and a block; write api_keys partners { file /etc/caddy/keys.jsonl }")
	}
	name := args[0]
	if !setting.IsName(name) {
		return d.Errf("%q is no name of a store; use letters, digits, _ and -, such as partners", name)
	}
	if a.APIKeys[name] != nil {
		return d.Errf("api_keys %s is there twice; give one of them another name", name)
	}
	store := new(APIKeyStore)
	at, seen := *d, grammar.Once{}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if d.Val() != "file" {
			return d.Errf("a store of API keys has no option %q; there is file <path>", d.Val())
		}
		line := *d
		if err := seen.Text(d, &store.File, "file /etc/caddy/keys.jsonl"); err != nil {
			return err
		}
		if err := setting.CheckPath(store.File); err != nil {
			return line.Errf("%v", err)
		}
	}
	if store.File == "" {
		return at.Errf("api_keys %s has no place for its keys; write file /etc/caddy/keys.jsonl into its block", name)
	}
	if a.APIKeys == nil {
		a.APIKeys = map[string]*APIKeyStore{}
	}
	a.APIKeys[name] = store
	return nil
}
