package caddyjwt

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-jwt/caddy-jwt/internal/grammar"
	"github.com/caddy-jwt/caddy-jwt/internal/header"
	"github.com/caddy-jwt/caddy-jwt/internal/rule"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
)

// readRequire reads a requirement of the handler.
func readRequire(h *Handler, r *reader) error { return readRequirement(&h.Require, r) }

// readRequirement reads a requirement:
//
//	require scope <scope>...
//	require any_scope <scope>...
//	require claim <path> <value>...
//	require expression <CEL>
func readRequirement(into *[]*Requirement, r *reader) error {
	args := r.RemainingArgs()
	if len(args) < 2 {
		return r.Err("require needs a kind and its values; write require scope orders:read, require any_scope orders:read orders:write, require claim roles admin, or require expression `claims.age > 17`")
	}
	required := new(Requirement)
	switch kind, rest := args[0], args[1:]; kind {
	case "scope":
		required.Scope = rest
	case "any_scope":
		required.AnyScope = rest
	case "claim":
		required.Claim = &ClaimRequirement{Path: rest[0], Values: rest[1:]}
	case "expression":
		if len(rest) > 1 {
			return r.Err("require expression takes one argument; write it in backticks: require expression `claims.age > 17`")
		}
		required.Expression = rest[0]
		if err := rule.CheckExpression(required.Expression); err != nil {
			return r.Errf("require: %v", err)
		}
	default:
		if near := setting.Nearest(kind, []string{"scope", "any_scope", "claim", "expression"}); near != "" {
			return r.Errf("require: unknown kind %q; write require %s", kind, near)
		}
		return r.Errf("require: unknown kind %q; the kinds are scope, any_scope, claim and expression; if it is a claim write require claim %s %s", kind, kind, rest[0])
	}
	if _, err := rule.Check(requirements([]*Requirement{required})); err != nil {
		return r.Errf("%v", err)
	}
	*into = append(*into, required)
	return grammar.NoBlock(r.Dispenser, "require")
}

// readScopeImplies reads what a broad scope implies at a site:
//
//	scope_implies <broad> <narrow>...
func readScopeImplies(h *Handler, r *reader) error {
	return readImplied(r.Dispenser, r.global.ScopeImplies, &h.ScopeImplies)
}

// readImplied reads what a broad scope implies, besides what is implied everywhere.
func readImplied(d *caddyfile.Dispenser, everywhere map[string][]string, into *map[string][]string) error {
	args := d.RemainingArgs()
	if len(args) < 2 {
		return d.Err("scope_implies needs a broad scope and those that it implies; write scope_implies admin orders:read orders:write")
	}
	if (*into)[args[0]] != nil {
		return d.Errf("duplicate scope_implies %s; put all that it implies on one line", args[0])
	}
	if *into == nil {
		*into = map[string][]string{}
	}
	(*into)[args[0]] = args[1:]
	if _, err := rule.Implied(everywhere, *into); err != nil {
		return d.Errf("%v", err)
	}
	return grammar.NoBlock(d, "scope_implies")
}

func readForward(h *Handler, r *reader) error {
	args := r.RemainingArgs()
	if len(args) < 2 || len(args) > 3 || len(args) == 3 && args[2] != "json" {
		return r.Err("forward needs a value and a header, optionally followed by json; write forward user X-User, forward email X-Email or forward roles X-Roles json")
	}
	h.Forward = append(h.Forward, &Forward{What: args[0], Header: args[1], JSON: len(args) == 3})
	if err := (&header.Config{Values: forwards(h.Forward)}).Check(); err != nil {
		return r.Errf("%v", err)
	}
	return grammar.NoBlock(r.Dispenser, "forward")
}

// readForwardJWT reads a token for the upstream:
//
//	forward_jwt <header> <audience> {
//	    lifetime <duration>
//	    claim <path> [<name>]
//	    issuer <url>
//	}
//
// claim may be repeated. The block may be left out.
func readForwardJWT(h *Handler, r *reader) error {
	at := *r.Dispenser
	args := r.RemainingArgs()
	if len(args) != 2 {
		return r.Err("forward_jwt needs a header and an audience; write forward_jwt X-Identity https://orders.internal")
	}
	f := &ForwardJWT{Header: args[0], Audience: args[1]}
	h.ForwardJWT = append(h.ForwardJWT, f)
	if err := (&header.Config{Tokens: forwardedTokens(h.ForwardJWT)}).Check(); err != nil {
		return at.Errf("%v", err)
	}
	if err := h.checkForwardJWT(); err != nil {
		return at.Errf("%v", err)
	}
	unknown := &unknownOption{kind: "forward_jwt option"}
	r = r.inner()
	for nesting := r.Nesting(); r.NextBlock(nesting); {
		line := *r.Dispenser
		if err := forwardJWTOptions().read(f, r, unknown); err != nil {
			return err
		}
		if err := h.checkForwardJWT(); err != nil {
			return line.Errf("%v", err)
		}
	}
	return nil
}

// forwardJWTOptions returns the options of a token for the upstream.
func forwardJWTOptions() options[ForwardJWT] {
	return options[ForwardJWT]{
		durationOption("lifetime", "60s", func(f *ForwardJWT) *caddy.Duration { return &f.Lifetime }),
		{"claim", readForwardedClaim, func(f *ForwardJWT) bool { return len(f.Claim) > 0 }},
		textOption("issuer", "https://auth.example.com", func(f *ForwardJWT) *string { return &f.Issuer }),
	}
}

func readForwardedClaim(f *ForwardJWT, r *reader) error {
	args := r.RemainingArgs()
	if len(args) < 1 || len(args) > 2 {
		return r.Err("claim needs a path, optionally followed by a name; write claim email, or claim realm_access.roles roles")
	}
	c := &ForwardedClaim{Path: args[0]}
	if len(args) == 2 {
		c.Name = args[1]
	}
	f.Claim = append(f.Claim, c)
	return grammar.NoBlock(r.Dispenser, "claim")
}

func readClear(h *Handler, r *reader) error {
	args := r.RemainingArgs()
	if len(args) == 0 {
		return r.Err("clear needs a header; write clear X-User")
	}
	h.Clear = append(h.Clear, args...)
	if err := (&header.Config{Clears: h.Clear}).Check(); err != nil {
		return r.Errf("%v", err)
	}
	return grammar.NoBlock(r.Dispenser, "clear")
}
