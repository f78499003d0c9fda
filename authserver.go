package caddyjwt

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/internal/issuer"
	"github.com/caddy-jwt/caddy-jwt/internal/routes"
	"github.com/caddy-jwt/caddy-jwt/internal/service"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
	"github.com/caddy-jwt/caddy-jwt/tokenservice"
)

func init() {
	caddy.RegisterModule(new(AuthorizationServer))
}

// AuthorizationServer issues short-lived tokens to machines, so that a site needs no other
// identity provider: for an API key, for a client's signature, or for the token of a platform
// such as GitHub Actions. The `jwt` handlers of the same Caddy trust it without a request.
//
// It answers at the paths of the issuer's URL: `/oauth2/token`, `/oauth2/introspect`,
// `/oauth2/revoke`, `/oauth2/authorize`, `/.well-known/jwks.json` and its metadata. All other requests go on.
type AuthorizationServer struct {
	// The URL that is `iss` of the tokens, such as `https://auth.example.com`: https, or http
	// for this machine alone, without query and fragment. It may hold `{env.NAME}`.
	Issuer string `json:"issuer"`

	// API keys as clients: client_id is the key's id, client_secret the key. Default: none.
	APIKeys []*KeyClients `json:"api_keys,omitempty"`

	// API keys by their hash as clients. Default: none.
	APIKey []*KeyClient `json:"api_key,omitempty"`

	// Clients that sign (`private_key_jwt`, RFC 7523), or whom a federate names. Default:
	// none.
	Client []*ServiceClient `json:"client,omitempty"`

	// Platforms whose tokens are exchanged. Default: none.
	Federate []*Federate `json:"federate,omitempty"`

	// Clients that may ask about tokens of others. Default: none, each client about its own.
	Introspect []*Introspector `json:"introspect,omitempty"`

	// The resources that there are (RFC 8707): what `aud` of the tokens may be. The first is
	// the default.
	Audience []string `json:"audience"`

	// The scopes that there are. Default: those that the clients have.
	Scopes []string `json:"scopes,omitempty"`

	// The scopes that are granted when none is asked for, as far as the client has them, or
	// has one that implies them. Default: all that the client has itself.
	DefaultScopes []string `json:"default_scopes,omitempty"`

	// How long a token lives, from 1m to 24h. Default: 15m.
	Lifetime caddy.Duration `json:"lifetime,omitempty"`

	// How tokens are signed: ES256, EdDSA or RS256. Default: ES256.
	Algorithm string `json:"algorithm,omitempty"`

	// How long a key signs before the next one does, from 48h. Default: 720h (30 days).
	Rotate caddy.Duration `json:"rotate,omitempty"`

	app       *App
	server    *caddyhttp.Server // nil if it is not known
	site      string
	endpoint  *service.Endpoint
	published func() tokenservice.Keys // those of forwarded tokens; nil for none
	memory    *service.Memory
}

// KeyClients is a store of API keys whose keys are clients.
type KeyClients struct {
	// The path of a key file. Default: none, the store is named.
	File string `json:"file,omitempty"`
	// The name of a store that the app `jwt` declares. Default: none, the store is a file.
	Name string `json:"name,omitempty"`
	// The resources that these clients may ask for. Default: the first of the service alone.
	Audience []string `json:"audience,omitempty"`
	// Values of the keys' meta that become claims of the tokens. Default: none.
	Claim []*MetaClaim `json:"claim,omitempty"`
}

// KeyClient is an API key, by its hash, that is a client.
type KeyClient struct {
	APIKey
	// The resources that this client may ask for. Default: the first of the service alone.
	Audience []string `json:"audience,omitempty"`
	// Values of the key's meta that become claims of the tokens. Default: none.
	Claim []*MetaClaim `json:"claim,omitempty"`
}

// MetaClaim is a value of a key's meta that becomes a claim of the tokens.
type MetaClaim struct {
	// The name of the value in the key's meta.
	Meta string `json:"meta"`
	// The name of the claim. Default: that of the value.
	Name string `json:"name,omitempty"`
}

// ServiceClient is a client that signs its requests, or whom a federate names.
type ServiceClient struct {
	// The client's id: letters, digits, `.`, `_` and `-`.
	ID string `json:"id"`
	// The URL of the client's key set. Default: none.
	JWKSURL string `json:"jwks_url,omitempty"`
	// The path of the client's key set. Default: none.
	JWKSFile string `json:"jwks_file,omitempty"`
	// The client's public keys: paths of PEM files, or PEM. Default: none.
	PublicKey []string `json:"public_key,omitempty"`
	// What the client may do. Default: no scope.
	Scopes []string `json:"scopes,omitempty"`
	// The resources that the client may ask for. Default: the first of the service alone.
	Audience []string `json:"audience,omitempty"`
	// Further claims of its tokens. Default: none.
	Claim []*FixedClaim `json:"claim,omitempty"`
	// What the audience of an assertion may be besides the issuer: `token_endpoint` for
	// clients that can't do otherwise. Default: the issuer alone.
	AssertionAudience string `json:"assertion_audience,omitempty"`
}

// FixedClaim is a claim with a fixed text.
type FixedClaim struct {
	// The name of the claim.
	Name string `json:"name"`
	// Its value.
	Value string `json:"value"`
}

// Federate is a platform whose tokens are exchanged for tokens of a client (RFC 7523 section
// 2.1), so that its jobs need no secret.
type Federate struct {
	// The name of the federate in logs and metrics.
	Name string `json:"name"`
	// The issuer of the platform's tokens. Its audience is the issuer of this service.
	Issuer *Issuer `json:"issuer"`
	// Which of the platform's tokens are accepted, all of them together. At least one is a
	// claim that says who.
	Require []*Requirement `json:"require"`
	// The client whose scopes, audience and claims the token has.
	Client string `json:"client"`
}

// Introspector is a client that may ask about tokens for some resources.
type Introspector struct {
	// The client's id.
	Client string `json:"client"`
	// The resources.
	Audience []string `json:"audience"`
}

// CaddyModule returns the module's information.
func (*AuthorizationServer) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.jwt_authorization_server",
		New: func() caddy.Module { return new(AuthorizationServer) },
	}
}

// Provision sets up the service. It reads the files that the config names, and nothing
// else: signing keys are loaded when the config starts.
func (a *AuthorizationServer) Provision(ctx caddy.Context) error {
	app, err := ctx.App("jwt")
	if err != nil {
		return err
	}
	a.app = app.(*App)
	if err := a.provision(ctx, ctx.Logger()); err != nil {
		return routes.SiteError(ctx, fmt.Errorf("authorization_server: %w", err))
	}
	return nil
}

func (a *AuthorizationServer) provision(ctx caddy.Context, logger *zap.Logger) error {
	checked, err := a.check(a.app, setting.Resolve)
	if err != nil {
		return err
	}
	if err := a.app.needState(ctx); err != nil {
		return err
	}
	site := routes.NameOfSite(ctx)
	a.server, _ = ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	a.site, a.published = site, a.app.sources.Services().Published(checked.Issuer())
	if a.endpoint = a.app.sameService(a); a.endpoint != nil {
		return nil
	}
	for _, w := range checked.Warnings {
		a.app.warnings.add(site, w)
	}
	count := a.app.counts().Service(checked.Issuer())
	parts := service.Parts{
		Sources: a.app.sources, Logger: logger, Leeway: a.app.Leeway, Implied: a.app.implied,
		Observe: service.Observer(logger, checked.Issuer(), func(_ string, e tokenservice.Event) { count(e) }),
	}
	for _, k := range a.APIKeys {
		keys, err := a.app.provisionKeys(nil, []*APIKeySource{{File: k.File, Name: k.Name}}, site)
		if err != nil {
			return err
		}
		parts.APIKeys, parts.StoreNames = append(parts.APIKeys, keys), append(parts.StoreNames, or(k.Name, k.File))
	}
	for _, k := range a.APIKey {
		keys, err := a.app.provisionKeys([]*APIKey{&k.APIKey}, nil, site)
		if err != nil {
			return err
		}
		parts.APIKey = append(parts.APIKey, keys)
	}
	built, memory, err := checked.Build(ctx, parts)
	if err != nil {
		return err
	}
	a.memory, a.endpoint = memory, service.NewEndpoint(checked.Issuer(), built)
	a.app.services = append(a.app.services, a)
	return nil
}

// sameService returns the endpoint of a service with the very same settings, or nil: a site
// of several addresses is in several servers, and has one service.
func (a *App) sameService(s *AuthorizationServer) *service.Endpoint {
	for _, other := range a.services {
		if reflect.DeepEqual(s.settings(), other.settings()) {
			return other.endpoint
		}
	}
	return nil
}

// warnUnreached warns of endpoints that no request comes to, as in handle.
func (a *AuthorizationServer) warnUnreached() {
	if a.server == nil {
		return
	}
	paths := a.endpoint.Unreached(a.published() != nil, func(r *http.Request) bool { return routes.Reaches(a.server, r, a) })
	if len(paths) > 0 {
		a.app.warnings.add(a.site, "authorization_server: no request for "+a.endpoint.Host()+" comes to it at "+strings.Join(paths, ", ")+"; put it at the site of that host itself, outside of handle, handle_path and route")
	}
}

// check checks all settings, those of API keys included, without reading a file.
func (a *AuthorizationServer) check(app *App, resolve setting.Resolver) (*service.Checked, error) {
	var keys []*APIKey
	for _, k := range a.APIKey {
		if k == nil {
			keys = append(keys, nil)
			continue
		}
		keys = append(keys, &k.APIKey)
	}
	if good, err := writtenKeys(keys, digestShape); err != nil {
		return nil, service.InEntry("api_key", len(good), err)
	}
	var stores []*APIKeySource
	for n, k := range a.APIKeys {
		if k == nil {
			stores = append(stores, nil)
		} else {
			stores = append(stores, &APIKeySource{File: k.File, Name: k.Name})
		}
		if _, _, err := keyFiles(stores, app.APIKeys); err != nil {
			return nil, service.InEntry("api_keys", n, err)
		}
	}
	return a.settings().Check(resolve, func(name string) *issuer.Settings { return app.Issuer[name].settings() })
}

// settings returns the settings without types of Caddy.
func (a *AuthorizationServer) settings() *service.Settings {
	s := &service.Settings{
		Issuer: a.Issuer, Audience: a.Audience, Scopes: a.Scopes, DefaultScopes: a.DefaultScopes,
		Lifetime: time.Duration(a.Lifetime), Rotate: time.Duration(a.Rotate), Algorithm: a.Algorithm,
	}
	for _, k := range a.APIKeys {
		if k == nil {
			s.APIKeys = append(s.APIKeys, nil)
			continue
		}
		s.APIKeys = append(s.APIKeys, &service.KeyStore{Place: or(k.Name, k.File), Audience: k.Audience, Claim: metaClaims(k.Claim)})
	}
	for _, k := range a.APIKey {
		if k == nil {
			s.APIKey = append(s.APIKey, nil)
			continue
		}
		s.APIKey = append(s.APIKey, &service.Key{ID: k.ID, Scopes: k.Scopes, Audience: k.Audience, Claim: metaClaims(k.Claim)})
	}
	for _, c := range a.Client {
		s.Client = append(s.Client, c.settings())
	}
	for _, f := range a.Federate {
		if f == nil {
			s.Federate = append(s.Federate, nil)
			continue
		}
		s.Federate = append(s.Federate, &service.Federate{Name: f.Name, Client: f.Client, Issuer: f.Issuer.settings(), Require: requirements(f.Require)})
	}
	for _, i := range a.Introspect {
		s.Introspect = append(s.Introspect, (*service.Introspector)(i))
	}
	return s
}

func (c *ServiceClient) settings() *service.Client {
	if c == nil {
		return nil
	}
	s := &service.Client{
		ID: c.ID, JWKSURL: c.JWKSURL, JWKSFile: c.JWKSFile, PublicKey: c.PublicKey, Scopes: c.Scopes, Audience: c.Audience,
		AssertionAudience: c.AssertionAudience,
	}
	for _, f := range c.Claim {
		s.Claim = append(s.Claim, (*service.FixedClaim)(f))
	}
	return s
}

func metaClaims(list []*MetaClaim) []*service.MetaClaim {
	out := make([]*service.MetaClaim, len(list))
	for i, c := range list {
		out[i] = (*service.MetaClaim)(c)
	}
	return out
}

// Cleanup gives back what the service remembers. Caddy also calls it after a failed
// Provision.
func (a *AuthorizationServer) Cleanup() error {
	a.memory.Release()
	return nil
}

// ServeHTTP answers requests for the endpoints and passes all others on.
func (a *AuthorizationServer) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	path, ours := a.endpoint.Path(r)
	if !ours {
		return next.ServeHTTP(w, r)
	}
	// The server may be asked before the app has started, or failed to.
	if err := a.app.sources.Services().Settle(); err != nil {
		return caddyhttp.Error(http.StatusServiceUnavailable, err)
	}
	if !a.endpoint.Serve(w, r, path) {
		return next.ServeHTTP(w, r)
	}
	return nil
}

// Answers reports whether it answers a request, as far as its path tells.
func (a *AuthorizationServer) Answers(r *http.Request) bool {
	_, ours := a.endpoint.Path(r)
	return ours
}

var (
	_ caddy.Provisioner           = (*AuthorizationServer)(nil)
	_ caddy.CleanerUpper          = (*AuthorizationServer)(nil)
	_ caddyhttp.MiddlewareHandler = (*AuthorizationServer)(nil)
	_ caddyfile.Unmarshaler       = (*AuthorizationServer)(nil)
)
