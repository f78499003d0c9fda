package validator

import (
	"crypto/sha256"
	"time"

	"github.com/caddy-jwt/caddy-jwt/claims"
)

// Token is a valid token. Only a Validator can make one, so its claims always come from a
// trusted issuer.
type Token struct {
	token   *Verified
	verdict *verdict
	refused *sender // of a refused token; nil if nothing is known about it
}

// sender is what is known about a refused token.
type sender struct {
	policy       int    // the index of the policy that refused it
	issuer, user string // set only if the signature is valid
}

// Sender returns the issuer and the user of a token that was refused although its
// signature is valid, for logs, and "" for any other refused token. The user may be
// missing.
func (t *Token) Sender() (issuer, user string) {
	if t.refused == nil {
		return "", ""
	}
	return t.refused.issuer, t.refused.user
}

// Policy returns the index of the policy that judged the token, in the list that New
// got, or -1 if none did. It is the one thing that is also good after an error, when it
// only tells which issuer the token claims to be of.
func (t *Token) Policy() int {
	switch {
	case t.refused != nil:
		return t.refused.policy
	case t.verdict != nil:
		return t.verdict.policy
	}
	return -1
}

// Claims returns the token's claims.
func (t *Token) Claims() claims.Value { return t.token.body }

// Issuer returns the token's "iss", or "" for a token without one, which only a policy with
// AnyIssuer accepts.
func (t *Token) Issuer() string { return t.token.issuer }

// User returns the user's name with the prefix. It is never empty.
func (t *Token) User() string { return t.verdict.user }

// Scopes returns the granted scopes. The slice must not be changed.
func (t *Token) Scopes() []string {
	if t.verdict.scopes != nil {
		return t.verdict.scopes
	}
	return t.token.defaultScopes()
}

// KeyID returns the "kid" of the token's header, or "".
func (t *Token) KeyID() string { return t.token.head.kid }

// Expires returns the time in "exp", or the zero Time.
func (t *Token) Expires() time.Time { return t.token.when.expires }

// Digest returns a SHA-256 that identifies the token with its claims, and whether it is known:
// only a Validator with a cache computes it. It is that of the token's text or, as the
// answers about an opaque token may differ, of that and the answer.
func (t *Token) Digest() (digest [sha256.Size]byte, ok bool) {
	if t.token.digest == digest {
		return digest, false
	}
	if t.token.answered {
		return sha256.Sum256(t.token.body.AppendJSON(append(make([]byte, 0, 1024), t.token.digest[:]...))), true
	}
	return t.token.digest, true
}

// Issued returns the time in "iat", or the zero Time.
func (t *Token) Issued() time.Time { return t.token.when.issued }

// SignedBy returns the kid of the key that verified the signature, or "" if that has none.
func (t *Token) SignedBy() string { return t.token.verifiedBy.id }
