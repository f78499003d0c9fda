package caddyjwt

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/caddy-jwt/caddy-jwt/validator"
)

// merged returns an issuer of the handler; one that is referred to by name with
// the settings that the app has for it.
func (h *Handler) merged(i *Issuer) (*Issuer, error) {
	if i == nil {
		return nil, errors.New("issuer: an entry is null; write an object with iss")
	}
	if i.Name == "" {
		return i, nil
	}
	rest := *i
	rest.Name, rest.Audience, rest.Typ, rest.MaxLifetime, rest.UserClaim = "", nil, nil, 0, nil
	if !reflect.DeepEqual(rest, Issuer{}) {
		return nil, i.named(errors.New("a site gives an issuer that has a name audience, typ, max_lifetime and user_claim; write the rest into the global option jwt, where the name is declared"))
	}
	declared := h.declared[i.Name]
	if declared == nil {
		return nil, i.named(fmt.Errorf("no issuer of this name is declared; declare it in the global options: jwt { issuer %s https://auth.example.com/ }", i.Name))
	}
	m := *declared
	m.Name = i.Name
	// The site's own audience counts before the handler's, and that before
	// the one that all sites share.
	if len(i.Audience) > 0 || len(h.Audience) > 0 {
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

// policies checks all issuers and makes their policies, but for the keys. With
// an error come those of the issuers before the one that is wrong.
func (h *Handler) policies(resolve resolver) ([]validator.Policy, error) {
	if len(h.Issuer) == 0 {
		switch {
		case h.onlyClears():
			return nil, nil
		case !h.hasAPIKeys():
			return nil, errors.New("no issuer is named and no API key, so that no request could pass; write: jwt https://auth.example.com/ https://api.example.com, or api_keys /etc/caddy/keys.jsonl into the block" + unset)
		case len(h.Audience) > 0:
			return nil, inOption("audience", "it is for tokens, and no issuer of any is named; name one, such as issuer https://auth.example.com/, or remove it")
		}
		return nil, nil
	}
	var policies []validator.Policy
	for _, i := range h.Issuer {
		i, err := h.merged(i)
		if err != nil {
			return policies, err
		}
		p, err := i.policy(resolve)
		if err != nil {
			return policies, i.named(err)
		}
		if p.AnyIssuer && len(h.Issuer) > 1 {
			return policies, errors.New("issuer *: it takes any token, so it stands alone; remove it or the others")
		}
		if p.Audience, p.AnyAudience, err = i.audience(h.Audience, resolve); err != nil {
			return policies, i.named(err)
		}
		// A local key set holds secrets only where an algorithm for them is
		// named, so that the kind is known before any key is read.
		p.Symmetric = len(i.Secret) > 0 || p.Algorithms.HasSymmetric()
		for _, other := range policies {
			if other.Issuer == p.Issuer && other.Symmetric == p.Symmetric {
				return policies, i.named(errors.New("it is there twice; put its settings into one block (two are possible only where one has secrets and the other public keys)"))
			}
		}
		policies = append(policies, p)
	}
	// It may be wrong even where all issuers have their own.
	if _, _, err := resolveAudience(h.Audience, resolve); err != nil {
		return policies, err
	}
	return policies, nil
}

// provisionIssuers makes the validator of all issuers and their keys, or none
// where there are API keys alone.
func (h *Handler) provisionIssuers() (*validator.Validator, error) {
	policies, err := h.policies(resolve)
	if err != nil || len(policies) == 0 {
		return nil, err
	}
	for n, i := range h.Issuer {
		if i, err = h.merged(i); err != nil {
			return nil, err
		}
		if err := i.provisionKeys(h, &policies[n]); err != nil {
			return nil, i.named(err)
		}
	}
	v, err := validator.New(policies, nil)
	if err != nil {
		return nil, err
	}
	if h.app.cache > 0 {
		v = v.Cached(theTokenCache)
	}
	return v.Observed(func(took time.Duration) { h.metrics.verified(took) }), nil
}
