package caddyjwt

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-jwt/caddy-jwt/internal/grammar"
	"github.com/caddy-jwt/caddy-jwt/internal/header"
	"github.com/caddy-jwt/caddy-jwt/internal/rule"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
)

// unmarshalRequire reads a requirement:
//
//	require scope <scope>...
//	require any_scope <scope>...
//	require claim <path> <value>...
//	require expression <CEL>
func (h *Handler) unmarshalRequire(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) < 2 {
		return d.Err("require needs a kind and what is required; write require scope orders:read, require any_scope orders:read orders:write, require claim roles admin, or require expression `claims.age > 17`")
	}
	r := new(Requirement)
	switch kind, rest := args[0], args[1:]; kind {
	case "scope":
		r.Scope = rest
	case "any_scope":
		r.AnyScope = rest
	case "claim":
		r.Claim = &ClaimRequirement{Path: rest[0], Values: rest[1:]}
	case "expression":
		if len(rest) > 1 {
			return d.Err("require expression takes one argument; write it in backticks: require expression `claims.age > 17`")
		}
		r.Expression = rest[0]
		if err := rule.CheckExpression(r.Expression); err != nil {
			return d.Errf("require: %v", err)
		}
	default:
		if near := setting.Nearest(kind, []string{"scope", "any_scope", "claim", "expression"}); near != "" {
			return d.Errf("require knows no %q; write require %s", kind, near)
		}
		return d.Errf("require knows no %q; there are scope, any_scope, claim and expression", kind)
	}
	if _, err := rule.Check(requirements([]*Requirement{r})); err != nil {
		return d.Errf("%v", err)
	}
	h.Require = append(h.Require, r)
	return grammar.NoBlock(d, "require")
}

func (h *Handler) unmarshalForward(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) < 2 || len(args) > 3 || len(args) == 3 && args[2] != "json" {
		return d.Err("forward needs what is passed on and a header, and may have json; write forward user X-User, forward email X-Email or forward roles X-Roles json")
	}
	h.Forward = append(h.Forward, &Forward{What: args[0], Header: args[1], JSON: len(args) == 3})
	if _, err := header.New(forwards(h.Forward), "", nil, nil); err != nil {
		return d.Errf("%v", err)
	}
	return grammar.NoBlock(d, "forward")
}

func (h *Handler) unmarshalClear(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) == 0 {
		return d.Err("clear needs a header; write clear X-User")
	}
	h.Clear = append(h.Clear, args...)
	if _, err := header.New(nil, "", h.Clear, nil); err != nil {
		return d.Errf("%v", err)
	}
	return grammar.NoBlock(d, "clear")
}
