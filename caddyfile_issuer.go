package caddyjwt

import (
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-jwt/caddy-jwt/internal/setting"
)

// unmarshalIssuer reads:
//
//	issuer <iss | name | *> {
//	    discovery [<url>]
//	    jwks_url <url>
//	    jwks_file <path>
//	    public_key <path | PEM>
//	    secret [base64] <{env.X} | {file.X}>
//	    algorithms <alg>...
//	    audience <aud>...
//	    audience_claim <path>...
//	    scope_claim <path>...
//	    typ <typ>...
//	    leeway <duration>
//	    max_lifetime <duration>
//	    allow_no_expiry
//	    allow_bound_tokens
//	    user_claim <path>...
//	    user_prefix <text>
//	    refresh_interval <duration>
//	    max_stale <duration>
//	    ca <path>
//	    bearer_token_file <path>
//	    insecure_http
//	}
//
// public_key and secret may be repeated. A name that the global option declares
// is that issuer, and takes audience, typ, max_lifetime and user_claim alone.
func (h *Handler) unmarshalIssuer(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 1 {
		return d.Err("issuer needs the exact iss of its tokens and nothing else; write issuer https://auth.example.com/, and its audience inside the block")
	}
	i := h.issuer(args[0])
	h.Issuer = append(h.Issuer, i)
	return i.unmarshalBlock(d)
}

// unmarshalBlock reads the options of an issuer.
func (i *Issuer) unmarshalBlock(d *caddyfile.Dispenser) error {
	at := *d
	seen := once{}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := i.unmarshalOption(d, seen); err != nil {
			return err
		}
	}
	if i.Iss == "" { // referred to by name; checked where the name is declared
		return nil
	}
	if _, err := i.settings().policy(setting.Unresolved); err != nil {
		return at.Errf("%v", i.settings().named(err))
	}
	return nil
}

// issuerOptions are the options of an issuer, so that a wrong one, or one in
// the wrong place, gets a helpful error.
var issuerOptions = []string{
	"discovery", "jwks_url", "jwks_file", "public_key", "secret", "algorithms", "audience", "audience_claim",
	"scope_claim", "typ", "leeway", "max_lifetime", "allow_no_expiry", "allow_bound_tokens", "user_claim",
	"user_prefix", "refresh_interval", "max_stale", "ca", "bearer_token_file", "insecure_http",
}

func (i *Issuer) unmarshalOption(d *caddyfile.Dispenser, seen once) error {
	switch option := d.Val(); option {
	case "discovery":
		if err := seen.check(d, removeOne); err != nil {
			return err
		}
		// Alone it says what is the default, and leaves no trace.
		if d.CountRemainingArgs() == 0 {
			return noBlock(d, option)
		}
		return text(d, &i.Discovery, "discovery https://auth.example.com/.well-known/openid-configuration")
	case "jwks_url":
		return seen.text(d, &i.JWKSURL, "jwks_url https://auth.example.com/jwks.json")
	case "jwks_file":
		return seen.text(d, &i.JWKSFile, "jwks_file jwks.json")
	case "public_key":
		var k string
		if err := text(d, &k, "public_key public.pem"); err != nil {
			return err
		}
		i.PublicKey = append(i.PublicKey, k)
		return nil
	case "secret":
		return i.unmarshalSecret(d)
	case "algorithms":
		return seen.list(d, &i.Algorithms, "algorithms RS256")
	case "audience":
		return seen.list(d, &i.Audience, "audience https://api.example.com")
	case "audience_claim":
		return seen.list(d, &i.AudienceClaim, "audience_claim aud client_id")
	case "scope_claim":
		return seen.list(d, &i.ScopeClaim, "scope_claim scope")
	case "typ":
		return seen.list(d, &i.Typ, "typ at+jwt")
	case "leeway":
		i.Leeway = new(caddy.Duration)
		return seen.duration(d, i.Leeway, "leeway 30s")
	case "max_lifetime":
		return seen.above0(d, &i.MaxLifetime, "max_lifetime 1h")
	case "allow_no_expiry":
		return seen.flag(d, &i.AllowNoExpiry)
	case "allow_bound_tokens":
		return seen.flag(d, &i.AllowBoundTokens)
	case "user_claim":
		return seen.list(d, &i.UserClaim, "user_claim sub")
	case "user_prefix":
		return seen.text(d, &i.UserPrefix, "user_prefix corp:")
	case "refresh_interval":
		return seen.above0(d, &i.RefreshInterval, "refresh_interval 1h")
	case "max_stale":
		return seen.above0(d, &i.MaxStale, "max_stale 24h")
	case "ca":
		return seen.text(d, &i.CA, "ca /etc/ssl/corp-root.pem")
	case "bearer_token_file":
		return seen.text(d, &i.BearerTokenFile, "bearer_token_file /var/run/secrets/kubernetes.io/serviceaccount/token")
	case "insecure_http":
		return seen.flag(d, &i.InsecureHTTP)
	default:
		if slices.Contains(handlerOptions, option) {
			return d.Errf("%s does not belong to an issuer; write it directly into the jwt block, outside of issuer", option)
		}
		if near := setting.Nearest(option, issuerOptions); near != "" {
			return d.Errf("an issuer has no option %q; write %s", option, near)
		}
		if near := setting.Nearest(option, handlerOptions); near != "" {
			return d.Errf("an issuer has no option %q; %s does not belong to an issuer: write it directly into the jwt block, outside of issuer", option, near)
		}
		return d.Errf("an issuer has no option %q; it has %s", option, strings.Join(issuerOptions, ", "))
	}
}

func (i *Issuer) unmarshalSecret(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	s := &Secret{}
	if len(args) == 2 && args[0] == "base64" {
		s.Base64, args = true, args[1:]
	}
	// What stands there may be the secret: it is not shown.
	if len(args) != 1 {
		return d.Err("secret needs one place to read it from; write secret {env.JWT_SECRET}, or secret base64 {file./run/secrets/jwt}" + setting.Unset)
	}
	if err := noBlock(d, "secret"); err != nil {
		return err
	}
	s.Value = args[0]
	if err := setting.CheckPlace(s.Value, setting.ErrPlainSecret); err != nil {
		return d.Errf("secret: %v", err)
	}
	i.Secret = append(i.Secret, s)
	return nil
}

// once reads options of which each may be said one time.
type once map[string]bool

func (o once) check(d *caddyfile.Dispenser, remedy string) error {
	if o[d.Val()] {
		return d.Errf("%s is there twice; %s", d.Val(), remedy)
	}
	o[d.Val()] = true
	return nil
}

const removeOne = "remove one"

func (o once) text(d *caddyfile.Dispenser, into *string, example string) error {
	if err := o.check(d, removeOne); err != nil {
		return err
	}
	return text(d, into, example)
}

func (o once) list(d *caddyfile.Dispenser, into *[]string, example string) error {
	option := d.Val()
	if err := o.check(d, "put all its values into one line"); err != nil {
		return err
	}
	if *into = d.RemainingArgs(); len(*into) == 0 {
		return d.Errf("%s needs a value; write %s", option, example)
	}
	if slices.Contains(*into, "") {
		return d.Errf("%s has an empty value; write %s", option, example)
	}
	return noBlock(d, option)
}

func (o once) flag(d *caddyfile.Dispenser, into *bool) error {
	option := d.Val()
	if err := o.check(d, removeOne); err != nil {
		return err
	}
	*into = true
	if d.CountRemainingArgs() > 0 {
		return d.Errf("%s takes no value; write it alone, or leave it out where it is not wanted", option)
	}
	return noBlock(d, option)
}

func (o once) duration(d *caddyfile.Dispenser, into *caddy.Duration, example string) error {
	var value string
	if err := o.text(d, &value, example); err != nil {
		return err
	}
	parsed, err := caddy.ParseDuration(value)
	if err != nil {
		return d.Errf("%q is no duration, which is a number with a unit; write %s", value, example)
	}
	*into = caddy.Duration(parsed)
	return nil
}

// above0 reads a duration of which 0 would mean the default, or no limit.
func (o once) above0(d *caddyfile.Dispenser, into *caddy.Duration, example string) error {
	option := d.Val()
	if err := o.duration(d, into, example); err != nil {
		return err
	}
	if *into == 0 {
		return d.Errf("%s must be above 0; write %s", option, example)
	}
	return nil
}

// text reads exactly one argument that is not empty.
func text(d *caddyfile.Dispenser, into *string, example string) error {
	option := d.Val()
	switch args := d.RemainingArgs(); len(args) {
	case 0:
		return d.Errf("%s needs a value; write %s", option, example)
	case 1:
		*into = args[0]
	default:
		return d.Errf("%s has more than one value; write %s, or quotes around a value with spaces", option, example)
	}
	if *into == "" {
		return d.Errf("%s is empty; write %s", option, example)
	}
	return noBlock(d, option)
}

// noBlock tells of a block behind an option that has none, which would
// otherwise be passed over without a word. What stands in it is not shown: it
// may be a secret.
func noBlock(d *caddyfile.Dispenser, option string) error {
	if at := *d; d.NextBlock(d.Nesting()) {
		return at.Errf("%s has no block; remove what stands in braces behind it", option)
	}
	return nil
}
