package caddyjwt

import (
	"encoding/json"
	"errors"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("jwt", func(d *caddyfile.Dispenser, existing any) (any, error) {
		app := new(App)
		if err := app.UnmarshalCaddyfile(d); err != nil {
			return nil, err
		}
		if existing != nil {
			return nil, d.Err("the global option jwt is there twice; put all named issuers into one block")
		}
		return httpcaddyfile.App{Name: "jwt", Value: caddyconfig.JSON(app, nil)}, nil
	})
}

// UnmarshalCaddyfile reads the global option:
//
//	jwt {
//	    issuer <name> <iss> {
//	        ...                              (see unmarshalIssuer)
//	    }
//	}
//
// issuer may be repeated.
func (a *App) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // jwt
	if d.NextArg() {
		return d.Err("the global option jwt has a block and nothing else; the directive jwt <issuer> <audience> belongs into a site")
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if d.Val() != "issuer" {
			return d.Errf("the global option jwt has no option %q; there is issuer <name> <iss>", d.Val())
		}
		if err := a.unmarshalIssuer(d); err != nil {
			return err
		}
	}
	return nil
}

func (a *App) unmarshalIssuer(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 {
		return d.Err("an issuer of the global option needs a name and its iss; write issuer corp https://auth.example.com/")
	}
	name := args[0]
	if !isName(name) {
		return d.Errf("%q is no name of an issuer; use letters, digits, _ and -, such as corp", name)
	}
	if a.Issuer[name] != nil {
		return d.Errf("issuer %s is there twice; give one of them another name", name)
	}
	if a.Issuer == nil {
		a.Issuer = map[string]*Issuer{}
	}
	i := &Issuer{Iss: args[1]}
	a.Issuer[name] = i
	return i.unmarshalBlock(d)
}

// declaredIssuers are the issuers of the global option, which is read before
// any site.
func declaredIssuers(h httpcaddyfile.Helper) (map[string]*Issuer, error) {
	option := h.Option("jwt")
	if option == nil {
		return nil, nil
	}
	value, ok := option.(httpcaddyfile.App)
	if !ok {
		return nil, errors.New("the global option jwt was read by another plugin; two plugins of this name can't be built in together")
	}
	app := new(App)
	if err := json.Unmarshal(value.Value, app); err != nil {
		return nil, err
	}
	return app.Issuer, nil
}

var _ caddyfile.Unmarshaler = (*App)(nil)
