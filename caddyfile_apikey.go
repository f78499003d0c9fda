package caddyjwt

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/credential"
	"github.com/caddy-jwt/caddy-jwt/internal/grammar"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
)

// readAPIKey reads an API key:
//
//	api_key <id> <sha256:HEX | {env.NAME} | {file.PATH}> {
//	    consumer <name>
//	    scopes <scope>...
//	    expires <RFC 3339 time>
//	    meta <name> <value>
//	}
//
// meta may be repeated. The block may be left out.
func readAPIKey(h *Handler, r *reader) error {
	k := new(APIKey)
	if err := readKey(k, r, apiKeyOptions().read); err != nil {
		return err
	}
	h.APIKey = append(h.APIKey, k)
	return nil
}

// readKey reads an API key, whose options are read by read.
func readKey(k *APIKey, r *reader, read func(*APIKey, *reader, *unknownOption) error) error {
	at := *r.Dispenser
	args := r.RemainingArgs()
	if len(args) != 2 {
		return r.Err("an API key needs an id and its hash; write api_key partner sha256:HEX with the hash that `caddy jwt api-key hash` prints, or api_key partner {env.PARTNER_KEY}")
	}
	k.ID, k.Hash = args[0], args[1]
	record, err := k.record(digestShape)
	if err == nil {
		err = r.keys.add(k, record)
	}
	if err != nil {
		return at.Errf("%v", err)
	}
	unknown := &unknownOption{kind: "api_key option"}
	r = r.inner()
	for nesting := r.Nesting(); r.NextBlock(nesting); {
		line := *r.Dispenser
		if err := read(k, r, unknown); err != nil {
			return err
		}
		if _, err := k.record(digestShape); err != nil {
			return line.Errf("%v", err)
		}
	}
	return nil
}

// apiKeyOptions returns the options of an API key.
func apiKeyOptions() options[APIKey] {
	return options[APIKey]{
		textOption("consumer", "partner", func(k *APIKey) *string { return &k.Consumer }),
		listOption("scopes", "orders:read orders:write", func(k *APIKey) *[]string { return &k.Scopes }),
		textOption("expires", "2030-12-31T23:59:59Z", func(k *APIKey) *string { return &k.Expires }),
		{"meta", readMeta, func(k *APIKey) bool { return len(k.Meta) > 0 }},
	}
}

func readMeta(k *APIKey, r *reader) error {
	args := r.RemainingArgs()
	if len(args) != 2 {
		return r.Err("meta needs a name and a value; write meta plan gold")
	}
	if _, twice := k.Meta[args[0]]; twice {
		return r.Errf("duplicate meta %s; remove one", args[0])
	}
	if k.Meta == nil {
		k.Meta = map[string]string{}
	}
	k.Meta[args[0]] = args[1]
	return grammar.NoBlock(r.Dispenser, "meta")
}

func readAPIKeys(h *Handler, r *reader) error {
	var path string
	if err := grammar.Text(r.Dispenser, &path, "api_keys /etc/caddy/keys.jsonl"); err != nil {
		return err
	}
	if apikey.IsDigest(path) {
		return r.Err("api_keys names a key file; for one key write api_key <id> sha256:HEX")
	}
	h.APIKeys = append(h.APIKeys, apiKeySource(r.global, path))
	if _, _, err := keyFiles(h.APIKeys, r.global.APIKeys); err != nil {
		return r.Errf("%v", err)
	}
	return nil
}

func readAPIKeyFrom(h *Handler, r *reader) error {
	args := r.RemainingArgs()
	if len(args) == 0 || len(args) > 3 || len(args) == 1 && args[0] != credential.FromBasic {
		return r.Err("api_key_from needs a place and a name; write api_key_from header X-API-Key, api_key_from query api_key, api_key_from cookie key or api_key_from basic")
	}
	if err := grammar.NoBlock(r.Dispenser, "api_key_from"); err != nil {
		return err
	}
	s := &CredentialSource{From: args[0]}
	if len(args) > 1 {
		s.Name = args[1]
	}
	if len(args) > 2 {
		s.Scheme = &args[2]
	}
	h.APIKeyFrom = append(h.APIKeyFrom, s)
	if _, err := credential.Check(credential.Settings{APIKeys: true, APIKeyFrom: sources(h.APIKeyFrom)}); err != nil {
		return r.Errf("%v", err)
	}
	return nil
}

// unmarshalAPIKeys reads a named store of API keys.
func (a *App) unmarshalAPIKeys(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 1 {
		return d.Err("api_keys needs a name and a block; write api_keys partners { file /etc/caddy/keys.jsonl }")
	}
	name := args[0]
	if !setting.IsName(name) {
		return d.Errf("%q is not a valid store name; use letters, digits, _ and -, such as partners", name)
	}
	if a.APIKeys[name] != nil {
		return d.Errf("duplicate api_keys %s; give one of them another name", name)
	}
	store := new(APIKeyStore)
	at, seen := *d, grammar.Once{}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		line := *d
		var err error
		switch d.Val() {
		case "file":
			if err = seen.Text(d, &store.File, "file /etc/caddy/keys.jsonl"); err == nil {
				if wrong := setting.CheckPath(store.File); wrong != nil {
					err = line.Errf("%v", wrong)
				}
			}
		case "storage":
			err = seen.Flag(d, &store.Storage)
		default:
			err = d.Errf("unknown api_keys option %q; the options are file <path> and storage", d.Val())
		}
		if err != nil {
			return err
		}
	}
	if err := store.check(name); err != nil {
		return at.Errf("api_keys %s: %v", name, err)
	}
	if a.APIKeys == nil {
		a.APIKeys = map[string]*APIKeyStore{}
	}
	a.APIKeys[name] = store
	return nil
}
