package caddyjwt

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/dustin/go-humanize"
	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/internal/admin"
	"github.com/caddy-jwt/caddy-jwt/internal/forwardjwt"
	"github.com/caddy-jwt/caddy-jwt/internal/metrics"
	"github.com/caddy-jwt/caddy-jwt/internal/rule"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
	"github.com/caddy-jwt/caddy-jwt/internal/shared"
	"github.com/caddy-jwt/caddy-jwt/internal/tokencache"
)

func init() {
	caddy.RegisterModule(new(App))
}

// App holds what the `jwt` handlers of all sites share: named issuers, named stores
// of API keys, and the keys of all of them, one set for each distinct source,
// however many sites use it. It exists without being configured.
type App struct {
	// Issuers that sites refer to by name. A name consists of letters,
	// digits, `_` and `-`. Default: none.
	Issuer map[string]*Issuer `json:"issuer,omitempty"`

	// Stores of API keys that sites refer to by name. Default: none.
	APIKeys map[string]*APIKeyStore `json:"api_keys,omitempty"`

	// Revocations and stored API keys, which all nodes of a cluster share. Default: none,
	// unless a store of API keys is in the storage.
	State *SharedState `json:"state,omitempty"`

	// What broad scopes imply, for all sites and for token services: each scope with those
	// that anyone who has it has too, and in turn what these imply. Sites may add to it.
	// Default: none.
	ScopeImplies map[string][]string `json:"scope_implies,omitempty"`

	// The size of the cache of verified tokens, which saves verifying a token again
	// when it is sent again: a size such as `64MiB`, or `off`. Default: 64MiB.
	Cache string `json:"cache,omitempty"`

	// What is counted. Default: requests by site, issuer and result.
	Metrics Metrics `json:"metrics,omitzero"`

	logger  *zap.Logger
	audit   *zap.Logger
	sources *shared.Sources
	state   *shared.State // nil for none

	servers   map[string]*caddyhttp.Server // of the app http; set by the start
	ctx       caddy.Context
	requests  *metrics.Requests // of a config that is only looked at
	cache     uint64            // 0 for none
	implied   *claims.Implications
	stopSweep func()       // stops sweeping the cache
	reporting atomic.Int64 // the number of handlers in report mode
	guards    errorGuards
	warnings  siteWarnings
	accepted  accepted
	services  []*AuthorizationServer // in the order of provisioning
	metadata  []*ResourceMetadata
}

// Metrics says what is counted.
type Metrics struct {
	// Counts the requests of each consumer of API keys apart, in the label `consumer`;
	// after 10,000 series of consumers all further ones are counted as `other`. The
	// names are then visible at Caddy's metrics. Default: false.
	PerConsumer bool `json:"per_consumer,omitempty"`
}

// CaddyModule returns the module's information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "jwt",
		New: func() caddy.Module { return new(App) },
	}
}

// Provision sets up the app. It fetches nothing.
func (a *App) Provision(ctx caddy.Context) error {
	a.logger = ctx.Logger()
	events, err := ctx.App("events")
	if err != nil {
		return fmt.Errorf("jwt: loading the events app: %w", err)
	}
	a.audit = a.logger.Named("audit")
	a.ctx = ctx
	a.sources = shared.New(a.logger, ctx.Storage(), emitter(ctx, events.(*caddyevents.App)))
	if a.sources.Looking() {
		a.requests = metrics.NewRequests()
	}
	if registry := ctx.GetMetricsRegistry(); registry != nil {
		if err := registry.Register(metrics.NewSources(a.sources, &a.reporting)); err != nil {
			return fmt.Errorf("jwt: registering metrics: %w", err)
		}
		if err := a.counts().Register(registry); err != nil {
			return fmt.Errorf("jwt: registering metrics: %w", err)
		}
	}
	if err := a.check(setting.Resolve); err != nil {
		return err
	}
	if a.sources.Looking() {
		a.cache = 0
	}
	return a.provisionState(ctx)
}

// check checks the named issuers and stores. Keys are checked where a site uses
// them.
func (a *App) check(resolve setting.Resolver) (err error) {
	if a.cache, err = cacheSize(a.Cache); err != nil {
		return fmt.Errorf("jwt: %w", err)
	}
	if a.implied, err = rule.Implied(a.ScopeImplies, nil); err != nil {
		return fmt.Errorf("jwt: %w", err)
	}
	for name, i := range a.Issuer {
		if !setting.IsName(name) {
			return fmt.Errorf("jwt: %q is not a valid issuer name; use letters, digits, _ and -", name)
		}
		if i == nil {
			return fmt.Errorf("jwt: issuer %s is null; write an object with iss", name)
		}
		if i.Name != "" {
			return fmt.Errorf("jwt: issuer %s refers to another by name; write its iss", name)
		}
		if _, err := i.settings().Policy(resolve); err != nil {
			return fmt.Errorf("jwt: issuer %s: %w", name, err)
		}
	}
	for name, store := range a.APIKeys {
		if !setting.IsName(name) {
			return fmt.Errorf("jwt: %q is not a valid store name; use letters, digits, _ and -", name)
		}
		if err := store.check(name); err != nil {
			return fmt.Errorf("jwt: api_keys %s: %w", name, err)
		}
	}
	if a.State != nil {
		if err := a.State.check(); err != nil {
			return fmt.Errorf("jwt: state: %w", err)
		}
	}
	return nil
}

// counts are where requests are counted: for a config that is only looked at, nowhere else.
func (a *App) counts() *metrics.Requests { return or(a.requests, metrics.Process) }

// emitter returns a function that emits Caddy events if there is a subscriber.
func emitter(ctx caddy.Context, events *caddyevents.App) func(name string, data func() map[string]any) {
	return func(name string, data func() map[string]any) {
		if events.ShouldEmit(name) {
			events.Emit(ctx, name, data())
		}
	}
}

// Start starts fetching keys and watching files.
func (a *App) Start() error {
	if err := a.sources.Services().Settle(); err != nil {
		return err
	}
	tokencache.Process.Resize(a.cache)
	forwardjwt.Process.Resize(a.cache / forwardedShare)
	a.stopSweep = tokencache.Process.Sweeper(forwardjwt.Process.Sweep)
	for _, s := range a.services {
		s.warnUnreached()
	}
	a.warnUnserved()
	for _, w := range a.sources.Services().Warnings() {
		a.warnings.add(w.Site, w.Text)
	}
	a.warnings.log(a.logger)
	for _, g := range a.guards.all() {
		if err := g.review(a.logger); err != nil {
			return err
		}
	}
	if http, err := a.ctx.AppIfConfigured("http"); err == nil {
		a.servers = http.(*caddyhttp.App).Servers
	}
	a.sources.Start()
	// Requests that are served without state now are served until it is loaded.
	a.sources.StartState(admin.Running.Stateless())
	admin.Running.Add(a)
	return nil
}

// Stop removes the app from the admin endpoint, and waits for keys that are being stored,
// while the storage is still there. The sources are released by Cleanup, as another
// config may use them.
func (a *App) Stop() error {
	replaced := admin.Running.Replaced(a)
	admin.Running.Remove(a)
	a.sources.Settle()
	a.sources.StopState(replaced)
	if a.stopSweep != nil {
		a.stopSweep()
		a.stopSweep = nil
	}
	return nil
}

// Status returns the state of the config's issuers and key files.
func (a *App) Status(now time.Time) admin.Page {
	page := admin.PageOf(a.sources, a.storeNames, now)
	page.Sites = a.accepted.siteNames()
	return page
}

// Refresh fetches the keys of an issuer immediately.
func (a *App) Refresh(ctx context.Context, id string) (admin.IssuerStatus, error) {
	return admin.RefreshIn(ctx, a.sources, id)
}

// storeNames returns the names of the stores in a file.
func (a *App) storeNames(path string) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(a.APIKeys)) {
		if full, err := filepath.Abs(a.APIKeys[name].File); err == nil && full == path {
			names = append(names, name)
		}
	}
	return names
}

// storeNamesByPath returns the names of the stores in files, by the full path. Of several
// names of one file it is the first.
func (a *App) storeNamesByPath() map[string]string {
	names := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(a.APIKeys)) {
		full, err := filepath.Abs(a.APIKeys[name].File)
		if _, taken := names[full]; err == nil && a.APIKeys[name].File != "" && !taken {
			names[full] = name
		}
	}
	return names
}

// Cleanup releases the sources. Requests in flight keep the keys they have. Caddy
// also calls it after a failed Provision, when there may be no sources yet.
func (a *App) Cleanup() error {
	if a.sources == nil {
		return nil
	}
	return a.sources.Close()
}

var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)

// forwardedShare is the share of the cache's size that tokens for upstreams may take
// besides: they are smaller than those that they are made for.
const forwardedShare = 2

// The bounds of the cache's size. A smaller cache would be useless.
const (
	minCache = 1 << 20
	maxCache = 64 << 30
	cacheOff = "off"
)

// cacheSize parses the size of the cache; 0 means no cache.
func cacheSize(written string) (uint64, error) {
	switch written {
	case "":
		return tokencache.DefaultSize, nil
	case cacheOff:
		return 0, nil
	}
	size, err := humanize.ParseBytes(written)
	if err != nil || size < minCache || size > maxCache || strings.ContainsAny(written, " \t") {
		return 0, setting.InOption("cache", "%q is not a valid cache size; write one from 1MiB to 64GiB, such as 64MiB, or off", written)
	}
	return size, nil
}
