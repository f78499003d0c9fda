package validator

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"time"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// Introspector asks an issuer about its tokens (RFC 7662).
type Introspector interface {
	// Introspect returns what the issuer says about a token, and whether it is active. The
	// answer is an object, and must not be changed; it is judged like the claims of a token.
	// An error means that the issuer could not be asked, or answered something else than RFC
	// 7662 says: it is known neither to be active nor not to be. Answers are kept for a
	// while, so a call seldom asks.
	Introspect(ctx context.Context, token string) (answer claims.Value, active bool, err error)
}

// Rememberer is what an Introspector may have besides, for a Quiet copy of a Validator, which
// asks nobody.
type Rememberer interface {
	// Remembered returns the answer about a token that Introspect would return without
	// asking, and leaves no trace. known is false if there is none.
	Remembered(token string) (answer claims.Value, active, known bool)
}

// The length of an opaque token, in bytes: a shorter one could be guessed, and none needs more.
const (
	minOpaque = 16
	maxOpaque = 4096
)

// Opaque reports whether a token has another form than a JWT, so that only its issuer knows
// what it stands for. An encrypted token, of five parts, is one (RFC 7516).
func Opaque(token string) bool { return strings.Count(token, ".") != 2 }

// TakesOpaque reports whether an issuer is asked about tokens that are no JWT.
func (v *Validator) TakesOpaque() bool { return v.opaque != nil }

// Sparing returns a copy of the Validator whose issuers are not asked about a text that is
// another secret, such as an API key that a client sends in the place of a token: it is nothing
// for an issuer to see.
func (v *Validator) Sparing(isOther func(text string) bool) *Validator {
	c := *v
	c.isOther = isOther
	return &c
}

// checkOpaque returns an error for a text about which no issuer is asked.
func (v *Validator) checkOpaque(token string) error {
	switch {
	case !opaqueForm(token):
		return reason.OpaqueForm
	case v.isOther != nil && v.isOther(token):
		return reason.KeyAsToken
	}
	return nil
}

// Asking returns a copy of the Validator that asks issuers about tokens although it is quiet;
// see Quiet.
func (v *Validator) Asking() *Validator {
	c := *v
	c.asks = true
	return &c
}

// opaqueForm reports whether a token may be an opaque one: it is b64token (RFC 6750 section
// 2.1), so that it can't be anything else in what is sent to the issuer.
func opaqueForm(token string) bool {
	if len(token) < minOpaque || len(token) > maxOpaque {
		return false
	}
	text := strings.TrimRight(token, "=")
	for i := range len(text) {
		switch c := text[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-', c == '.', c == '_', c == '~', c == '+', c == '/':
		default:
			return false
		}
	}
	return text != ""
}

// validateOpaque validates a token that is no JWT: its issuer is asked, and the answer is
// judged as the claims of a JWT are. Nothing of it is cached here but by the Introspector, as
// the next answer may be another one.
func (v *Validator) validateOpaque(ctx context.Context, token string, verified *Token) error {
	p := v.opaque
	verified.refused = p.claimed()
	if err := v.checkOpaque(token); err != nil {
		return err
	}
	answer, err := v.ask(ctx, p, token)
	if err != nil {
		return err
	}
	now := v.now() // asking may have taken a while
	t := &Verified{parsed: parsed{issuer: p.Issuer, hasIssuer: true}, body: answer, answered: true}
	if err := t.readAnswer(); err != nil {
		return err
	}
	user, err := p.user(answer)
	if checked := p.checkAnswer(t, now); checked != nil {
		err = checked
	}
	if err != nil {
		verified.refused = &sender{p.index, t.issuer, user}
		return err
	}
	if v.cache != nil {
		t.digest = sha256.Sum256(stringBytes(token))
	}
	found := &verdict{user: user, policy: p.index}
	if !p.defaultScopes {
		found.scopes = readScopes(answer, p.ScopeClaims)
	}
	*verified = Token{token: t, verdict: found}
	return v.notRevoked(ctx, verified, token, now)
}

// ask asks the issuer about a token. The answer is about an active one.
func (v *Validator) ask(ctx context.Context, p *policy, token string) (claims.Value, error) {
	answer, active, err := v.answer(ctx, p, token)
	return p.judged(answer, active, err)
}

// judged returns the answer about a token that is active, or why there is none.
func (p *policy) judged(answer claims.Value, active bool, err error) (claims.Value, error) {
	switch {
	case err != nil:
		// A detail that the Introspector knows is one for the log.
		if d, ok := errors.AsType[*reason.Detailed](err); ok && (d.Code() == reason.IntrospectionUnavailable || d.Code() == reason.InactiveToken) {
			return claims.Value{}, d
		}
		return claims.Value{}, reason.IntrospectionUnavailable
	case !active:
		return claims.Value{}, p.whyInactive(answer)
	case answer.Kind() != claims.Object:
		return claims.Value{}, reason.IntrospectionUnavailable
	}
	return answer, nil
}

// whyInactive returns the reason for refusing a token that the issuer calls active, and the
// Introspector does not, as the answer is about something else than an access token of the
// issuer; and else that it is not active.
func (p *policy) whyInactive(answer claims.Value) error {
	active, _ := answer.Member("active")
	if says, ok := active.True(); !ok || !says {
		return reason.InactiveToken
	}
	if iss, ok := answer.Member("iss"); ok && !isText(iss, p.Issuer) {
		return reason.AnswerIssuer
	}
	_, bound := answer.Member("cnf")
	if err := checkKind(answer, bound, p.Untyped || bound); err != nil {
		return err
	}
	if bound {
		return reason.Bound
	}
	return reason.InactiveToken
}

// errNotAsked is the error of answer where a quiet Validator does not know it.
var errNotAsked = errors.New("the issuer was not asked")

func (v *Validator) answer(ctx context.Context, p *policy, token string) (answer claims.Value, active bool, err error) {
	if !v.quiet || v.asks {
		return p.Introspector.Introspect(ctx, token)
	}
	known := false
	if r, ok := p.Introspector.(Rememberer); ok {
		answer, active, known = r.Remembered(token)
	}
	if !known {
		return claims.Value{}, false, errNotAsked
	}
	return answer, active, nil
}

// standing makes the checks of an accepted JWT that are made at each request: whether it is
// revoked and, if the policy says so, what its issuer says.
func (v *Validator) standing(ctx context.Context, verified *Token, text string, now time.Time) error {
	if err := v.notRevoked(ctx, verified, text, now); err != nil {
		return err
	}
	p := v.policies[verified.verdict.policy]
	if !p.IntrospectJWTs {
		return nil
	}
	answer, err := v.ask(ctx, p, text)
	if err == nil {
		err = p.checkSameToken(answer)
	}
	if err != nil {
		*verified = Token{refused: &sender{p.index, verified.token.issuer, verified.verdict.user}}
	}
	return err
}

// checkSameToken checks an answer about a JWT, whose own claims were verified: that it is
// of the same issuer, about an access token, and that it does not bind to a key what was taken
// for a bearer token.
func (p *policy) checkSameToken(answer claims.Value) error {
	if iss, ok := answer.Member("iss"); ok && !isText(iss, p.Issuer) {
		return reason.AnswerIssuer
	}
	_, bound := answer.Member("cnf")
	if err := checkKind(answer, bound, p.Untyped); err != nil {
		return err
	}
	return p.checkBinding(bound)
}

// readAnswer reads the registered claims of an answer. What has the wrong type there is the
// issuer's fault, and no reason to say that the token is invalid.
func (t *Verified) readAnswer() error {
	for i := range t.body.Len() {
		if name := t.body.NameAt(i); t.readClaim(name, t.body.At(i)) != nil {
			return answerTypes[name]
		}
	}
	return nil
}

// checkAnswerIssuer checks "iss" of an answer, which is the policy's where there is none.
func (p *policy) checkAnswerIssuer(iss string) error {
	if iss != p.Issuer {
		return reason.AnswerIssuer
	}
	return nil
}

// checkAnswer makes the checks of the claims of an answer besides that of the user.
func (p *policy) checkAnswer(t *Verified, now time.Time) error {
	if err := p.checkAnswerIssuer(t.issuer); err != nil {
		return err
	}
	if err := p.checkTimes(t.when, now); err != nil {
		return ofAnswer(err)
	}
	if err := p.checkAudience(t.body); err != nil {
		return ofAnswer(err)
	}
	if err := checkKind(t.body, t.bound, p.Untyped); err != nil {
		return err
	}
	return p.checkBinding(t.bound)
}

// ofAnswer returns the error about an answer for one about a token. What is missing may be
// something that the issuer never sends, so the detail says what to write then.
func ofAnswer(err error) error {
	switch err { //nolint:errorlint // the checks do not wrap them
	case reason.NoExpiry:
		return reason.AnswerNoExpiry
	case reason.NoAudience:
		return reason.AnswerNoAudience
	}
	return err
}

// checkKind refuses an answer about another kind of token than an access token. One that names
// no kind is refused, unless untyped is set: several providers answer so about refresh tokens
// alone.
func checkKind(answer claims.Value, bound, untyped bool) error {
	says, others := claims.AccessToken(answer, bound)
	switch {
	case len(others) > 0:
		return reason.AnswerKind
	case !says && !untyped:
		return reason.AnswerNoKind
	}
	return nil
}

func isText(v claims.Value, want string) bool {
	text, ok := v.Text()
	return ok && text == want
}
