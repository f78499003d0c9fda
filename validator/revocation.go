package validator

import (
	"context"
	"time"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// Revocations know which tokens are revoked. They are asked each time a token is
// accepted otherwise, also one whose verdict is cached.
type Revocations interface {
	// Check returns "" if a token is not revoked, or the reason for refusing it. text is
	// the token, and user its user's id. It must be cheap, and may wait until ctx is
	// done if it is not known yet which tokens are revoked.
	Check(ctx context.Context, t *Verified, text, user string, now time.Time) reason.Code
}

// Revoking returns a copy of the Validator that refuses tokens that are revoked.
func (v *Validator) Revoking(r Revocations) *Validator {
	c := *v
	c.revocations = r
	return &c
}

// notRevoked returns an error if an accepted token is revoked.
func (v *Validator) notRevoked(ctx context.Context, verified *Token, text string, now time.Time) error {
	if v.revocations == nil {
		return nil
	}
	t, found := verified.token, verified.verdict
	code := v.revocations.Check(ctx, t, text, found.user, now)
	if code == "" {
		return nil
	}
	*verified = Token{refused: &sender{found.policy, t.issuer, found.user}}
	return code
}

// Mark returns what SetMark has stored with the token, or nil. It is there for what looks
// tokens up in another form on each request.
func (t *Verified) Mark() any {
	if m := t.mark.Load(); m != nil {
		return *m
	}
	return nil
}

// SetMark stores a value with the token, as long as that is cached. The value must be
// small: the limit of the cache allows 120 bytes for it.
func (t *Verified) SetMark(m any) { t.mark.Store(&m) }

// Claims returns the claims.
func (t *Verified) Claims() claims.Value { return t.body }

// Issuer returns "iss", or "" if there is none.
func (t *Verified) Issuer() string { return t.issuer }

// KeyID returns the "kid" of the header, or "".
func (t *Verified) KeyID() string { return t.head.kid }

// SignedBy returns the kid of the key that verified the signature, or "" if that has none.
// It is not always that of the header: a token may have none, or one that is ignored.
func (t *Verified) SignedBy() string { return t.verifiedBy.id }

// Issued returns the time in "iat", or the zero Time.
func (t *Verified) Issued() time.Time { return t.when.issued }

// Users returns the ids of the token's user in the last verdicts of validators, which may
// call it differently.
func (t *Verified) Users() []string {
	var users []string
	for i := range t.verdicts {
		if found := t.verdicts[i].Load(); found != nil {
			users = append(users, found.user)
		}
	}
	return users
}
