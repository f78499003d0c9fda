package explain

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/keystore"
	"github.com/caddy-jwt/caddy-jwt/reason"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

// library is who is asked for a second opinion.
const library = "golang-jwt v5 with keyfunc v3"

// SecondOpinion asks golang-jwt with keyfunc for a verdict on a token under a policy at a
// time, as a careful user of theirs would set them up, and says why it differs from the
// verdict of our checks. It returns nil if there are no keys. They never get HMAC secrets,
// so a token that needs one gets an opinion that was not asked for.
func SecondOpinion(ctx context.Context, policy validator.Policy, token string, now time.Time, verdict []reason.Check) *Opinion {
	o := &Opinion{Library: library}
	if policy.Symmetric {
		o.Why = "it was not asked: HMAC secrets are not handed to other libraries"
		return o
	}
	keys, err := keystore.Keyfunc(policy.Keys, policy.Algorithms)
	if err != nil {
		return nil
	}
	o.Asked = true
	_, err = jwt.NewParser(parserOptions(&policy, now)...).ParseWithClaims(token, jwt.MapClaims{}, keys.KeyfuncCtx(ctx))
	if errors.Is(err, key.ErrUnavailable) {
		return nil
	}
	o.Accepts, o.Error = err == nil, plainError(err)
	o.Why = whyDifferent(&policy, verdict, err)
	return o
}

// parserOptions are a policy in golang-jwt's terms, as far as it has them.
func parserOptions(p *validator.Policy, now time.Time) []jwt.ParserOption {
	algorithms := p.Algorithms.Names()
	if p.Algorithms.Empty() {
		for alg := key.RS256; alg.String() != ""; alg++ {
			if !alg.Symmetric() {
				algorithms = append(algorithms, alg.String())
			}
		}
	}
	options := []jwt.ParserOption{
		jwt.WithValidMethods(algorithms), jwt.WithLeeway(p.Leeway), jwt.WithIssuedAt(), jwt.WithStrictDecoding(),
		jwt.WithTimeFunc(func() time.Time { return now }),
	}
	if !p.AnyIssuer {
		options = append(options, jwt.WithIssuer(p.Issuer))
	}
	if !p.AnyAudience && readsAud(p) {
		options = append(options, jwt.WithAudience(p.Audience...))
	}
	if !p.AllowNoExpiry {
		options = append(options, jwt.WithExpirationRequired())
	}
	return options
}

// readsAud reports whether the audience is in aud alone, where golang-jwt looks for it.
func readsAud(p *validator.Policy) bool {
	return len(p.AudienceClaims) == 0 || slices.Equal(p.AudienceClaims, []string{"aud"})
}

// plainErrors are golang-jwt's errors, from the general to the particular. What it says
// besides may have parts of the token.
var plainErrors = []error{
	jwt.ErrTokenMalformed, jwt.ErrTokenUnverifiable, jwt.ErrTokenSignatureInvalid, jwt.ErrTokenInvalidClaims,
	jwt.ErrInvalidKey, jwt.ErrInvalidKeyType, jwt.ErrHashUnavailable, jwt.ErrInvalidType,
	jwt.ErrTokenRequiredClaimMissing, jwt.ErrTokenExpired, jwt.ErrTokenNotValidYet, jwt.ErrTokenUsedBeforeIssued,
	jwt.ErrTokenInvalidIssuer, jwt.ErrTokenInvalidAudience, jwt.ErrTokenInvalidSubject, jwt.ErrTokenInvalidId,
}

// plainError is an error without any part of the token.
func plainError(err error) string {
	if err == nil {
		return ""
	}
	var texts []string
	for _, plain := range plainErrors {
		if errors.Is(err, plain) {
			texts = append(texts, plain.Error())
		}
	}
	if errors.Is(err, key.ErrUnknown) {
		texts = append(texts, key.ErrUnknown.Error())
	}
	if len(texts) == 0 {
		return "it is refused"
	}
	return strings.Join(texts, ": ")
}

// whyDifferent says why golang-jwt's verdict is another one, or nothing if it is not.
func whyDifferent(p *validator.Policy, verdict []reason.Check, err error) string {
	unknown := false
	for _, c := range verdict {
		switch why, ok := notLookedAt[c.Name]; {
		case !ok: // it is not about the token
		case c.Outcome == reason.Unknown:
			unknown = true
		case c.Outcome == reason.Failed && err == nil:
			if c.Detail != "" {
				return why + ": " + c.Detail
			}
			return why
		case c.Outcome == reason.Failed:
			return ""
		}
	}
	switch {
	case err == nil && unknown:
		return "not everything could be checked here"
	case err == nil || unknown || len(verdict) == 0:
		return ""
	}
	return whyStricter(p, err)
}

// notLookedAt says what golang-jwt does not see that our checks of a token, and of its
// claims, do.
var notLookedAt = map[reason.CheckName]string{
	reason.CheckForm:        "golang-jwt reads tokens less strictly, and looks neither at their size nor at crit",
	reason.CheckIssuer:      "golang-jwt was asked about one issuer alone",
	reason.CheckAlgorithm:   "golang-jwt does not tie an algorithm to an issuer's key",
	reason.CheckExpires:     "golang-jwt reads exp in another way",
	reason.CheckLifetime:    "golang-jwt does not limit how long a token lives; max_lifetime does",
	reason.CheckNotBefore:   "golang-jwt reads nbf in another way",
	reason.CheckIssuedAt:    "golang-jwt reads iat in another way",
	reason.CheckKey:         "keyfunc selects keys in another way",
	reason.CheckSignature:   "golang-jwt verifies this signature",
	reason.CheckUser:        "golang-jwt asks for no user; user_claim does",
	reason.CheckAudience:    "golang-jwt looks for the audience in aud alone",
	reason.CheckType:        "golang-jwt does not look at typ, which tells the kinds of tokens of an issuer apart (RFC 8725 section 3.11)",
	reason.CheckBinding:     "golang-jwt does not look at cnf, and takes a token that is bound to a key from anybody (RFC 7800)",
	reason.CheckRevocations: "golang-jwt knows no revocations",
	reason.CheckScope:       "golang-jwt knows no rules about scopes",
	reason.CheckClaim:       "golang-jwt knows no rules about claims",
	reason.CheckExpression:  "golang-jwt knows no rules",
	reason.CheckMessage:     "golang-jwt knows no messages",
}

// whyStricter says why golang-jwt refuses what we accept.
func whyStricter(p *validator.Policy, err error) string {
	switch {
	case p.IgnoreKid && (errors.Is(err, key.ErrUnknown) || errors.Is(err, jwt.ErrTokenUnverifiable)):
		return "keyfunc finds a key by its kid alone; ignore_kid tries all"
	case errors.Is(err, keystore.ErrSeveral):
		return "several keys have this kid, and keyfunc takes one; this server tries them all"
	case errors.Is(err, jwt.ErrTokenUnverifiable), errors.Is(err, key.ErrUnknown):
		return "keyfunc finds no key by which golang-jwt could verify the token; it does not know the name Ed25519 of an algorithm (RFC 9864)"
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return "golang-jwt takes EdDSA for the name of the algorithm, and not Ed25519 (RFC 9864)"
	case errors.Is(err, jwt.ErrTokenExpired), errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return "golang-jwt takes the very ends of a token's time in another way, and fractions of seconds too"
	case errors.Is(err, jwt.ErrTokenMalformed), errors.Is(err, jwt.ErrInvalidType):
		return "golang-jwt reads a member in another way, which this server does not need"
	}
	return "golang-jwt asks for what this policy does not"
}
