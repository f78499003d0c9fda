// Package rule checks what an authenticated request must have besides a valid
// credential: scopes, claims, and expressions in CEL.
package rule

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/internal/identity"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// Requirement is something that an authenticated request must have. Exactly one of the
// fields is set.
type Requirement struct {
	Scope, AnyScope []string
	Claim           *Claim
	Expression      string
}

// Claim is a claim that must have one of the values.
type Claim struct {
	Path   string
	Values []string
}

// Rules are the requirements of a handler, ready for requests.
type Rules struct {
	scopes      []string   // all are required
	anyScopes   [][]string // one of each group is required
	claims      []Claim
	expressions []*expression
	strict      bool // whether a rule can't be met without a credential: any but an expression

	scopeLines [][]string // scopes as the config groups them

	// The requirements as written in the config, for the log.
	scopesText                string
	anyScopesText, claimsText []string
}

// Check checks requirements and returns them as rules, without their expressions: those
// are checked by [CheckExpression].
func Check(configured []*Requirement) (*Rules, error) {
	var all Rules
	for _, r := range configured {
		if r == nil {
			return nil, setting.InOption("require", "an entry is null; write an object with scope, any_scope, claim or expression")
		}
		if err := all.add(r); err != nil {
			return nil, setting.InOption("require", "%w", err)
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

func (all *Rules) add(r *Requirement) error {
	kinds := 0
	for _, given := range []bool{len(r.Scope) > 0, len(r.AnyScope) > 0, r.Claim != nil, r.Expression != ""} {
		if given {
			kinds++
		}
	}
	if kinds != 1 {
		return errors.New("each requirement must have exactly one of scope, any_scope, claim and expression")
	}
	for _, list := range [][]string{r.Scope, r.AnyScope} {
		if err := apikey.CheckScopes(list); err != nil {
			return err
		}
	}
	all.strict = all.strict || r.Expression == ""
	all.scopes = append(all.scopes, r.Scope...)
	if len(r.Scope) > 0 {
		all.scopeLines = append(all.scopeLines, r.Scope)
	}
	if len(r.AnyScope) > 0 {
		all.anyScopes = append(all.anyScopes, r.AnyScope)
	}
	if r.Claim != nil {
		if err := r.Claim.Check(); err != nil {
			return err
		}
		all.claims = append(all.claims, *r.Claim)
	}
	return nil
}

// Check reports the error, if any, in the path or the values.
func (c *Claim) Check() error {
	if err := claims.CheckPath(c.Path); err != nil {
		return fmt.Errorf("claim: %w", err)
	}
	if len(c.Values) == 0 {
		return fmt.Errorf("claim %s: missing value; write require claim %s followed by a value", c.Path, c.Path)
	}
	for _, v := range c.Values {
		if setting.HasPlaceholder(v) {
			return fmt.Errorf("claim %s: placeholders are not replaced in %s; write the value itself, or a rule such as require expression `claims.%s == {http.request.host}`", c.Path, strconv.Quote(v), c.Path)
		}
	}
	return nil
}

// New returns the rules of a config with their expressions compiled. optional is whether
// requests without a credential are allowed.
func New(ctx caddy.Context, configured []*Requirement, optional bool) (*Rules, error) {
	all, err := Check(configured)
	if err != nil {
		return nil, err
	}
	for _, r := range configured {
		if r.Expression == "" {
			continue
		}
		e, err := newExpression(ctx, r.Expression)
		if err != nil {
			return nil, setting.InOption("require", "%w", err)
		}
		all.expressions = append(all.expressions, e)
	}
	return all, all.CheckOptional(optional)
}

// CheckOptional returns an error if requests without a credential are allowed but could
// never meet the rules.
func (all *Rules) CheckOptional(optional bool) error {
	if !optional || !all.strict {
		return nil
	}
	return setting.InOption("optional", "a request without a credential has no scopes and no claims and could never meet the requirement; remove optional or the requirement, or write it as require expression `auth_method == \"anonymous\" || \"orders:read\" in scopes`")
}

// RequiredScopes returns the scopes for the challenge of a refusal (RFC 6750 section 3),
// separated by spaces.
func (all *Rules) RequiredScopes() string {
	var list []string
	for _, s := range slices.Concat(append([][]string{all.scopes}, all.anyScopes...)...) {
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return strings.Join(list, " ")
}

// LeastScopes returns the scopes that every request needs.
func (all *Rules) LeastScopes() []string { return all.scopes }

// Check applies the rules to an identity. If one is not met, Check returns it as written
// in the config, with the reason.
func (all *Rules) Check(r *http.Request, id *identity.Identity) (unmet string, code reason.Code) {
	if len(all.scopes) > 0 || len(all.anyScopes) > 0 {
		have, implied := id.Scopes(), id.Naming.Implied
		for _, s := range all.scopes {
			if !implied.Grants(have, s) {
				return all.scopesText, reason.InsufficientScope
			}
		}
		for i, group := range all.anyScopes {
			if !grantsAny(implied, have, group) {
				return all.anyScopesText[i], reason.InsufficientScope
			}
		}
	}
	for i := range all.claims {
		v, _ := id.Claims().Lookup(all.claims[i].Path)
		if !ClaimMatches(v, all.claims[i].Values) {
			return all.claimsText[i], reason.Forbidden
		}
	}
	if unmet, hold := all.expressionsHold(r, id); !hold {
		return unmet, reason.Forbidden
	}
	return "", ""
}

// CheckAnonymous applies the rules to a request without a credential. If they are not
// met, the reason is the missing credential.
func (all *Rules) CheckAnonymous(r *http.Request) (unmet string, code reason.Code) {
	if unmet, hold := all.expressionsHold(r, nil); !hold {
		return unmet, reason.MissingCredentials
	}
	return "", ""
}

// expressionsHold evaluates the expressions for an identity, nil for an anonymous
// request, and returns the first that is not true. Meanwhile the request has this
// identity, for the placeholders and matchers in an expression: otherwise
// !jwt_scope("guest") would be true for everybody, as no identity is published yet.
func (all *Rules) expressionsHold(r *http.Request, id *identity.Identity) (unmet string, hold bool) {
	if len(all.expressions) == 0 {
		return "", true
	}
	if holder := identity.Of(r); holder != nil {
		outer := holder.Swap(id)
		defer holder.Swap(outer)
	}
	for _, e := range all.expressions {
		if !e.holds(r, id) {
			return e.text, false
		}
	}
	return "", true
}

// grantsAny reports whether granted scopes have at least one of wanted.
func grantsAny(implied *claims.Implications, granted, wanted []string) bool {
	for _, s := range wanted {
		if implied.Grants(granted, s) {
			return true
		}
	}
	return false
}

// ClaimMatches reports whether a claim equals one of the values or is an array that
// contains one. Objects, null and nested arrays never match.
func ClaimMatches(v claims.Value, values []string) bool {
	if v.Kind() != claims.Array {
		return scalarMatches(v, values)
	}
	for i := range v.Len() {
		if scalarMatches(v.At(i), values) {
			return true
		}
	}
	return false
}

func scalarMatches(v claims.Value, values []string) bool {
	switch v.Kind() {
	case claims.String, claims.Number, claims.Bool:
		return slices.Contains(values, v.Render())
	default:
		return false
	}
}

// HoldFor reports whether the expressions are true of claims that no request has as its
// identity, such as those of a token that is exchanged for another. What they ask of the
// request is not to be had, and makes them false.
func (all *Rules) HoldFor(body claims.Value, issuer string) bool {
	for _, e := range all.expressions {
		if !e.holdsFor(body, issuer) {
			return false
		}
	}
	return true
}
