package issuer

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

const anyValue = "*"

// maxLeeway is more than any two clocks that are set at all are apart.
const maxLeeway = time.Hour

// Policy checks the issuer's settings and makes the validator's policy of
// them, but for its keys and audience.
func (i *Settings) Policy(resolve setting.Resolver) (validator.Policy, error) {
	p := validator.Policy{
		AudienceClaims: i.AudienceClaim,
		ScopeClaims:    i.ScopeClaim,
		UserClaims:     i.UserClaim,
		UserPrefix:     i.UserPrefix,
		Types:          i.Typ,
		Leeway:         validator.DefaultLeeway,
		MaxLifetime:    i.MaxLifetime,
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
		p.Leeway = *i.Leeway
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
func (i *Settings) audience(handlers []string, resolve setting.Resolver) (list []string, waived bool, err error) {
	own := i.Audience
	if len(own) == 0 {
		own = handlers
	}
	if len(own) == 0 {
		return nil, false, errors.New("there is no audience, so that tokens meant for any other API would be accepted; write your API's identifier behind the issuer (jwt https://auth.example.com/ https://api.example.com) or as audience in the block, or * there to waive the check" + setting.Unset)
	}
	return resolveAudience(own, resolve)
}

func resolveAudience(own []string, resolve setting.Resolver) (list []string, waived bool, err error) {
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

// Named puts the issuer's name before an error.
func (i *Settings) Named(err error) error {
	return fmt.Errorf("issuer %s: %w", strconv.Quote(userInfo.ReplaceAllString(i.label(), "//xxxxx@")), err)
}

// label is how the issuer is called in errors, logs and status: by its name if
// it has one.
func (i *Settings) label() string {
	if i.Name != "" {
		return i.Name
	}
	return i.Iss
}
