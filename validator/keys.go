package validator

import (
	"context"
	"errors"

	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// A token is tried with all keys that fit it. Their number is limited, since an attacker
// can send any number of such tokens.
const (
	// DefaultKidlessKeys is the default limit for tokens without kid.
	DefaultKidlessKeys = 4
	// maxSameKid is how many keys with one kid a token is tried with.
	maxSameKid = 4
	// MaxKidlessKeys is the largest limit.
	MaxKidlessKeys = 16
)

// kid returns the kid by which the policy chooses keys for a token, "" for all keys.
func (p *policy) kid(head header) string {
	if p.IgnoreKid {
		return ""
	}
	return head.kid
}

// candidates are the keys with which a token is tried.
type candidates struct {
	keys [MaxKidlessKeys]key.Key
	n    int
}

// choose finds the keys that fit a token.
func (c *candidates) choose(ctx context.Context, p *policy, t *parsed) error {
	head := &t.head
	kid := p.kid(*head)
	keys, err := p.Keys.Keys(ctx, kid)
	switch {
	case errors.Is(err, key.ErrUnknown):
		return reason.UnknownKid
	case err != nil:
		return reason.KeysUnavailable
	}
	others := false // whether a key fits that is another issuer's
	for _, k := range keys {
		if !k.Fits(head.alg, p.Algorithms) || kid == "" && !head.mayBe(k) {
			continue
		}
		if !k.Serves(t.issuer, p.tenantOf(t)) {
			others = true
			continue
		}
		sameKid := k.ID() != "" && kid != ""
		if c.n == maxSameKid && sameKid {
			break
		}
		if c.n == p.KidlessKeys && !sameKid {
			return reason.ManyKeys
		}
		c.keys[c.n] = k
		c.n++
	}
	switch {
	case c.n > 0:
	case others:
		return reason.KeyOfOther
	default:
		return reason.AlgOfOtherKey
	}
	return nil
}

// verify verifies a signature with each of them, and returns the one that did.
func (c *candidates) verify(alg key.Algorithm, parts *compact) (signer, error) {
	for _, k := range c.keys[:c.n] {
		if k.Verify(alg, parts.signed, parts.signature) == nil {
			return signer{k.Fingerprint(), k.ID()}, nil
		}
	}
	return noKey, reason.BadSignature
}

// isDistrust reports whether an error of verify is a reason to doubt that the keys are
// still the issuer's: none of them verifies the signature, or those that it has for the kid
// are not for this algorithm.
func (p *policy) isDistrust(head header, err error) bool {
	return err == reason.BadSignature || err == reason.AlgOfOtherKey && p.kid(head) != "" //nolint:errorlint // they are not wrapped
}

// verify verifies the signature with the keys that fit the token, and returns the key
// that verifies it. For a cached token, with parts nil, it is enough that the key
// verifiedBy is still among them: whether a key verifies a signature never changes, but
// the keys in force do.
func (p *policy) verify(ctx context.Context, t *parsed, verifiedBy signer, parts *compact, token string) (signer, error) {
	var fit candidates
	if err := fit.choose(ctx, p, t); err != nil {
		return noKey, err
	}
	if parts == nil {
		for _, k := range fit.keys[:fit.n] {
			if k.Fingerprint() == verifiedBy.fingerprint {
				return verifiedBy, nil
			}
		}
		// That key is gone, so another one must verify the signature.
		again, err := split(token, "")
		if err != nil {
			return noKey, err
		}
		parts = &again
	}
	return fit.verify(t.head.alg, parts)
}
