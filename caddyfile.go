package caddyjwt

import (
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("jwt", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		handler := new(Handler)
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
//	    issuer <iss | *> {
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
	if args := d.RemainingArgs(); len(args) > 0 {
		if strings.HasPrefix(args[0], "/") || strings.HasPrefix(args[0], "@") {
			return d.Errf("%q is no issuer; a matcher comes first and only once: jwt [<matcher>] [<issuer> [<audience>...]]", args[0])
		}
		h.Issuer = append(h.Issuer, &Issuer{Iss: args[0], Audience: args[1:]})
	}
	seen := once{}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := h.unmarshalOption(d, seen); err != nil {
			return err
		}
	}
	return h.checkCaddyfile(d)
}

// checkCaddyfile finds what can be found without the machine that the config
// will run on, so that the error has a file and a line. Provision checks it
// all again, for configs in JSON.
func (h *Handler) checkCaddyfile(d *caddyfile.Dispenser) error {
	if _, err := h.policies(unresolved); err != nil {
		return d.Errf("%v", err)
	}
	if _, err := newCredentials(h.TokenFrom, h.TrustedOrigins, h.KeepCredentials); err != nil {
		return d.Errf("%v", err)
	}
	if _, err := newResponder(h.Realm, h.ErrorFormat); err != nil {
		return d.Errf("%v", err)
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
		return seen.text(d, &h.Realm, "realm api")
	case "error_format":
		return seen.text(d, &h.ErrorFormat, "error_format json")
	default:
		if issuerOptions[option] {
			return d.Errf("%s belongs to an issuer; write it inside: issuer <iss> { %s ... }", option, option)
		}
		return d.Errf("there is no option %q; there are issuer, audience, token_from, trusted_origins, claim, keep_credentials, realm and error_format", option)
	}
}

func (h *Handler) unmarshalTokenFrom(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) < 2 || len(args) > 3 || (len(args) == 3 && args[0] != fromHeader) {
		return d.Err("token_from needs a place and a name; write header Authorization Bearer, query access_token or cookie session")
	}
	if err := noBlock(d); err != nil {
		return err
	}
	s := &TokenSource{From: args[0], Name: args[1]}
	if len(args) == 3 {
		s.Scheme = args[2]
	}
	checked := *s
	if err := checked.check(); err != nil {
		return d.Errf("token_from: %v", err)
	}
	h.TokenFrom = append(h.TokenFrom, s)
	return nil
}

func (h *Handler) unmarshalClaim(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) < 1 || len(args) > 2 {
		return d.Err("claim needs a path and may have a name; write claim email, or claim realm_access.roles roles")
	}
	if err := noBlock(d); err != nil {
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
