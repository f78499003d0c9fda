// Package revoked asks the shared state whether the credential of a request is revoked.
package revoked

import (
	"context"
	"crypto/sha256"
	"math"
	"slices"
	"time"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/internal/shared"
	"github.com/caddy-jwt/caddy-jwt/internal/tokencache"
	"github.com/caddy-jwt/caddy-jwt/reason"
	"github.com/caddy-jwt/caddy-jwt/revocation"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

// Tokens are the validator's questions about a token that it accepts otherwise.
type Tokens struct {
	// State returns the state, or nil if the config has none. It is asked for each token.
	State func() *shared.State
	// Clients returns the clients of the token service of the config that has this issuer,
	// or nil if there is none; a nil func for no services at all. It is asked for each
	// token.
	Clients func(issuer string) Clients
}

// Clients are the clients of a token service. *tokenservice.Service meets it.
type Clients interface {
	// CheckClient returns the reason for refusing tokens of a client, or "". It must be
	// cheap.
	CheckClient(ctx context.Context, id string, now time.Time) reason.Code
}

// Check implements validator.Revocations: it asks the rules and, for a token of a service of
// this config, what has become of the client.
func (c Tokens) Check(ctx context.Context, t *validator.Verified, text, user string, now time.Time) reason.Code {
	var rules *revocation.Snapshot
	if st := c.State(); st != nil {
		if st.AwaitRevocations(ctx, now) {
			return reason.RevocationsUnavailable
		}
		if rules = st.Rules(); rules.Empty() {
			rules = nil
		}
	}
	var clients Clients
	if c.Clients != nil {
		clients = c.Clients(t.Issuer())
	}
	if rules == nil && clients == nil {
		return ""
	}
	m, ok := t.Mark().(*mark)
	if !ok {
		m = newMark(t, text)
		t.SetMark(m)
	}
	if rules != nil && rules.Revokes(&m.subject, user, now) {
		return reason.Revoked
	}
	if clients == nil {
		return ""
	}
	id, ok := m.client(t)
	if !ok {
		// The service issues none without: nothing would end it.
		return reason.Revoked
	}
	return clients.CheckClient(ctx, id, now)
}

// mark is what is kept with a token that is cached.
type mark struct {
	subject  revocation.Subject
	clientAt int16 // the place of "client_id" among the claims, -1 for none
}

// newMark makes the mark of a token. Without its text no rule for this one token finds it.
func newMark(t *validator.Verified, text string) *mark {
	m := &mark{subject: *revocation.NewSubject(tokenOf(t, text)), clientAt: -1}
	body := t.Claims()
	for i := range min(body.Len(), math.MaxInt16) {
		if body.NameAt(i) == "client_id" {
			m.clientAt = int16(i)
		}
	}
	return m
}

// client returns "client_id", if it is a text and not empty.
func (m *mark) client(t *validator.Verified) (id string, ok bool) {
	if m.clientAt < 0 {
		return "", false
	}
	id, ok = t.Claims().At(int(m.clientAt)).Text()
	return id, ok && id != ""
}

// Key returns the reason for refusing an API key that is valid otherwise at a time, or nil.
func Key(ctx context.Context, st *shared.State, k apikey.Key, now time.Time) error {
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

// tokenOf returns what rules are about of a token. Without its text no rule for this one
// token finds it.
func tokenOf(t *validator.Verified, text string) *revocation.Token {
	body := t.Claims()
	token := &revocation.Token{
		Issuer: t.Issuer(), ID: textOf(body, "jti"), Subject: textOf(body, "sub"), KeyID: t.KeyID(), SignedBy: t.SignedBy(), Signed: revocation.SignedPart(text), Issued: t.Issued(),
	}
	for i, name := range clientClaims {
		token.Clients[i] = textOf(body, name)
	}
	return token
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
		m, ok := t.Mark().(*mark)
		if !ok {
			m = newMark(t, "")
		}
		subject := &m.subject
		if slices.ContainsFunc(append(t.Users(), ""), func(user string) bool { return r.Matches(subject, user, now) }) {
			n++
		}
	}
	return n
}
