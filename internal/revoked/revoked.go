// Package revoked asks the shared state whether the credential of a request is revoked.
package revoked

import (
	"context"
	"crypto/sha256"
	"slices"
	"time"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/internal/shared"
	"github.com/caddy-jwt/caddy-jwt/internal/tokencache"
	"github.com/caddy-jwt/caddy-jwt/reason"
	"github.com/caddy-jwt/caddy-jwt/revocation"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

// Tokens are the validator's question to the state of a config.
type Tokens struct {
	// State returns the state, or nil if the config has none. It is asked for each token.
	State func() *shared.State
}

// Check implements validator.Revocations.
func (c Tokens) Check(ctx context.Context, t *validator.Verified, text, user string, now time.Time) reason.Code {
	st := c.State()
	if st == nil {
		return ""
	}
	if st.AwaitRevocations(ctx, now) {
		return reason.RevocationsUnavailable
	}
	rules := st.Rules()
	if rules.Empty() {
		return ""
	}
	subject, ok := t.Mark().(*revocation.Subject)
	if !ok {
		subject = subjectOf(t, text)
		t.SetMark(subject)
	}
	if rules.Revokes(subject, user, now) {
		return reason.Revoked
	}
	return ""
}

// Key returns the reason for refusing an API key that is valid otherwise, or nil.
func Key(ctx context.Context, st *shared.State, k apikey.Key) error {
	now := clock.System().Now()
	if st.AwaitRevocations(ctx, now) {
		return reason.RevocationsUnavailable
	}
	if rules := st.Rules(); !rules.Empty() && rules.RevokesKey(k.Store(), k.ID(), now) {
		return reason.RevokedAPIKey
	}
	return nil
}

// clientClaims are the claims that name the client of a token.
var clientClaims = [...]string{"client_id", "azp", "appid", "cid"}

// subjectOf returns what rules are about of a token. Without its text no rule for this one
// token finds it.
func subjectOf(t *validator.Verified, text string) *revocation.Subject {
	body := t.Claims()
	token := revocation.Token{
		Issuer: t.Issuer(), ID: textOf(body, "jti"), Subject: textOf(body, "sub"), KeyID: t.KeyID(), SignedBy: t.SignedBy(), Signed: revocation.SignedPart(text), Issued: t.Issued(),
	}
	for i, name := range clientClaims {
		token.Clients[i] = textOf(body, name)
	}
	return revocation.NewSubject(&token)
}

// textOf returns a claim that is a text or a number, as text.
func textOf(body claims.Value, name string) string {
	v, ok := body.Member(name)
	if !ok {
		return ""
	}
	if text, ok := v.Text(); ok {
		return text
	}
	digits, _ := v.Digits()
	return digits
}

// Cached returns how many tokens of this process's cache a new rule refuses. token is the
// token that the rule is about, if it is known.
func Cached(r *revocation.Rule, token string, now time.Time) int {
	if token != "" {
		if _, ok := tokencache.Process.Get(sha256.Sum256([]byte(token))); ok {
			return 1
		}
	}
	n := 0
	for t := range tokencache.Process.Tokens() {
		subject, ok := t.Mark().(*revocation.Subject)
		if !ok {
			subject = subjectOf(t, "")
		}
		if slices.ContainsFunc(append(t.Users(), ""), func(user string) bool { return r.Matches(subject, user, now) }) {
			n++
		}
	}
	return n
}
