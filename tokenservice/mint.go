package tokenservice

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/revocation"
)

// mint is a token to be made, and then the token.
type mint struct {
	audience string
	scopes   []string
	lifetime time.Duration

	scope           string // the scopes joined
	issued, expires int64  // in seconds since 1970
	id              string // jti
	token           []byte
}

// maxWait is how long a token waits for the next second. Timers may be late.
const maxWait = 1100 * time.Millisecond

// mint makes a token for a client (RFC 9068). The client's rules are asked about the very
// token first, as a revoked one must get none.
func (s *Service) mint(ctx context.Context, c *client, m mint) (mint, *failure) {
	now := s.config.Clock.Now()
	signer, err := s.config.Keys.Signer(ctx, now)
	if err != nil {
		return m, signingAway
	}
	m.id = newTokenID()
	var refused *failure
	if m.issued, refused = s.secondOf(ctx, c, m.id, signer.ID(), now); refused != nil {
		return m, refused
	}
	m.expires = m.issued + int64(m.lifetime/time.Second)
	if !c.expires.IsZero() {
		m.expires = min(m.expires, c.expires.Unix())
	}
	if m.expires <= m.issued {
		return m, expiredKey
	}
	m.scope = strings.Join(m.scopes, " ")
	if m.token, err = s.sign(c, &m, signer); err != nil {
		return m, signingFailed
	}
	return m, nil
}

// soon is how many seconds a not-before may be ahead for the client to be asked to try again: as
// the clock of the node that made the rule may be, or as a rule covers an issuer's clock.
const soon = 60

// secondOf returns the second in which a token can be issued. One that is issued in the very
// second before which a rule revokes all would be refused for its whole life, so it waits for
// the next one.
func (s *Service) secondOf(ctx context.Context, c *client, id, kid string, now time.Time) (int64, *failure) {
	t := revocation.Token{
		Issuer: s.config.Issuer, ID: id, Subject: c.id, Clients: [4]string{c.id}, KeyID: kid, SignedBy: kid,
	}
	revoked := func(second int64) bool {
		t.Issued = time.Unix(second, 0)
		return s.config.Rules.Revokes(revocation.NewSubject(&t), now)
	}
	second := now.Unix()
	if !revoked(second) {
		return second, nil
	}
	if !revoked(second + 1) {
		if !s.wait(ctx, time.Unix(second+1, 0).Sub(now)) {
			return 0, gaveUp
		}
		// Others may have come in the meantime.
		now = s.config.Clock.Now()
		if second = max(second+1, now.Unix()); !revoked(second) {
			return second, nil
		}
	}
	if !revoked(second + soon) {
		return 0, tooEarly
	}
	if t.Subject, t.Clients = "", [4]string{}; revoked(second) {
		return 0, signingAway // it is the key that is revoked, and there will be another
	}
	return 0, revokedClient
}

// wait waits for d, at most maxWait, and reports false if ctx is done before.
func (s *Service) wait(ctx context.Context, d time.Duration) bool {
	passed := make(chan struct{})
	stop := s.config.Clock.AfterFunc(min(d, maxWait), func() { close(passed) })
	select {
	case <-passed:
		return true
	case <-ctx.Done():
		stop()
		return false
	}
}

// newTokenID returns 128 random bits.
func newTokenID() string {
	var random [16]byte
	if _, err := rand.Read(random[:]); err != nil {
		panic(err) // crypto/rand never fails
	}
	return base64.RawURLEncoding.EncodeToString(random[:])
}

// tokenHeader is the header of the tokens of one key, in base64url and with the dot.
type tokenHeader struct {
	kid     string
	segment []byte
}

// header returns the header for a key (RFC 9068 section 2.1).
func (s *Service) header(signer *key.Signer) []byte {
	if last := s.signedWith.Load(); last != nil && last.kid == signer.ID() {
		return last.segment
	}
	text := claims.TextValue(signer.ID()).AppendJSON([]byte(`{"typ":"at+jwt","alg":"` + signer.Algorithm().String() + `","kid":`))
	h := &tokenHeader{kid: signer.ID()}
	h.segment = append(base64.RawURLEncoding.AppendEncode(nil, append(text, '}')), '.')
	s.signedWith.Store(h)
	return h.segment
}

// payloads are for claims that are being written.
var payloads = sync.Pool{New: func() any { return new([]byte) }}

// maxPayload is up to which size memory is kept for the next token.
const maxPayload = 4 << 10

// sign writes and signs a token.
func (s *Service) sign(c *client, m *mint, signer *key.Signer) ([]byte, error) {
	buffer := payloads.Get().(*[]byte)
	payload := s.payload((*buffer)[:0], c, m)
	header := s.header(signer)
	const signature = 512 // of an RSA key of 3072 bits
	token := make([]byte, 0, len(header)+base64.RawURLEncoding.EncodedLen(len(payload))+1+signature)
	token = append(token, header...)
	token = base64.RawURLEncoding.AppendEncode(token, payload)
	if cap(payload) <= maxPayload {
		*buffer = payload
		payloads.Put(buffer)
	}
	signed, err := signer.Sign(token)
	if err != nil {
		return nil, err
	}
	token = append(token, '.')
	return base64.RawURLEncoding.AppendEncode(token, signed), nil
}

// payload appends the claims (RFC 9068 section 2.2).
func (s *Service) payload(out []byte, c *client, m *mint) []byte {
	id := claims.TextValue(c.id)
	out = claims.TextValue(s.config.Issuer).AppendJSON(append(out, `{"iss":`...))
	out = id.AppendJSON(append(out, `,"sub":`...))
	out = claims.TextValue(m.audience).AppendJSON(append(out, `,"aud":`...))
	out = id.AppendJSON(append(out, `,"client_id":`...))
	out = strconv.AppendInt(append(out, `,"iat":`...), m.issued, 10)
	out = strconv.AppendInt(append(out, `,"exp":`...), m.expires, 10)
	out = claims.TextValue(m.id).AppendJSON(append(out, `,"jti":`...))
	if m.scope != "" {
		out = claims.TextValue(m.scope).AppendJSON(append(out, `,"scope":`...))
	}
	if c.configured != nil {
		out = append(out, c.configured.claims...)
	} else if len(c.keys.Claims) > 0 {
		out = appendMeta(out, c.key.Claims(), c.keys.Claims)
	}
	return append(out, '}')
}

// appendMeta appends values of a key's meta.
func appendMeta(out []byte, record claims.Value, wanted []MetaClaim) []byte {
	meta, _ := record.Member("meta")
	for _, w := range wanted {
		if v, ok := meta.Member(w.Meta); ok && v.Kind() != claims.Null {
			out = claims.TextValue(w.Claim).AppendJSON(append(out, ','))
			out = v.AppendJSON(append(out, ':'))
		}
	}
	return out
}
