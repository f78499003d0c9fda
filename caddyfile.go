package caddyjwt

import (
	"errors"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddy-jwt/caddy-jwt/internal/credential"
	"github.com/caddy-jwt/caddy-jwt/internal/grammar"
	"github.com/caddy-jwt/caddy-jwt/internal/header"
	"github.com/caddy-jwt/caddy-jwt/internal/identity"
	"github.com/caddy-jwt/caddy-jwt/internal/refusal"
	"github.com/caddy-jwt/caddy-jwt/internal/rule"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
)

func init() {
	httpcaddyfile.RegisterDirective("jwt", adaptDirective)
	// In front of basic_auth, and of plugins that sort themselves before it
	// (rate limiters), which then see the identity; behind rewrites, so that
	// a matcher means what the handlers behind will see.
	httpcaddyfile.RegisterDirectiveOrder("jwt", httpcaddyfile.After, "try_files")
}

// adaptDirective makes a route of the directive. With a matcher and headers that
// are cleared it makes two: a request that the matcher does not match goes to the
// same upstream, and must not bring such a header there.
func adaptDirective(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	if !h.Next() {
		return nil, h.ArgErr()
	}
	matcher, err := h.ExtractMatcherSet()
	if err != nil {
		return nil, err
	}
	declared, err := declaredApp(h)
	if err != nil {
		return nil, err
	}
	handler := &Handler{declared: declared.Issuer, stores: declared.APIKeys}
	if err := handler.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	routes := h.NewRoute(matcher, handler)
	if clears := handler.clears(); len(matcher) > 0 && len(clears) > 0 && !handler.onlyClears() {
		routes = append(h.NewRoute(nil, &Handler{Clear: clears}), routes...)
	}
	return routes, nil
}

// clears are the headers that the handler removes from requests.
func (h *Handler) clears() []string {
	var names []string
	for _, f := range h.Forward {
		names = append(names, f.Header)
	}
	if h.ForwardPayload != "" {
		names = append(names, h.ForwardPayload)
	}
	return append(names, h.Clear...)
}

// UnmarshalCaddyfile reads the directive:
//
//	jwt [<matcher>] [<issuer> [<audience>...]] {
//	    issuer <iss | name | *> {
//	        ...                              (see unmarshalIssuer)
//	    }
//	    audience <aud>...
//
//	    api_key <id> <sha256:HEX | {env.NAME} | {file.PATH}> {
//	        ...                              (see unmarshalAPIKey)
//	    }
//	    api_keys <path | name>
//	    api_key_user_prefix <text>
//
//	    token_from header <name> [<scheme>]
//	    token_from query <name>
//	    token_from cookie <name>
//	    api_key_from header <name> [<scheme>]
//	    api_key_from query <name>
//	    api_key_from cookie <name>
//	    api_key_from basic
//	    trusted_origins <origin>...
//
//	    require scope <scope>...
//	    require any_scope <scope>...
//	    require claim <path> <value>...
//	    require expression <CEL>
//
//	    claim <path> [<name>]
//	    forward <what> <header> [json]
//	    forward_payload <header>
//	    clear <header>...
//	    keep_credentials
//
//	    optional
//	    allow_preflight
//	    realm <text>
//	    error_format json | aws | none
//	    mode enforce | report
//	}
//
// issuer, api_key, api_keys, token_from, api_key_from, require, claim, forward and
// clear may be repeated; anything else said twice is an error. Without a token_from, tokens are read from
// Authorization: Bearer, and without an api_key_from, API keys from X-API-Key.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // jwt
	at := places{directive: *d, options: map[string]caddyfile.Dispenser{}}
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
	seen := grammar.Once{}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		at.options[d.Val()] = *d
		if d.Val() == "issuer" {
			at.issuers = append(at.issuers, *d)
		}
		if err := h.unmarshalOption(d, seen); err != nil {
			return err
		}
	}
	at.issuers = append(at.issuers, at.directive) // where one is missing
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
	directive caddyfile.Dispenser
	issuers   []caddyfile.Dispenser
	options   map[string]caddyfile.Dispenser // the last of each name
}

// checkCaddyfile finds what can be found without the machine that the config
// will run on, so that the error has a file and a line. Provision checks it
// all again, for configs in JSON.
func (h *Handler) checkCaddyfile(at *places) error {
	if good, err := h.policies(setting.Unresolved); err != nil {
		if _, ok := errors.AsType[*setting.OptionError](err); ok {
			return at.of(err).Errf("%v", err)
		}
		return at.issuers[len(good)].Errf("%v", err)
	}
	if err := h.checkAPIKeyOptions(); err != nil {
		return at.of(err).Errf("%v", err)
	}
	read, err := credential.New(h.credentialSettings())
	if err != nil {
		return at.of(err).Errf("%v", err)
	}
	if _, err := header.New(forwards(h.Forward), h.ForwardPayload, h.Clear, read.Headers()); err != nil {
		return at.of(err).Errf("%v", err)
	}
	if err := h.checkMode(); err != nil {
		return at.of(err).Errf("%v", err)
	}
	required, err := rule.Check(requirements(h.Require))
	if err == nil {
		err = required.CheckOptional(h.Optional)
	}
	if err != nil {
		return at.of(err).Errf("%v", err)
	}
	return nil
}

// of finds the line of the option that an error is about.
func (at *places) of(err error) *caddyfile.Dispenser {
	if e, ok := errors.AsType[*setting.OptionError](err); ok {
		if line, ok := at.options[e.Option]; ok {
			return &line
		}
	}
	return &at.directive
}

func (h *Handler) unmarshalOption(d *caddyfile.Dispenser, seen grammar.Once) error {
	switch option := d.Val(); option {
	case "issuer":
		return h.unmarshalIssuer(d)
	case "audience":
		return seen.List(d, &h.Audience, "audience https://api.example.com")
	case "api_key":
		return h.unmarshalAPIKey(d)
	case "api_keys":
		return h.unmarshalAPIKeys(d)
	case "api_key_user_prefix":
		return seen.Text(d, &h.APIKeyUserPrefix, "api_key_user_prefix key:")
	case "token_from":
		return h.unmarshalTokenFrom(d)
	case "api_key_from":
		return h.unmarshalAPIKeyFrom(d)
	case "trusted_origins":
		return seen.List(d, &h.TrustedOrigins, "trusted_origins https://app.example.com")
	case "require":
		return h.unmarshalRequire(d)
	case "claim":
		return h.unmarshalClaim(d)
	case "forward":
		return h.unmarshalForward(d)
	case "forward_payload":
		return seen.Text(d, &h.ForwardPayload, "forward_payload X-JWT-Payload")
	case "clear":
		return h.unmarshalClear(d)
	case "keep_credentials":
		return seen.Flag(d, &h.KeepCredentials)
	case "optional":
		return seen.Flag(d, &h.Optional)
	case "allow_preflight":
		return seen.Flag(d, &h.AllowPreflight)
	case "realm":
		if err := seen.Text(d, &h.Realm, "realm api"); err != nil {
			return err
		}
		return h.checkResponder(d)
	case "error_format":
		if err := seen.Text(d, &h.ErrorFormat, "error_format json"); err != nil {
			return err
		}
		return h.checkResponder(d)
	case "mode":
		return seen.Text(d, &h.Mode, "mode report")
	default:
		if slices.Contains(issuerOptions, option) {
			return d.Errf("%s is an option of an issuer; write issuer <iss> into this block, not behind jwt, and %s into the block of that issuer", option, option)
		}
		if near := setting.Nearest(option, handlerOptions); near != "" {
			return d.Errf("there is no option %q; write %s", option, near)
		}
		if near := setting.Nearest(option, issuerOptions); near != "" {
			return d.Errf("there is no option %q; %s is an option of an issuer: write issuer <iss> into this block, not behind jwt, and %s into the block of that issuer", option, near, near)
		}
		return d.Errf("there is no option %q; there are %s", option, strings.Join(handlerOptions, ", "))
	}
}

// handlerOptions are the options of the directive itself.
var handlerOptions = []string{
	"issuer", "audience", "api_key", "api_keys", "api_key_user_prefix", "token_from", "api_key_from", "trusted_origins",
	"require", "claim", "forward", "forward_payload", "clear", "keep_credentials", "optional", "allow_preflight", "realm",
	"error_format", "mode",
}

func (h *Handler) checkResponder(d *caddyfile.Dispenser) error {
	if _, err := refusal.New(h.Realm, h.ErrorFormat, refusal.Accepted{}, ""); err != nil {
		return d.Errf("%v", err)
	}
	return nil
}

func (h *Handler) unmarshalTokenFrom(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) < 2 || len(args) > 3 {
		return d.Err("token_from needs a place and a name; write token_from header Authorization Bearer, token_from query access_token or token_from cookie session")
	}
	if err := grammar.NoBlock(d, "token_from"); err != nil {
		return err
	}
	s := &CredentialSource{From: args[0], Name: args[1]}
	if len(args) == 3 {
		s.Scheme = args[2]
	}
	h.TokenFrom = append(h.TokenFrom, s)
	if _, err := credential.New(credential.Settings{Tokens: true, TokenFrom: sources(h.TokenFrom)}); err != nil {
		return d.Errf("%v", err)
	}
	return nil
}

func (h *Handler) unmarshalClaim(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) < 1 || len(args) > 2 {
		return d.Err("claim needs a path and may have a name; write claim email, or claim realm_access.roles roles")
	}
	if err := grammar.NoBlock(d, "claim"); err != nil {
		return err
	}
	c := &ClaimName{Path: args[0]}
	if len(args) == 2 {
		c.Name = args[1]
	}
	h.Claim = append(h.Claim, c)
	if _, err := identity.NewNames(claimNames(h.Claim)); err != nil {
		return d.Errf("%v", err)
	}
	return nil
}
