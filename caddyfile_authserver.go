package caddyjwt

import (
	"errors"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddy-jwt/caddy-jwt/internal/grammar"
	"github.com/caddy-jwt/caddy-jwt/internal/service"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
)

// adaptAuthorizationServer makes a route of the directive.
func adaptAuthorizationServer(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	a := new(AuthorizationServer)
	matcher, err := readMatched(h, a, readAuthorizationServer)
	if err != nil {
		return nil, err
	}
	return h.NewRoute(matcher, a), nil
}

// UnmarshalCaddyfile reads the directive:
//
//	authorization_server [<matcher>] <issuer url> {
//	    api_keys <path | name> {
//	        audience <aud>...
//	        claim <meta> [<name>]
//	    }
//	    api_key <id> <sha256:HEX | {env.NAME} | {file.PATH}> {
//	        ...                              (see readAPIKey)
//	        audience <aud>...
//	        claim <meta> [<name>]
//	    }
//	    client <id> {
//	        jwks_url <url>
//	        jwks_file <path>
//	        public_key <path | PEM>
//	        scopes <scope>...
//	        audience <aud>...
//	        claim <name> <value>
//	        assertion_audience token_endpoint
//	    }
//	    federate <name> {
//	        issuer <iss | name> {
//	            ...                          (see readIssuer)
//	        }
//	        require claim <path> <value>...
//	        require expression <CEL>
//	        client <id>
//	    }
//	    introspect <client> <aud>...
//	    audience <aud>...
//	    scopes <scope>...
//	    default_scopes <scope>...
//	    lifetime <duration>
//	    algorithm ES256 | EdDSA | RS256
//	    rotate <duration>
//	}
//
// api_keys, api_key, client, federate and introspect may be repeated, and so may claim,
// public_key and require inside of them.
func (a *AuthorizationServer) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return readAuthorizationServer(a, &reader{Dispenser: d, global: new(App)})
}

func readAuthorizationServer(a *AuthorizationServer, r *reader) error {
	r.Next() // authorization_server
	r.once, r.keys = grammar.Once{}, uniqueKeys{}
	directive := *r.Dispenser
	args := r.RemainingArgs()
	if len(args) != 1 {
		return r.Err("authorization_server needs the URL of the issuer and nothing else; write authorization_server https://auth.example.com { … }" + setting.Unset)
	}
	if strings.HasPrefix(args[0], "/") || strings.HasPrefix(args[0], "@") {
		return r.Errf("%q is a matcher, and the URL of the issuer is missing; write authorization_server https://auth.example.com { … }", args[0])
	}
	a.Issuer = args[0]
	if _, err := setting.Unresolved(a.Issuer); err != nil {
		return r.Errf("authorization_server: %v", err)
	}
	if err := service.CheckIssuer(a.Issuer); err != nil {
		return r.Errf("authorization_server: %v", err)
	}
	unknown := &unknownOption{kind: "authorization_server option"}
	lines := map[string][]caddyfile.Dispenser{} // of the entries, by option
	for nesting := r.Nesting(); r.NextBlock(nesting); {
		lines[r.Val()] = append(lines[r.Val()], *r.Dispenser)
		if err := serviceOptions().read(a, r, unknown); err != nil {
			return err
		}
	}
	_, err := a.check(r.global, setting.Unresolved)
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*service.Error](err); ok && e.Index < len(lines[e.Option]) {
		return lines[e.Option][e.Index].Errf("%v", err)
	}
	return directive.Errf("authorization_server: %v", err)
}

// serviceOptions returns the options of the directive.
func serviceOptions() options[AuthorizationServer] {
	return options[AuthorizationServer]{
		{"api_keys", readKeyClients, func(a *AuthorizationServer) bool { return len(a.APIKeys) > 0 }},
		{"api_key", readKeyClient, func(a *AuthorizationServer) bool { return len(a.APIKey) > 0 }},
		{"client", readClient, func(a *AuthorizationServer) bool { return len(a.Client) > 0 }},
		{"federate", readFederate, func(a *AuthorizationServer) bool { return len(a.Federate) > 0 }},
		{"introspect", readIntrospect, func(a *AuthorizationServer) bool { return len(a.Introspect) > 0 }},
		listOption("audience", "https://api.example.com", func(a *AuthorizationServer) *[]string { return &a.Audience }),
		listOption("scopes", "orders:read orders:write", func(a *AuthorizationServer) *[]string { return &a.Scopes }),
		listOption("default_scopes", "orders:read", func(a *AuthorizationServer) *[]string { return &a.DefaultScopes }),
		durationOption("lifetime", "15m", func(a *AuthorizationServer) *caddy.Duration { return &a.Lifetime }),
		textOption("algorithm", "ES256", func(a *AuthorizationServer) *string { return &a.Algorithm }),
		durationOption("rotate", "720h", func(a *AuthorizationServer) *caddy.Duration { return &a.Rotate }),
	}
}

func readKeyClients(a *AuthorizationServer, r *reader) error {
	args := r.RemainingArgs()
	if len(args) != 1 || args[0] == "" {
		return r.Err("api_keys needs the path of a key file or the name of a store; write api_keys /etc/caddy/keys.jsonl")
	}
	s := apiKeySource(r.global, args[0])
	k := &KeyClients{File: s.File, Name: s.Name}
	a.APIKeys = append(a.APIKeys, k)
	return keyClientsOptions().readBlock(k, r.inner(), &unknownOption{kind: "api_keys option"})
}

func keyClientsOptions() options[KeyClients] {
	return options[KeyClients]{
		listOption("audience", "https://api.example.com", func(k *KeyClients) *[]string { return &k.Audience }),
		metaClaimOption(func(k *KeyClients) *[]*MetaClaim { return &k.Claim }),
	}
}

func readKeyClient(a *AuthorizationServer, r *reader) error {
	k := new(KeyClient)
	if err := readKey(&k.APIKey, r, func(_ *APIKey, inner *reader, _ *unknownOption) error {
		return keyClientOptions().read(k, inner, &unknownOption{kind: "api_key option"})
	}); err != nil {
		return err
	}
	a.APIKey = append(a.APIKey, k)
	return nil
}

// keyClientOptions are the options of an API key, and those of a client.
func keyClientOptions() options[KeyClient] {
	var all options[KeyClient]
	for _, o := range apiKeyOptions() {
		all = append(all, option[KeyClient]{
			o.name, func(k *KeyClient, r *reader) error { return o.read(&k.APIKey, r) }, func(k *KeyClient) bool { return o.isSet(&k.APIKey) },
		})
	}
	return append(all,
		listOption("audience", "https://api.example.com", func(k *KeyClient) *[]string { return &k.Audience }),
		metaClaimOption(func(k *KeyClient) *[]*MetaClaim { return &k.Claim }),
	)
}

// metaClaimOption is claim <meta> [<name>].
func metaClaimOption[T any](field func(*T) *[]*MetaClaim) option[T] {
	return option[T]{
		"claim",
		func(t *T, r *reader) error {
			args := r.RemainingArgs()
			if len(args) < 1 || len(args) > 2 || slices.Contains(args, "") {
				return r.Err("claim needs the name of a meta value, optionally followed by that of the claim; write claim plan, or claim plan tier")
			}
			c := &MetaClaim{Meta: args[0]}
			if len(args) == 2 {
				c.Name = args[1]
			}
			*field(t) = append(*field(t), c)
			return grammar.NoBlock(r.Dispenser, "claim")
		},
		func(t *T) bool { return len(*field(t)) > 0 },
	}
}

func readClient(a *AuthorizationServer, r *reader) error {
	args := r.RemainingArgs()
	if len(args) != 1 {
		return r.Err("client needs an id and a block; write client deploy { public_key deploy.pem }")
	}
	c := &ServiceClient{ID: args[0]}
	a.Client = append(a.Client, c)
	unknown := &unknownOption{
		kind: "client option", others: []string{"secret", "client_secret", "private_key"}, are: "is not an option of client, which proves who it is by a signature that its public key verifies",
		remedy: func(string) string {
			return "write public_key deploy.pem, or, for a client with a secret, api_key deploy {env.DEPLOY_KEY} in the place of client"
		},
	}
	return clientOptions().readBlock(c, r.inner(), unknown)
}

func clientOptions() options[ServiceClient] {
	return options[ServiceClient]{
		textOption("jwks_url", "https://ci.example.com/jwks.json", func(c *ServiceClient) *string { return &c.JWKSURL }),
		textOption("jwks_file", "deploy.jwks", func(c *ServiceClient) *string { return &c.JWKSFile }),
		{"public_key", func(c *ServiceClient, r *reader) error {
			var k string
			if err := grammar.Text(r.Dispenser, &k, "public_key deploy.pem"); err != nil {
				return err
			}
			c.PublicKey = append(c.PublicKey, k)
			return nil
		}, func(c *ServiceClient) bool { return len(c.PublicKey) > 0 }},
		listOption("scopes", "orders:read orders:write", func(c *ServiceClient) *[]string { return &c.Scopes }),
		listOption("audience", "https://api.example.com", func(c *ServiceClient) *[]string { return &c.Audience }),
		{"claim", func(c *ServiceClient, r *reader) error {
			args := r.RemainingArgs()
			if len(args) != 2 {
				return r.Err("claim needs a name and a value; write claim tenant acme")
			}
			c.Claim = append(c.Claim, &FixedClaim{Name: args[0], Value: args[1]})
			return grammar.NoBlock(r.Dispenser, "claim")
		}, func(c *ServiceClient) bool { return len(c.Claim) > 0 }},
		textOption("assertion_audience", "token_endpoint", func(c *ServiceClient) *string { return &c.AssertionAudience }),
	}
}

func readFederate(a *AuthorizationServer, r *reader) error {
	args := r.RemainingArgs()
	if len(args) != 1 || args[0] == "" {
		return r.Err("federate needs a name and a block; write federate github { issuer https://token.actions.githubusercontent.com; require claim repository_id 123456; client deploy }, each on a line of its own")
	}
	f := &Federate{Name: args[0]}
	a.Federate = append(a.Federate, f)
	return federateOptions().readBlock(f, r.inner(), &unknownOption{kind: "federate option"})
}

func federateOptions() options[Federate] {
	return options[Federate]{
		{"issuer", func(f *Federate, r *reader) error {
			if err := r.once.Check(r.Dispenser, "write a federate for each issuer"); err != nil {
				return err
			}
			arguments := *r.Dispenser
			if args := arguments.RemainingArgs(); len(args) > 0 && args[0] == "" {
				return r.Err("the issuer is empty; write issuer https://token.actions.githubusercontent.com, or that of your platform" + setting.Unset)
			}
			h := new(Handler)
			if err := readIssuer(h, r); err != nil {
				return err
			}
			f.Issuer = h.Issuer[0]
			return nil
		}, func(f *Federate) bool { return f.Issuer != nil }},
		{"require", func(f *Federate, r *reader) error {
			h := new(Handler)
			if err := readRequire(h, r); err != nil {
				return err
			}
			f.Require = append(f.Require, h.Require...)
			return nil
		}, func(f *Federate) bool { return len(f.Require) > 0 }},
		textOption("client", "deploy", func(f *Federate) *string { return &f.Client }),
	}
}

func readIntrospect(a *AuthorizationServer, r *reader) error {
	args := r.RemainingArgs()
	if len(args) < 2 {
		return r.Err("introspect needs a client and resources; write introspect gateway https://api.example.com")
	}
	a.Introspect = append(a.Introspect, &Introspector{Client: args[0], Audience: args[1:]})
	return grammar.NoBlock(r.Dispenser, "introspect")
}

// readBlock reads a block of the options, if there is one.
func (all options[T]) readBlock(into *T, r *reader, unknown *unknownOption) error {
	for nesting := r.Nesting(); r.NextBlock(nesting); {
		if err := all.read(into, r, unknown); err != nil {
			return err
		}
	}
	return nil
}
