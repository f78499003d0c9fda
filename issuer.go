package caddyjwt

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/internal/issuer"
	"github.com/caddy-jwt/caddy-jwt/keystore"
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

	// The name of an issuer of the `jwt` app, instead of iss. Such an entry may also
	// have audience, typ, max_lifetime and user_claim, which replace those of the
	// named issuer; everything else is set there. Default: none.
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
	// Asks the issuer about tokens that are no JWT (RFC 7662). Only one issuer of a handler
	// may have it. Without a key source beside it, the issuer's JWTs are refused, unless its
	// jwts is set. Default: none, tokens that are no JWT are refused.
	Introspection *Introspection `json:"introspection,omitempty"`

	// The algorithms that tokens may be signed with. It replaces the default
	// for keys without an `alg` and narrows those with one. Default: the
	// `alg` of each key, else RS256 for RSA, ES256, ES384 or ES512 for EC by
	// curve, EdDSA for Ed25519, HS256 for a secret.
	Algorithms []string `json:"algorithms,omitempty"`

	// The audience: a token must be meant for one of these. `*` alone disables the
	// check. Default: the handler's.
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
	// How many keys a token without `kid` is tried with; if more fit it, it is
	// refused. 1 to 16. Default: 4.
	KidlessKeys int `json:"kidless_keys,omitempty"`
	// Tries a token with every key that fits it, within kidless_keys, whatever its
	// `kid`: for issuers whose kids are never those of their key set. Default: false.
	IgnoreKid bool `json:"ignore_kid,omitempty"`
	// How many keys a key set may have, in jwks_file too. 1 to 1000. Default: 100.
	MaxKeys int `json:"max_keys,omitempty"`
	// Accepts tokens that are bound to a key (cnf, RFC 7800) without proof
	// of that key. Default: false.
	AllowBoundTokens bool `json:"allow_bound_tokens,omitempty"`
	// The paths of the claims that name the user; the first that is a text
	// or number and not empty wins. Default: sub.
	UserClaim []string `json:"user_claim,omitempty"`
	// A prefix for the user's id, to keep the users of issuers apart. Default: none.
	UserPrefix string `json:"user_prefix,omitempty"`

	// The longest time for which fetched keys are used without fetching
	// them again; the issuer's Cache-Control or Expires may shorten it, to
	// 1m at the least. At least 1m. Default: 1h.
	RefreshInterval caddy.Duration `json:"refresh_interval,omitempty"`
	// The longest time for which fetched keys are used while fetching them again
	// fails; after that the answer is 503. Not shorter than refresh_interval.
	// Default: 24h.
	MaxStale caddy.Duration `json:"max_stale,omitempty"`
	// The path of a PEM file with certificates to trust, in addition to the system's,
	// when keys are fetched or the issuer is asked about a token. Default: none.
	CA string `json:"ca,omitempty"`
	// The path of a file with a bearer token for fetching keys, as Kubernetes
	// asks for. It is read at each fetch and never sent to another host.
	// Default: none.
	BearerTokenFile string `json:"bearer_token_file,omitempty"`
	// Allows http:// for this issuer's host. Loopback is always allowed. Default:
	// false.
	InsecureHTTP bool `json:"insecure_http,omitempty"`
}

// Secret is an HMAC secret.
type Secret struct {
	// Where the secret is: `{env.NAME}` or `{file.PATH}`. A literal secret is an
	// error, as Caddy saves and shows its config.
	Value string `json:"value"`
	// Decodes the secret from base64 or base64url. Default: false, the text's bytes
	// are the secret.
	Base64 bool `json:"base64,omitempty"`
}

// Introspection says where and how an issuer is asked about its tokens.
type Introspection struct {
	// The URL of the introspection endpoint. May hold `{env.NAME}`. Default: the
	// introspection_endpoint of the issuer's metadata.
	URL string `json:"url,omitempty"`
	// Who asks: a client that the issuer lets introspect. It may be missing only where there is
	// a url, for an endpoint that asks for no authentication, such as Hydra's on a network of
	// its own. Default: none.
	Client *IntrospectionClient `json:"client,omitempty"`
	// How long an answer that a token is active is used, but not beyond its exp: a token that
	// the issuer revokes is accepted for as long. 0 asks at each request. Default: 30s.
	Cache *caddy.Duration `json:"cache,omitempty"`
	// Asks about JWTs of this issuer too, after their own checks, at each request that the
	// cache has no answer for. Default: false.
	JWTs bool `json:"jwts,omitempty"`
	// Accepts answers that do not say what kind of token it is (by token_type, token_use,
	// token_usage or typ), as some providers give about access tokens; such a provider may say
	// the same of a refresh token. Default: false.
	Untyped bool `json:"untyped,omitempty"`
}

// IntrospectionClient is a client that asks about tokens.
type IntrospectionClient struct {
	// The client's id. May hold `{env.NAME}`.
	ID string `json:"id"`
	// Where its secret is: `{env.NAME}` or `{file.PATH}`, which is read again when it changes.
	// A literal secret is an error, as Caddy saves and shows its config.
	Secret string `json:"secret"`
}

// fromClients asks an issuer, and says which client sends the token: how many calls for unknown
// tokens there may be is limited for each network. That is found out here, for a request with
// a JWT costs nothing then.
type fromClients struct{ validator.Introspector }

// Introspect implements validator.Introspector.
func (f fromClients) Introspect(ctx context.Context, token string) (answer claims.Value, active bool, err error) {
	if client, ok := clientOf(ctx); ok {
		ctx = keystore.WithClient(ctx, client)
	}
	return f.Introspector.Introspect(ctx, token)
}

// Remembered implements validator.Rememberer.
func (f fromClients) Remembered(token string) (answer claims.Value, active, known bool) {
	if r, ok := f.Introspector.(validator.Rememberer); ok {
		return r.Remembered(token)
	}
	return claims.Value{}, false, false
}

// clientOf returns the address of the client of a request as Caddy knows it, which may be
// what a trusted proxy says.
func clientOf(ctx context.Context) (netip.Addr, bool) {
	text, _ := caddyhttp.GetVar(ctx, caddyhttp.ClientIPVarKey).(string)
	client, err := netip.ParseAddr(text)
	if err != nil {
		original, ok := ctx.Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
		if !ok {
			return client, false
		}
		at, err := netip.ParseAddrPort(original.RemoteAddr)
		return at.Addr().Unmap(), err == nil
	}
	return client.Unmap(), true
}

// settings returns the settings without types of Caddy, or nil.
func (n *Introspection) settings() *issuer.Introspection {
	if n == nil {
		return nil
	}
	s := &issuer.Introspection{URL: n.URL, Cache: (*time.Duration)(n.Cache), JWTs: n.JWTs, Untyped: n.Untyped}
	if n.Client != nil {
		s.Client = &issuer.IntrospectionClient{ID: n.Client.ID, Secret: n.Client.Secret}
	}
	return s
}

// settings returns the issuer's settings without types of Caddy.
func (i *Issuer) settings() *issuer.Settings {
	if i == nil {
		return nil
	}
	s := &issuer.Settings{
		Iss: i.Iss, Name: i.Name, Discovery: i.Discovery, JWKSURL: i.JWKSURL, JWKSFile: i.JWKSFile, PublicKey: i.PublicKey,
		Algorithms: i.Algorithms, Audience: i.Audience, AudienceClaim: i.AudienceClaim, ScopeClaim: i.ScopeClaim, Typ: i.Typ,
		Leeway: (*time.Duration)(i.Leeway), MaxLifetime: time.Duration(i.MaxLifetime), AllowNoExpiry: i.AllowNoExpiry,
		KidlessKeys: i.KidlessKeys, IgnoreKid: i.IgnoreKid, MaxKeys: i.MaxKeys,
		AllowBoundTokens: i.AllowBoundTokens, UserClaim: i.UserClaim, UserPrefix: i.UserPrefix,
		RefreshInterval: time.Duration(i.RefreshInterval), MaxStale: time.Duration(i.MaxStale),
		CA: i.CA, BearerTokenFile: i.BearerTokenFile, InsecureHTTP: i.InsecureHTTP, Introspection: i.Introspection.settings(),
	}
	if i.Secret != nil {
		s.Secret = make([]*issuer.Secret, len(i.Secret))
	}
	for n, secret := range i.Secret {
		s.Secret[n] = (*issuer.Secret)(secret)
	}
	return s
}
