package validator

import (
	"slices"
	"strings"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// first returns the value at the first of the paths that is present.
func first(c claims.Value, paths []string) (claims.Value, bool) {
	for _, path := range paths {
		if v, ok := c.Lookup(path); ok {
			return v, true
		}
	}
	return claims.Value{}, false
}

// checkAudience applies RFC 7519 section 4.1.3: the audience is a string or an array of
// strings, of which one must be ours, byte for byte. An audience that is present but
// null, empty or of another type never matches.
func (p *policy) checkAudience(body claims.Value) error {
	if p.AnyAudience {
		return nil
	}
	v, present := first(body, p.AudienceClaims)
	if !present {
		return reason.NoAudience
	}
	if aud, ok := v.Text(); ok {
		if slices.Contains(p.Audience, aud) {
			return nil
		}
		if aud == "" {
			return reason.AudienceType
		}
		return reason.WrongAudience
	}
	if v.Kind() != claims.Array || v.Len() == 0 {
		return reason.AudienceType
	}
	found := false
	for i := range v.Len() {
		aud, ok := v.At(i).Text()
		if !ok {
			return reason.AudienceType
		}
		found = found || slices.Contains(p.Audience, aud)
	}
	if !found {
		return reason.WrongAudience
	}
	return nil
}

// checkType applies RFC 8725 section 3.11: a token made for another purpose (a logout
// token, a DPoP proof, a security event) must not be accepted as an access token.
func (p *policy) checkType(typ string) error {
	types := p.types
	if typ == "" && (types == nil || p.AllowNoType) {
		return nil
	}
	if types == nil {
		types = defaultTypes
	}
	for _, t := range types {
		if equalType(typ, t) {
			return nil
		}
	}
	return reason.WrongType
}

// checkBinding applies RFC 7800: a token bound to its holder's key is useless to a thief
// only if nobody accepts it without proof of possession.
func (p *policy) checkBinding(bound bool) error {
	if bound && !p.AllowBound {
		return reason.Bound
	}
	return nil
}

// equalType reports whether claims.FoldType(typ) == folded, without allocating.
func equalType(typ, folded string) bool {
	if strings.EqualFold(typ, folded) {
		return true
	}
	const prefix = "application/"
	return len(typ) > len(prefix) && strings.EqualFold(typ[:len(prefix)], prefix) &&
		strings.EqualFold(typ[len(prefix):], folded)
}

// readScopes returns the granted scopes: a string separated by spaces (RFC 6749 section
// 3.3, RFC 9068 section 2.2.3) or an array of strings. A claim of another type grants
// nothing, and elements that are not valid scope tokens are ignored. It never returns
// nil.
func readScopes(c claims.Value, paths []string) []string {
	list := make([]string, 0, initialScopes)
	add := func(s string, ok bool) {
		if ok && claims.ScopeToken(s) {
			list = append(list, s)
		}
	}
	v, _ := first(c, paths)
	if text, ok := v.Text(); ok {
		for s := range strings.SplitSeq(text, " ") {
			add(s, true)
		}
	} else if v.Kind() == claims.Array {
		for i := range v.Len() {
			add(v.At(i).Text())
		}
	}
	// The list is kept as long as the token, so it gets no spare capacity.
	return append(make([]string, 0, len(list)), list...)
}

// initialScopes is the initial capacity for scopes. It does not depend on the claim, as a
// long string may have no valid scope at all.
const initialScopes = 16

// maxScopes returns an upper bound of the number of scopes in the default claims.
func maxScopes(c claims.Value) int {
	v, _ := first(c, defaultScopeClaims)
	if text, ok := v.Text(); ok {
		return strings.Count(text, " ") + 1
	}
	return v.Len()
}

// user returns the user's name: the first user claim that is a non-empty string or a
// number. Other types are not used, as two users could get the same name if, say, an
// object was rendered as one.
func (p *policy) user(body claims.Value) (string, error) {
	if p.tenantUsers {
		return p.tenantUser(body)
	}
	for _, path := range p.UserClaims {
		v, _ := body.Lookup(path)
		if id := nameOf(v); id != "" {
			return p.UserPrefix + id, nil
		}
	}
	return "", p.noUser
}

// nameOf returns a claim as a user's name, or "" if it is not a string or a number.
func nameOf(v claims.Value) string {
	if id, ok := v.Text(); ok {
		return id
	}
	id, _ := v.Digits()
	return id
}
