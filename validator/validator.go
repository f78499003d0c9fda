package validator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/key"
)

// MaxCandidates bounds the signatures that one token without kid can make us
// verify. A set with more fitting keys must name them.
const MaxCandidates = 4

// Validator validates tokens of a fixed set of issuers. It is safe for
// concurrent use and never changes.
type Validator struct {
	issuers map[string]issuerPolicies
	any     *issuerPolicies // instead of issuers
	now     func() time.Time
}

// New makes a Validator. now is the clock, time.Now if nil. The error tells of
// a policy that lacks what it must have.
func New(policies []Policy, now func() time.Time) (*Validator, error) {
	if len(policies) == 0 {
		return nil, errors.New("a validator needs a policy")
	}
	if now == nil {
		now = time.Now
	}
	v := &Validator{issuers: make(map[string]issuerPolicies, len(policies)), now: now}
	for _, p := range policies {
		q, err := p.prepare()
		if err != nil {
			return nil, err
		}
		if p.AnyIssuer {
			if len(policies) > 1 {
				return nil, errors.New("a policy that takes any issuer must be the only one")
			}
			v.any = &issuerPolicies{}
			err = v.any.add(q)
		} else {
			i := v.issuers[p.Issuer]
			err = i.add(q)
			v.issuers[p.Issuer] = i
		}
		if err != nil {
			return nil, fmt.Errorf("making a validator: %w", err)
		}
	}
	return v, nil
}

// Validate checks a token, the cheapest check first. The error is always a
// Reason. ctx bounds the wait for keys that are being fetched.
func (v *Validator) Validate(ctx context.Context, token string) (*Token, error) {
	parts, err := split(token)
	if err != nil {
		return nil, err
	}
	head, err := parseHeader(parts.header)
	if err != nil {
		return nil, err
	}
	body, err := claims.ParseObject(parts.claims)
	if err != nil {
		return nil, MalformedToken
	}
	when, err := parseTimes(body)
	if err != nil {
		return nil, err
	}
	// The claims are still a stranger's word. The iss among them is a hint
	// that picks the policy, and with it the keys; it picks nothing else.
	issuer, hasIssuer, err := issuerOf(body)
	if err != nil {
		return nil, err
	}
	p, err := v.policy(issuer, hasIssuer, head.alg)
	if err != nil {
		return nil, err
	}
	if err := p.checkTimes(when, v.now()); err != nil {
		return nil, err
	}
	if err := p.verify(ctx, head, parts); err != nil {
		return nil, err
	}
	// From here on the claims are the issuer's word.
	if err := p.checkAudience(body); err != nil {
		return nil, err
	}
	if err := p.checkType(head.typ); err != nil {
		return nil, err
	}
	// RFC 7800: a token bound to its holder's key is worth nothing to a
	// thief only as long as nobody takes it without the proof.
	if _, bound := body.Member("cnf"); bound && !p.AllowBound {
		return nil, UnsupportedToken
	}
	user, err := p.user(body)
	if err != nil {
		return nil, err
	}
	return &Token{
		claims:  body,
		issuer:  issuer,
		user:    user,
		scopes:  p.scopes(body),
		kid:     head.kid,
		alg:     head.alg,
		expires: when.expires,
	}, nil
}

func issuerOf(body claims.Value) (issuer string, present bool, err error) {
	v, present := body.Member("iss")
	if !present {
		return "", false, nil
	}
	issuer, ok := v.Text()
	if !ok {
		return "", true, MalformedToken
	}
	return issuer, true, nil
}

// policy chooses what to ask of a token by its iss and, where one issuer has
// secrets and public keys, by its alg.
func (v *Validator) policy(issuer string, present bool, alg key.Algorithm) (*policy, error) {
	var i issuerPolicies
	if v.any != nil {
		i = *v.any
	} else {
		var known bool
		if i, known = v.issuers[issuer]; !known || !present {
			return nil, UnknownIssuer
		}
	}
	if alg == 0 {
		return nil, AlgorithmNotAllowed
	}
	p := i.choose(alg)
	if p == nil || !p.Algorithms.Empty() && !p.Algorithms.Has(alg) {
		return nil, AlgorithmNotAllowed
	}
	return p, nil
}

// verify finds the keys that may have signed and checks the signature.
func (p *policy) verify(ctx context.Context, head header, parts compact) error {
	keys, err := p.Keys.Keys(ctx, head.kid)
	switch {
	case errors.Is(err, key.ErrUnknown):
		return UnknownKey
	case err != nil:
		return KeysUnavailable
	}
	var (
		candidates [MaxCandidates]key.Key
		n          int
	)
	for _, k := range keys {
		if !k.Fits(head.alg, p.Algorithms) {
			continue
		}
		if n == MaxCandidates {
			return UnknownKey
		}
		candidates[n] = k
		n++
	}
	if n == 0 {
		// The issuer has keys for this kid, but not for this algorithm.
		return AlgorithmNotAllowed
	}
	for _, k := range candidates[:n] {
		if k.Verify(head.alg, parts.signed, parts.signature) == nil {
			return nil
		}
	}
	return BadSignature
}
