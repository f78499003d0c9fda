// Package validator validates JSON Web Tokens: from a token string and the policies of
// the trusted issuers it makes verified claims or a reason for refusal. It follows RFC
// 7519 section 7.2, RFC 7515 section 5.2 and RFC 8725.
//
// It is independent of HTTP and does no I/O; keys come from a KeySet.
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

// The limits on the length of a token, in bytes.
const (
	// MaxLength is the default. It is the same as Caddy's default limit for all
	// headers together.
	MaxLength = 16 << 10
	// MostLength is the largest limit.
	MostLength = 64 << 10
)

// Validator validates tokens of a fixed set of issuers. It is immutable and safe for
// concurrent use.
type Validator struct {
	id             uint64 // unique in this process, but shared by copies with the same policies
	policies       []*policy
	header         *lastHeader
	issuers        map[string]issuerPolicies
	templates      map[template]*policy // of issuers with tenants
	longestIssuer  int                  // of those, in bytes; 0 if there are none
	single         string               // the issuer, if there is only one
	singlePolicies *issuerPolicies      // of the single issuer
	anyIssuer      *issuerPolicies      // set if any issuer is accepted
	now            func() time.Time
	maxLength      int
	tooLong        *reason.Detailed
	cache          Cache                                 // may be nil
	observe        func(time.Duration)                   // may be nil
	revocations    Revocations                           // may be nil
	ahead          func(policy int, ahead time.Duration) // may be nil
	quiet          bool                                  // whether the keys are not told of bad signatures
	asks           bool                                  // whether issuers are asked although it is quiet
	isOther        func(text string) bool                // whether it is no token but another secret; may be nil
	opaque         *policy                               // whose issuer is asked about opaque tokens; may be nil
}

// lastID is the id of the newest validator.
var lastID atomic.Uint64

// New returns a Validator. now is the clock, time.Now if nil. The error is about an
// incomplete or contradictory policy.
func New(policies []Policy, now func() time.Time) (*Validator, error) {
	if len(policies) == 0 {
		return nil, errors.New("a validator needs a policy")
	}
	if now == nil {
		now = time.Now
	}
	v := &Validator{id: lastID.Add(1), header: new(lastHeader), issuers: make(map[string]issuerPolicies, len(policies)), now: now}
	v.limit(MaxLength)
	for _, p := range policies {
		q, err := p.prepare()
		if err != nil {
			return nil, err
		}
		q.index = len(v.policies)
		q.unverified.policy = q.index
		v.policies = append(v.policies, q)
		if q.Introspector != nil {
			if v.opaque != nil {
				return nil, fmt.Errorf("opaque tokens are either of the issuer %q or of %q, as nothing in them says whose they are", v.opaque.Issuer, q.Issuer)
			}
			v.opaque = q
		}
		switch {
		case p.AnyIssuer:
			if len(policies) > 1 {
				return nil, errors.New("a policy that takes any issuer must be the only one")
			}
			v.anyIssuer = &issuerPolicies{}
			err = v.anyIssuer.add(q)
		case p.Template():
			err = v.addTemplate(q)
		default:
			i := v.issuers[p.Issuer]
			err = i.add(q)
			v.issuers[p.Issuer] = i
		}
		if err != nil {
			return nil, fmt.Errorf("making a validator: %w", err)
		}
	}
	if err := v.checkTenants(); err != nil {
		return nil, fmt.Errorf("making a validator: %w", err)
	}
	if len(v.issuers) == 1 {
		for name, i := range v.issuers {
			v.single, v.singlePolicies = name, &i
		}
	}
	return v, nil
}

// Limited returns a copy of the Validator with another limit on the length of tokens, in
// bytes, at most MostLength. The number of JSON values is limited in proportion.
func (v *Validator) Limited(maxLength int) *Validator {
	c := *v
	c.limit(min(maxLength, MostLength))
	return &c
}

func (v *Validator) limit(maxLength int) {
	v.maxLength = maxLength
	v.tooLong = tooLarge(maxLength)
}

// maxValues is how many JSON values the header and the claims may have.
func (v *Validator) maxValues() int {
	return max(v.maxLength, MaxLength) * claims.MaxValues / MaxLength
}

// Cached returns a copy of the Validator that uses a cache of verified tokens. Several
// validators may share a cache.
func (v *Validator) Cached(cache Cache) *Validator {
	c := *v
	c.cache = cache
	return &c
}

// Observed returns a copy of the Validator that reports to observe how long verifying a
// signature took, valid or not, including the wait for keys.
func (v *Validator) Observed(observe func(time.Duration)) *Validator {
	c := *v
	c.observe = observe
	return &c
}

// Ahead returns a copy of the Validator that reports to ahead by how much a good token of
// the policy with an index was issued in the future, when it comes for the first time.
func (v *Validator) Ahead(ahead func(policy int, by time.Duration)) *Validator {
	c := *v
	c.ahead = ahead
	return &c
}

// Quiet returns a copy of the Validator that judges tokens in the same way and leaves no
// trace: it has no cache and reports nothing, and the keys do not learn of signatures that
// are invalid. They are asked for as usual, which may have them fetched. Issuers are not
// asked about tokens: only answers that are known are used (see Rememberer), and a token
// without one is refused with reason.IntrospectionUnavailable; Asking changes that.
func (v *Validator) Quiet() *Validator {
	c := *v
	c.header, c.cache, c.observe, c.ahead, c.quiet = new(lastHeader), nil, nil, nil, true
	return &c
}

// At returns a copy of the Validator with another clock.
func (v *Validator) At(now func() time.Time) *Validator {
	c := *v
	c.now = now
	return &c
}

// Validate validates a token, with the cheapest checks first. The error is always a
// reason.Code, or a reason.Detailed. ctx limits the wait for keys that are being fetched.
func (v *Validator) Validate(ctx context.Context, token string) (*Token, error) {
	verified := new(Token)
	if err := v.ValidateInto(ctx, token, verified); err != nil {
		return nil, err
	}
	return verified, nil
}

// ValidateInto is like Validate but stores the token in verified, which saves an
// allocation. After an error verified must not be used, except by [Token.Sender] and
// [Token.Policy].
func (v *Validator) ValidateInto(ctx context.Context, token string, verified *Token) error {
	*verified = Token{}
	if len(token) > v.maxLength {
		return v.tooLong
	}
	if v.cache == nil {
		return v.validate(ctx, token, nil, verified)
	}
	digest := sha256.Sum256(stringBytes(token))
	cached, ok := v.cache.Get(digest)
	if !ok {
		return v.validate(ctx, token, &digest, verified)
	}
	now := v.now()
	if cached.reuseVerdict(v, now, verified) {
		return v.standing(ctx, verified, token, now)
	}
	if cached.values > v.maxValues() { // another validator may allow more
		return claimsNotJSON.of(claims.ErrValues)
	}
	a, err := v.admit(ctx, &cached.parsed, cached.verifiedBy, nil, token, now)
	if err != nil {
		verified.refused = a.policy.claimed()
		return err
	}
	if a.verifiedBy != cached.verifiedBy {
		v.cache.Put(digest, cached.withKey(a.verifiedBy))
	}
	if err := v.accept(a, cached, verified); err != nil {
		return err
	}
	return v.standing(ctx, verified, token, now)
}

// validate validates a token that is not in the cache, and puts it there if digest is
// not nil. Only tokens with a valid signature get memory of their own and are cached, so
// that an attacker can't fill the cache.
func (v *Validator) validate(ctx context.Context, token string, digest *[sha256.Size]byte, verified *Token) error {
	if v.opaque != nil && Opaque(token) {
		return v.validateOpaque(ctx, token, verified)
	}
	var (
		p    parsed
		body claims.Draft
	)
	parts, err := v.parse(token, &p, &body)
	if err != nil {
		return err
	}
	defer body.Free()
	a, err := v.admit(ctx, &p, noKey, &parts, token, v.now())
	if err != nil {
		verified.refused = a.policy.claimed()
		return err
	}
	t := &Verified{parsed: p, body: body.Value(), verifiedBy: a.verifiedBy}
	v.header.remember(parts.headerSegment, t.head)
	err = v.accept(a, t, verified)
	if digest != nil {
		t.size, t.digest = footprint(t, token), *digest
		v.cache.Put(*digest, t)
	}
	if err != nil {
		return err
	}
	if by := p.when.issued.Sub(a.at); v.ahead != nil && by > 0 {
		v.ahead(a.policy.index, by)
	}
	return v.standing(ctx, verified, token, a.at)
}

// admitted is the result of admit: issuer, times and signature of a token are valid.
// After an error it has only the policy, or nil if no issuer is known.
type admitted struct {
	policy     *policy
	verifiedBy signer // the key that verifies the signature
	version    uint64 // of the keys, read before the keys were
	at         time.Time
}

// admit makes the cheap checks of a policy, those of issuer, algorithm and times, and then
// verifies the signature. For a cached token, whose signature was verified before by the
// key verifiedBy, parts is nil.
func (v *Validator) admit(ctx context.Context, t *parsed, verifiedBy signer, parts *compact, token string, now time.Time) (admitted, error) {
	// The claims are not verified yet. Until then iss is only a hint that selects
	// the policy, and with it the keys.
	p, err := v.policy(t)
	if err != nil {
		return admitted{policy: p}, err
	}
	if err := p.checkTimes(t.when, now); err != nil {
		return admitted{policy: p}, err
	}
	version := p.Keys.Version("", now)
	verifiedBy, err = p.verify(ctx, t, verifiedBy, parts, token)
	// Without a key no signature was verified: a flood of such tokens would
	// distort the measured times.
	if parts != nil && v.observe != nil && !errors.Is(err, reason.UnknownKey) && !errors.Is(err, reason.AlgorithmNotAllowed) {
		v.observe(v.now().Sub(now))
	}
	if err != nil {
		if p.distrust != nil && !v.quiet && p.isDistrust(t.head, err) {
			p.distrust()
		}
		return admitted{policy: p}, err
	}
	return admitted{p, verifiedBy, version, now}, nil
}

// accept makes the remaining checks of a policy, on claims that are verified now.
func (v *Validator) accept(a admitted, t *Verified, verified *Token) error {
	p := a.policy
	user, err := p.user(t.body)
	if checked := p.checkVerified(t); checked != nil {
		err = checked
	}
	if err != nil {
		verified.refused = &sender{p.index, t.issuer, user}
		return err
	}
	found := &verdict{user: user, policy: p.index}
	if !p.defaultScopes {
		found.scopes = readScopes(t.body, p.ScopeClaims)
	}
	if a.version != 0 && p.Keys.Version(p.kid(t.head), a.at) == a.version && len(found.scopes) <= maxVerdictScopes {
		t.storeVerdict(found, v, p, a.version)
	}
	verified.token, verified.verdict = t, found
	return nil
}

// checkVerified makes the checks of the claims besides that of the user.
func (p *policy) checkVerified(t *Verified) error {
	if err := p.checkAudience(t.body); err != nil {
		return err
	}
	if err := p.checkType(t.head.typ); err != nil {
		return err
	}
	return p.checkBinding(t.bound)
}

// policy returns the policy for a token by its iss and, if an issuer has both secrets
// and public keys, by its alg. If the issuer is known but no algorithm of it is meant, or not
// this tenant, it returns a policy of the issuer and an error.
func (v *Validator) policy(t *parsed) (*policy, error) {
	i, err := v.ofIssuer(t)
	if err != nil {
		return i.either(), err
	}
	return i.ofAlgorithm(t.head.alg)
}

// ofIssuer returns the policies for a token by its iss.
func (v *Validator) ofIssuer(t *parsed) (issuerPolicies, error) {
	switch {
	case v.anyIssuer != nil:
		return *v.anyIssuer, nil
	case !t.hasIssuer:
		return issuerPolicies{}, reason.NoIssuer
	case v.singlePolicies != nil:
		if t.issuer != v.single {
			return v.ofTenant(t)
		}
		return *v.singlePolicies, nil
	}
	i, known := v.issuers[t.issuer]
	if !known {
		return v.ofTenant(t)
	}
	return i, nil
}

// ofAlgorithm returns the policy for an algorithm, or one of the issuer's and an error.
func (i issuerPolicies) ofAlgorithm(alg key.Algorithm) (*policy, error) {
	if alg == 0 {
		return i.either(), reason.AlgUnknown
	}
	p := i.choose(alg)
	switch {
	case p != nil && p.Keys == nil:
		return p, reason.OnlyOpaque
	case p == nil || !p.Algorithms.Empty() && !p.Algorithms.Has(alg):
		return i.either(), reason.AlgRefused
	}
	return p, nil
}
