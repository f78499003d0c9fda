package validator

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// Explain makes all checks of a token, also those behind one that failed as far as they can
// be made, and returns them in the order in which Validate makes them: the first that failed
// has the reason and the detail for which Validate refuses the token, and none failed if it
// accepts it. Nothing is cached, observed or counted, and the keys do not learn of an
// invalid signature; they are asked for as Validate does, which may have them fetched.
//
// Behind a form that can't be read all is skipped. Where the signature could not be checked,
// or is invalid, the checks behind it are about claims that anybody may have written. Where
// no key is available the check of the key fails, as Validate refuses the token, and that of
// the signature is unknown.
func (v *Validator) Explain(ctx context.Context, token string) []reason.Check {
	e := explanation{v: v.Quiet(), ctx: ctx, token: token, now: v.now()} // asks, if v does
	if v.opaque != nil && Opaque(token) {
		e.opaque()
		return e.list
	}
	e.form()
	e.issuerAndAlgorithm()
	e.times()
	e.keyAndSignature()
	e.claims()
	e.revocations()
	e.jwtIntrospection()
	return e.list
}

// RevocationsExplainer is what Revocations may have besides, for Explain: Explain says which
// rule refuses a token, or what was asked. It is called after Check with the same arguments.
type RevocationsExplainer interface {
	Explain(ctx context.Context, t *Verified, text, user string, now time.Time) (seen string)
}

// explanation is an Explain under way.
type explanation struct {
	v     *Validator
	ctx   context.Context
	token string
	now   time.Time
	list  []reason.Check

	// What is known of the token. Head and body are Null if they can't be read.
	head, body claims.Value
	parts      compact
	parsed     parsed
	readable   bool // whether form passed

	// The policy that judges the token; nil if none does. Of a token of another issuer it is
	// that of the only one, but for the keys.
	policy      *policy
	ofPolicy    bool   // whether the token is of the policy's issuer and algorithm
	unavailable bool   // whether there are no keys, or the issuer was not asked
	answered    bool   // whether the body is an issuer's answer about an opaque token
	verifiedBy  signer // noKey if the signature is not verified
	user        string
}

// add adds a check that was made. err is nil or what Validate returns.
func (e *explanation) add(c reason.Check, err error) {
	c.Outcome = reason.Passed
	switch r := err.(type) { //nolint:errorlint // the checks do not wrap them
	case nil:
	case *reason.Detailed:
		c.Outcome, c.Reason, c.Detail = reason.Failed, r.Code(), r.Detail()
	case reason.Code:
		c.Outcome, c.Reason = reason.Failed, r
	}
	e.list = append(e.list, c)
}

// leave adds a check that was not made.
func (e *explanation) leave(c reason.Check, outcome reason.Outcome) {
	c.Outcome = outcome
	e.list = append(e.list, c)
}

// form makes the check of the form. Of a token that is refused for it, what can be read
// strictly is shown all the same.
func (e *explanation) form() {
	c := reason.Check{Name: reason.CheckForm, Wanted: "a JWT of three parts in base64url, with strict JSON"}
	parts := strings.Count(e.token, ".") + 1
	c.Seen = fmt.Sprintf("%d bytes in %d parts", len(e.token), parts)
	if parts == 1 {
		c.Seen = fmt.Sprintf("%d bytes in one part", len(e.token))
	}
	if e.v.maxLength != MaxLength {
		c.Option = "max_token_size " + sizeText(e.v.maxLength)
	}
	if len(e.token) > e.v.maxLength {
		c.Wanted = "at most " + sizeText(e.v.maxLength)
		e.add(c, e.v.tooLong)
		return
	}
	var (
		body claims.Draft
		err  error
	)
	if e.parts, err = e.v.parse(e.token, &e.parsed, &body); err == nil {
		e.readable = true
		body.Free()
	}
	if parts, split := split(e.token, ""); split == nil {
		e.head, _ = claims.ParseLarge(parts.header, e.v.maxValues())
		e.body, _ = claims.ParseLarge(parts.claims, e.v.maxValues())
	}
	e.add(c, err)
}

// issuerAndAlgorithm chooses the policy.
func (e *explanation) issuerAndAlgorithm() {
	iss := reason.Check{Name: reason.CheckIssuer, Seen: seenMember(e.body, "iss"), Wanted: e.v.issuersText()}
	alg := reason.Check{Name: reason.CheckAlgorithm, Seen: seenMember(e.head, "alg")}
	if !e.readable {
		e.leave(iss, reason.Skipped)
		e.leave(alg, reason.Skipped)
		return
	}
	policies, unknown := e.v.ofIssuer(e.parsed.issuer, e.parsed.hasIssuer)
	if unknown != nil && e.v.singlePolicies != nil {
		policies = *e.v.singlePolicies
	}
	known := policies.either()
	if known != nil {
		iss.Option = "issuer " + known.Issuer
		if known.AnyIssuer {
			iss.Option = "issuer *"
		}
	}
	e.add(iss, unknown)
	if known == nil {
		e.leave(alg, reason.Skipped)
		return
	}
	p, err := policies.ofAlgorithm(e.parsed.head.alg)
	alg.Wanted, alg.Option = policies.algorithmsText()
	e.add(alg, err)
	e.policy, e.ofPolicy = p, unknown == nil && err == nil
}

// times makes the checks of the times.
func (e *explanation) times() {
	exp := reason.Check{Name: reason.CheckExpires, Seen: e.seenTime("exp", e.parsed.when.expires)}
	life := reason.Check{Name: reason.CheckLifetime, Seen: exp.Seen}
	nbf := reason.Check{Name: reason.CheckNotBefore, Seen: e.seenTime("nbf", e.parsed.when.notBefore)}
	iat := reason.Check{Name: reason.CheckIssuedAt, Seen: e.seenTime("iat", e.parsed.when.issued)}
	p := e.policy
	if p == nil {
		for _, c := range []reason.Check{exp, life, nbf, iat} {
			e.leave(c, reason.Skipped)
		}
		return
	}
	leeway := "leeway " + reason.Span(p.Leeway)
	exp.Wanted = "a time that has not passed, " + leeway
	nbf.Wanted = "a time that has come, or none, " + leeway
	iat.Wanted = nbf.Wanted
	if p.Leeway != DefaultLeeway {
		exp.Option, nbf.Option, iat.Option = leeway, leeway, leeway
	}
	if p.AllowNoExpiry {
		exp.Wanted = "a time that has not passed, or none, " + leeway
		if e.parsed.when.expires.IsZero() {
			exp.Option = "allow_no_expiry"
		}
	}
	e.add(exp, e.ofAnswer(p.checkExpires(e.parsed.when.expires, e.now)))
	if p.MaxLifetime == 0 {
		life.Wanted = "no limit"
		e.leave(life, reason.Skipped)
	} else {
		life.Wanted = "at most " + reason.Span(p.MaxLifetime) + " from now, " + leeway
		life.Option = "max_lifetime " + reason.Span(p.MaxLifetime)
		e.add(life, p.checkLifetime(e.parsed.when.expires, e.now))
	}
	e.add(nbf, p.checkNotBefore(e.parsed.when.notBefore, e.now))
	e.add(iat, p.checkIssued(e.parsed.when.issued, e.now))
}

// keyAndSignature finds the keys and verifies the signature. A token that is not of an
// issuer, or of none of its algorithms, is tried with no key.
func (e *explanation) keyAndSignature() {
	k := reason.Check{Name: reason.CheckKey}
	if kid := seenMember(e.head, "kid"); kid != "" {
		k.Seen = "kid " + kid
	}
	s := reason.Check{Name: reason.CheckSignature}
	if !e.ofPolicy {
		e.leave(k, reason.Skipped)
		e.leave(s, reason.Skipped)
		return
	}
	var (
		p   = e.policy
		fit candidates
	)
	err := fit.choose(e.ctx, p, e.parsed.head)
	switch {
	case p.IgnoreKid:
		k.Option = "ignore_kid"
	case p.KidlessKeys != DefaultKidlessKeys:
		k.Option = fmt.Sprintf("kidless_keys %d", p.KidlessKeys)
	}
	e.unavailable = err == reason.KeysUnavailable //nolint:errorlint // it is not wrapped
	if e.unavailable {
		k.Wanted = "the issuer's keys, of which none is available"
	} else {
		k.Wanted = "one of the issuer's keys: " + e.keysText()
	}
	e.add(k, err)
	if err != nil {
		outcome := reason.Skipped
		if e.unavailable {
			outcome = reason.Unknown
		}
		e.leave(s, outcome)
		return
	}
	s.Wanted = "one that " + keyText(fit.keys[0]) + " verifies"
	if fit.n > 1 {
		s.Wanted = fmt.Sprintf("one that any of %d keys verifies: %s", fit.n, keysText(fit.keys[:fit.n]))
	}
	e.verifiedBy, err = fit.verify(e.parsed.head.alg, &e.parts)
	s.Seen = "verified"
	if err != nil {
		s.Seen = "not verified"
	}
	e.add(s, err)
}

// claims makes the checks of the claims, verified or not.
func (e *explanation) claims() {
	aud := reason.Check{Name: reason.CheckAudience, Seen: seenFirst(e.body, defaultAudienceClaims)}
	typ := reason.Check{Name: reason.CheckType, Seen: seenMember(e.head, "typ")}
	cnf := reason.Check{Name: reason.CheckBinding, Seen: seenMember(e.body, "cnf")}
	user := reason.Check{Name: reason.CheckUser, Seen: seenFirst(e.body, defaultUserClaims)}
	if _, bound := e.body.Member("cnf"); bound {
		cnf.Seen = "a cnf" // whose thumbprint is nobody's business
	}
	p := e.policy
	if p == nil {
		for _, c := range []reason.Check{aud, typ, cnf, user} {
			e.leave(c, reason.Skipped)
		}
		return
	}
	aud.Seen, user.Seen = seenFirst(e.body, p.AudienceClaims), seenUser(e.body, p.UserClaims)
	aud.Wanted, aud.Option = "any", "audience *"
	if p.AnyAudience {
		e.leave(aud, reason.Skipped)
	} else {
		aud.Wanted, aud.Option = choices(p.Audience), "audience "+written(p.Audience)
		e.add(aud, e.ofAnswer(p.checkAudience(e.body)))
	}
	if e.answered {
		typ.Seen, typ.Wanted = seenFirst(e.body, []string{"token_type", "token_use", "token_usage", "typ"}), "token_type, token_use, token_usage or typ of an access token"
		if p.Untyped {
			typ.Wanted, typ.Option = "none of another kind than an access token", "untyped"
		}
		e.add(typ, checkKind(e.body, e.parsed.bound, p.Untyped))
		e.bindingAndUser(p, cnf, user)
		return
	}
	typ.Wanted = choices(defaultTypes) + ", or none"
	if p.types != nil {
		typ.Wanted, typ.Option = choices(p.Types), "typ "+written(p.Types)
		if p.AllowNoType {
			typ.Wanted += ", or none"
		}
	}
	e.add(typ, p.checkType(e.parsed.head.typ))
	e.bindingAndUser(p, cnf, user)
}

// bindingAndUser makes the last checks of the claims.
func (e *explanation) bindingAndUser(p *policy, cnf, user reason.Check) {
	cnf.Wanted = "no cnf"
	if p.AllowBound {
		cnf.Wanted, cnf.Option = "any", "allow_bound_tokens"
	}
	e.add(cnf, p.checkBinding(e.parsed.bound))
	user.Wanted = "a text or a number in " + strings.Join(p.UserClaims, " or ")
	if !slices.Equal(p.UserClaims, defaultUserClaims) {
		user.Option = "user_claim " + written(p.UserClaims)
	}
	var err error
	e.user, err = p.user(e.body)
	e.add(user, err)
}

// revocations asks whether a token with a valid signature is revoked. Of any other nobody
// has said anything.
func (e *explanation) revocations() {
	c := reason.Check{Name: reason.CheckRevocations}
	switch {
	case e.v.revocations == nil, e.verifiedBy == noKey && !e.unavailable && !e.answered:
		e.leave(c, reason.Skipped)
		return
	case e.unavailable:
		e.leave(c, reason.Unknown)
		return
	}
	c.Wanted = "no rule that revokes it"
	t := &Verified{parsed: e.parsed, body: e.body, verifiedBy: e.verifiedBy}
	code := e.v.revocations.Check(e.ctx, t, e.token, e.user, e.now)
	if x, ok := e.v.revocations.(RevocationsExplainer); ok {
		c.Seen = reason.Bounded(x.Explain(e.ctx, t, e.token, e.user, e.now))
	}
	if code != "" {
		e.add(c, code)
		return
	}
	e.add(c, nil)
}
