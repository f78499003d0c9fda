package tokenservice

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/reason"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

// assertionType is client_assertion_type (RFC 7523 section 2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// maxAhead is how far the end of a client's assertion may be ahead.
const maxAhead = 5 * time.Minute

// leeway is the tolerance for clocks of clients.
const leeway = validator.DefaultLeeway

// registered is a client that the config names, ready for requests.
type registered struct {
	*Client
	// assertions validates what the client signs; nil for one without keys.
	assertions *validator.Validator
	// audience is what the audience of an assertion may be, one of them alone.
	audience []string
	// claims are the further claims of its tokens, as JSON with a comma before each.
	claims []byte
}

// registerClient checks a client of the config.
func (s *Service) registerClient(c *Client) (*registered, error) {
	if err := apikey.CheckID(c.ID); err != nil {
		return nil, err
	}
	if err := s.checkAudience(c.Audience); err != nil {
		return nil, err
	}
	names := make([]string, len(c.Claims))
	r := &registered{Client: c, audience: []string{s.config.Issuer}}
	for i, more := range c.Claims {
		names[i] = more.Name
		r.claims = claims.TextValue(more.Name).AppendJSON(append(r.claims, ','))
		r.claims = claims.TextValue(more.Value).AppendJSON(append(r.claims, ':'))
	}
	if err := checkClaims(names); err != nil {
		return nil, err
	}
	for _, scope := range c.Scopes {
		if !claims.ScopeToken(scope) {
			return nil, fmt.Errorf("%q is not a scope; write one word of visible ASCII without \" and \\", scope)
		}
	}
	if c.Keys == nil {
		return r, nil
	}
	if c.Algorithms.HasSymmetric() {
		return nil, errors.New("clients sign with a private key, not with a secret: name algorithms such as ES256")
	}
	if c.EndpointAudience {
		r.audience = append(r.audience, s.config.Issuer+"/oauth2/token")
	}
	var err error
	r.assertions, err = validator.New([]validator.Policy{{
		Issuer: c.ID, Keys: gated(c.Keys), Algorithms: c.Algorithms, Audience: r.audience,
		Types: []string{"JWT", "client-authentication+jwt"}, AllowNoType: true,
		Leeway: leeway, MaxLifetime: maxAhead,
	}}, s.config.Clock.Now)
	return r, err
}

var (
	otherAssertion  = invalidClient("client_assertion_type is not " + assertionType)
	noSigner        = invalidClient("no client with this id signs")
	severalAudience = invalidClient("assertion: the audience is not the issuer alone")
	otherSubject    = invalidClient("assertion: sub is not the client")
	noAssertionID   = invalidClient("assertion: jti is missing")
	usedAssertion   = invalidClient("assertion: it was used before")
	tooManyUsed     = tooMany("the client has too many assertions that have not expired; use one token for many requests", 60)
	tooManyFailures = tooMany("too many assertions from this network have failed", 60)
	busy            = tooMany("too many assertions are waiting", 1)
	clientKeysAway  = unavailable("the keys of the client are not available")
)

// byAssertion finds the client that has signed an assertion (RFC 7523 section 3).
func (s *Service) byAssertion(ctx context.Context, sent credential, from Request, now time.Time) (client, *failure) {
	id := sent.id
	if id == "" {
		id, _, _ = senderOf(sent.assertion)
	}
	r := s.clients[id]
	if r == nil {
		return client{}, noSigner
	}
	c := client{id: id, configured: r}
	if r.assertions == nil {
		return c, noSigner
	}
	pair := pairOf("client", s.config.Issuer, id, from.Client)
	turn, refused := s.config.Memory.turn(pair, now)
	if refused != nil {
		return c, refused
	}
	var token validator.Token
	if refused = turn.validate(ctx, r.assertions, sent.assertion, &token, invalidClient, clientKeysAway); refused == nil {
		refused = s.acceptAssertion(r, &token, now)
	}
	s.config.Memory.note(pair, refused, now)
	return c, refused
}

// acceptAssertion makes the checks of a client's assertion that is valid as a token.
func (s *Service) acceptAssertion(r *registered, t *validator.Token, now time.Time) *failure {
	body := t.Claims()
	if !soleAudience(body, r.audience) {
		return severalAudience
	}
	if subject, ok := textOf(body, "sub"); !ok || subject != r.ID {
		return otherSubject
	}
	id, ok := textOf(body, "jti")
	if !ok || id == "" {
		return noAssertionID
	}
	return s.config.Memory.use(s.config.Issuer, r.ID, id, t.Expires().Add(leeway), now)
}

// soleAudience reports whether the audience is one of those accepted and nothing else: a
// text, or an array of one.
func soleAudience(body claims.Value, accepted []string) bool {
	v, _ := body.Member("aud")
	if v.Kind() == claims.Array && v.Len() == 1 {
		v = v.At(0)
	}
	audience, ok := v.Text()
	if !ok {
		return false
	}
	for _, a := range accepted {
		if a == audience {
			return true
		}
	}
	return false
}

// textOf returns a claim that is a text.
func textOf(body claims.Value, name string) (string, bool) {
	v, _ := body.Member(name)
	return v.Text()
}

// senderOf returns the "iss" and "sub" that a token claims, false if it has no iss. Nothing
// of it is verified: it only tells by which keys and rules the token is judged.
func senderOf(token string) (issuer, subject string, hasIssuer bool) {
	_, rest, _ := strings.Cut(token, ".")
	segment, _, ok := strings.Cut(rest, ".")
	if !ok {
		return "", "", false
	}
	text, err := base64.RawURLEncoding.DecodeString(segment)
	var body claims.Draft
	if err != nil || body.Read(text, claims.MaxValues) != nil {
		return "", "", false
	}
	defer body.Free()
	for i := range body.Len() {
		switch name, v := body.Member(i); name {
		case "iss":
			issuer, _ = v.Text()
			hasIssuer = true
		case "sub":
			subject, _ = v.Text()
		}
	}
	return issuer, subject, hasIssuer
}

// validate validates a token when it is its turn to have its signature verified.
func (t *turn) validate(ctx context.Context, v *validator.Validator, token string, into *validator.Token, invalid func(reason string) *failure, away *failure) *failure {
	defer t.end()
	err := v.ValidateInto(context.WithValue(ctx, turnKey{}, t), token, into)
	switch {
	case err == nil:
		return nil
	case t.refused:
		return busy
	case errors.Is(err, reason.KeysUnavailable), errors.Is(err, reason.RevocationsUnavailable):
		return away
	}
	return invalid("assertion: " + err.Error())
}

// gatedKeys are keys of which a token that waits for its turn gets none before that. The
// validator asks for them right before it verifies a signature, when all that is cheap is
// checked; and while keys are being fetched nobody else waits.
type gatedKeys struct{ validator.KeySet }

// Keys implements validator.KeySet.
func (g gatedKeys) Keys(ctx context.Context, kid string) ([]key.Key, error) {
	keys, err := g.KeySet.Keys(ctx, kid)
	if err != nil {
		return nil, err
	}
	if t, ok := ctx.Value(turnKey{}).(*turn); !ok || !t.begin(ctx) {
		return nil, key.ErrUnavailable
	}
	return keys, nil
}

// distrustedKeys are such keys that want to know of invalid signatures.
type distrustedKeys struct {
	gatedKeys
	distrust func()
}

// Distrust is called if no key verifies a token's signature.
func (d distrustedKeys) Distrust() { d.distrust() }

func gated(keys validator.KeySet) validator.KeySet {
	if d, ok := keys.(interface{ Distrust() }); ok {
		return distrustedKeys{gatedKeys{keys}, d.Distrust}
	}
	return gatedKeys{keys}
}
