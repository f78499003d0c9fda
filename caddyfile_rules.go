package caddyjwt

import (
	"github.com/caddy-jwt/caddy-jwt/internal/grammar"
	"github.com/caddy-jwt/caddy-jwt/internal/header"
	"github.com/caddy-jwt/caddy-jwt/internal/rule"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
)

// readRequire reads a requirement:
//
//	require scope <scope>...
//	require any_scope <scope>...
//	require claim <path> <value>...
//	require expression <CEL>
func readRequire(h *Handler, r *reader) error {
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
		return r.Errf("require: unknown kind %q; the kinds are scope, any_scope, claim and expression", kind)
	}
	if _, err := rule.Check(requirements([]*Requirement{required})); err != nil {
		return r.Errf("%v", err)
	}
	h.Require = append(h.Require, required)
	return grammar.NoBlock(r.Dispenser, "require")
}

func readForward(h *Handler, r *reader) error {
	args := r.RemainingArgs()
	if len(args) < 2 || len(args) > 3 || len(args) == 3 && args[2] != "json" {
		return r.Err("forward needs a value and a header, optionally followed by json; write forward user X-User, forward email X-Email or forward roles X-Roles json")
	}
	h.Forward = append(h.Forward, &Forward{What: args[0], Header: args[1], JSON: len(args) == 3})
	if err := header.Check(forwards(h.Forward), "", nil, nil); err != nil {
		return r.Errf("%v", err)
	}
	return grammar.NoBlock(r.Dispenser, "forward")
}

func readClear(h *Handler, r *reader) error {
	args := r.RemainingArgs()
	if len(args) == 0 {
		return r.Err("clear needs a header; write clear X-User")
	}
	h.Clear = append(h.Clear, args...)
	if err := header.Check(nil, "", h.Clear, nil); err != nil {
		return r.Errf("%v", err)
	}
	return grammar.NoBlock(r.Dispenser, "clear")
}
