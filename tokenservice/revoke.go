package tokenservice

import (
	"context"
	"net/http"
	"time"

	"github.com/caddy-jwt/caddy-jwt/revocation"
)

// storeTime is how long a rule may take to be stored.
const storeTime = 20 * time.Second

var (
	noToken       = invalidRequest("token is missing")
	notYours      = &failure{code: errUnauthorized, status: http.StatusBadRequest, description: "the token was issued to another client"}
	nameless      = &failure{code: errUnsupportedTok, status: http.StatusBadRequest, description: "the token has no jti, and can't be revoked"}
	notRevocable  = unavailable("the rule could not be made")
	revokedAnswer = []byte("{}")

	notStoredYet = &failure{
		code: errUnavailable, status: http.StatusServiceUnavailable, retryAfter: 5, reason: "the rule is not stored",
		description: "the token is revoked on this server, but that is not stored for the others yet; send the request again",
	}
)

// serveRevoke is the endpoint for revocation (RFC 7009). A client revokes its own tokens
// alone.
func (s *Service) serveRevoke(w http.ResponseWriter, r *http.Request, from Request) {
	f, ok := s.readForm(w, r, from)
	if !ok {
		return
	}
	e := eventOf(from)
	c, refused := s.authenticate(r.Context(), r, f, from)
	e.Client = c.id
	if refused == nil {
		// A client that goes away has its token revoked nevertheless.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), storeTime)
		defer cancel()
		refused = s.revokeToken(ctx, &c, f.Get("token"))
	}
	if refused != nil {
		s.fail(w, refused, e)
		return
	}
	s.write(w, revokedAnswer, e)
}

// revokeToken revokes a token of a client. What is no token of this service, has expired or
// is revoked already is done with (RFC 7009 section 2.2), and makes no rule. token_type_hint
// says nothing that the token does not.
//
// It succeeds only when the rule is stored, so that every node refuses the token soon. One
// that holds on this node alone, for now, is a failure that asks to be repeated: the token
// is never accepted here again, and each repetition tries to store the same rule.
func (s *Service) revokeToken(ctx context.Context, c *client, text string) *failure {
	if text == "" {
		return noToken
	}
	now := s.config.Clock.Now()
	t, valid, refused := s.read(ctx, s.own.revocable, text)
	if refused != nil || !valid {
		return refused
	}
	// Clocks and leeways differ a little between nodes.
	end := t.Expires().Add(max(leeway, min(s.config.Leeway(), maxLeeway)) + time.Minute)
	switch {
	case t.client != c.id:
		return notYours
	case t.id == "":
		return nameless
	case !end.After(now):
		return nil
	}
	by := digestOf("revoked", s.config.Issuer, c.id)
	var rule *revocation.Rule
	if s.config.Rules.Revokes(t.subject(text), now) {
		if rule = s.config.Memory.revoked.pending(by, t.id); rule == nil {
			return nil
		}
	} else {
		made, err := revocation.New(revocation.Rule{
			Kind: revocation.KindJTI, Value: t.id, Issuer: s.config.Issuer, End: end, At: now, Own: true,
			By: c.id, Reason: "revoked by its client",
		})
		if err != nil {
			return nameless // the id is no text that a rule can have
		}
		rule = &made
	}
	if refused := s.config.Memory.revoked.add(by, rule, now); refused != nil {
		return refused
	}
	stored, err := s.config.Rules.Add(ctx, []revocation.Rule{*rule})
	switch {
	case err != nil:
		s.config.Memory.revoked.forget(by, t.id)
		return notRevocable
	case !stored:
		return notStoredYet
	}
	s.config.Memory.revoked.stored(by, t.id)
	return nil
}
