package caddyjwt

import (
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/admin"
	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/internal/command"
	"github.com/caddy-jwt/caddy-jwt/internal/revoked"
	"github.com/caddy-jwt/caddy-jwt/revocation"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

func init() {
	caddy.RegisterModule(adminAPI{})
	caddycmd.RegisterCommand(command.New(explainOffline))
}

// adminAPI serves /jwt/ on Caddy's admin endpoint, which has access control of its
// own.
type adminAPI struct{}

// CaddyModule returns the module's information.
func (adminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.jwt",
		New: func() caddy.Module { return new(adminAPI) },
	}
}

// Routes implements caddy.AdminRouter.
func (adminAPI) Routes() []caddy.AdminRoute {
	return admin.Routes()
}

var _ caddy.AdminRouter = adminAPI{}

// accepted is what the handlers of a config accept, for the admin endpoint. Handlers are
// added while the config is provisioned.
type accepted struct {
	mu       sync.Mutex
	issuers  []string // each once; "" for a policy that accepts any
	leeway   time.Duration
	lifetime time.Duration
	endless  bool // whether there is an issuer whose tokens may live for ever
	keys     []*apikey.Lookup
	sites    []string // the names of those where a handler authenticates, each once
}

func (a *accepted) addSite(name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if name != "" && !slices.Contains(a.sites, name) {
		a.sites = append(a.sites, name)
	}
}

func (a *accepted) siteNames() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Sorted(slices.Values(a.sites))
}

func (a *accepted) addPolicies(policies []validator.Policy) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range policies {
		p := &policies[i]
		if !slices.Contains(a.issuers, p.Issuer) {
			a.issuers = append(a.issuers, p.Issuer)
		}
		a.leeway = max(a.leeway, p.Leeway)
		a.lifetime = max(a.lifetime, p.MaxLifetime)
		a.endless = a.endless || p.MaxLifetime == 0 || p.AllowNoExpiry
	}
}

func (a *accepted) addKeys(keys *apikey.Lookup) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keys = append(a.keys, keys)
}

// knowsKey reports whether a handler has an API key with this text, valid or not.
func (a *accepted) knowsKey(text string) bool {
	a.mu.Lock()
	keys := slices.Clone(a.keys)
	a.mu.Unlock()
	return slices.ContainsFunc(keys, func(l *apikey.Lookup) bool { return l.Has(text) })
}

// Shared implements admin.App, as the methods below do.
func (a *App) Shared() admin.State { return admin.StateOf(a.state) }

// Issuers returns the "iss" of all issuers of the sites, sorted.
func (a *App) Issuers() []string {
	a.accepted.mu.Lock()
	defer a.accepted.mu.Unlock()
	return slices.Sorted(slices.Values(a.accepted.issuers))
}

// Leeway returns the largest leeway of the issuers.
func (a *App) Leeway() time.Duration {
	a.accepted.mu.Lock()
	defer a.accepted.mu.Unlock()
	return a.accepted.leeway
}

// MaxLifetime returns the largest lifetime of tokens, 0 for no limit.
func (a *App) MaxLifetime() time.Duration {
	a.accepted.mu.Lock()
	defer a.accepted.mu.Unlock()
	if a.accepted.endless {
		return 0
	}
	return a.accepted.lifetime
}

// CachedRefused returns how many tokens in the cache a rule refuses. Opaque tokens are in none:
// where the rule may be about one, none is not a sign of a mistake.
func (a *App) CachedRefused(rule *revocation.Rule, token string) int {
	n := revoked.Cached(rule, token, clock.System().Now())
	for _, i := range a.sources.Introspections() {
		if n == 0 && rule.Kind != revocation.KindKid && (rule.Issuer == "" || slices.Contains(i.Issuers, rule.Issuer)) {
			return -1
		}
	}
	return n
}

// clientsOf returns the clients of the token service with an issuer, or nil. It is asked for
// each token.
func (a *App) clientsOf(issuer string) revoked.Clients {
	if s := a.sources.Services().Find(issuer); s != nil {
		return s
	}
	return nil
}

// ServicesOf returns the issuers of the token services of which a store's keys are clients.
func (a *App) ServicesOf(store string) []string { return a.sources.Services().OfStore(store) }

// KeyFiles returns the files of API keys.
func (a *App) KeyFiles() []admin.KeyFile { return admin.KeyFilesOf(a.sources, a.storeNames) }

// WrittenKeys returns the API keys that are written in the config, those in files of their
// own included.
func (a *App) WrittenKeys() []*apikey.Set {
	a.accepted.mu.Lock()
	defer a.accepted.mu.Unlock()
	var sets []*apikey.Set
	for _, keys := range a.accepted.keys {
		if keys.Written != nil {
			sets = append(sets, keys.Written)
		}
		if keys.Placed != nil {
			sets = append(sets, keys.Placed.Set())
		}
	}
	return sets
}

// Audit returns the logger of the audit log.
func (a *App) Audit() *zap.Logger { return a.audit }
