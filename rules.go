package caddyjwt

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/claims"
)

// Requirement is something that an authenticated request must have besides. It
// names exactly one thing; all requirements of a handler hold together.
type Requirement struct {
	// Scopes of which the request needs all. Default: none.
	Scope []string `json:"scope,omitempty"`
	// Scopes of which the request needs one. Default: none.
	AnyScope []string `json:"any_scope,omitempty"`
	// A claim that must have one of some values. Default: none.
	Claim *ClaimRequirement `json:"claim,omitempty"`
	// An expression of the Common Expression Language that must be true. It has
	// the variables claims, scopes, issuer and auth_method, and of the request
	// Caddy's functions and placeholders. Default: none.
	Expression string `json:"expression,omitempty"`
}

// ClaimRequirement is a claim that must have one of some values.
type ClaimRequirement struct {
	// The claim's path, as of `claim`.
	Path string `json:"path"`
	// The values, of which the claim must be one, or as an array hold one.
	// Numbers and truth values are compared as they are written.
	Values []string `json:"values"`
}

// rules are the requirements made ready.
type rules struct {
	scopes      []string   // all of them
	anyScopes   [][]string // one of each
	claims      []ClaimRequirement
	expressions []*expression

	// The requirements in a config's words.
	scopesText                string
	anyScopesText, claimsText []string
}

// checkRequirements checks the requirements but for their expressions.
func checkRequirements(configured []*Requirement) (*rules, error) {
	var all rules
	for _, r := range configured {
		if r == nil {
			return nil, inOption("require", "an entry is null; write an object with scope, any_scope, claim or expression")
		}
		if err := all.add(r); err != nil {
			return nil, inOption("require", "%w", err)
		}
	}
	all.scopesText = "require scope " + strings.Join(all.scopes, " ")
	for _, group := range all.anyScopes {
		all.anyScopesText = append(all.anyScopesText, "require any_scope "+strings.Join(group, " "))
	}
	for _, c := range all.claims {
		all.claimsText = append(all.claimsText, "require claim "+c.Path)
	}
	return &all, nil
}

func (all *rules) add(r *Requirement) error {
	named := 0
	for _, given := range []bool{len(r.Scope) > 0, len(r.AnyScope) > 0, r.Claim != nil, r.Expression != ""} {
		if given {
			named++
		}
	}
	if named != 1 {
		return errors.New("each requirement names one thing: scope, any_scope, claim or expression")
	}
	for _, list := range [][]string{r.Scope, r.AnyScope} {
		if err := apikey.CheckScopes(list); err != nil {
			return err
		}
	}
	all.scopes = append(all.scopes, r.Scope...)
	if len(r.AnyScope) > 0 {
		all.anyScopes = append(all.anyScopes, r.AnyScope)
	}
	if r.Claim != nil {
		if err := r.Claim.check(); err != nil {
			return err
		}
		all.claims = append(all.claims, *r.Claim)
	}
	return nil
}

func (c *ClaimRequirement) check() error {
	if err := claims.CheckPath(c.Path); err != nil {
		return fmt.Errorf("claim: %w", err)
	}
	if len(c.Values) == 0 {
		return fmt.Errorf("claim %s: it needs a value; write require claim %s and a value behind it", c.Path, c.Path)
	}
	for _, v := range c.Values {
		if anyPlaceholder.MatchString(v) {
			return fmt.Errorf("claim %s: %s is not replaced here; write the value itself, or a rule such as require expression `claims.%s == {http.request.host}`", c.Path, strconv.Quote(v), c.Path)
		}
	}
	return nil
}

// provisionRules makes the rules of the config.
func (h *Handler) provisionRules(ctx caddy.Context) (*rules, error) {
	all, err := checkRequirements(h.Require)
	if err != nil {
		return nil, err
	}
	for _, r := range h.Require {
		if r.Expression == "" {
			continue
		}
		e, err := newExpression(ctx, r.Expression)
		if err != nil {
			return nil, inOption("require", "%w", err)
		}
		all.expressions = append(all.expressions, e)
	}
	return all, all.checkOptional(h.Optional)
}

// checkOptional tells of rules that a request without a credential could never
// meet.
func (all *rules) checkOptional(optional bool) error {
	if !optional || len(all.scopes) == 0 && len(all.anyScopes) == 0 && len(all.claims) == 0 {
		return nil
	}
	return inOption("optional", "a request without a credential has no scopes and no claims, so that what is required could never hold for it; remove optional or the requirement, or write it as require expression `auth_method == \"anonymous\" || \"orders:read\" in scopes`")
}

// requiredScopes are what the challenge of a refusal names (RFC 6750 section 3).
func (all *rules) requiredScopes() string {
	var list []string
	for _, s := range slices.Concat(append([][]string{all.scopes}, all.anyScopes...)...) {
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return strings.Join(list, " ")
}

// check applies the rules to an identity.
func (all *rules) check(r *http.Request, st *state, id *identity) Reason {
	if len(all.scopes) > 0 || len(all.anyScopes) > 0 {
		have := id.scopes()
		for _, s := range all.scopes {
			if !slices.Contains(have, s) {
				st.miss(all.scopesText)
				return InsufficientScope
			}
		}
		for i, group := range all.anyScopes {
			if !holdsOne(have, group) {
				st.miss(all.anyScopesText[i])
				return InsufficientScope
			}
		}
	}
	for i := range all.claims {
		v, _ := id.all().Lookup(all.claims[i].Path)
		if !claimIs(v, all.claims[i].Values) {
			st.miss(all.claimsText[i])
			return Forbidden
		}
	}
	if !all.expressionsHold(r, st, id) {
		return Forbidden
	}
	return ""
}

// checkAnonymous applies the rules to a request without a credential. One that
// does not meet them lacks a credential.
func (all *rules) checkAnonymous(r *http.Request, st *state) Reason {
	if !all.expressionsHold(r, st, nil) {
		return MissingCredentials
	}
	return ""
}

// expressionsHold evaluates the expressions for an identity; nil is an anonymous
// one. While they run it is that of the request, so that the placeholders and the
// matchers that an expression may ask tell of no other: !jwt_scope("guest") must
// not hold because nobody is known yet.
func (all *rules) expressionsHold(r *http.Request, st *state, id *identity) bool {
	if len(all.expressions) == 0 {
		return true
	}
	outer := st.identity
	st.identity = id
	defer func() { st.identity = outer }()
	for _, e := range all.expressions {
		if !e.holds(r, id) {
			st.miss(e.text)
			return false
		}
	}
	return true
}

func holdsOne(have, wanted []string) bool {
	for _, s := range wanted {
		if slices.Contains(have, s) {
			return true
		}
	}
	return false
}

// claimIs tells whether a claim is, or as an array holds, one of the values. An
// object or null is none, and an array within an array does not count.
func claimIs(v claims.Value, values []string) bool {
	if v.Kind() != claims.Array {
		return scalarIs(v, values)
	}
	for i := range v.Len() {
		if scalarIs(v.At(i), values) {
			return true
		}
	}
	return false
}

func scalarIs(v claims.Value, values []string) bool {
	switch v.Kind() {
	case claims.String, claims.Number, claims.Bool:
		return slices.Contains(values, v.Render())
	default:
		return false
	}
}

// compileOnly is the context for checking an expression where nothing is
// provisioned.
func compileOnly() caddy.Context { return caddy.Context{Context: context.Background()} }
