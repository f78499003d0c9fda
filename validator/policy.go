package validator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/key"
)

// KeySet is where an issuer's keys come from.
type KeySet interface {
	// Keys returns the keys with that kid or, where there are none, those
	// without any kid; all of them for an empty kid. It may wait for keys
	// being fetched, as long as ctx lasts. The errors are key.ErrUnknown
	// and key.ErrUnavailable. The slice must not be changed.
	Keys(ctx context.Context, kid string) ([]key.Key, error)
	// Version identifies the keys in force at that time, which is about the
	// present: one number for all of them, which never comes again for
	// others. As long as it is the same, so is what Keys answers for this
	// kid, and asking it has no effect. 0 where that can't be said of it: ask
	// Keys. An empty kid stands for any that it was said of before. It is
	// asked for with each request, and so need not tell the time itself.
	Version(kid string, now time.Time) uint64
}

// DefaultLeeway is how far clocks may be apart where a policy does not say.
const DefaultLeeway = 60 * time.Second

// Policy is what is asked of the tokens of one issuer. An issuer, its keys and
// its audience are one object, so that a key of one issuer can never vouch for
// another's iss.
type Policy struct {
	// Issuer is the exact "iss" (RFC 7519 section 4.1.1), compared byte for byte.
	Issuer string
	// AnyIssuer takes tokens with any "iss", or none. Issuer must be empty,
	// and the policy must be the only one.
	AnyIssuer bool
	// Keys verify the signature.
	Keys KeySet
	// Algorithms narrows what the keys allow; see key.Key.
	Algorithms key.Algorithms
	// Symmetric tells that Keys holds HMAC secrets; else it holds public keys.
	Symmetric bool

	// Audience lists the values of which the token's audience must hold one.
	Audience []string
	// AnyAudience waives the check of the audience.
	AnyAudience bool
	// AudienceClaims are the paths of the claims that hold the audience; the
	// first that is present decides. Default: aud.
	AudienceClaims []string

	// ScopeClaims are the paths of the claims that hold the scopes; the first
	// that is present decides. Default: scope, scp.
	ScopeClaims []string
	// UserClaims are the paths of the claims that name the user; the first
	// that is a non-empty text or a number wins. Default: sub.
	UserClaims []string
	// UserPrefix is put before the user's name.
	UserPrefix string

	// Types lists the accepted "typ" values (RFC 7515 section 4.1.9), any
	// case, with or without "application/". Default: none, JWT, JOSE and
	// at+jwt. Where it is given, a token without typ is refused.
	Types []string
	// Leeway is how far clocks may be apart, at least 0.
	Leeway time.Duration
	// MaxLifetime refuses tokens whose exp is further away. 0: no limit.
	MaxLifetime time.Duration
	// AllowNoExpiry accepts tokens without exp.
	AllowNoExpiry bool
	// AllowBound accepts tokens with cnf (RFC 7800) as plain bearer tokens.
	AllowBound bool
}

// policy is a Policy made ready for requests.
type policy struct {
	Policy
	types []string // folded; nil for the default

	place int // among the validator's policies

	usualScopes bool // whether the scopes are in the default claims, and so with the token
}

var (
	defaultAudienceClaims = []string{"aud"}
	defaultScopeClaims    = []string{"scope", "scp"}
	defaultUserClaims     = []string{"sub"}
	defaultTypes          = []string{"jwt", "jose", "at+jwt"}
)

// prepare checks what only a programming error can get wrong, so that no
// forgotten field ever switches a check off.
func (p Policy) prepare() (*policy, error) {
	switch {
	case p.Keys == nil:
		return nil, errors.New("a policy needs keys")
	case p.AnyIssuer != (p.Issuer == ""):
		return nil, errors.New("a policy needs an issuer, or must take any")
	case p.AnyAudience == (len(p.Audience) > 0):
		return nil, errors.New("a policy needs an audience, or must take any")
	case p.Leeway < 0 || p.MaxLifetime < 0:
		return nil, errors.New("durations can't be negative")
	}
	for _, a := range p.Audience {
		if a == "" {
			return nil, errors.New("an audience can't be empty")
		}
	}
	if len(p.AudienceClaims) == 0 {
		p.AudienceClaims = defaultAudienceClaims
	}
	if len(p.ScopeClaims) == 0 {
		p.ScopeClaims = defaultScopeClaims
	}
	if len(p.UserClaims) == 0 {
		p.UserClaims = defaultUserClaims
	}
	for _, paths := range [][]string{p.AudienceClaims, p.ScopeClaims, p.UserClaims} {
		for _, path := range paths {
			if err := claims.CheckPath(path); err != nil {
				return nil, err
			}
		}
	}
	q := &policy{
		Policy:      p,
		usualScopes: slices.Equal(p.ScopeClaims, defaultScopeClaims),
	}
	for _, t := range p.Types {
		if t == "" {
			return nil, errors.New("a typ can't be empty")
		}
		q.types = append(q.types, foldType(t))
	}
	return q, nil
}

// foldType brings a media type to the form in which types are compared: RFC
// 7515 section 4.1.9 lets "application/" be left out, RFC 2045 ignores case.
func foldType(t string) string {
	t = strings.ToLower(t)
	if rest, ok := strings.CutPrefix(t, "application/"); ok && !strings.Contains(rest, "/") {
		return rest
	}
	return t
}

// issuerPolicies are the policies of one iss: one, or two of which one has
// secrets and the other public keys. The token's alg says which.
type issuerPolicies struct {
	public, symmetric *policy
}

func (i issuerPolicies) choose(alg key.Algorithm) *policy {
	if alg.Symmetric() {
		return i.symmetric
	}
	return i.public
}

func (i *issuerPolicies) add(p *policy) error {
	slot := &i.public
	if p.Symmetric {
		slot = &i.symmetric
	}
	if *slot != nil {
		return fmt.Errorf("the issuer %q is there twice", p.Issuer)
	}
	*slot = p
	return nil
}
