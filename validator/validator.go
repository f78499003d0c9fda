// Package validator decides whether a token is good: a token string and the
// policies of the trusted issuers in, verified claims or one typed reason out.
// It follows RFC 7519 section 7.2, RFC 7515 section 5.2 and RFC 8725.
//
// It knows no HTTP and does no I/O; keys come through the one-method interface
// KeySet.
package validator

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// MaxCandidates bounds the signatures that one token without kid can make us
// verify. A set with more fitting keys must name them.
const MaxCandidates = 4

// Validator validates tokens of a fixed set of issuers. It is safe for
// concurrent use and never changes.
type Validator struct {
	number   uint64    // of no other in this process, but for those with the same policies
	policies []*policy // all of them
	header   *lastHeader
	issuers  map[string]issuerPolicies
	single   string          // the issuer, where there is one
	only     *issuerPolicies // of the single one
	any      *issuerPolicies // instead of issuers
	now      func() time.Time
	cache    Cache               // nil for none
	observe  func(time.Duration) // nil for nobody
}

// numbers are those of the validators.
var numbers atomic.Uint64

// New makes a Validator. now is the clock, time.Now if nil. The error tells of
// a policy that lacks what it must have.
func New(policies []Policy, now func() time.Time) (*Validator, error) {
	if len(policies) == 0 {
		return nil, errors.New("a validator needs a policy")
	}
	if now == nil {
		now = time.Now
	}
	v := &Validator{number: numbers.Add(1), header: new(lastHeader), issuers: make(map[string]issuerPolicies, len(policies)), now: now}
	for _, p := range policies {
		q, err := p.prepare()
		if err != nil {
			return nil, err
		}
		q.place = len(v.policies)
		v.policies = append(v.policies, q)
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
	if len(v.issuers) == 1 {
		for name, i := range v.issuers {
			v.single, v.only = name, &i
		}
	}
	return v, nil
}

// Cached returns the same Validator with a cache of verified tokens, which
// several may share.
func (v *Validator) Cached(cache Cache) *Validator {
	with := *v
	with.cache = cache
	return &with
}

// Observed returns the same Validator, which tells observe of each token whose
// signature had to be looked at how long that took, good or bad, waiting for keys
// included.
func (v *Validator) Observed(observe func(time.Duration)) *Validator {
	with := *v
	with.observe = observe
	return &with
}

// Validate checks a token, the cheapest check first. The error is always a
// Reason. ctx bounds the wait for keys that are being fetched.
func (v *Validator) Validate(ctx context.Context, token string) (*Token, error) {
	verified := new(Token)
	if err := v.ValidateInto(ctx, token, verified); err != nil {
		return nil, err
	}
	return verified, nil
}

// ValidateInto is Validate for whoever has the memory already. verified is to be used
// only if there is no error.
func (v *Validator) ValidateInto(ctx context.Context, token string, verified *Token) error {
	*verified = Token{}
	if v.cache == nil || len(token) > MaxLength {
		return v.validate(ctx, token, nil, verified)
	}
	digest := sha256.Sum256(stringBytes(token))
	known, ok := v.cache.Get(digest)
	if !ok {
		return v.validate(ctx, token, &digest, verified)
	}
	now := v.now()
	if known.stands(v, now, verified) {
		return nil
	}
	a, err := v.admit(ctx, &known.parsed, known.by, nil, token, now)
	if err != nil {
		return err
	}
	if a.by != known.by {
		v.cache.Put(digest, known.verifiedBy(a.by, known.size))
	}
	return v.accept(a, known, verified)
}

// validate checks a token that is not in the cache, and puts it there if digest is
// given. Only what a key has signed takes memory of its own and is remembered: a
// stranger can't fill the cache with anything else.
func (v *Validator) validate(ctx context.Context, token string, digest *[sha256.Size]byte, verified *Token) error {
	var (
		said parsed
		body claims.Draft
	)
	parts, err := v.parse(token, &said, &body)
	if err != nil {
		return err
	}
	defer body.Free()
	a, err := v.admit(ctx, &said, nobody, &parts, token, v.now())
	if err != nil {
		return err
	}
	t := &Verified{parsed: said, body: body.Value(), by: a.by}
	v.header.remember(parts.segment, t.head)
	err = v.accept(a, t, verified)
	if digest != nil {
		t.size = footprint(t, token)
		v.cache.Put(*digest, t)
	}
	return err
}

// admitted is a token whose issuer, times and signature are good.
type admitted struct {
	policy  *policy
	by      fingerprint // the key that verifies it
	version uint64      // of the keys before they were asked for
	at      time.Time
}

// admit applies those checks of a policy that need nothing but a look at a stranger's
// word, and then the signature. parts are nil for a token whose signature was verified
// before, by the key named.
func (v *Validator) admit(ctx context.Context, t *parsed, by fingerprint, parts *compact, token string, now time.Time) (admitted, error) {
	// The claims are still a stranger's word. The iss among them is a hint
	// that picks the policy, and with it the keys; it picks nothing else.
	p, err := v.policy(t.issuer, t.hasIssuer, t.head.alg)
	if err != nil {
		return admitted{}, err
	}
	if err := p.checkTimes(t.when, now); err != nil {
		return admitted{}, err
	}
	version := p.Keys.Version("", now)
	by, err = p.verify(ctx, t.head, by, parts, token)
	// A flood of tokens for which there is no key is no signature's time.
	if parts != nil && v.observe != nil && err != reason.UnknownKey && err != reason.AlgorithmNotAllowed {
		v.observe(v.now().Sub(now))
	}
	if err != nil {
		return admitted{}, err
	}
	return admitted{p, by, version, now}, nil
}

// accept applies the other checks of a policy. From here on the claims are the
// issuer's word.
func (v *Validator) accept(a admitted, t *Verified, verified *Token) error {
	p := a.policy
	if err := p.checkAudience(t); err != nil {
		return err
	}
	if err := p.checkType(t.head.typ); err != nil {
		return err
	}
	// RFC 7800: a token bound to its holder's key is worth nothing to a
	// thief only as long as nobody takes it without the proof.
	if t.bound && !p.AllowBound {
		return reason.UnsupportedToken
	}
	user, err := p.user(t)
	if err != nil {
		return err
	}
	found := &verdict{user: user}
	if !p.usualScopes {
		found.scopes = readScopes(t.body, p.ScopeClaims)
	}
	if a.version != 0 && p.Keys.Version(t.head.kid, a.at) == a.version && len(found.scopes) <= maxKeptScopes {
		t.keep(found, v, p, a.version)
	}
	verified.of, verified.by = t, found
	return nil
}

// policy chooses what to ask of a token by its iss and, where one issuer has
// secrets and public keys, by its alg.
func (v *Validator) policy(issuer string, present bool, alg key.Algorithm) (*policy, error) {
	var i issuerPolicies
	switch {
	case v.any != nil:
		i = *v.any
	case !present:
		return nil, reason.UnknownIssuer
	case v.only != nil:
		if issuer != v.single {
			return nil, reason.UnknownIssuer
		}
		i = *v.only
	default:
		var known bool
		if i, known = v.issuers[issuer]; !known {
			return nil, reason.UnknownIssuer
		}
	}
	if alg == 0 {
		return nil, reason.AlgorithmNotAllowed
	}
	p := i.choose(alg)
	if p == nil || !p.Algorithms.Empty() && !p.Algorithms.Has(alg) {
		return nil, reason.AlgorithmNotAllowed
	}
	return p, nil
}

// verify finds the keys that may have signed and checks the signature, unless the
// key that did is among them still: whether a key verifies these bytes never
// changes, which keys may is looked up each time.
func (p *policy) verify(ctx context.Context, head header, by fingerprint, parts *compact, token string) (fingerprint, error) {
	keys, err := p.Keys.Keys(ctx, head.kid)
	switch {
	case errors.Is(err, key.ErrUnknown):
		return nobody, reason.UnknownKey
	case err != nil:
		return nobody, reason.KeysUnavailable
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
			return nobody, reason.UnknownKey
		}
		candidates[n] = k
		n++
	}
	if n == 0 {
		// The issuer has keys for this kid, but not for this algorithm.
		return nobody, reason.AlgorithmNotAllowed
	}
	if parts == nil {
		for _, k := range candidates[:n] {
			if k.Fingerprint() == by {
				return by, nil
			}
		}
		// Verified by a key that is none of these: from the beginning.
		again, err := split(token, "")
		if err != nil {
			return nobody, err
		}
		parts = &again
	}
	for _, k := range candidates[:n] {
		if k.Verify(head.alg, parts.signed, parts.signature) == nil {
			return k.Fingerprint(), nil
		}
	}
	return nobody, reason.BadSignature
}
