package issuer

import (
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/internal/setting"
	"github.com/caddy-jwt/caddy-jwt/internal/shared"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

// List are the issuers of a handler.
type List struct {
	// Issuers are the entries of the config. One that is null is nil.
	Issuers []*Settings
	// Audience is the audience of issuers without their own.
	Audience []string
	// Resource is the audience where neither the issuer nor the handler has one: the protected
	// resource, in each of its forms. None without one.
	Resource []string
	// Declared returns the issuer that the app declares under a name, or nil.
	Declared func(name string) *Settings
}

// merged returns the settings of an issuer of the handler. If the issuer is referred to
// by name, they are those of the app, with what the handler sets in their place.
func (l *List) merged(i *Settings) (*Settings, error) {
	if i == nil {
		return nil, errors.New("issuer: an entry is null; write an object with iss")
	}
	if i.Name == "" {
		return i, nil
	}
	rest := *i
	rest.Name, rest.Audience, rest.Typ, rest.MaxLifetime, rest.UserClaim = "", nil, nil, 0, nil
	if !reflect.DeepEqual(rest, Settings{}) {
		return nil, i.Named(errors.New("an issuer that is referred to by name takes only audience, typ, max_lifetime and user_claim; write the rest into the global option jwt, where the name is declared"))
	}
	declared := l.Declared(i.Name)
	if declared == nil {
		return nil, i.Named(fmt.Errorf("no issuer of this name is declared; declare it in the global options: jwt { issuer %s https://auth.example.com/ }", i.Name))
	}
	m := *declared
	m.Name = i.Name
	// The audience of this entry comes first, then the handler's, then the resource, then
	// that of the named issuer.
	if len(i.Audience) > 0 || len(l.Audience) > 0 || len(l.Resource) > 0 {
		m.Audience = i.Audience
	}
	if len(i.Typ) > 0 {
		m.Typ = i.Typ
	}
	if i.MaxLifetime != 0 {
		m.MaxLifetime = i.MaxLifetime
	}
	if len(i.UserClaim) > 0 {
		m.UserClaim = i.UserClaim
	}
	return &m, nil
}

// Policies checks all issuers and returns their policies without the keys. With an error
// it returns the policies of the issuers before the wrong one.
func (l *List) Policies(resolve setting.Resolver) ([]validator.Policy, error) {
	var (
		policies []validator.Policy
		asked    *Settings // who is asked about tokens that are no JWT
	)
	for _, i := range l.Issuers {
		i, err := l.merged(i)
		if err != nil {
			return policies, err
		}
		p, err := i.Policy(resolve)
		if err != nil {
			return policies, i.Named(err)
		}
		if p.AnyIssuer && len(l.Issuers) > 1 {
			return policies, errors.New("issuer *: it accepts any token, so it must be the only issuer; remove it or the others")
		}
		if p.Audience, p.AnyAudience, err = i.audience(l.audience(), resolve); err != nil {
			return policies, i.Named(err)
		}
		if p.AnyAudience && len(l.Resource) > 0 {
			return policies, i.Named(fmt.Errorf("audience: * accepts tokens for any other API, and resource tells clients to get one for %s; remove one of the two", l.Resource[0]))
		}
		// A key set in a file holds secrets only if the config names an algorithm for
		// them, so that the kind is known before any key is read.
		p.Symmetric = len(i.Secret) > 0 || p.Algorithms.HasSymmetric()
		if i.Introspection != nil {
			if asked != nil {
				return policies, i.Named(fmt.Errorf("introspection: issuer %s has it too, and nothing in a token that is no JWT says whose it is; remove one of the two, or write a jwt of its own for each, in a route of its own", asked.label()))
			}
			asked = i
		}
		for _, other := range policies {
			switch {
			case !oneIssuer(&other, &p):
			case other.Issuer != p.Issuer:
				return policies, i.Named(fmt.Errorf("duplicate issuer: it and %s are both for the tokens of one tenant; remove the tenant from tenants, or its own issuer", other.Issuer))
			default:
				return policies, i.Named(errors.New("duplicate issuer; put its settings into one block (two are possible only where one has secrets and the other public keys)"))
			}
		}
		policies = append(policies, p)
	}
	// The handler's audience is checked even if all issuers have their own.
	if _, _, err := resolveAudience(l.Audience, resolve); err != nil {
		return policies, err
	}
	if len(l.Audience) > 0 && !slices.ContainsFunc(l.Issuers, func(i *Settings) bool { return len(i.Audience) == 0 }) {
		return policies, setting.InOption("audience", "no issuer uses it, as each has an audience of its own; write it after the issuer too, or remove one of the two")
	}
	return policies, nil
}

// audience returns the audience of issuers without their own.
func (l *List) audience() []string {
	if len(l.Audience) > 0 {
		return l.Audience
	}
	return l.Resource
}

// Discovered returns the issuers whose metadata is at the place that RFC 8414 has for it, as
// far as the settings tell: those that this config finds there itself. unsure is whether there
// may be others, as an issuer is still to be read from the environment.
func (l *List) Discovered(resolve setting.Resolver) (list []string, unsure bool) {
	for _, i := range l.Issuers {
		i, err := l.merged(i)
		if err != nil || !i.remote() || i.Discovery != "" || i.JWKSURL != "" {
			continue
		}
		iss, err := resolve(i.Iss)
		if err != nil || strings.Contains(iss, "{") {
			unsure = unsure || strings.Contains(iss, "{env.")
			continue
		}
		u, err := url.Parse(iss)
		if err == nil && u.User == nil && u.RawQuery == "" && u.Fragment == "" &&
			(u.Scheme == "https" || u.Scheme == "http" && setting.IsLoopback(u.Hostname())) && !slices.Contains(list, iss) {
			list = append(list, iss)
		}
	}
	return list, unsure
}

// Keys sets the key sources of the policies.
func (l *List) Keys(policies []validator.Policy, from *shared.Sources, logger *zap.Logger) error {
	for n, i := range l.Issuers {
		i, err := l.merged(i)
		if err != nil {
			return err
		}
		if err := i.provisionKeys(from, logger, &policies[n]); err != nil {
			return i.Named(err)
		}
	}
	return nil
}
