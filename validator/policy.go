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
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// KeySet provides the keys of an issuer.
type KeySet interface {
	// Keys returns the keys with the given kid or, if there are none, those
	// without a kid; for an empty kid, all keys. It may wait for keys that are
	// being fetched, until ctx is done. The errors are key.ErrUnknown and
	// key.ErrUnavailable. The slice must not be changed.
	Keys(ctx context.Context, kid string) ([]key.Key, error)
	// Version returns the version of the keys in force at now, the current time,
	// which is passed in as Version is called for each request. A version is
	// never used again for other keys. While it is the same, Keys returns the
	// same for this kid and has no side effect, so the call can be skipped. 0
	// means that this can't be guaranteed and Keys must be called. With an empty
	// kid the result is good for all kids that had the same version before.
	Version(kid string, now time.Time) uint64
	// A KeySet may have a method Distrust(), which is called if no key verifies a
	// token's signature.
}

// DefaultLeeway is the default tolerance for clocks that differ.
const DefaultLeeway = 60 * time.Second

// Policy is what the tokens of one issuer must meet. An issuer, its keys and its
// audience are one object, so that a key of one issuer can never verify a token with
// another issuer's iss.
type Policy struct {
	// Issuer is the exact "iss" (RFC 7519 section 4.1.1), compared byte for byte.
	Issuer string
	// Tenants makes Issuer a template, in which TenantMark stands for the id of a tenant: a
	// token's "iss" must equal it with the token's own "tid", which must be one of these. It
	// then needs TenantMark exactly once, and else none.
	Tenants []string
	// AnyTenant does the same and accepts all tenants. Personal accounts are in
	// ConsumerTenant, which Tenants must name all the same.
	AnyTenant bool
	// AnyIssuer accepts tokens with any "iss", or none. Issuer must be empty,
	// and the policy must be the only one.
	AnyIssuer bool
	// Keys verify the signature. They may be nil with an Introspector: then JWTs are refused.
	Keys KeySet
	// Algorithms narrows what the keys allow; see key.Key.
	Algorithms key.Algorithms
	// Introspector is asked about tokens that are no JWT, which only one policy of a Validator
	// may be for, and, with IntrospectJWTs, about JWTs of the issuer after their own checks, at
	// each request. The answers are judged by the policy, but for Types.
	// Default: none, opaque tokens are refused.
	Introspector   Introspector
	IntrospectJWTs bool
	// Untyped accepts answers that do not say that the token is an access token.
	Untyped bool
	// Symmetric is whether Keys has HMAC secrets; otherwise it has public keys.
	Symmetric bool

	// Audience lists the accepted audiences: the token must have one of them.
	Audience []string
	// AnyAudience disables the check of the audience.
	AnyAudience bool
	// AudienceClaims are the paths of the claims with the audience; the first
	// that is present decides. Default: aud.
	AudienceClaims []string

	// ScopeClaims are the paths of the claims with the scopes; the first that is
	// present decides. Default: scope, scp.
	ScopeClaims []string
	// UserClaims are the paths of the claims with the user's name; the first that
	// is a non-empty string or a number decides. Default: sub; with several tenants the
	// tenant and the user's id in it, <tid>/<oid>.
	UserClaims []string
	// UserPrefix is put before the user's name.
	UserPrefix string

	// Types lists the accepted "typ" values (RFC 7515 section 4.1.9), in any
	// case, with or without "application/". A token without typ is refused.
	// Default: JWT, JOSE, at+jwt, and tokens without typ.
	Types []string
	// AllowNoType accepts tokens without typ beside Types.
	AllowNoType bool
	// Leeway is the tolerance for clocks that differ, at least 0.
	Leeway time.Duration
	// MaxLifetime refuses tokens whose exp is further away. 0: no limit.
	MaxLifetime time.Duration
	// AllowNoExpiry accepts tokens without exp.
	AllowNoExpiry bool
	// AllowBound accepts tokens with cnf (RFC 7800) as plain bearer tokens.
	AllowBound bool

	// KidlessKeys is how many keys a token is tried with if it has no kid, or if
	// IgnoreKid is set. If more fit, the token is refused. Default 4, at most
	// MaxKidlessKeys.
	KidlessKeys int
	// IgnoreKid tries a token with every key that fits, whatever its kid.
	IgnoreKid bool
}

// policy is a Policy ready for requests.
type policy struct {
	Policy
	types  []string         // as claims.FoldType returns them; nil for the default
	noUser *reason.Detailed // the refusal of a token without a user

	unverified sender // of a token whose signature is not verified

	distrust func() // tells the keys that a signature is invalid; may be nil

	index int // in the validator's policies

	defaultScopes bool // whether the scopes are in the default claims

	tenants     map[string]bool // those that Tenants names; nil if Issuer is no template
	tenantUsers bool            // whether the user's name is <tid>/<oid>
}

// claimed returns a sender who claims to be one of the policy's, or nil for no policy.
func (p *policy) claimed() *sender {
	if p == nil {
		return nil
	}
	return &p.unverified
}

var (
	defaultAudienceClaims = []string{"aud"}
	defaultScopeClaims    = []string{"scope", "scp"}
	defaultUserClaims     = []string{"sub"}
	defaultTypes          = []string{"jwt", "jose", "at+jwt"}
)

// prepare returns the policy ready for requests, with defaults. It refuses policies that
// only a programming error can produce, so that a forgotten field never disables a check.
func (p Policy) prepare() (*policy, error) {
	switch {
	case p.Keys == nil && (p.Introspector == nil || p.IntrospectJWTs):
		return nil, errors.New("a policy needs keys")
	case p.Introspector == nil && p.IntrospectJWTs:
		return nil, errors.New("a policy needs an introspector to ask about JWTs")
	case p.Introspector != nil && p.AnyIssuer:
		return nil, errors.New("a policy that takes any issuer has none that could be asked")
	case p.AnyIssuer != (p.Issuer == ""):
		return nil, errors.New("a policy needs either an issuer or AnyIssuer")
	case p.Template() != (strings.Count(p.Issuer, TenantMark) == 1) || !p.Template() && strings.Contains(p.Issuer, TenantMark):
		return nil, fmt.Errorf("a policy of tenants needs %s once in its issuer, and any other none", TenantMark)
	case p.Template() && p.Symmetric:
		return nil, errors.New("a policy of tenants needs public keys")
	case p.AnyAudience == (len(p.Audience) > 0):
		return nil, errors.New("a policy needs either an audience or AnyAudience")
	case p.Leeway < 0 || p.MaxLifetime < 0:
		return nil, errors.New("negative leeway or lifetime")
	case p.KidlessKeys < 0 || p.KidlessKeys > MaxKidlessKeys:
		return nil, fmt.Errorf("the number of keys that a token without kid is tried with must be between 1 and %d", MaxKidlessKeys)
	}
	if p.KidlessKeys == 0 {
		p.KidlessKeys = DefaultKidlessKeys
	}
	for _, a := range p.Audience {
		if a == "" {
			return nil, errors.New("empty audience")
		}
	}
	if len(p.AudienceClaims) == 0 {
		p.AudienceClaims = defaultAudienceClaims
	}
	if len(p.ScopeClaims) == 0 {
		p.ScopeClaims = defaultScopeClaims
	}
	tenantUsers := p.ManyTenants() && len(p.UserClaims) == 0
	switch {
	case tenantUsers:
		p.UserClaims = tenantUserClaims
	case len(p.UserClaims) == 0:
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
		Policy:        p,
		noUser:        reason.NoUser.With(strings.Join(p.UserClaims, ", ")),
		defaultScopes: slices.Equal(p.ScopeClaims, defaultScopeClaims),
		tenantUsers:   tenantUsers,
	}
	if p.Template() {
		q.tenants = make(map[string]bool, len(p.Tenants))
		for _, t := range p.Tenants {
			if !key.IsTenant(t) {
				return nil, errors.New("a tenant is not a UUID in lower case")
			}
			q.tenants[t] = true
		}
	}
	if keys, ok := p.Keys.(interface{ Distrust() }); ok {
		q.distrust = keys.Distrust
	}
	for _, t := range p.Types {
		if t == "" {
			return nil, errors.New("empty typ")
		}
		q.types = append(q.types, claims.FoldType(t))
	}
	return q, nil
}

// issuerPolicies are the policies of one iss: one with public keys, one with secrets, or
// both. The token's alg selects one.
type issuerPolicies struct {
	public, symmetric *policy
}

func (i issuerPolicies) choose(alg key.Algorithm) *policy {
	if alg.Symmetric() {
		return i.symmetric
	}
	return i.public
}

// either returns one of them, to name the issuer.
func (i issuerPolicies) either() *policy {
	if i.public != nil {
		return i.public
	}
	return i.symmetric
}

// none reports whether there is no policy.
func (i issuerPolicies) none() bool { return i.public == nil && i.symmetric == nil }

func (i *issuerPolicies) add(p *policy) error {
	slot := &i.public
	if p.Symmetric {
		slot = &i.symmetric
	}
	if *slot != nil {
		return fmt.Errorf("duplicate issuer %q", p.Issuer)
	}
	*slot = p
	return nil
}
