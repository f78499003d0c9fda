package validator

import (
	"errors"
	"fmt"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// opaque makes the checks of a token that is no JWT, as validateOpaque does. Without an answer
// nothing is known that the others could be made with.
func (e *explanation) opaque() {
	p := e.v.opaque
	form := reason.Check{
		Name: reason.CheckForm, Option: "introspection", Seen: fmt.Sprintf("%d bytes, and no JWT", len(e.token)),
		Wanted: fmt.Sprintf("a JWT, or an opaque token of %d to %d characters", minOpaque, maxOpaque),
	}
	outcome := reason.Skipped
	switch err := e.v.checkOpaque(e.token); {
	case len(e.token) > e.v.maxLength:
		form.Wanted = "at most " + sizeText(e.v.maxLength)
		e.add(form, e.v.tooLong)
	case err != nil:
		e.add(form, err)
	default:
		e.add(form, nil)
		outcome = reason.Passed
	}
	asked := reason.Check{Name: reason.CheckIntrospection, Option: "introspection", Wanted: "that " + seenText(p.Issuer) + " says that it is active"}
	t := &Verified{parsed: parsed{issuer: p.Issuer, hasIssuer: true}, answered: true}
	if outcome == reason.Passed {
		outcome = e.introspection(asked, p, func(answer claims.Value) error {
			t.body = answer
			return t.readAnswer()
		})
	} else {
		e.leave(asked, outcome)
	}
	iss := reason.Check{Name: reason.CheckIssuer, Option: "issuer " + p.Issuer, Wanted: seenText(p.Issuer) + ", or none"}
	if outcome != reason.Passed {
		for _, name := range []reason.CheckName{
			reason.CheckIssuer, reason.CheckExpires, reason.CheckLifetime, reason.CheckNotBefore, reason.CheckIssuedAt,
			reason.CheckAudience, reason.CheckType, reason.CheckBinding, reason.CheckUser, reason.CheckRevocations,
		} {
			e.leave(reason.Check{Name: name}, outcome)
		}
		return
	}
	e.policy, e.parsed, e.body, e.readable, e.answered = p, t.parsed, t.body, true, true
	iss.Seen = seenMember(e.body, "iss")
	e.add(iss, p.checkAnswerIssuer(t.issuer))
	e.times()
	e.claims()
	e.revocations()
}

// introspection makes the check of what the issuer says, and of what else its answer must have.
// It returns what becomes of the checks that need the answer.
func (e *explanation) introspection(c reason.Check, p *policy, check func(answer claims.Value) error) reason.Outcome {
	answer, active, err := e.v.answer(e.ctx, p, e.token)
	if errors.Is(err, errNotAsked) {
		c.Seen = "the issuer was not asked; --introspect asks it"
		e.leave(c, reason.Unknown)
		return reason.Unknown
	}
	if answer, err = p.judged(answer, active, err); err == nil {
		err = check(answer)
	}
	switch {
	case err == nil:
		c.Seen = "active"
	case errors.Is(err, reason.IntrospectionUnavailable):
		c.Seen = "no answer that could be used"
	case errors.Is(err, reason.InactiveToken):
		c.Seen = "not active"
	default:
		c.Seen = "active, and no access token of the issuer that anybody may use"
	}
	e.add(c, err)
	if err != nil {
		return reason.Skipped
	}
	return reason.Passed
}

// jwtIntrospection makes the check of what the issuer says of a JWT, which is asked about if
// the token passed all other checks.
func (e *explanation) jwtIntrospection() {
	p := e.policy
	if p == nil || !p.IntrospectJWTs {
		return
	}
	c := reason.Check{Name: reason.CheckIntrospection, Option: "jwts", Wanted: "that " + seenText(p.Issuer) + " says that it is active"}
	for _, made := range e.list {
		if made.Outcome == reason.Failed {
			e.leave(c, reason.Skipped)
			return
		}
	}
	e.introspection(c, p, p.checkSameToken)
}

// ofAnswer is ofAnswer, if the claims are an answer.
func (e *explanation) ofAnswer(err error) error {
	if e.answered {
		return ofAnswer(err)
	}
	return err
}
