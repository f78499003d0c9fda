package caddyjwt

import (
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-jwt/caddy-jwt/internal/grammar"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
)

// readIssuer reads:
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
//	    kidless_keys <n>
//	    ignore_kid
//	    max_keys <n>
//	    allow_bound_tokens
//	    introspection [<url>] {
//	        client <id> <{env.X} | {file.X}>
//	        cache <duration>
//	        jwts
//	        untyped
//	    }
//	    user_claim <path>...
//	    user_prefix <text>
//	    refresh_interval <duration>
//	    max_stale <duration>
//	    ca <path>
//	    bearer_token_file <path>
//	    insecure_http
//	}
//
// public_key and secret may be repeated. A name refers to an issuer that the global
// option declares; its block may only have audience, typ, max_lifetime and
// user_claim.
func readIssuer(h *Handler, r *reader) error {
	args := r.RemainingArgs()
	if len(args) != 1 {
		return r.Err("issuer needs the exact iss of its tokens and nothing else; write issuer https://auth.example.com/, and its audience inside the block")
	}
	i := issuerOf(r.global, args[0])
	h.Issuer = append(h.Issuer, i)
	return readIssuerBlock(i, r.inner())
}

func readIssuerBlock(i *Issuer, r *reader) error {
	at := *r.Dispenser
	r.once = grammar.Once{}
	unknown := &unknownOption{
		kind: "issuer option", others: handlerOptions().names(), are: "is not an option of an issuer",
		remedy: func(string) string { return "write it directly into the jwt block, outside of issuer" },
	}
	for nesting := r.Nesting(); r.NextBlock(nesting); {
		if err := issuerOptions().read(i, r, unknown); err != nil {
			return err
		}
	}
	if i.Introspection != nil && r.once["discovery"] && i.Discovery == "" && i.Iss != "" {
		// Beside introspection no key source is the default, so it is named.
		i.Discovery = strings.TrimSuffix(i.Iss, "/") + "/.well-known/openid-configuration"
	}
	if i.Iss == "" { // referred to by name; checked where the name is declared
		return nil
	}
	if _, err := i.settings().Policy(setting.Unresolved); err != nil {
		return at.Errf("%v", i.settings().Named(err))
	}
	return nil
}

// issuerOptions returns the options of an issuer.
func issuerOptions() options[Issuer] {
	return options[Issuer]{
		{"discovery", readDiscovery, func(i *Issuer) bool { return i.Discovery != "" }},
		textOption("jwks_url", "https://auth.example.com/jwks.json", func(i *Issuer) *string { return &i.JWKSURL }),
		textOption("jwks_file", "jwks.json", func(i *Issuer) *string { return &i.JWKSFile }),
		{"public_key", readPublicKey, func(i *Issuer) bool { return len(i.PublicKey) > 0 }},
		{"secret", readSecret, func(i *Issuer) bool { return len(i.Secret) > 0 }},
		listOption("algorithms", "RS256", func(i *Issuer) *[]string { return &i.Algorithms }),
		listOption("audience", "https://api.example.com", func(i *Issuer) *[]string { return &i.Audience }),
		listOption("audience_claim", "aud client_id", func(i *Issuer) *[]string { return &i.AudienceClaim }),
		listOption("scope_claim", "scope", func(i *Issuer) *[]string { return &i.ScopeClaim }),
		listOption("typ", "at+jwt", func(i *Issuer) *[]string { return &i.Typ }),
		{"leeway", readLeeway, func(i *Issuer) bool { return i.Leeway != nil }},
		durationOption("max_lifetime", "1h", func(i *Issuer) *caddy.Duration { return &i.MaxLifetime }),
		flagOption("allow_no_expiry", func(i *Issuer) *bool { return &i.AllowNoExpiry }),
		numberOption("kidless_keys", "8", func(i *Issuer) *int { return &i.KidlessKeys }),
		flagOption("ignore_kid", func(i *Issuer) *bool { return &i.IgnoreKid }),
		numberOption("max_keys", "200", func(i *Issuer) *int { return &i.MaxKeys }),
		flagOption("allow_bound_tokens", func(i *Issuer) *bool { return &i.AllowBoundTokens }),
		{"introspection", readIntrospection, func(i *Issuer) bool { return i.Introspection != nil }},
		listOption("user_claim", "sub", func(i *Issuer) *[]string { return &i.UserClaim }),
		textOption("user_prefix", "corp:", func(i *Issuer) *string { return &i.UserPrefix }),
		durationOption("refresh_interval", "1h", func(i *Issuer) *caddy.Duration { return &i.RefreshInterval }),
		durationOption("max_stale", "24h", func(i *Issuer) *caddy.Duration { return &i.MaxStale }),
		textOption("ca", "/etc/ssl/corp-root.pem", func(i *Issuer) *string { return &i.CA }),
		textOption("bearer_token_file", "/var/run/secrets/kubernetes.io/serviceaccount/token", func(i *Issuer) *string { return &i.BearerTokenFile }),
		flagOption("insecure_http", func(i *Issuer) *bool { return &i.InsecureHTTP }),
	}
}

func readDiscovery(i *Issuer, r *reader) error {
	if err := r.once.Check(r.Dispenser, grammar.RemoveOne); err != nil {
		return err
	}
	// Without a URL it means the default, and adds nothing to the JSON.
	if r.CountRemainingArgs() == 0 {
		return grammar.NoBlock(r.Dispenser, "discovery")
	}
	return grammar.Text(r.Dispenser, &i.Discovery, "discovery https://auth.example.com/.well-known/openid-configuration")
}

// readIntrospection reads introspection with its block.
func readIntrospection(i *Issuer, r *reader) error {
	if err := r.once.Check(r.Dispenser, "put all its options into one block"); err != nil {
		return err
	}
	i.Introspection = new(Introspection)
	switch args := r.RemainingArgs(); {
	case len(args) == 1 && args[0] != "":
		i.Introspection.URL = args[0]
	case len(args) > 0:
		return r.Err("introspection takes the URL of the endpoint, or nothing for that of the issuer's metadata; write introspection { client my-api {env.INTROSPECTION_SECRET} }")
	}
	inner := r.inner()
	unknown := &unknownOption{
		kind: "introspection option", others: issuerOptions().names(), are: "is an option of the issuer",
		remedy: func(string) string { return "write it into the issuer block, outside of introspection" },
	}
	for nesting := r.Nesting(); r.NextBlock(nesting); {
		if err := introspectionOptions().read(i.Introspection, inner, unknown); err != nil {
			return err
		}
	}
	return nil
}

// introspectionOptions returns the options of introspection.
func introspectionOptions() options[Introspection] {
	return options[Introspection]{
		{"client", readIntrospectionClient, func(n *Introspection) bool { return n.Client != nil }},
		{"cache", readIntrospectionCache, func(n *Introspection) bool { return n.Cache != nil }},
		flagOption("jwts", func(n *Introspection) *bool { return &n.JWTs }),
		flagOption("untyped", func(n *Introspection) *bool { return &n.Untyped }),
	}
}

func readIntrospectionClient(n *Introspection, r *reader) error {
	if err := r.once.Check(r.Dispenser, grammar.RemoveOne); err != nil {
		return err
	}
	args := r.RemainingArgs()
	// The arguments may be the secret itself, so the error does not repeat them.
	if len(args) != 2 {
		return r.Err("client needs its id and one place to read its secret from; write client my-api {env.INTROSPECTION_SECRET}" + setting.Unset)
	}
	if err := grammar.NoBlock(r.Dispenser, "client"); err != nil {
		return err
	}
	n.Client = &IntrospectionClient{ID: args[0], Secret: args[1]}
	if err := setting.CheckPlace(n.Client.Secret, setting.ErrPlainSecret); err != nil {
		return r.Errf("client: %v", err)
	}
	return nil
}

// readIntrospectionCache reads a duration that may be 0.
func readIntrospectionCache(n *Introspection, r *reader) error {
	n.Cache = new(caddy.Duration)
	return r.once.Duration(r.Dispenser, n.Cache, "cache 30s")
}

func readPublicKey(i *Issuer, r *reader) error {
	var k string
	if err := grammar.Text(r.Dispenser, &k, "public_key public.pem"); err != nil {
		return err
	}
	i.PublicKey = append(i.PublicKey, k)
	return nil
}

// readLeeway reads a duration that may be 0.
func readLeeway(i *Issuer, r *reader) error {
	i.Leeway = new(caddy.Duration)
	return r.once.Duration(r.Dispenser, i.Leeway, "leeway 30s")
}

func readSecret(i *Issuer, r *reader) error {
	args := r.RemainingArgs()
	s := &Secret{}
	if len(args) == 2 && args[0] == "base64" {
		s.Base64, args = true, args[1:]
	}
	// The arguments may be the secret itself, so the error does not repeat them.
	if len(args) != 1 {
		return r.Err("secret needs one place to read it from; write secret {env.JWT_SECRET}, or secret base64 {file./run/secrets/jwt}" + setting.Unset)
	}
	if err := grammar.NoBlock(r.Dispenser, "secret"); err != nil {
		return err
	}
	s.Value = args[0]
	if err := setting.CheckPlace(s.Value, setting.ErrPlainSecret); err != nil {
		return r.Errf("secret: %v", err)
	}
	i.Secret = append(i.Secret, s)
	return nil
}
