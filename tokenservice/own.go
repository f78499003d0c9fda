package tokenservice

import (
	"bytes"
	"context"
	"crypto/rsa"
	"errors"
	"time"

	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/reason"
	"github.com/caddy-jwt/caddy-jwt/revocation"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

// maxLeeway is the largest leeway that a config can give an issuer.
const maxLeeway = time.Hour

// ownTokens validate the service's own tokens.
type ownTokens struct {
	// revocable takes those that a handler may still accept, active those that have not
	// expired, but for the clock of the node that issued them.
	revocable, active *validator.Validator
}

// registerOwn makes the validators.
func (s *Service) registerOwn() (err error) {
	p := validator.Policy{
		Issuer: s.config.Issuer, Keys: s.config.Keys, AnyAudience: true, Types: []string{"at+jwt"}, Leeway: maxLeeway,
	}
	if s.own.revocable, err = validator.New([]validator.Policy{p}, s.config.Clock.Now); err != nil {
		return err
	}
	p.Leeway = leeway
	s.own.active, err = validator.New([]validator.Policy{p}, s.config.Clock.Now)
	return err
}

// issuedToken is a token of the service, as far as it is one.
type issuedToken struct {
	validator.Token
	client, id string
}

// read reads a token. It is false for what is no token of the service that the validator
// accepts.
func (s *Service) read(ctx context.Context, v *validator.Validator, text string) (t issuedToken, valid bool, refused *failure) {
	err := v.ValidateInto(ctx, text, &t.Token)
	switch {
	case errors.Is(err, reason.KeysUnavailable):
		return t, false, signingAway
	case err != nil:
		if !verified(err) {
			s.verifyNothing(ctx)
		}
		return t, false, nil
	}
	body := t.Claims()
	t.client, _ = textOf(body, "client_id")
	t.id, _ = textOf(body, "jti")
	return t, true, nil
}

// subject returns what rules are about of the token.
func (t *issuedToken) subject(text string) *revocation.Subject {
	of := revocation.Token{
		Issuer: t.Issuer(), ID: t.id, Clients: [4]string{t.client}, KeyID: t.KeyID(), SignedBy: t.SignedBy(),
		Signed: revocation.SignedPart(text), Issued: t.Issued(),
	}
	of.Subject, _ = textOf(t.Claims(), "sub")
	return revocation.NewSubject(&of)
}

// verified reports whether the signature of a token that is refused was looked at.
func verified(err error) bool {
	for _, before := range [...]reason.Code{
		reason.MalformedToken, reason.UnsupportedToken, reason.UnknownIssuer, reason.AlgorithmNotAllowed, reason.UnknownKey,
		reason.Expired, reason.NotYetValid, reason.IssuedInFuture, reason.LifetimeTooLong,
	} {
		if errors.Is(err, before) {
			return false
		}
	}
	return true
}

// verifyNothing takes as long as verifying a signature, so that the time of an answer does
// not tell what was wrong with a token.
func (s *Service) verifyNothing(ctx context.Context) {
	keys, err := s.config.Keys.Keys(ctx, "")
	if err != nil || len(keys) == 0 {
		return
	}
	k := keys[0]
	signature := invalidSignature
	if p, ok := k.(*key.Public); ok {
		if rsaKey, ok := p.Material().(*rsa.PublicKey); ok {
			signature = bytes.Repeat(invalidSignature[:1], rsaKey.Size())
		}
	}
	_ = k.Verify(k.Algorithm(), "nothing", signature)
}

// invalidSignature has the form of one for ES256 and EdDSA.
var invalidSignature = bytes.Repeat([]byte{1}, 64)
