package issuer

import (
	"errors"
	"fmt"
	"reflect"

	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/internal/setting"
	"github.com/caddy-jwt/caddy-jwt/internal/shared"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

// List are the issuers of a handler.
type List struct {
	// Issuers are the entries of the config; nil for one that is null.
	Issuers []*Settings
	// Audience is that of the issuers that have none of their own.
	Audience []string
	// Declared returns the issuer that the app declares under a name, or nil.
	Declared func(name string) *Settings
}

// merged returns an issuer of the handler; one that is referred to by name with
// the settings that the app has for it.
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
		return nil, i.Named(errors.New("a site gives an issuer that has a name audience, typ, max_lifetime and user_claim; write the rest into the global option jwt, where the name is declared"))
	}
	declared := l.Declared(i.Name)
	if declared == nil {
		return nil, i.Named(fmt.Errorf("no issuer of this name is declared; declare it in the global options: jwt { issuer %s https://auth.example.com/ }", i.Name))
	}
	m := *declared
	m.Name = i.Name
	// The site's own audience counts before the handler's, and that before
	// the one that all sites share.
	if len(i.Audience) > 0 || len(l.Audience) > 0 {
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

// Policies checks all issuers and makes their policies, but for the keys. With
// an error come those of the issuers before the one that is wrong.
func (l *List) Policies(resolve setting.Resolver) ([]validator.Policy, error) {
	var policies []validator.Policy
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
			return policies, errors.New("issuer *: it takes any token, so it stands alone; remove it or the others")
		}
		if p.Audience, p.AnyAudience, err = i.audience(l.Audience, resolve); err != nil {
			return policies, i.Named(err)
		}
		// A local key set holds secrets only where an algorithm for them is
		// named, so that the kind is known before any key is read.
		p.Symmetric = len(i.Secret) > 0 || p.Algorithms.HasSymmetric()
		for _, other := range policies {
			if other.Issuer == p.Issuer && other.Symmetric == p.Symmetric {
				return policies, i.Named(errors.New("it is there twice; put its settings into one block (two are possible only where one has secrets and the other public keys)"))
			}
		}
		policies = append(policies, p)
	}
	// It may be wrong even where all issuers have their own.
	if _, _, err := resolveAudience(l.Audience, resolve); err != nil {
		return policies, err
	}
	return policies, nil
}

// Keys gives the policies their keys.
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
