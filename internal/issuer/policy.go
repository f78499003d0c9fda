package issuer

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/keystore"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

// Any is how a config writes that any issuer, or any audience, is accepted.
const Any = "*"

// maxLeeway is more than the clocks of two machines differ if they are set at all.
const maxLeeway = time.Hour

// Policy checks the issuer's settings and returns the validator's policy for them,
// without keys and audience.
func (i *Settings) Policy(resolve setting.Resolver) (validator.Policy, error) {
	p := validator.Policy{
		AudienceClaims: i.AudienceClaim,
		ScopeClaims:    i.ScopeClaim,
		UserClaims:     i.UserClaim,
		UserPrefix:     i.UserPrefix,
		Types:          i.Typ,
		Leeway:         validator.DefaultLeeway,
		MaxLifetime:    i.MaxLifetime,
		AllowNoExpiry:  i.AllowNoExpiry,
		AllowBound:     i.AllowBoundTokens,
		KidlessKeys:    i.KidlessKeys,
		IgnoreKid:      i.IgnoreKid,
	}
	iss, err := ResolveIss(i.Iss, resolve)
	switch {
	case err != nil:
		return p, err
	case iss == "":
		return p, errors.New("it is empty; write the exact iss of the tokens, or * for any")
	case iss == Any:
		p.AnyIssuer = true
	default:
		p.Issuer = iss
	}
	if tenants, template := manyTenants(iss); tenants != "" {
		return p, fmt.Errorf("no token has it as its iss: Entra ID puts the tenant's id in the place of %s; write %s there, as in issuer %s, and tenants with the tenants' ids into its block, or an issuer for each tenant, with its id", tenants, validator.TenantMark, template)
	}
	if p.Algorithms, err = key.ParseAlgorithms(i.Algorithms); err != nil {
		return p, fmt.Errorf("algorithms: %w", err)
	}
	if len(p.AudienceClaims) == 0 && isCognito(iss) {
		// Cognito's access tokens have client_id instead of aud.
		p.AudienceClaims = []string{"aud", "client_id"}
	}
	for _, option := range [...]struct {
		name  string
		paths []string
	}{{"audience_claim", i.AudienceClaim}, {"scope_claim", i.ScopeClaim}, {"user_claim", i.UserClaim}} {
		for _, path := range option.paths {
			if err := claims.CheckPath(path); err != nil {
				return p, fmt.Errorf("%s: %w", option.name, err)
			}
		}
	}
	for _, t := range i.Typ {
		if t == "" {
			return p, errors.New("typ: a value is empty; write one such as at+jwt, or remove the option")
		}
	}
	if i.Leeway != nil {
		p.Leeway = *i.Leeway
		if p.Leeway < 0 || p.Leeway > maxLeeway {
			return p, errors.New("leeway: it must be from 0 to 1h; correct clocks that differ by more")
		}
	}
	if i.KidlessKeys < 0 || i.KidlessKeys > validator.MaxKidlessKeys {
		return p, fmt.Errorf("kidless_keys: it must be from 1 to %d; write kidless_keys 8", validator.MaxKidlessKeys)
	}
	if i.MaxKeys < 0 || i.MaxKeys > keystore.MostKeys {
		return p, fmt.Errorf("max_keys: it must be from 1 to %d; write max_keys 200", keystore.MostKeys)
	}
	if i.MaxLifetime < 0 {
		return p, errors.New("max_lifetime: it must be above 0; write a duration such as 1h")
	}
	if i.MaxLifetime > 0 && i.AllowNoExpiry {
		return p, errors.New("max_lifetime and allow_no_expiry contradict each other: a token without exp never expires; remove one")
	}
	if err := i.checkTenants(&p, resolve); err != nil {
		return p, err
	}
	if err := i.checkKeys(&p); err != nil {
		return p, err
	}
	return p, i.checkIntrospection(&p)
}

// audience resolves the issuer's own audience or, without one, the handler's. waived
// reports whether the check is disabled.
func (i *Settings) audience(handlers []string, resolve setting.Resolver) (list []string, waived bool, err error) {
	own := i.Audience
	if len(own) == 0 {
		own = handlers
	}
	if len(own) == 0 {
		return nil, false, errors.New("no audience is set, so tokens meant for any other API would be accepted; write your API's identifier after the issuer (jwt https://auth.example.com/ https://api.example.com) or as audience in the block, or * there to disable the check" + setting.Unset)
	}
	return resolveAudience(own, resolve)
}

// resolveAudience resolves the values of an audience.
func resolveAudience(own []string, resolve setting.Resolver) (list []string, waived bool, err error) {
	for _, a := range own {
		value, err := resolve(a)
		switch {
		case err != nil:
			return nil, false, fmt.Errorf("audience: %w", err)
		case value == "":
			return nil, false, errors.New("audience: a value is empty; write your API's identifier")
		case value == Any && len(own) > 1:
			return nil, false, errors.New("audience: * disables the check, so it must be the only value; remove it or the others")
		case value == Any:
			return nil, true, nil
		}
		list = append(list, value)
	}
	return list, false, nil
}

// manyTenants returns which word of an issuer of Entra ID stands for many tenants, or "", and
// the template that its tokens have. They keep the cloud: another one has other tenants.
func manyTenants(iss string) (word, template string) {
	u, err := url.Parse(iss)
	if err != nil {
		return "", ""
	}
	host := strings.ToLower(u.Hostname())
	switch host {
	case "login.microsoftonline.com", "login.microsoftonline.us", "login.partner.microsoftonline.cn":
		template = "https://" + host + "/" + validator.TenantMark + "/v2.0"
	case "login.windows.net", "login.microsoft.com": // other names of the same, which no token has
		template = "https://login.microsoftonline.com/" + validator.TenantMark + "/v2.0"
	case "sts.windows.net", "sts.chinacloudapi.cn":
		template = "https://" + host + "/" + validator.TenantMark + "/"
	default:
		return "", ""
	}
	tenant, _, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	switch strings.ToLower(tenant) {
	case "common", "organizations", "consumers":
		return tenant, template
	}
	return "", ""
}

// isCognito reports whether iss is a user pool of Amazon Cognito.
func isCognito(iss string) bool {
	u, err := url.Parse(iss)
	if err != nil {
		return false
	}
	// There are two forms: cognito-idp.* and issuer-cognito-idp.*.
	host := strings.TrimPrefix(u.Hostname(), "issuer-")
	ok, err := path.Match("cognito-idp.*.amazonaws.com", host)
	return ok && err == nil
}

// userInfo matches the part of a URL that may hold a password.
var userInfo = regexp.MustCompile(`//[^/]*@`)

// Named returns an error with the issuer's name before it. A password in its URL is not
// shown.
func (i *Settings) Named(err error) error {
	return fmt.Errorf("issuer %s: %w", strconv.Quote(userInfo.ReplaceAllString(i.label(), "//xxxxx@")), err)
}

// label returns what the issuer is called in errors and logs: its name, or its iss.
func (i *Settings) label() string {
	if i.Name != "" {
		return i.Name
	}
	return i.Iss
}
