package issuer

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-jwt/caddy-jwt/internal/setting"
	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

// aTenant is an id for errors.
const aTenant = "11111111-2222-3333-4444-555555555555"

// ResolveIss resolves the iss of an issuer, in which {tid} is no placeholder of Caddy's.
func ResolveIss(iss string, resolve setting.Resolver) (string, error) {
	if strings.Contains(iss, key.TenantMark) {
		return "", fmt.Errorf("%s is how Entra ID writes it; write %s instead, which is the name of the claim, and tenants with the ids of the tenants into its block", key.TenantMark, validator.TenantMark)
	}
	return setting.Keeping(validator.TenantMark, resolve)(iss)
}

// checkTenants checks an issuer of many tenants, and completes the policy with them. Whether
// there is a {tid} in an iss of {env.NAME} is known when the config loads.
func (i *Settings) checkTenants(p *validator.Policy, resolve setting.Resolver) error {
	marks := strings.Count(p.Issuer, validator.TenantMark)
	unknown := strings.Contains(p.Issuer, "{env.")
	switch {
	case marks == 0 && len(i.Tenants) == 0:
		return nil
	case marks == 0 && unknown:
		return nil
	case marks == 0:
		return fmt.Errorf("tenants is for an issuer with a name for each tenant: write %s where iss has the id of the tenant, as in issuer https://login.microsoftonline.com/%s/v2.0, or remove tenants", validator.TenantMark, validator.TenantMark)
	case len(i.Tenants) == 0:
		return fmt.Errorf("it has a name for each tenant, and nothing says which are accepted: write tenants %s, with their ids, into its block, or tenants * for all", aTenant)
	case marks > 1:
		return fmt.Errorf("%s is there more than once; write it once, where iss has the id of the tenant", validator.TenantMark)
	}
	if err := checkTemplate(p.Issuer); err != nil {
		return err
	}
	if err := i.readTenants(p, resolve); err != nil {
		return fmt.Errorf("tenants: %w", err)
	}
	if len(i.Secret) > 0 || p.Algorithms.HasSymmetric() {
		return errors.New("tenants: with a secret each of them could make the tokens of all others; name where public keys are, or write an issuer for each tenant")
	}
	if !p.ManyTenants() {
		return nil
	}
	for _, path := range i.UserClaim {
		if slices.Contains([]string{"email", "upn", "unique_name", "preferred_username"}, path) {
			return fmt.Errorf("user_claim: the administrator of each tenant can write into %s what they like, so one tenant could take the names of another's users; remove user_claim: the user is then the tenant and the id in it, as <tid>/<oid>", path)
		}
	}
	return nil
}

// checkTemplate checks the URL of an issuer of many tenants.
func checkTemplate(iss string) error {
	u, err := url.Parse(strings.Replace(iss, validator.TenantMark, aTenant, 1))
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("with %s it must be a URL, as iss in the tokens is; write one such as https://login.microsoftonline.com/%s/v2.0", validator.TenantMark, validator.TenantMark)
	case strings.Contains(u.Host, aTenant):
		return fmt.Errorf("%s can't be in the host; write an issuer for each tenant", validator.TenantMark)
	case u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return fmt.Errorf("with %s it can't have a query, a fragment or a user name; write the URL without", validator.TenantMark)
	}
	return nil
}

// readTenants reads which tenants are accepted.
func (i *Settings) readTenants(p *validator.Policy, resolve setting.Resolver) error {
	var unknown bool
	for _, written := range i.Tenants {
		t, err := resolve(written)
		switch {
		case err != nil:
			return err
		case t == "":
			return errors.New("a value is empty; write the id of a tenant" + setting.Unset)
		case t == Any && p.AnyTenant, slices.Contains(p.Tenants, t):
			return fmt.Errorf("%s is there twice; remove one", t)
		case t == Any:
			p.AnyTenant = true
			continue
		case strings.HasPrefix(t, "{env."):
			unknown = true // checked when the config loads
		case key.IsTenant(strings.ToLower(t)) && !key.IsTenant(t):
			return fmt.Errorf("%s has capitals; write it as it is in tid, %s", t, strings.ToLower(t))
		case !key.IsTenant(t):
			return fmt.Errorf("%q is not the id of a tenant; write the UUID that Entra shows as its directory (tenant) id, such as %s, or * for all", t, aTenant)
		}
		p.Tenants = append(p.Tenants, t)
	}
	if p.AnyTenant && !unknown && slices.ContainsFunc(p.Tenants, func(t string) bool { return t != validator.ConsumerTenant }) {
		return fmt.Errorf("* stands for all tenants but that of personal accounts, %s; remove it or the others", validator.ConsumerTenant)
	}
	return nil
}

// tenantMetadata returns the URL of the metadata that is for all tenants, and the issuer that
// it must state. It never depends on a token.
func tenantMetadata(p *validator.Policy) (discovery, stated string) {
	all := "organizations"
	if slices.Contains(p.Tenants, validator.ConsumerTenant) {
		all = "common"
	}
	base := strings.Replace(p.Issuer, validator.TenantMark, all, 1)
	return strings.TrimSuffix(base, "/") + "/.well-known/openid-configuration", strings.Replace(p.Issuer, validator.TenantMark, key.TenantMark, 1)
}

// oneIssuer reports whether two policies claim the tokens of one iss: they have the same, or
// one is the issuer of a tenant that the other names. For * the issuer that is written out is
// asked first.
func oneIssuer(a, b *validator.Policy) bool {
	named := func(template, of *validator.Policy) bool {
		return template.Template() && slices.ContainsFunc(template.Tenants, func(tenant string) bool {
			return strings.Replace(template.Issuer, validator.TenantMark, tenant, 1) == of.Issuer
		})
	}
	return a.Issuer == b.Issuer && a.Symmetric == b.Symmetric || named(a, b) || named(b, a)
}
