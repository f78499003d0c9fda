package caddyjwt

import (
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-jwt/caddy-jwt/internal/grammar"
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
	seen := grammar.Once{}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := i.unmarshalOption(d, seen); err != nil {
			return err
		}
	}
	if i.Iss == "" { // referred to by name; checked where the name is declared
		return nil
	}
	if _, err := i.settings().Policy(setting.Unresolved); err != nil {
		return at.Errf("%v", i.settings().Named(err))
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

func (i *Issuer) unmarshalOption(d *caddyfile.Dispenser, seen grammar.Once) error {
	switch option := d.Val(); option {
	case "discovery":
		if err := seen.Check(d, grammar.RemoveOne); err != nil {
			return err
		}
		// Alone it says what is the default, and leaves no trace.
		if d.CountRemainingArgs() == 0 {
			return grammar.NoBlock(d, option)
		}
		return grammar.Text(d, &i.Discovery, "discovery https://auth.example.com/.well-known/openid-configuration")
	case "jwks_url":
		return seen.Text(d, &i.JWKSURL, "jwks_url https://auth.example.com/jwks.json")
	case "jwks_file":
		return seen.Text(d, &i.JWKSFile, "jwks_file jwks.json")
	case "public_key":
		var k string
		if err := grammar.Text(d, &k, "public_key public.pem"); err != nil {
			return err
		}
		i.PublicKey = append(i.PublicKey, k)
		return nil
	case "secret":
		return i.unmarshalSecret(d)
	case "algorithms":
		return seen.List(d, &i.Algorithms, "algorithms RS256")
	case "audience":
		return seen.List(d, &i.Audience, "audience https://api.example.com")
	case "audience_claim":
		return seen.List(d, &i.AudienceClaim, "audience_claim aud client_id")
	case "scope_claim":
		return seen.List(d, &i.ScopeClaim, "scope_claim scope")
	case "typ":
		return seen.List(d, &i.Typ, "typ at+jwt")
	case "leeway":
		i.Leeway = new(caddy.Duration)
		return seen.Duration(d, i.Leeway, "leeway 30s")
	case "max_lifetime":
		return seen.Above0(d, &i.MaxLifetime, "max_lifetime 1h")
	case "allow_no_expiry":
		return seen.Flag(d, &i.AllowNoExpiry)
	case "allow_bound_tokens":
		return seen.Flag(d, &i.AllowBoundTokens)
	case "user_claim":
		return seen.List(d, &i.UserClaim, "user_claim sub")
	case "user_prefix":
		return seen.Text(d, &i.UserPrefix, "user_prefix corp:")
	case "refresh_interval":
		return seen.Above0(d, &i.RefreshInterval, "refresh_interval 1h")
	case "max_stale":
		return seen.Above0(d, &i.MaxStale, "max_stale 24h")
	case "ca":
		return seen.Text(d, &i.CA, "ca /etc/ssl/corp-root.pem")
	case "bearer_token_file":
		return seen.Text(d, &i.BearerTokenFile, "bearer_token_file /var/run/secrets/kubernetes.io/serviceaccount/token")
	case "insecure_http":
		return seen.Flag(d, &i.InsecureHTTP)
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
	if err := grammar.NoBlock(d, "secret"); err != nil {
		return err
	}
	s.Value = args[0]
	if err := setting.CheckPlace(s.Value, setting.ErrPlainSecret); err != nil {
		return d.Errf("secret: %v", err)
	}
	i.Secret = append(i.Secret, s)
	return nil
}
