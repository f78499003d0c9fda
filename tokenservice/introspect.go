package tokenservice

import (
	"context"
	"net/http"
	"slices"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// inactive is the answer about every text but an active token about which the caller may
// ask (RFC 7662 section 2.2).
var inactive = []byte(`{"active":false}`)

// serveIntrospect is the endpoint for introspection (RFC 7662). It changes nothing, and
// counts as no use of a key but that of the caller.
func (s *Service) serveIntrospect(w http.ResponseWriter, r *http.Request, from Request) {
	f, ok := s.readForm(w, r, from)
	if !ok {
		return
	}
	e := eventOf(from)
	c, refused := s.authenticate(r.Context(), r, f, from)
	e.Client = c.id
	answer := inactive
	if refused == nil {
		answer, refused = s.introspect(r.Context(), &c, f.Get("token"))
	}
	if refused != nil {
		s.fail(w, refused, e)
		return
	}
	s.write(w, answer, e)
}

// introspect returns what a client is told about a text. The order of the checks is such
// that neither the answer nor its time tells a client anything of a token about which it may
// not ask: whether that is revoked, or its client gone, is not looked at.
func (s *Service) introspect(ctx context.Context, c *client, text string) ([]byte, *failure) {
	if text == "" {
		return nil, noToken
	}
	now := s.config.Clock.Now()
	t, valid, refused := s.read(ctx, s.own.active, text)
	switch {
	case refused != nil:
		return nil, refused
	case !valid || !s.mayAsk(c.id, &t):
		return inactive, nil
	case !now.Before(t.Expires()): // though handlers accept it for their leeway
		return inactive, nil
	case s.config.Rules.Revokes(t.subject(text), now):
		return inactive, nil
	}
	switch s.CheckClient(ctx, t.client, now) {
	case "":
		return t.describe(), nil
	case reason.RevocationsUnavailable:
		return nil, rulesAway
	case reason.APIKeysUnavailable:
		return nil, keysAway
	}
	return inactive, nil
}

// mayAsk reports whether a client may ask about a token: if it is its own, or for a
// resource about whose tokens the config lets it ask.
func (s *Service) mayAsk(client string, t *issuedToken) bool {
	if t.client == client {
		return true
	}
	audience, _ := t.Claims().Member("aud")
	for _, i := range s.config.Introspect {
		if i.Client == client && meets(audience, i.Audience) {
			return true
		}
	}
	return false
}

// meets reports whether an "aud" has one of the resources in it.
func meets(audience claims.Value, resources []string) bool {
	if text, ok := audience.Text(); ok {
		return slices.Contains(resources, text)
	}
	if audience.Kind() != claims.Array {
		return false
	}
	for i := range audience.Len() {
		if text, ok := audience.At(i).Text(); ok && slices.Contains(resources, text) {
			return true
		}
	}
	return false
}

// describe returns the answer about an active token.
func (t *issuedToken) describe() []byte {
	out, body := []byte(`{"active":true`), t.Claims()
	for _, name := range [...]string{"scope", "client_id", "token_type", "exp", "iat", "sub", "aud", "iss", "jti"} {
		v, ok := body.Member(name)
		if name == "token_type" { // the service has one type, whatever a key's meta says
			v, ok = claims.TextValue("Bearer"), true
		}
		if ok && v.Kind() != claims.Null {
			out = v.AppendJSON(append(claims.TextValue(name).AppendJSON(append(out, ',')), ':'))
		}
	}
	return append(out, '}')
}
