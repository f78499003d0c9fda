package caddyjwt

import (
	"encoding/json"
	"errors"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddy-jwt/caddy-jwt/internal/grammar"
	"github.com/caddy-jwt/caddy-jwt/internal/offline"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("jwt", func(d *caddyfile.Dispenser, existing any) (any, error) {
		app := new(App)
		if err := app.UnmarshalCaddyfile(d); err != nil {
			return nil, err
		}
		if existing != nil {
			return nil, d.Err("duplicate global option jwt; put all named issuers into one block")
		}
		return httpcaddyfile.App{Name: "jwt", Value: caddyconfig.JSON(app, nil)}, nil
	})
}

// UnmarshalCaddyfile reads the global option:
//
//	jwt {
//	    issuer <name> <iss> {
//	        ...                              (see readIssuer)
//	    }
//	    api_keys <name> {
//	        file <path> | storage
//	    }
//	    scope_implies <broad> <narrow>...
//	    cache <size> | off
//	    state {
//	        sync_interval <duration>
//	        cluster <name>
//	        key <{env.NAME} | {file.PATH}> [<older>]
//	        max_stale <duration>
//	        on_stale serve | deny
//	    }
//	    metrics per_consumer
//	}
//
// issuer, api_keys and scope_implies may be repeated.
func (a *App) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // jwt
	if d.NextArg() {
		return d.Err("the global option jwt takes only a block; the directive jwt <issuer> <audience> goes into a site")
	}
	seen := grammar.Once{}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		var err error
		switch d.Val() {
		case "issuer":
			err = a.unmarshalIssuer(d)
		case "api_keys":
			err = a.unmarshalAPIKeys(d)
		case "scope_implies":
			err = readImplied(d, nil, &a.ScopeImplies)
		case "cache":
			err = a.unmarshalCache(d, seen)
		case "state":
			err = a.unmarshalState(d, seen)
		case "metrics":
			err = a.unmarshalMetrics(d, seen)
		default:
			err = d.Errf("the global option jwt has an unknown option %q; the options are issuer <name> <iss>, api_keys <name>, scope_implies <broad> <narrow>..., cache <size>, state and metrics per_consumer", d.Val())
		}
		if err != nil {
			return err
		}
	}
	offline.NoteGlobal(d)
	return nil
}

func (a *App) unmarshalIssuer(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 {
		return d.Err("an issuer of the global option needs a name and its iss; write issuer corp https://auth.example.com/")
	}
	name := args[0]
	if !setting.IsName(name) {
		return d.Errf("%q is not a valid issuer name; use letters, digits, _ and -, such as corp", name)
	}
	if a.Issuer[name] != nil {
		return d.Errf("duplicate issuer %s; give one of them another name", name)
	}
	if a.Issuer == nil {
		a.Issuer = map[string]*Issuer{}
	}
	i := &Issuer{Iss: args[1]}
	a.Issuer[name] = i
	return readIssuerBlock(i, &reader{Dispenser: d})
}

func (a *App) unmarshalCache(d *caddyfile.Dispenser, seen grammar.Once) error {
	if err := seen.Text(d, &a.Cache, "cache 64MiB, or cache off"); err != nil {
		return err
	}
	if _, err := cacheSize(a.Cache); err != nil {
		return d.Errf("%v", err)
	}
	return nil
}

func (a *App) unmarshalState(d *caddyfile.Dispenser, seen grammar.Once) error {
	if err := seen.Check(d, "put all its options into one block"); err != nil {
		return err
	}
	if d.CountRemainingArgs() > 0 {
		return d.Err("state takes only a block; write state alone, or state { sync_interval 5s }")
	}
	a.State = new(SharedState)
	inner := grammar.Once{}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		line := *d
		var err error
		switch d.Val() {
		case "sync_interval":
			err = inner.PositiveDuration(d, &a.State.SyncInterval, "sync_interval 5s")
		case "cluster":
			err = inner.Text(d, &a.State.Cluster, "cluster production")
		case "key":
			err = inner.List(d, &a.State.Key, "key {env.JWT_STATE_KEY}")
		case "max_stale":
			err = inner.PositiveDuration(d, &a.State.MaxStale, "max_stale 24h")
		case "on_stale":
			err = inner.Text(d, &a.State.OnStale, "on_stale deny")
		default:
			err = d.Errf("unknown state option %q; the options are sync_interval <duration>, cluster <name>, key <place> [<older>], max_stale <duration> and on_stale serve | deny", d.Val())
		}
		if err == nil {
			if wrong := a.State.check(); wrong != nil {
				err = line.Errf("%v", wrong)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *App) unmarshalMetrics(d *caddyfile.Dispenser, seen grammar.Once) error {
	var what string
	if err := seen.Text(d, &what, "metrics per_consumer"); err != nil {
		return err
	}
	if what != "per_consumer" {
		return d.Errf("metrics has no %q; write metrics per_consumer", what)
	}
	a.Metrics.PerConsumer = true
	return nil
}

// declaredApp returns what the global option declares. Caddy reads it before any
// site.
func declaredApp(h httpcaddyfile.Helper) (*App, error) {
	app := new(App)
	option := h.Option("jwt")
	if option == nil {
		return app, nil
	}
	value, ok := option.(httpcaddyfile.App)
	if !ok {
		return nil, errors.New("the global option jwt was read by another plugin; two plugins of this name can't be built in together")
	}
	return app, json.Unmarshal(value.Value, app)
}

var _ caddyfile.Unmarshaler = (*App)(nil)
