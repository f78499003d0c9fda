package caddyjwt

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/keystore"
)

func init() {
	caddy.RegisterModule(new(App))
}

// App holds what the `jwt` handlers of all sites share: issuers and stores of
// API keys that have a name, and the keys of all of them, one set for each
// distinct source however many sites use it. It is there without being
// configured.
type App struct {
	// Issuers that sites refer to by name. A name consists of letters,
	// digits, `_` and `-`. Default: none.
	Issuer map[string]*Issuer `json:"issuer,omitempty"`

	// Stores of API keys that sites refer to by name. Default: none.
	APIKeys map[string]*APIKeyStore `json:"api_keys,omitempty"`

	// How much memory verified tokens may take, so that a token that is sent
	// again need not be verified again: a size such as `64MiB`, or `off`.
	// Default: 64MiB.
	Cache string `json:"cache,omitempty"`

	ctx    caddy.Context
	logger *zap.Logger
	events *caddyevents.App
	store  keyStore

	cache     uint64       // 0 for none
	unsweep   func()       // ends the sweeping of the cache
	reporting atomic.Int64 // handlers in report mode

	mu       sync.Mutex
	sources  map[string]*usedSource    // by id
	keyFiles map[string]*pooledKeyFile // by path
	takes    []func()                  // take over what was read of key files anew
	guards   map[*caddyhttp.Server]*errorGuard
	started  bool
	cleaned  bool
}

// usedSource is a key source of this config.
type usedSource struct {
	id      string
	kind    string   // remote, file or config
	issuers []string // the iss of all that use it
	source  keySource
}

// CaddyModule returns the module's information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "jwt",
		New: func() caddy.Module { return new(App) },
	}
}

// Provision makes the app ready. Nothing is fetched.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx, a.logger = ctx, ctx.Logger()
	a.store = keyStore{storage: ctx.Storage(), logger: a.logger}
	// Cache plugins sort themselves in front of jwt, where they would give one
	// user's answer to everybody.
	if _, err := caddy.GetModule("http.handlers.cache"); err == nil {
		a.logger.Warn("a cache plugin is built in; where it is used it must stand behind jwt, in a route block, with the user in its key: docs/guides/caching.md says how")
	}
	events, err := ctx.App("events")
	if err != nil {
		return fmt.Errorf("jwt: loading the events app: %w", err)
	}
	a.events = events.(*caddyevents.App)
	if registry := ctx.GetMetricsRegistry(); registry != nil {
		if err := registry.Register(keyMetrics{a}); err != nil {
			return fmt.Errorf("jwt: registering metrics: %w", err)
		}
		if err := theRequestMetrics.register(registry); err != nil {
			return fmt.Errorf("jwt: registering metrics: %w", err)
		}
	}
	return a.check(resolve)
}

// check checks the named issuers. Their keys are looked at where a site uses
// them.
func (a *App) check(resolve resolver) (err error) {
	if a.cache, err = cacheSize(a.Cache); err != nil {
		return fmt.Errorf("jwt: %w", err)
	}
	for name, i := range a.Issuer {
		if !isName(name) {
			return fmt.Errorf("jwt: %q is no name of an issuer; use letters, digits, _ and -", name)
		}
		if i == nil {
			return fmt.Errorf("jwt: issuer %s is null; write an object with iss", name)
		}
		if i.Name != "" {
			return fmt.Errorf("jwt: issuer %s refers to another by name; write its iss", name)
		}
		if _, err := i.policy(resolve); err != nil {
			return fmt.Errorf("jwt: issuer %s: %w", name, err)
		}
	}
	for name, store := range a.APIKeys {
		if !isName(name) {
			return fmt.Errorf("jwt: %q is no name of a store of API keys; use letters, digits, _ and -", name)
		}
		if store == nil || store.File == "" {
			return fmt.Errorf("jwt: api_keys %s has no place for its keys; write file /etc/caddy/keys.jsonl", name)
		}
		if err := checkPath(store.File); err != nil {
			return fmt.Errorf("jwt: api_keys %s: %w", name, err)
		}
	}
	return nil
}

// Start begins to fetch keys and to look for changes of files.
func (a *App) Start() error {
	theTokenCache.resize(a.cache)
	a.unsweep = theTokenCache.sweeper()
	a.mu.Lock()
	a.started = true
	for _, s := range a.sources {
		s.source.Start()
	}
	for _, take := range a.takes {
		take()
	}
	a.takes = nil
	for _, f := range a.keyFiles {
		f.Start()
	}
	a.mu.Unlock()
	running.add(a)
	return nil
}

// Stop takes the app out of the admin endpoint. Sources that another config
// uses go on; the others end with Cleanup.
func (a *App) Stop() error {
	running.remove(a)
	if a.unsweep != nil {
		a.unsweep()
		a.unsweep = nil
	}
	return nil
}

// Cleanup gives the sources back. Requests in flight keep the keys they have.
// Caddy calls it after a failed Provision too: what was not taken is not given
// back.
func (a *App) Cleanup() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cleaned {
		return nil
	}
	// The list stays for an operator who asked just before.
	a.cleaned = true
	a.takes = nil
	var errs []error
	for _, s := range a.sources {
		if r, ok := s.source.(*remoteSource); ok {
			errs = append(errs, r.release(a))
		} else {
			s.source.Close()
		}
	}
	for _, f := range a.keyFiles {
		errs = append(errs, f.release(a))
	}
	return errors.Join(errs...)
}

// remote returns the source with these settings for an issuer.
func (a *App) remote(iss string, s sourceSettings) (*remoteSource, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	id := s.id()
	if used, ok := a.sources[id]; ok {
		used.add(iss)
		return used.source.(*remoteSource), nil
	}
	store := a.store
	store.logger = a.logger.With(zap.String("issuer", iss), zap.String("id", id))
	r, err := acquireRemote(s, binding{owner: a, observe: func(e keystore.Event) { a.observe(id, e) }, store: store})
	if err != nil {
		return nil, err
	}
	a.use(&usedSource{id: id, kind: "remote", issuers: []string{iss}, source: r})
	return r, nil
}

// local puts a source of this machine under the app's care. what names it.
func (a *App) local(iss, kind, what string, s keySource) {
	sum := sha256.Sum256([]byte(kind + "\x00" + iss + "\x00" + what))
	id := hex.EncodeToString(sum[:8])
	a.mu.Lock()
	defer a.mu.Unlock()
	for n := 1; a.sources[id] != nil; n++ { // the same at two sites
		id = fmt.Sprintf("%s-%d", hex.EncodeToString(sum[:8]), n+1)
	}
	if f, ok := s.(*keystore.File); ok {
		f.Observe(func(e keystore.Event) { a.observe(id, e) })
	}
	a.use(&usedSource{id: id, kind: kind, issuers: []string{iss}, source: s})
}

// use notes a source. Call with the lock.
func (a *App) use(s *usedSource) {
	if a.sources == nil {
		a.sources = map[string]*usedSource{}
	}
	a.sources[s.id] = s
	if a.started {
		s.source.Start()
	}
}

func (s *usedSource) add(iss string) {
	if !slices.Contains(s.issuers, iss) {
		s.issuers = append(s.issuers, iss)
	}
}

// list returns the sources in a stable order.
func (a *App) list() []usedSource {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := make([]usedSource, 0, len(a.sources))
	for _, s := range a.sources {
		c := *s
		c.issuers = slices.Sorted(slices.Values(s.issuers))
		list = append(list, c)
	}
	slices.SortFunc(list, func(x, y usedSource) int {
		return cmp.Or(cmp.Compare(x.issuers[0], y.issuers[0]), cmp.Compare(x.id, y.id))
	})
	return list
}

// ended tells whether the config is gone.
func (a *App) ended() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.cleaned
}

// find returns the source with an id.
func (a *App) find(id string) (usedSource, bool) {
	for _, s := range a.list() {
		if s.id == id {
			return s, true
		}
	}
	return usedSource{}, false
}

// refresh fetches the keys of a remote source now.
func (s usedSource) refresh(ctx context.Context) error {
	r, ok := s.source.(*remoteSource)
	if !ok {
		return errNotRemote
	}
	return r.Refresh(ctx)
}

var errNotRemote = errors.New("its keys come from this machine and are not fetched; a changed file is taken over by itself")

// observe tells the log and Caddy's events of a change of a source's state.
// Nothing of it is caused by a request alone, so nobody floods either from
// outside.
func (a *App) observe(id string, e keystore.Event) {
	a.mu.Lock()
	used, ok := a.sources[id]
	issuer := ""
	if ok {
		issuer = strings.Join(used.issuers, " ")
	}
	a.mu.Unlock()
	logEvent(a.logger.With(zap.String("issuer", issuer), zap.String("id", id)), e)
	name := map[keystore.EventKind]string{
		keystore.KeysChanged: "key_set_changed", keystore.SourceFailing: "key_source_failing",
	}[e.Kind]
	if name == "" || a.events == nil || !a.events.ShouldEmit(name) {
		return
	}
	data := map[string]any{"issuer": issuer, "id": id, "source": e.Source, "keys": e.Keys}
	if e.Kind == keystore.KeysChanged {
		data["added"], data["removed"] = e.Added, e.Removed
	} else if e.Err != nil {
		data["error"] = e.Err.Error()
	}
	a.events.Emit(a.ctx, name, data)
}

// isName tells an issuer's name from an iss.
func isName(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return s != ""
}

// isHost tells whether s looks like a host's name: names with dots between.
func isHost(s string) bool {
	labels := strings.Split(s, ".")
	return len(labels) > 1 && !slices.ContainsFunc(labels, func(l string) bool { return !isName(l) })
}

var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
