package caddyjwt

import (
	"errors"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddy-jwt/caddy-jwt/internal/credential"
	"github.com/caddy-jwt/caddy-jwt/internal/grammar"
	"github.com/caddy-jwt/caddy-jwt/internal/identity"
	"github.com/caddy-jwt/caddy-jwt/internal/offline"
	"github.com/caddy-jwt/caddy-jwt/internal/refusal"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
)

func init() {
	httpcaddyfile.RegisterDirective("jwt", adaptDirective)
	// Before basic_auth and plugins that order themselves before it (rate limiters),
	// which then see the identity; after rewrites, so that a matcher sees what
	// downstream handlers will see.
	httpcaddyfile.RegisterDirectiveOrder("jwt", httpcaddyfile.After, "try_files")
	// Registered later for the same place, it stands in front of jwt, so that a site may
	// require tokens for everything else.
	httpcaddyfile.RegisterDirective("authorization_server", adaptAuthorizationServer)
	httpcaddyfile.RegisterDirectiveOrder("authorization_server", httpcaddyfile.After, "try_files")
}

// readMatched reads a directive, and returns its matcher.
func readMatched[T any](h httpcaddyfile.Helper, into *T, read func(*T, *reader) error) (caddy.ModuleMap, error) {
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
	return matcher, read(into, &reader{Dispenser: h.Dispenser, global: declared})
}

// adaptDirective makes a route of the directive. With a matcher and headers to clear
// it makes two routes: requests that do not match go to the same upstream, and must
// not bring such a header there. With a matcher and a resource it makes two as well, as
// requests for the metadata seldom match.
func adaptDirective(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	handler := new(Handler)
	matcher, err := readMatched(h, handler, readDirective)
	if err != nil {
		return nil, err
	}
	routes := h.NewRoute(matcher, handler)
	clears := clearedBy(handler)
	switch {
	case len(matcher) == 0 || handler.Mode == modeClear:
	case len(clears) > 0:
		clearing := &Handler{Clear: clears, Mode: modeClear}
		offline.NoteHandler(h.Dispenser, clearing)
		routes = append(h.NewRoute(nil, clearing), routes...)
	case handler.Resource != nil:
		routes = append(h.NewRoute(nil, new(ResourceMetadata)), routes...)
	}
	return routes, nil
}

// clearedBy returns the headers that a handler removes from requests.
func clearedBy(h *Handler) []string {
	var names []string
	for _, f := range h.Forward {
		names = append(names, f.Header)
	}
	if h.ForwardPayload != "" {
		names = append(names, h.ForwardPayload)
	}
	for _, f := range h.ForwardJWT {
		names = append(names, f.Header)
	}
	return append(names, h.Clear...)
}

// UnmarshalCaddyfile reads the directive:
//
//	jwt [<matcher>] [<issuer> [<audience>...]] {
//	    issuer <iss | name | *> {
//	        ...                              (see readIssuer)
//	    }
//	    audience <aud>...
//
//	    api_key <id> <sha256:HEX | {env.NAME} | {file.PATH}> {
//	        ...                              (see readAPIKey)
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
//	    max_token_size <size>
//	    trusted_origins <origin>...
//
//	    require scope <scope>...
//	    require any_scope <scope>...
//	    require claim <path> <value>...
//	    require expression <CEL>
//
//	    scope_implies <broad> <narrow>...
//	    resource <url> {
//	        ...                              (see readResource)
//	    }
//
//	    mcp {
//	        ...                              (see readMCP)
//	    }
//
//	    claim <path> [<name>]
//	    forward <what> <header> [json]
//	    forward_payload <header>
//	    forward_jwt <header> <audience> {
//	        ...                              (see readForwardJWT)
//	    }
//	    clear <header>...
//	    keep_credentials
//
//	    optional
//	    allow_preflight
//	    realm <text>
//	    error_format json | aws | grpc | none
//	    log_credentials_filtered
//	    mode enforce | report | clear
//	}
//
// issuer, api_key, api_keys, token_from, api_key_from, require, scope_implies, claim,
// forward, forward_jwt and clear may be repeated; any other duplicate is an error. The default of token_from
// is header Authorization Bearer, that of api_key_from is header X-API-Key.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return readDirective(h, &reader{Dispenser: d, global: new(App)})
}

func readDirective(h *Handler, r *reader) error {
	r.Next() // jwt
	r.once, r.keys = grammar.Once{}, uniqueKeys{}
	at := optionLines{directive: *r.Dispenser, options: map[string]caddyfile.Dispenser{}}
	if args := r.RemainingArgs(); len(args) > 0 {
		for _, arg := range args {
			if strings.HasPrefix(arg, "/") || strings.HasPrefix(arg, "@") {
				return r.Errf("%q looks like a matcher, which comes first: jwt [<matcher>] [<issuer> [<audience>...]]; an audience that begins like this goes into the block: audience %s", arg, arg)
			}
			if slices.Contains(handlerOptions().names(), arg) {
				return r.Errf("%s is an option, which goes into the block; only the issuer and its audience follow jwt: jwt https://auth.example.com/ https://api.example.com", arg)
			}
		}
		i := issuerOf(r.global, args[0])
		i.Audience = args[1:]
		h.Issuer = append(h.Issuer, i)
		at.issuers = append(at.issuers, *r.Dispenser)
	}
	unknown := &unknownOption{
		kind: "option", foreign: true, others: issuerOptions().names(), are: "is an option of an issuer",
		remedy: func(other string) string {
			return "write issuer <iss> into this block, not after jwt, and " + other + " into the block of that issuer"
		},
	}
	for nesting := r.Nesting(); r.NextBlock(nesting); {
		at.options[r.Val()] = *r.Dispenser
		if r.Val() == "issuer" {
			at.issuers = append(at.issuers, *r.Dispenser)
		}
		if err := handlerOptions().read(h, r, unknown); err != nil {
			return err
		}
	}
	at.issuers = append(at.issuers, at.directive) // where one is missing
	if err := at.check(h, r.global); err != nil {
		return err
	}
	offline.NoteHandler(r.Dispenser, h)
	return nil
}

// handlerOptions returns the options of the directive. It is a function because the
// options of a block and those of the blocks inside refer to each other in errors.
func handlerOptions() options[Handler] {
	checkAnswer := func(h *Handler) error { return refusal.Check(h.Realm, h.ErrorFormat) }
	return options[Handler]{
		{"issuer", readIssuer, func(h *Handler) bool { return len(h.Issuer) > 0 }},
		listOption("audience", "https://api.example.com", func(h *Handler) *[]string { return &h.Audience }),
		{"api_key", readAPIKey, func(h *Handler) bool { return len(h.APIKey) > 0 }},
		{"api_keys", readAPIKeys, func(h *Handler) bool { return len(h.APIKeys) > 0 }},
		textOption("api_key_user_prefix", "key:", func(h *Handler) *string { return &h.APIKeyUserPrefix }),
		{"token_from", readTokenFrom, func(h *Handler) bool { return len(h.TokenFrom) > 0 }},
		{"api_key_from", readAPIKeyFrom, func(h *Handler) bool { return len(h.APIKeyFrom) > 0 }},
		textOption("max_token_size", "32KiB", func(h *Handler) *string { return &h.MaxTokenSize }).checked(func(h *Handler) error {
			_, err := maxTokenSize(h)
			return err
		}),
		listOption("trusted_origins", "https://app.example.com", func(h *Handler) *[]string { return &h.TrustedOrigins }),
		{"require", readRequire, func(h *Handler) bool { return len(h.Require) > 0 }},
		{"scope_implies", readScopeImplies, func(h *Handler) bool { return len(h.ScopeImplies) > 0 }},
		{"resource", readResource, func(h *Handler) bool { return h.Resource != nil }},
		{"mcp", readMCP, func(h *Handler) bool { return h.MCP != nil }},
		{"claim", readClaim, func(h *Handler) bool { return len(h.Claim) > 0 }},
		{"forward", readForward, func(h *Handler) bool { return len(h.Forward) > 0 }},
		textOption("forward_payload", "X-JWT-Payload", func(h *Handler) *string { return &h.ForwardPayload }),
		{"forward_jwt", readForwardJWT, func(h *Handler) bool { return len(h.ForwardJWT) > 0 }},
		{"clear", readClear, func(h *Handler) bool { return len(h.Clear) > 0 }},
		flagOption("keep_credentials", func(h *Handler) *bool { return &h.KeepCredentials }),
		flagOption("optional", func(h *Handler) *bool { return &h.Optional }),
		flagOption("allow_preflight", func(h *Handler) *bool { return &h.AllowPreflight }),
		textOption("realm", "api", func(h *Handler) *string { return &h.Realm }).checked(checkAnswer),
		textOption("error_format", "json", func(h *Handler) *string { return &h.ErrorFormat }).checked(checkAnswer),
		flagOption("log_credentials_filtered", func(h *Handler) *bool { return &h.LogCredentialsFiltered }),
		textOption("mode", "report", func(h *Handler) *string { return &h.Mode }),
	}
}

// issuerOf returns the issuer that an argument means: a declared name, or else an
// iss.
func issuerOf(global *App, arg string) *Issuer {
	if global.Issuer[arg] != nil {
		return &Issuer{Name: arg}
	}
	return &Issuer{Iss: arg}
}

// optionLines are the lines of what can be checked only at the end of the block.
type optionLines struct {
	directive caddyfile.Dispenser
	issuers   []caddyfile.Dispenser
	options   map[string]caddyfile.Dispenser // the last of each name
}

// check checks what does not depend on the machine that the config will run on, so
// that errors have a file and a line. Provision checks everything again, for JSON
// configs.
func (at *optionLines) check(h *Handler, global *App) error {
	if good, err := h.policies(global, setting.Unresolved); err != nil {
		if _, ok := errors.AsType[*setting.OptionError](err); ok {
			return at.of(err).Errf("%v", err)
		}
		return at.issuers[len(good)].Errf("%v", err)
	}
	err := h.checkTogether()
	if err == nil {
		err = checkResource(h, global)
	}
	if err != nil {
		return at.of(err).Errf("%v", err)
	}
	return nil
}

// of returns the line of the option that an error is about.
func (at *optionLines) of(err error) *caddyfile.Dispenser {
	if e, ok := errors.AsType[*setting.OptionError](err); ok {
		if line, ok := at.options[e.Option]; ok {
			return &line
		}
	}
	return &at.directive
}

func readTokenFrom(h *Handler, r *reader) error {
	args := r.RemainingArgs()
	if len(args) < 2 || len(args) > 3 {
		return r.Err("token_from needs a place and a name; write token_from header Authorization Bearer, token_from query access_token or token_from cookie session")
	}
	if err := grammar.NoBlock(r.Dispenser, "token_from"); err != nil {
		return err
	}
	s := &CredentialSource{From: args[0], Name: args[1]}
	if len(args) == 3 {
		s.Scheme = &args[2]
	}
	h.TokenFrom = append(h.TokenFrom, s)
	if _, err := credential.Check(credential.Settings{Tokens: true, TokenFrom: sources(h.TokenFrom)}); err != nil {
		return r.Errf("%v", err)
	}
	return nil
}

func readClaim(h *Handler, r *reader) error {
	args := r.RemainingArgs()
	if len(args) < 1 || len(args) > 2 {
		return r.Err("claim needs a path, optionally followed by a name; write claim email, or claim realm_access.roles roles")
	}
	if err := grammar.NoBlock(r.Dispenser, "claim"); err != nil {
		return err
	}
	c := &ClaimName{Path: args[0]}
	if len(args) == 2 {
		c.Name = args[1]
	}
	h.Claim = append(h.Claim, c)
	if err := identity.CheckNames(claimNames(h.Claim)); err != nil {
		return r.Errf("%v", err)
	}
	return nil
}
