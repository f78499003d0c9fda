package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/internal/issuer"
	"github.com/caddy-jwt/caddy-jwt/internal/rule"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

// maxFederated is how far ahead a platform's token may expire.
const maxFederated = 24 * time.Hour

// spiffe begins the issuer, and the subjects, of a SPIFFE trust domain.
const spiffe = "spiffe://"

// federate is a federate without an error.
type federate struct {
	*Federate
	issuers *issuer.List
	policy  validator.Policy // without keys
	prefix  string           // of "sub", for SPIFFE
}

// checkFederate checks a federate.
func (c *Checked) checkFederate(f *Federate, resolve setting.Resolver, declared func(string) *issuer.Settings) (federate, error) {
	switch {
	case f == nil:
		return federate{}, errors.New("an entry is null; write an object with name, issuer, require and client")
	case !setting.IsName(f.Name):
		return federate{}, errors.New("it needs a name of letters, digits, _ and -, such as github")
	case slices.ContainsFunc(c.federates, func(o federate) bool { return o.Name == f.Name }):
		return federate{}, errors.New("duplicate name; give each federate its own")
	case f.Client == "":
		return federate{}, errors.New("the client is missing; write client deploy, whose scopes, audience and claims the tokens have")
	case !c.hasClient(f.Client):
		return federate{}, fmt.Errorf("client: there is no client %s; write client %s with its scopes beside the federate", f.Client, f.Client)
	case f.Issuer == nil:
		return federate{}, errors.New("the issuer is missing; write issuer https://token.actions.githubusercontent.com, or that of your platform")
	}
	checked := federate{Federate: f}
	i := *f.Issuer
	named := &i
	if d := declared(i.Name); i.Name != "" && d != nil {
		named = d
	}
	iss, err := issuer.ResolveIss(named.Iss, resolve)
	switch {
	case err != nil:
		return checked, fmt.Errorf("issuer: %w", err)
	case len(named.Tenants) > 0 || strings.Contains(iss, validator.TenantMark):
		return checked, fmt.Errorf("issuer: %s and tenants are not possible here, as the rules of a federate are about the users of one platform; write a federate for each tenant, with the tenant's id in its issuer", validator.TenantMark)
	}
	if err := c.checkOther(iss); err != nil {
		return checked, err
	}
	for _, a := range i.Audience {
		value, err := resolve(a)
		if err != nil {
			return checked, fmt.Errorf("audience: %w", err)
		}
		if value != c.issuer && a != c.Settings.Issuer {
			return checked, fmt.Errorf("audience: %q is not the issuer of this service, so tokens that were made for another service would be taken here; write %s, or leave it out, and have the platform make tokens for it", value, c.issuer)
		}
	}
	if domain, ok := strings.CutPrefix(iss, spiffe); ok {
		if checked.prefix, err = checkTrustDomain(domain, &i); err != nil {
			return checked, err
		}
	}
	i.Audience = nil
	checked.issuers = &issuer.List{Issuers: []*issuer.Settings{&i}, Audience: []string{c.issuer}, Declared: declared}
	policies, err := checked.issuers.Policies(resolve)
	if err != nil {
		return checked, err
	}
	p := policies[0]
	switch {
	case p.AnyIssuer:
		return checked, errors.New("issuer *: it would take the tokens of anyone; write the exact iss of the platform")
	case p.AllowNoExpiry:
		return checked, errors.New("issuer: allow_no_expiry is not possible here, as a token without an end could be exchanged for ever; remove it")
	case p.AllowBound:
		return checked, errors.New("issuer: allow_bound_tokens is not possible here, as the service asks for no proof of the token's key; remove it")
	}
	if p.MaxLifetime == 0 || p.MaxLifetime > maxFederated {
		p.MaxLifetime = maxFederated
	}
	if checked.prefix != "" {
		p.Issuer, p.AnyIssuer = "", true // it may be absent
	}
	checked.policy = p
	if _, err := rule.Check(f.Require); err != nil {
		return checked, err
	}
	warnings, err := checkPins(iss, checked.prefix, f.Require)
	for _, w := range warnings {
		c.Warnings = append(c.Warnings, "authorization_server: federate "+f.Name+": "+w)
	}
	return checked, err
}

// checkOther checks that a platform is not this service.
func (c *Checked) checkOther(iss string) error {
	if ours := strings.TrimSuffix(iss, "/"); ours == c.issuer || ours == c.issuer+"/forward" {
		return errOurs
	}
	return nil
}

var errOurs = errors.New("issuer: it is a token service of this config, so that a token could be exchanged for a new one for ever; write the issuer of a platform")

// checkTrustDomain checks the issuer of a SPIFFE trust domain, and returns what subjects
// begin with.
func checkTrustDomain(domain string, i *issuer.Settings) (prefix string, err error) {
	switch {
	case domain == "" || strings.ContainsFunc(domain, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-')
	}):
		return "", fmt.Errorf("issuer: %q is not a trust domain of SPIFFE; write spiffe:// and the domain alone, in lower case, such as spiffe://example.org", spiffe+domain)
	case i.JWKSURL == "" && i.JWKSFile == "" && len(i.PublicKey) == 0:
		return "", errors.New("issuer: a trust domain of SPIFFE has no metadata to find its keys by; write jwks_url with the URL of its bundle, jwks_file or public_key into the block")
	}
	return spiffe + domain + "/", nil
}

// pins returns a function that reports whether claims meet all rules about claims.
func (f *federate) pins(expressions *rule.Rules) func(context.Context, claims.Value) bool {
	var required []rule.Claim
	for _, r := range f.Require {
		if r.Claim != nil {
			required = append(required, *r.Claim)
		}
	}
	iss := f.policy.Issuer
	return func(_ context.Context, body claims.Value) bool {
		for i := range required {
			v, ok := body.Lookup(required[i].Path)
			if !ok || !rule.ClaimMatches(v, required[i].Values) {
				return false
			}
		}
		return expressions.HoldFor(body, iss)
	}
}
