package caddyjwt

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

// Issuer is one who may issue tokens, with its own keys, algorithms and
// audience. It has one kind of key source; without any, the issuer's metadata
// is discovered.
type Issuer struct {
	// The exact `iss` of its tokens, trailing slash included. `*` takes
	// tokens with any or no `iss`: as the only issuer, with keys in
	// jwks_file, public_key or secret. May hold `{env.NAME}`. Required,
	// unless there is a name.
	Iss string `json:"iss,omitempty"`

	// The name of an issuer of the `jwt` app, in the place of iss. Such an
	// entry may have audience, typ, max_lifetime and user_claim besides,
	// which replace the named issuer's; everything else is said there.
	// Default: none.
	Name string `json:"name,omitempty"`

	// The URL of the issuer's metadata (OpenID Connect Discovery 1.0, RFC
	// 8414), whose `issuer` must equal iss. Default, where no key source is
	// named: the iss with /.well-known/openid-configuration, then with RFC
	// 8414's path.
	Discovery string `json:"discovery,omitempty"`
	// The URL of the issuer's key set. May hold `{env.NAME}`. Default: none.
	JWKSURL string `json:"jwks_url,omitempty"`
	// The path of a file with a key set (RFC 7517 section 5). Default: none.
	JWKSFile string `json:"jwks_file,omitempty"`
	// Public keys: each the path of a PEM file, or PEM text (PKIX, PKCS #1,
	// or an X.509 certificate), or `{env.NAME}` or `{file.PATH}` for one. Default:
	// none.
	PublicKey []string `json:"public_key,omitempty"`
	// HMAC secrets. Default: none.
	Secret []*Secret `json:"secret,omitempty"`

	// The algorithms that tokens may be signed with. It replaces the default
	// for keys without an `alg` and narrows those with one. Default: the
	// `alg` of each key, else RS256 for RSA, ES256, ES384 or ES512 for EC by
	// curve, EdDSA for Ed25519, HS256 for a secret.
	Algorithms []string `json:"algorithms,omitempty"`

	// The audience: a token must be meant for one of these. `*` alone waives
	// the check. Default: the handler's.
	Audience []string `json:"audience,omitempty"`
	// The paths of the claims that hold the audience; the first that is
	// present decides. Default: aud; for Amazon Cognito aud, client_id.
	AudienceClaim []string `json:"audience_claim,omitempty"`
	// The paths of the claims that hold the scopes; the first that is
	// present decides. Default: scope, scp.
	ScopeClaim []string `json:"scope_claim,omitempty"`
	// The accepted values of the header `typ`, such as at+jwt (RFC 9068).
	// Default: none at all, JWT, JOSE, at+jwt.
	Typ []string `json:"typ,omitempty"`
	// How far clocks may be apart, 0 to 1h. Default: 60s.
	Leeway *caddy.Duration `json:"leeway,omitempty"`
	// Refuses tokens whose exp is further away than this. Default: no limit.
	MaxLifetime caddy.Duration `json:"max_lifetime,omitempty"`
	// Accepts tokens without exp. Default: false.
	AllowNoExpiry bool `json:"allow_no_expiry,omitempty"`
	// Accepts tokens that are bound to a key (cnf, RFC 7800) without proof
	// of that key. Default: false.
	AllowBoundTokens bool `json:"allow_bound_tokens,omitempty"`
	// The paths of the claims that name the user; the first that is a text
	// or number and not empty wins. Default: sub.
	UserClaim []string `json:"user_claim,omitempty"`
	// A text put before the user's name, to keep the users of issuers
	// apart. Default: none.
	UserPrefix string `json:"user_prefix,omitempty"`

	// The longest time for which fetched keys are used without fetching
	// them again; the issuer's Cache-Control or Expires may shorten it, to
	// 1m at the least. At least 1m. Default: 1h.
	RefreshInterval caddy.Duration `json:"refresh_interval,omitempty"`
	// The longest time for which fetched keys are used while fetching them
	// again fails; past it the answer is 503. Not shorter than
	// refresh_interval. Default: 24h.
	MaxStale caddy.Duration `json:"max_stale,omitempty"`
	// The path of a PEM file with certificates to trust, besides the
	// system's, when keys are fetched. Default: none.
	CA string `json:"ca,omitempty"`
	// The path of a file with a bearer token for fetching keys, as Kubernetes
	// asks for. It is read at each fetch and never sent to another host.
	// Default: none.
	BearerTokenFile string `json:"bearer_token_file,omitempty"`
	// Allows http:// for this issuer's host. Loopback needs no leave.
	// Default: false.
	InsecureHTTP bool `json:"insecure_http,omitempty"`
}

// Secret is an HMAC secret.
type Secret struct {
	// Where the secret is: `{env.NAME}` or `{file.PATH}`. The secret itself
	// is refused, as Caddy saves and shows its config.
	Value string `json:"value"`
	// Tells that the secret is written as base64 or base64url. Default:
	// false, its bytes are those of the text.
	Base64 bool `json:"base64,omitempty"`
}

const anyValue = "*"

// maxLeeway is more than any two clocks that are set at all are apart.
const maxLeeway = time.Hour

// policy checks the issuer's settings and makes the validator's policy of
// them, but for its keys and audience.
func (i *Issuer) policy(resolve resolver) (validator.Policy, error) {
	p := validator.Policy{
		AudienceClaims: i.AudienceClaim,
		ScopeClaims:    i.ScopeClaim,
		UserClaims:     i.UserClaim,
		UserPrefix:     i.UserPrefix,
		Types:          i.Typ,
		Leeway:         validator.DefaultLeeway,
		MaxLifetime:    time.Duration(i.MaxLifetime),
		AllowNoExpiry:  i.AllowNoExpiry,
		AllowBound:     i.AllowBoundTokens,
	}
	iss, err := resolve(i.Iss)
	switch {
	case err != nil:
		return p, err
	case iss == "":
		return p, errors.New("it is empty; write the exact iss of the tokens, or * for any")
	case iss == anyValue:
		p.AnyIssuer = true
	default:
		p.Issuer = iss
	}
	if p.Algorithms, err = key.ParseAlgorithms(i.Algorithms); err != nil {
		return p, fmt.Errorf("algorithms: %w", err)
	}
	if len(p.AudienceClaims) == 0 && isCognito(iss) {
		// Cognito's access tokens have client_id in the place of aud.
		p.AudienceClaims = []string{"aud", "client_id"}
	}
	for _, option := range [...]struct {
		name  string
		paths []string
	}{{"audience_claim", i.AudienceClaim}, {"scope_claim", i.ScopeClaim}, {"user_claim", i.UserClaim}} {
		for _, path := range option.paths {
			if err := claims.CheckPath(path); err != nil {
				return p, fmt.Errorf("%s: %w", option.name, err)
			}
		}
	}
	for _, t := range i.Typ {
		if t == "" {
			return p, errors.New("typ: a value is empty; write one such as at+jwt, or leave the option out")
		}
	}
	if i.Leeway != nil {
		p.Leeway = time.Duration(*i.Leeway)
		if p.Leeway < 0 || p.Leeway > maxLeeway {
			return p, errors.New("leeway: it must be 0 to 1h; a clock that is further off needs to be set")
		}
	}
	if i.MaxLifetime < 0 {
		return p, errors.New("max_lifetime: it must be above 0; write a duration such as 1h")
	}
	if i.MaxLifetime > 0 && i.AllowNoExpiry {
		return p, errors.New("max_lifetime and allow_no_expiry contradict each other: a token without exp lives for ever; remove one")
	}
	return p, i.checkKeys(&p)
}

// audience resolves the issuer's own audience, else the handler's.
func (i *Issuer) audience(handlers []string, resolve resolver) (list []string, waived bool, err error) {
	own := i.Audience
	if len(own) == 0 {
		own = handlers
	}
	if len(own) == 0 {
		return nil, false, errors.New("there is no audience, so that tokens meant for any other API would be accepted; write your API's identifier behind the issuer (jwt https://auth.example.com/ https://api.example.com) or as audience in the block, or * there to waive the check" + unset)
	}
	return resolveAudience(own, resolve)
}

func resolveAudience(own []string, resolve resolver) (list []string, waived bool, err error) {
	for _, a := range own {
		value, err := resolve(a)
		switch {
		case err != nil:
			return nil, false, fmt.Errorf("audience: %w", err)
		case value == "":
			return nil, false, errors.New("audience: a value is empty; write your API's identifier")
		case value == anyValue && len(own) > 1:
			return nil, false, errors.New("audience: * waives the check, so it stands alone; remove it or the others")
		case value == anyValue:
			return nil, true, nil
		}
		list = append(list, value)
	}
	return list, false, nil
}

func isCognito(iss string) bool {
	u, err := url.Parse(iss)
	if err != nil {
		return false
	}
	// The older and the newer form of a user pool's issuer.
	host := strings.TrimPrefix(u.Hostname(), "issuer-")
	ok, err := path.Match("cognito-idp.*.amazonaws.com", host)
	return ok && err == nil
}

// userInfo is where a URL may hold a password.
var userInfo = regexp.MustCompile(`//[^/]*@`)

// named puts the issuer's name before an error.
func (i *Issuer) named(err error) error {
	return fmt.Errorf("issuer %s: %w", strconv.Quote(userInfo.ReplaceAllString(i.label(), "//xxxxx@")), err)
}

// label is how the issuer is called in errors, logs and status: by its name if
// it has one.
func (i *Issuer) label() string {
	if i.Name != "" {
		return i.Name
	}
	return i.Iss
}
