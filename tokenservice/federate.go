package tokenservice

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/caddy-jwt/caddy-jwt/reason"
	"github.com/caddy-jwt/caddy-jwt/revocation"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

// maxPlatformAhead is how far the end of a platform's token may be ahead.
const maxPlatformAhead = 24 * time.Hour

// federate is a platform, ready for requests.
type federate struct {
	*Federate
	client *registered
	// audience is what the audience of a token may be, alone.
	audience []string
	// named validates tokens with the platform's "iss", nil if the policy takes any. unnamed
	// validates those without one, or with any; nil for a platform that is no trust domain.
	named, unnamed *validator.Validator
}

// registerFederate checks a federate of the config. What its policy says of audience, type
// and expiry is replaced by what all platforms' tokens must be.
func (s *Service) registerFederate(c *Federate) (*federate, error) {
	own := s.config.Issuer
	f := &federate{Federate: c, client: s.clients[c.Client], audience: []string{own}}
	switch {
	case c.Name == "":
		return nil, errors.New("it has no name")
	case f.client == nil:
		return nil, fmt.Errorf("there is no client %q; add it", c.Client)
	case c.Pins == nil:
		return nil, errors.New("nothing says whose tokens are accepted: anyone who has an account there would get a token")
	case c.Policy.Issuer == own || c.Policy.Issuer == own+"/forward":
		return nil, errors.New("its issuer is this service, whose tokens could then be renewed for ever")
	case c.Policy.AnyIssuer && c.SubjectPrefix == "":
		return nil, errors.New("it needs an issuer")
	case c.Policy.Template():
		return nil, errors.New("its issuer stands for many tenants, and must be that of one")
	case c.SubjectPrefix != "" && (!strings.HasPrefix(c.SubjectPrefix, "spiffe://") || len(c.SubjectPrefix) < len("spiffe://x/") || !strings.HasSuffix(c.SubjectPrefix, "/")):
		return nil, fmt.Errorf("%q is not the beginning of all SPIFFE IDs of a trust domain, such as spiffe://example.org/", c.SubjectPrefix)
	}
	p := c.Policy
	p.Audience, p.AnyAudience, p.AudienceClaims = f.audience, false, nil
	p.Types, p.AllowNoType = []string{"JWT"}, true
	p.AllowNoExpiry, p.AllowBound = false, false
	if p.MaxLifetime == 0 || p.MaxLifetime > maxPlatformAhead {
		p.MaxLifetime = maxPlatformAhead
	}
	if p.Keys != nil {
		p.Keys = gated(p.Keys)
	}
	prepare := func(p validator.Policy) (*validator.Validator, error) {
		v, err := validator.New([]validator.Policy{p}, s.config.Clock.Now)
		if err != nil {
			return nil, err
		}
		return v.Revoking(platformRules{s.config.Rules}), nil
	}
	var err error
	if !p.AnyIssuer {
		if f.named, err = prepare(p); err != nil {
			return nil, err
		}
	}
	if c.SubjectPrefix != "" {
		p.Issuer, p.AnyIssuer = "", true
		f.unnamed, err = prepare(p)
	}
	return f, err
}

// candidate is a federate that a token may be of, with what validates it.
type candidate struct {
	*federate
	validator *validator.Validator
}

// candidates returns the federates that a token may be of, by who claims to have issued it.
// An issuer that a federate names is that one alone.
func (s *Service) candidates(issuer, subject string, hasIssuer bool) (list []candidate) {
	for _, f := range s.federates {
		if hasIssuer && f.named != nil && f.Policy.Issuer == issuer {
			list = append(list, candidate{f, f.named})
		}
	}
	if len(list) > 0 {
		return list
	}
	for _, f := range s.federates {
		if f.unnamed != nil && (!hasIssuer || f.named == nil) && strings.HasPrefix(subject, f.SubjectPrefix) {
			list = append(list, candidate{f, f.unnamed})
		}
	}
	return list
}

var (
	federatedTwice = invalidRequest("an assertion as the grant needs no client authentication, and allows none")
	noAssertion    = invalidRequest("assertion is missing")
	noFederate     = invalidGrant("no federate has the assertion's issuer")
	ownToken       = invalidGrant("the assertion is a token of this service")
	otherAudience  = invalidGrant("assertion: the audience is not the issuer alone")
	otherDomain    = invalidGrant("assertion: sub is not in the trust domain")
	notPinned      = invalidGrant("assertion: it is not of those whom the rules name")
	otherClient    = invalidGrant("client_id is not the client of the federate")
	platformAway   = unavailable("the keys of the platform are not available")
)

// federated finds the client for a platform's token (RFC 7523 section 2.1). It returns the
// name of the federate too.
func (s *Service) federated(ctx context.Context, r *http.Request, f *form, from Request) (client, string, *failure) {
	if len(r.Header["Authorization"]) > 0 || len(r.Header[keyHeader]) > 0 ||
		f.Has("client_secret") || f.Has("client_assertion") || f.Has("client_assertion_type") {
		return client{}, "", federatedTwice
	}
	assertion := f.Get("assertion")
	if assertion == "" {
		return client{}, "", noAssertion
	}
	now := s.config.Clock.Now()
	if s.config.Rules.Await(ctx, now) {
		return client{}, "", rulesAway
	}
	issuer, subject, hasIssuer := senderOf(assertion)
	if issuer == s.config.Issuer || issuer == s.config.Issuer+"/forward" {
		return client{}, "", ownToken
	}
	candidates := s.candidates(issuer, subject, hasIssuer)
	if len(candidates) == 0 {
		return client{}, "", noFederate
	}
	found := candidates[0]
	pair := pairOf("federate", s.config.Issuer, found.Name, from.Client)
	turn, refused := s.config.Memory.turn(pair, now)
	if refused != nil {
		return client{}, found.Name, refused
	}
	for _, c := range candidates {
		why := c.judge(ctx, turn, assertion)
		if why == nil {
			found, refused = c, nil
			break
		}
		// What can't be judged now may be good.
		if refused == nil || why.code == errUnavailable {
			refused = why
		}
	}
	s.config.Memory.note(pair, refused, now)
	if refused != nil {
		return client{}, found.Name, refused
	}
	c := client{id: found.client.ID, configured: found.client}
	if id := f.Get("client_id"); id != "" && id != c.id {
		return c, found.Name, otherClient
	}
	return c, found.Name, nil
}

// judge judges a platform's token.
func (c *candidate) judge(ctx context.Context, turn *turn, assertion string) *failure {
	var t validator.Token
	if refused := turn.validate(ctx, c.validator, assertion, &t, invalidGrant, platformAway); refused != nil {
		return refused
	}
	body := t.Claims()
	subject, _ := textOf(body, "sub")
	switch {
	case !soleAudience(body, c.audience):
		return otherAudience
	case !strings.HasPrefix(subject, c.SubjectPrefix):
		return otherDomain
	case !c.Pins(ctx, body):
		return notPinned
	}
	return nil
}

// platformRules asks whether a platform's token is revoked.
type platformRules struct{ rules Rules }

// Check implements validator.Revocations. That the rules are known was found out before.
func (p platformRules) Check(_ context.Context, t *validator.Verified, text, _ string, now time.Time) reason.Code {
	body := t.Claims()
	of := revocation.Token{
		Issuer: t.Issuer(), KeyID: t.KeyID(), SignedBy: t.SignedBy(), Signed: revocation.SignedPart(text), Issued: t.Issued(),
	}
	of.ID, _ = textOf(body, "jti")
	of.Subject, _ = textOf(body, "sub")
	for i, name := range [...]string{"client_id", "azp", "appid", "cid"} {
		of.Clients[i], _ = textOf(body, name)
	}
	if p.rules.Revokes(revocation.NewSubject(&of), now) {
		return reason.Revoked
	}
	return ""
}
