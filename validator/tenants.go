package validator

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// TenantMark stands for the id of a token's tenant in a Policy's Issuer.
const TenantMark = "{tid}"

// ConsumerTenant is the tenant of Entra that all personal accounts are in.
const ConsumerTenant = "9188040d-6c67-4c5b-b112-36a304b66dad"

// tenantUserClaims are where the name of a user is among several tenants: Entra's oid is
// unique in a tenant, and its sub only for one application.
var tenantUserClaims = []string{"oid"}

// Template reports whether Issuer is a template for the names of tenants.
func (p *Policy) Template() bool { return p.AnyTenant || len(p.Tenants) > 0 }

// ManyTenants reports whether tokens of more than one tenant are accepted.
func (p *Policy) ManyTenants() bool { return p.AnyTenant || len(p.Tenants) > 1 }

// Accepts reports whether tokens with an iss may be accepted, as far as the issuer and, in a
// template, the tenant go.
func (p *Policy) Accepts(iss string) bool {
	switch {
	case p.AnyIssuer:
		return true
	case !p.Template():
		return iss == p.Issuer
	}
	before, after, _ := strings.Cut(p.Issuer, TenantMark)
	rest, ok := strings.CutPrefix(iss, before)
	tenant, fits := strings.CutSuffix(rest, after)
	return ok && fits && key.IsTenant(tenant) &&
		(p.AnyTenant && tenant != ConsumerTenant || slices.Contains(p.Tenants, tenant))
}

// template is an Issuer without TenantMark: a comparable key, so that a policy is found as
// fast among many as among few.
type template struct{ before, after string }

func templateOf(issuer string) template {
	before, after, _ := strings.Cut(issuer, TenantMark)
	return template{before, after}
}

// addTemplate adds a policy whose issuer is a template.
func (v *Validator) addTemplate(p *policy) error {
	if v.templates == nil {
		v.templates = map[template]*policy{}
	}
	t := templateOf(p.Issuer)
	if v.templates[t] != nil {
		return fmt.Errorf("duplicate issuer %q", p.Issuer)
	}
	v.templates[t] = p
	v.longestIssuer = max(v.longestIssuer, len(p.Issuer)-len(TenantMark)+len(ConsumerTenant))
	return nil
}

// checkTenants returns an error if a tenant that a template names has an issuer of its own
// besides, so that two policies claim its tokens.
func (v *Validator) checkTenants() error {
	for _, p := range v.policies {
		for _, tenant := range p.Tenants {
			if iss := strings.Replace(p.Issuer, TenantMark, tenant, 1); !v.issuers[iss].none() {
				return fmt.Errorf("duplicate issuer %q, which a template names too", iss)
			}
		}
	}
	return nil
}

// ofTenant returns the policy of the template that a token's iss is made of with its own
// tid. If that is not so, or the tenant is not accepted, it returns an error, with the policy
// that the iss could be of, if there is one.
//
// The issuer that a tenant has by itself is asked for before. What a token says of its tenant
// chooses among policies and keys that are there, as its iss does, and nothing is fetched
// for it.
func (v *Validator) ofTenant(t *parsed) (issuerPolicies, error) {
	if len(t.issuer) > v.longestIssuer { // or there is no template at all
		return issuerPolicies{}, reason.UnknownIssuer
	}
	if key.IsTenant(t.tenant) {
		// Nothing keeps a template from having the text of a tenant elsewhere.
		for at, from := 0, 0; ; from = at + 1 {
			next := strings.Index(t.issuer[from:], t.tenant)
			if next < 0 {
				break
			}
			at = from + next
			p := v.templates[template{t.issuer[:at], t.issuer[at+len(t.tenant):]}]
			switch {
			case p == nil:
				continue
			case !p.tenants[t.tenant] && (!p.AnyTenant || t.tenant == ConsumerTenant):
				return issuerPolicies{public: p}, reason.TenantNotListed
			}
			return issuerPolicies{public: p}, nil
		}
	}
	// Only tokens that are refused come here.
	for form, p := range v.templates {
		rest, ok := strings.CutPrefix(t.issuer, form.before)
		named, fits := strings.CutSuffix(rest, form.after)
		switch {
		case !ok || !fits || strings.Contains(named, "/"):
		case !key.IsTenant(t.tenant):
			return issuerPolicies{public: p}, reason.NoTenant
		default:
			return issuerPolicies{public: p}, reason.OtherTenant
		}
	}
	return issuerPolicies{}, reason.UnknownIssuer
}

// tenantOf returns the tenant of a token of the policy, "" if its issuer is no template.
func (p *policy) tenantOf(t *parsed) string {
	if p.tenants == nil {
		return ""
	}
	return t.tenant
}

// tenantUser returns the name of a user among those of several tenants.
func (p *policy) tenantUser(body claims.Value) (string, error) {
	tid, _ := body.Member("tid")
	oid, _ := body.Member("oid")
	tenant, _ := tid.Text() // it is in the iss
	id, ok := oid.Text()
	if !ok || id == "" {
		return "", p.noUser
	}
	return p.UserPrefix + tenant + "/" + id, nil
}
