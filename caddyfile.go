package caddyjwt

import (
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("jwt", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		declared, err := declaredIssuers(h)
		if err != nil {
			return nil, err
		}
		handler := &Handler{declared: declared}
		return handler, handler.UnmarshalCaddyfile(h.Dispenser)
	})
	// In front of basic_auth, and of plugins that sort themselves before it
	// (rate limiters), which then see the identity; behind rewrites, so that
	// a matcher means what the handlers behind will see.
	httpcaddyfile.RegisterDirectiveOrder("jwt", httpcaddyfile.After, "try_files")
}

// UnmarshalCaddyfile reads the directive:
//
//	jwt [<matcher>] [<issuer> [<audience>...]] {
//	    issuer <iss | name | *> {
//	        ...                              (see unmarshalIssuer)
//	    }
//	    audience <aud>...
//
//	    token_from header <name> [<scheme>]
//	    token_from query <name>
//	    token_from cookie <name>
//	    trusted_origins <origin>...
//
//	    claim <path> [<name>]
//	    keep_credentials
//
//	    realm <text>
//	    error_format json | aws | none
//	}
//
// issuer, token_from and claim may be repeated; anything else said twice is an
// error. Without a token_from, tokens are read from Authorization: Bearer.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // jwt
	at := places{origins: *d}
	if args := d.RemainingArgs(); len(args) > 0 {
		for _, arg := range args {
			if strings.HasPrefix(arg, "/") || strings.HasPrefix(arg, "@") {
				return d.Errf("%q looks like a matcher, which comes first: jwt [<matcher>] [<issuer> [<audience>...]]; an audience that begins like this goes into the block: audience %s", arg, arg)
			}
			if slices.Contains(handlerOptions, arg) {
				return d.Errf("%s is an option, which goes into the block; behind jwt stand the issuer and its audience alone: jwt https://auth.example.com/ https://api.example.com", arg)
			}
		}
		i := h.issuer(args[0])
		i.Audience = args[1:]
		h.Issuer = append(h.Issuer, i)
		at.issuers = append(at.issuers, *d)
	}
	directive := *d
	seen := once{}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		switch d.Val() {
		case "issuer":
			at.issuers = append(at.issuers, *d)
		case "trusted_origins":
			at.origins = *d
		}
		if err := h.unmarshalOption(d, seen); err != nil {
			return err
		}
	}
	at.issuers = append(at.issuers, directive) // where one is missing
	return h.checkCaddyfile(&at)
}

// issuer tells a name that the global option declares from an iss.
func (h *Handler) issuer(arg string) *Issuer {
	if h.declared[arg] != nil {
		return &Issuer{Name: arg}
	}
	return &Issuer{Iss: arg}
}

// places are the lines of what can be judged only at the end of the block.
type places struct {
	issuers []caddyfile.Dispenser
	origins caddyfile.Dispenser
}

// checkCaddyfile finds what can be found without the machine that the config
// will run on, so that the error has a file and a line. Provision checks it
// all again, for configs in JSON.
func (h *Handler) checkCaddyfile(at *places) error {
	if good, err := h.policies(unresolved); err != nil {
		return at.issuers[len(good)].Errf("%v", err)
	}
	if _, err := newCredentials(h.TokenFrom, h.TrustedOrigins, h.KeepCredentials); err != nil {
		return at.origins.Errf("%v", err)
	}
	return nil
}

func (h *Handler) unmarshalOption(d *caddyfile.Dispenser, seen once) error {
	switch option := d.Val(); option {
	case "issuer":
		return h.unmarshalIssuer(d)
	case "audience":
		return seen.list(d, &h.Audience, "audience https://api.example.com")
	case "token_from":
		return h.unmarshalTokenFrom(d)
	case "trusted_origins":
		return seen.list(d, &h.TrustedOrigins, "trusted_origins https://app.example.com")
	case "claim":
		return h.unmarshalClaim(d)
	case "keep_credentials":
		return seen.flag(d, &h.KeepCredentials)
	case "realm":
		if err := seen.text(d, &h.Realm, "realm api"); err != nil {
			return err
		}
		return h.checkResponder(d)
	case "error_format":
		if err := seen.text(d, &h.ErrorFormat, "error_format json"); err != nil {
			return err
		}
		return h.checkResponder(d)
	default:
		if slices.Contains(issuerOptions, option) {
			return d.Errf("%s is an option of an issuer; write issuer <iss> into this block, not behind jwt, and %s into the block of that issuer", option, option)
		}
		if near := nearest(option, handlerOptions); near != "" {
			return d.Errf("there is no option %q; write %s", option, near)
		}
		if near := nearest(option, issuerOptions); near != "" {
			return d.Errf("there is no option %q; %s is an option of an issuer: write issuer <iss> into this block, not behind jwt, and %s into the block of that issuer", option, near, near)
		}
		return d.Errf("there is no option %q; there are %s", option, strings.Join(handlerOptions, ", "))
	}
}

// handlerOptions are the options of the directive itself.
var handlerOptions = []string{
	"issuer", "audience", "token_from", "trusted_origins", "claim", "keep_credentials", "realm", "error_format",
}

func (h *Handler) checkResponder(d *caddyfile.Dispenser) error {
	if _, err := newResponder(h.Realm, h.ErrorFormat); err != nil {
		return d.Errf("%v", err)
	}
	return nil
}

func (h *Handler) unmarshalTokenFrom(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) < 2 || len(args) > 3 {
		return d.Err("token_from needs a place and a name; write token_from header Authorization Bearer, token_from query access_token or token_from cookie session")
	}
	if err := noBlock(d, "token_from"); err != nil {
		return err
	}
	s := &TokenSource{From: args[0], Name: args[1]}
	if len(args) == 3 {
		s.Scheme = args[2]
	}
	h.TokenFrom = append(h.TokenFrom, s)
	if _, err := newCredentials(h.TokenFrom, nil, false); err != nil {
		return d.Errf("%v", err)
	}
	return nil
}

func (h *Handler) unmarshalClaim(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) < 1 || len(args) > 2 {
		return d.Err("claim needs a path and may have a name; write claim email, or claim realm_access.roles roles")
	}
	if err := noBlock(d, "claim"); err != nil {
		return err
	}
	c := &ClaimName{Path: args[0]}
	if len(args) == 2 {
		c.Name = args[1]
	}
	h.Claim = append(h.Claim, c)
	if _, err := checkClaimNames(h.Claim); err != nil {
		return d.Errf("%v", err)
	}
	return nil
}
