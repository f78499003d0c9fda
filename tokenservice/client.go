package tokenservice

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/reason"
	"github.com/caddy-jwt/caddy-jwt/revocation"
)

// client is a client that has proved who it is, or that a federate names.
type client struct {
	// id is the client's; also after a failure, if it is that of a client that there is.
	id string
	// configured is the client as the config names it; nil for an API key.
	configured *registered
	// keys are the clients by API key that it is one of, and key is the key; nil for others.
	keys *KeyClients
	key  apikey.Key
	// expires is from when on the client is refused, zero for never: for one by API key the
	// earlier of the key's end and that of the secret that it sent.
	expires time.Time
}

// scopes returns what the client may do. It must not be changed.
func (c *client) scopes() []string {
	if c.configured != nil {
		return c.configured.Scopes
	}
	return c.key.Scopes()
}

// audience returns the resources that the client may ask for; empty for the service's first.
func (c *client) audience() []string {
	if c.configured != nil {
		return c.configured.Audience
	}
	return c.keys.Audience
}

// keyHeader is the header with an API key that is the client's only credential.
const keyHeader = "X-Api-Key"

// credential is what a client sends of itself.
type credential struct {
	// id is client_id, empty for none.
	id string
	// secret is the API key, and assertion the client's JWT; one of them is empty.
	secret, assertion string
}

// authenticate finds out which client sends a form, by the one way in which it authenticates
// itself. It is the same at all endpoints. A client that is revoked altogether is none.
func (s *Service) authenticate(ctx context.Context, r *http.Request, f *form, from Request) (client, *failure) {
	sent, refused := credentialOf(r.Header, f)
	if refused != nil {
		return client{}, refused
	}
	now := s.config.Clock.Now()
	if s.config.Rules.Await(ctx, now) {
		return client{}, rulesAway
	}
	var c client
	if sent.assertion != "" {
		c, refused = s.byAssertion(ctx, sent, from, now)
	} else {
		c, refused = s.byKey(ctx, sent, now)
	}
	if refused == nil && s.revoked(c.id, now) {
		refused = revokedClient
	}
	if refused == nil && c.keys != nil && s.config.Used != nil {
		s.config.Used(c.key, now)
	}
	return c, refused
}

// credentialOf returns what a client sends of itself. RFC 6749 section 2.3 allows one way in
// each request.
func credentialOf(h http.Header, f *form) (credential, *failure) {
	authorization, keys := h["Authorization"], h[keyHeader]
	sent := credential{id: f.Get("client_id")}
	ways := len(authorization) + len(keys)
	assertion, kind := f.Get("client_assertion"), f.Get("client_assertion_type")
	if assertion != "" || kind != "" {
		ways++
	}
	secret := f.Get("client_secret")
	if secret != "" {
		ways++
	}
	switch {
	case ways == 0:
		return sent, noCredential
	case ways > 1:
		return sent, twoWays
	case len(authorization) == 1:
		return sent.basic(authorization[0])
	case len(keys) == 1:
		sent.secret = keys[0]
	case secret != "":
		sent.secret = secret
	case assertion == "" || kind == "":
		return sent, halfAssertion
	case kind != assertionType:
		return sent, otherAssertion
	default:
		sent.assertion = assertion
		return sent, nil
	}
	if sent.secret == "" || secret != "" && sent.id == "" {
		return sent, noCredential
	}
	return sent, nil
}

// basic reads a credential of the scheme Basic (RFC 6749 section 2.3.1).
func (sent credential) basic(header string) (credential, *failure) {
	scheme, encoded, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return sent, otherScheme
	}
	text, err := base64.StdEncoding.DecodeString(strings.Trim(encoded, " "))
	if err != nil {
		return sent, badBasic
	}
	id, secret, ok := strings.Cut(string(text), ":")
	if !ok || id == "" || secret == "" {
		return sent, badBasic
	}
	if id = ofForm(id); sent.id != "" && sent.id != id {
		return sent, otherID
	}
	return credential{id: id, secret: ofForm(secret)}, nil
}

// ofForm decodes a part of Basic. Both parts have the encoding of forms, which some clients
// leave out. Neither has ever a space in it, so what becomes one was not encoded.
func ofForm(text string) string {
	if !strings.ContainsAny(text, "%+") {
		return text
	}
	decoded, err := url.QueryUnescape(text)
	if err != nil || strings.Contains(decoded, " ") {
		return text
	}
	return decoded
}

// byKey finds the client that has an API key. Its time does not depend on whether there is
// one, or what is wrong with it: each place is asked once.
func (s *Service) byKey(ctx context.Context, sent credential, now time.Time) (client, *failure) {
	var (
		found   client
		refused = unknownSecret
	)
	type place struct {
		keys *KeyClients
		key  apikey.Key
	}
	valid := make([]place, 0, 4)
	for i := range s.config.APIKeys {
		keys := &s.config.APIKeys[i]
		k, code := keys.Keys.Find(ctx, sent.secret)
		switch code {
		case "":
			// One that is in several places must be valid in each.
			valid = append(valid, place{keys, k})
			if refused == unknownSecret || refused == nil && sent.id == k.ID() && found.id != sent.id {
				found, refused = client{id: k.ID(), keys: keys, key: k, expires: k.Expires()}, nil
			}
		case reason.UnknownAPIKey:
		case reason.APIKeysUnavailable:
			return client{}, keysAway
		case reason.APIKeyDisabled:
			found, refused = client{id: k.ID()}, disabledKey
		case reason.APIKeyExpired:
			found, refused = client{id: k.ID()}, expiredKey
		default:
			return client{}, unknownSecret
		}
	}
	switch {
	case refused != nil:
		return found, refused
	case len(sent.secret) < apikey.MinLength:
		// An import takes over shorter ones, which could be guessed.
		return client{id: found.id}, shortKey
	case sent.id != "" && sent.id != found.id:
		return client{}, otherID
	case s.clients[found.id] != nil:
		s.warn(Warning{Client: found.id, Store: found.keys.Name, Text: "an API key has the id of a client of the config, and is no client: give it another id"})
		return client{}, takenID
	}
	// Its tokens would live and die with the other key.
	switch h := s.holderOf(ctx, found.id, now); {
	case h.standing == apikey.StandingUnavailable:
		return client{}, keysAway
	case h.keys != found.keys || h.store != found.key.Store():
		s.warn(Warning{Client: found.id, Store: found.keys.Name, Text: "an API key has the id of another one that is a client, and is none itself: give it another id"})
		return client{}, takenID
	}
	for _, p := range valid {
		revoked := false
		p.keys.Keys.Each(sent.secret, p.key, func(k apikey.Key) bool {
			revoked = s.config.Rules.RevokesKey(k.Store(), k.ID(), now)
			return !revoked
		})
		if revoked {
			return client{id: found.id}, revokedKey
		}
	}
	return found, nil
}

// revoked reports whether a client is revoked, whenever its tokens were issued.
func (s *Service) revoked(id string, now time.Time) bool {
	return s.config.Rules.Revokes(revocation.NewSubject(&revocation.Token{
		Issuer: s.config.Issuer, Subject: id, Clients: [4]string{id}, Issued: endOfTime,
	}), now)
}

// endOfTime is later than each time before which a rule revokes what was issued.
var endOfTime = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
