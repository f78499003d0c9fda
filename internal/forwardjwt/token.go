package forwardjwt

import (
	"crypto/rand"
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/internal/identity"
	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// The "idp" of API keys. None of them can be the "iss" of a token: that is a URI or has no
// colon (RFC 7519 section 2), and no scheme of a URI has an underscore.
const (
	storeIDP   = "api_keys:"      // and the name of the store, or the path of the key file
	writtenIDP = "api_key:config" // of keys that are written in the config
	anyIDP     = "*"              // of tokens at a site that accepts any "iss"
)

// make makes and signs a token.
func (m *Maker) make(signer *key.Signer, id *identity.Identity, now time.Time) (*token, error) {
	head := append([]byte(`{"alg":"`), signer.Algorithm().String()...)
	head = append(appendMember(append(head, '"'), "kid", signer.ID()), `,"typ":"`+Type+`"}`...)
	body := m.body(id, now)

	encoding := base64.RawURLEncoding
	signed := make([]byte, 0, encoding.EncodedLen(len(head))+encoding.EncodedLen(len(body))+maxSignature)
	signed = append(encoding.AppendEncode(signed, head), '.')
	signed = encoding.AppendEncode(signed, body)
	signature, err := signer.Sign(signed)
	if err != nil {
		return nil, reason.SigningKeysUnavailable
	}
	signed = encoding.AppendEncode(append(signed, '.'), signature)
	now = now.Round(0) // by the clock of "exp", as the other one stands still while the machine sleeps
	return &token{text: string(signed), keyID: signer.ID(), from: now, until: now.Add(m.Lifetime / 2)}, nil
}

// maxSignature is the room for two dots and a usual signature, in base64url.
const maxSignature = 360

// body returns the claims of a token as JSON.
func (m *Maker) body(id *identity.Identity, now time.Time) []byte {
	out := make([]byte, 0, 512)
	out = append(out, `{"iss":`...)
	out = claims.TextValue(m.Keys.Issuer()).AppendJSON(out)
	out = appendMember(out, "sub", id.User())
	out = appendMember(out, "aud", m.Audience)
	out = append(out, `,"iat":`...)
	out = strconv.AppendInt(out, now.Unix(), 10)
	out = append(out, `,"exp":`...)
	out = strconv.AppendInt(out, m.expires(id, now), 10)
	out = appendMember(out, "jti", rand.Text())
	if scopes := id.Scopes(); len(scopes) > 0 {
		out = appendMember(out, "scope", strings.Join(scopes, " "))
	}
	out = appendMember(out, "idp", m.idp(id))
	out = appendMember(out, "auth_method", id.Method())
	if client := clientOf(id); client != "" {
		out = appendMember(out, "client_id", client)
	}
	if id := id.KeyID(); id != "" {
		out = appendMember(out, "key_id", id)
	}
	for _, c := range m.Claims {
		v, ok := id.Claims().Lookup(c.Path)
		if !ok || v.Kind() == claims.Null {
			continue
		}
		out = append(claims.TextValue(nameOf(c)).AppendJSON(append(out, ',')), ':')
		out = v.AppendJSON(out)
	}
	return append(out, '}')
}

// appendMember appends a member of an object that is not the first.
func appendMember(out []byte, name, value string) []byte {
	out = append(append(append(out, `,"`...), name...), `":`...)
	return claims.TextValue(value).AppendJSON(out)
}

// expires returns the "exp" of a token that is made now. It is not later than that of any
// credential of the request, and so may have passed already, where that of a token is
// accepted for its leeway.
func (m *Maker) expires(id *identity.Identity, now time.Time) int64 {
	at := now.Unix() + int64(m.Lifetime/time.Second)
	earlier := func(t time.Time) {
		if !t.IsZero() {
			at = min(at, t.Unix())
		}
	}
	if id.HasToken {
		earlier(id.Token.Expires())
	}
	if k, has := id.Key(); has {
		earlier(k.Expires())
	}
	return at
}

// idp returns who vouched for the identity: the issuer of the token, or the place of the
// API key. Users of two of them are different people, whatever they are called.
func (m *Maker) idp(id *identity.Identity) string {
	if id.HasToken {
		if m.AnyIssuer {
			return anyIDP
		}
		return id.Token.Issuer()
	}
	k, _ := id.Key()
	switch name, named := m.stores[k.File()]; {
	case k.Store() != "":
		return storeIDP + k.Store()
	case named:
		return name
	case k.File() != "":
		return storeIDP + k.File()
	}
	return writtenIDP
}

// clientClaims are the claims that name the client of a token: that of RFC 9068 section 2.2,
// and what issuers call it otherwise.
var clientClaims = [...]string{"client_id", "azp", "appid", "cid"}

// clientOf returns the client that a token was issued to, or "".
func clientOf(id *identity.Identity) string {
	if !id.HasToken {
		return ""
	}
	for _, name := range clientClaims {
		v, _ := id.Token.Claims().Member(name)
		if text, ok := v.Text(); ok && text != "" {
			return text
		}
	}
	return ""
}
