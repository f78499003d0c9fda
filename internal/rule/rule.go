package rule

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
	"github.com/caddy-jwt/caddy-jwt/internal/identity"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// Requirement is something that an authenticated request must have besides: exactly
// one of its fields is set.
type Requirement struct {
	Scope, AnyScope []string
	Claim           *Claim
	Expression      string
}

// Claim is a claim that must have one of some values.
type Claim struct {
	Path   string
	Values []string
}

// Rules are the requirements made ready.
type Rules struct {
	scopes      []string   // all of them
	anyScopes   [][]string // one of each
	claims      []Claim
	expressions []*expression

	// The requirements in a config's words.
	scopesText                string
	anyScopesText, claimsText []string
}

// Check checks the requirements but for their expressions.
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
		if err := r.Claim.Check(); err != nil {
			return err
		}
		all.claims = append(all.claims, *r.Claim)
	}
	return nil
}

func (c *Claim) Check() error {
	if err := claims.CheckPath(c.Path); err != nil {
		return fmt.Errorf("claim: %w", err)
	}
	if len(c.Values) == 0 {
		return fmt.Errorf("claim %s: it needs a value; write require claim %s and a value behind it", c.Path, c.Path)
	}
	for _, v := range c.Values {
		if setting.HasPlaceholder(v) {
			return fmt.Errorf("claim %s: %s is not replaced here; write the value itself, or a rule such as require expression `claims.%s == {http.request.host}`", c.Path, strconv.Quote(v), c.Path)
		}
	}
	return nil
}

// New makes the rules of a config.
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

// CheckOptional tells of rules that a request without a credential could never
// meet.
func (all *Rules) CheckOptional(optional bool) error {
	if !optional || len(all.scopes) == 0 && len(all.anyScopes) == 0 && len(all.claims) == 0 {
		return nil
	}
	return setting.InOption("optional", "a request without a credential has no scopes and no claims, so that what is required could never hold for it; remove optional or the requirement, or write it as require expression `auth_method == \"anonymous\" || \"orders:read\" in scopes`")
}

// RequiredScopes are what the challenge of a refusal names (RFC 6750 section 3).
func (all *Rules) RequiredScopes() string {
	var list []string
	for _, s := range slices.Concat(append([][]string{all.scopes}, all.anyScopes...)...) {
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return strings.Join(list, " ")
}

// Check applies the rules to an identity. Where one is not met it returns that one in
// the config's words, and the reason.
func (all *Rules) Check(r *http.Request, id *identity.Identity) (unmet string, code reason.Code) {
	if len(all.scopes) > 0 || len(all.anyScopes) > 0 {
		have := id.Scopes()
		for _, s := range all.scopes {
			if !slices.Contains(have, s) {
				return all.scopesText, reason.InsufficientScope
			}
		}
		for i, group := range all.anyScopes {
			if !holdsOne(have, group) {
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

// CheckAnonymous applies the rules to a request without a credential. One that
// does not meet them lacks a credential.
func (all *Rules) CheckAnonymous(r *http.Request) (unmet string, code reason.Code) {
	if unmet, hold := all.expressionsHold(r, nil); !hold {
		return unmet, reason.MissingCredentials
	}
	return "", ""
}

// expressionsHold evaluates the expressions for an identity, nil for an anonymous one,
// and returns the first that does not hold. While they run it is that of the request, so
// that the placeholders and the matchers that an expression may ask tell of no other:
// !jwt_scope("guest") must not hold because nobody is known yet.
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

func holdsOne(have, wanted []string) bool {
	for _, s := range wanted {
		if slices.Contains(have, s) {
			return true
		}
	}
	return false
}

// ClaimMatches tells whether a claim is, or as an array holds, one of the values. An
// object or null is none, and an array within an array does not count.
func ClaimMatches(v claims.Value, values []string) bool {
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
