package validator

import (
	"encoding/json"
	"strings"

	"github.com/caddy-jwt/caddy-jwt/key"
)

// PolicyFor returns the policy that a token would be judged by, so that another library can
// be asked for its opinion: that of its issuer and algorithm, and else the only one there
// is. ok is false if there is none. The token is read without being judged, so nothing but
// the choice may depend on the result.
func (v *Validator) PolicyFor(token string) (policy Policy, ok bool) {
	if v.opaque != nil && Opaque(token) {
		return Policy{}, false // nobody but its issuer has an opinion on it
	}
	parts := strings.Split(token, ".")
	var (
		t   parsed
		alg string
	)
	if len(parts) > 1 {
		alg, t.issuer, t.tenant = member(parts[0], "alg"), member(parts[1], "iss"), member(parts[1], "tid")
		t.hasIssuer = t.issuer != ""
	}
	of, err := v.ofIssuer(&t)
	algorithm, _ := key.ParseAlgorithm(alg)
	if p := of.choose(algorithm); err == nil && p != nil {
		policy := p.Policy
		if policy.Template() {
			// The other library knows no tenants, and this one has checked its own.
			policy.Issuer, policy.Tenants, policy.AnyTenant = t.issuer, nil, false
		}
		return policy, p.Keys != nil
	}
	if len(v.policies) == 1 {
		return v.policies[0].Policy, v.policies[0].Keys != nil
	}
	return Policy{}, false
}

// member is a text in a part of a token, or empty.
func member(part, name string) string {
	data, err := strictBase64.DecodeString(part)
	if err != nil {
		return ""
	}
	var object map[string]any
	if json.Unmarshal(data, &object) != nil {
		return ""
	}
	text, _ := object[name].(string)
	return text
}
