package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/admin"
	"github.com/caddy-jwt/caddy-jwt/internal/explain"
	"github.com/caddy-jwt/caddy-jwt/internal/replica"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
	"github.com/caddy-jwt/caddy-jwt/internal/shared"
	"github.com/caddy-jwt/caddy-jwt/revocation"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

// offlineApp is a config whose server is down, as the admin endpoint sees it: the sets are
// read from the storage once, and nothing runs in the background. It meets admin.App and
// admin.State.
type offlineApp struct {
	*stateStorage
	issuers     []string
	leeway      time.Duration
	revocations *revocation.Set // nil if it could not be opened
	stores      []*apikey.Store
	unsigned    bool             // whether sets that are not signed are opened too
	failed      map[string]error // the sets that could not be opened
}

// openOffline opens the sets of a config that are in its storage. set is the one that is
// needed; empty for any. unsigned reports whether sets that are not signed, though the config
// has a key, are opened too.
func openOffline(ctx context.Context, c *stateConfig, set string, unsigned bool) (*offlineApp, error) {
	names := c.sets()
	switch {
	case len(names) == 0:
		return nil, withHint(errors.New("the config has no shared state"), "add the line state to the block jwt of the global options")
	case set != "" && !slices.Contains(names, set):
		return nil, withHint(fmt.Errorf("the config has no store %s in the storage", apikey.Quote(storeOf(set))), "declare it in the global options: api_keys <name> { storage }")
	}
	storage, err := openStorage(ctx, c)
	if err != nil {
		return nil, err
	}
	app := &offlineApp{stateStorage: storage, unsigned: unsigned, failed: map[string]error{}}
	app.issuers, app.leeway = c.issuers()
	for _, name := range names {
		if err := app.openSet(ctx, name); err != nil {
			app.failed[name] = app.noSet(name, err)
		}
	}
	if set == "" && len(app.failed) == len(names) {
		set = names[0]
	}
	if err := app.failed[set]; err != nil {
		app.close(ctx)
		return nil, err
	}
	return app, nil
}

// openSet opens a set. It is complete if two listings agree that it is, as storages may cut
// one short.
func (a *offlineApp) openSet(ctx context.Context, name string) error {
	place, binding := a.binding(name)
	var set interface {
		Sync(context.Context) error
		Status() replica.Status
		Close(context.Context)
	}
	var keep func()
	// They are not started, so they make nothing in the storage but what is changed.
	if name == revocationsSet {
		rules := revocation.NewSet(revocation.Config{Name: place, Binding: binding})
		set, keep = rules, func() { a.revocations = rules }
	} else {
		store := apikey.NewStore(apikey.StoreConfig{Name: storeOf(name), Place: place, Binding: binding})
		set, keep = store, func() { a.stores = append(a.stores, store) }
	}
	err := complete(ctx, set.Sync, set.Status)
	if err == nil || a.unsigned && errors.Is(err, errUnsigned) {
		keep()
		return nil
	}
	set.Close(ctx)
	return err
}

// complete syncs a set until it is complete.
func complete(ctx context.Context, sync func(context.Context) error, status func() replica.Status) error {
	for range 3 {
		err := sync(ctx)
		s := status()
		switch {
		case s.Unsigned:
			return errUnsigned
		case err != nil:
			return err
		case s.Ready:
			return nil
		}
	}
	return errors.New("it could not be read completely")
}

var errUnsigned = withHint(errors.New("it was made without the key that the config has"), "caddy jwt state accept signs what is there")

// close stores what is not stored, and ends.
func (a *offlineApp) close(ctx context.Context) {
	if a.revocations != nil {
		a.revocations.Close(ctx)
	}
	for _, s := range a.stores {
		s.Close(ctx)
	}
	a.stateStorage.close()
}

// Shared implements admin.App.
func (a *offlineApp) Shared() admin.State { return a }

// Status implements admin.App. There are no issuers in use.
func (a *offlineApp) Status(time.Time) admin.Page { return admin.Page{} }

// Refresh implements admin.App.
func (a *offlineApp) Refresh(context.Context, string) (admin.IssuerStatus, error) {
	return admin.IssuerStatus{}, shared.ErrNotRemote
}

// Issuers implements admin.App.
func (a *offlineApp) Issuers() []string { return a.issuers }

// Leeway implements admin.App.
func (a *offlineApp) Leeway() time.Duration { return a.leeway }

// MaxLifetime implements admin.App: it is not known, so rules about a token have no end but
// the token's own.
func (a *offlineApp) MaxLifetime() time.Duration { return 0 }

// CachedRefused implements admin.App: there is no cache.
func (a *offlineApp) CachedRefused(*revocation.Rule, string) int { return -1 }

// ServicesOf implements admin.App.
func (a *offlineApp) ServicesOf(store string) []string {
	issuers, stores := a.config.services()
	return slices.DeleteFunc(issuers, func(issuer string) bool { return !slices.Contains(stores[issuer], store) })
}

// KeyFiles implements admin.App.
func (a *offlineApp) KeyFiles() []admin.KeyFile { return nil }

// WrittenKeys implements admin.App.
func (a *offlineApp) WrittenKeys() []*apikey.Set { return nil }

// Explain implements admin.App. `caddy jwt explain` provisions the whole config instead.
func (a *offlineApp) Explain(context.Context, *explain.Question) (explain.Report, error) {
	return explain.Report{}, errors.ErrUnsupported
}

// Audit implements admin.App. The log is the server's: what a command writes here, servers
// find in the storage, with its maker.
func (a *offlineApp) Audit() *zap.Logger { return zap.NewNop() }

// Revocations implements admin.State.
func (a *offlineApp) Revocations() admin.Revocations {
	if a.revocations == nil {
		return nil
	}
	return a.revocations
}

// Stores implements admin.State.
func (a *offlineApp) Stores() []admin.Store {
	var stores []admin.Store
	for _, s := range a.stores {
		stores = append(stores, s)
	}
	return stores
}

// SigningSets implements admin.State. Signing keys are changed by a running server.
func (a *offlineApp) SigningSets() []admin.SigningSet { return nil }

// Usage implements admin.State.
func (a *offlineApp) Usage(store string) admin.Usage {
	_, binding := a.binding("usage-" + store)
	return apikey.NewUsage(apikey.UsageConfig{Objects: binding.Objects, Keys: func() int { return 0 }})
}

// Node implements admin.State.
func (a *offlineApp) Node() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return host + "-offline"
}

// Cluster implements admin.State.
func (a *offlineApp) Cluster() string { return a.config.cluster() }

// Storage implements admin.State.
func (a *offlineApp) Storage() string { return a.place }

// Sets implements admin.State.
func (a *offlineApp) Sets(time.Time) []shared.SetStatus {
	var sets []shared.SetStatus
	if a.revocations != nil {
		sets = append(sets, shared.SetStatus{Name: revocationsSet, Status: a.revocations.Status()})
	}
	for _, s := range a.stores {
		sets = append(sets, shared.SetStatus{Name: keysSet(s.Name()), Status: s.Status()})
	}
	return sets
}

// Nodes implements admin.State.
func (a *offlineApp) Nodes(context.Context, time.Time) []string { return nil }

// Accept implements admin.State.
func (a *offlineApp) Accept(ctx context.Context) (int, error) {
	total := 0
	accept := func(of func(context.Context) (int, error)) error {
		n, err := of(ctx)
		total += n
		return err
	}
	if a.revocations != nil {
		if err := accept(a.revocations.Accept); err != nil {
			return total, err
		}
	}
	for _, s := range a.stores {
		if err := accept(s.Accept); err != nil {
			return total, err
		}
	}
	return total, nil
}

// Revoked and KeyChanged implement admin.State: nobody waits for events.
func (a *offlineApp) Revoked(revocation.Rule)               {}
func (a *offlineApp) KeyChanged(string, apikey.StoreChange) {}

// issuers returns the issuers of a config, and the largest leeway.
func (c *stateConfig) issuers() (list []string, leeway time.Duration) {
	leeway = 60 * time.Second
	add := func(i configIssuer) {
		if d := time.Duration(i.Leeway); d > leeway {
			leeway = d
		}
		iss, err := setting.Keeping(validator.TenantMark, setting.Resolve)(i.Iss)
		if err == nil && iss != "" && iss != "*" && !slices.Contains(list, iss) {
			list = append(list, iss)
		}
	}
	for _, i := range c.Apps.JWT.Issuer {
		add(i)
	}
	eachHandler(c.all, "jwt", func(handler json.RawMessage) {
		var h struct {
			Issuer []configIssuer `json:"issuer"`
		}
		if json.Unmarshal(handler, &h) == nil {
			for _, i := range h.Issuer {
				add(i)
			}
		}
	})
	slices.Sort(list)
	return list, leeway
}

// configIssuer is what is needed of an issuer of a config.
type configIssuer struct {
	Iss    string         `json:"iss"`
	Leeway caddy.Duration `json:"leeway"`
}

// services returns the issuers of the token services of a config, sorted, with the stores of
// API keys whose keys are their clients.
func (c *stateConfig) services() (issuers []string, stores map[string][]string) {
	stores = map[string][]string{}
	eachHandler(c.all, "jwt_authorization_server", func(handler json.RawMessage) {
		var h struct {
			Issuer  string `json:"issuer"`
			APIKeys []struct {
				Name string `json:"name"`
			} `json:"api_keys"`
		}
		if json.Unmarshal(handler, &h) != nil {
			return
		}
		issuer, err := setting.Resolve(h.Issuer)
		if err != nil || slices.Contains(issuers, issuer) {
			return
		}
		issuers = append(issuers, issuer)
		for _, k := range h.APIKeys {
			if k.Name != "" {
				stores[issuer] = append(stores[issuer], k.Name)
			}
		}
	})
	slices.Sort(issuers)
	return issuers, stores
}

// eachHandler visits the handlers of a config with a name, wherever they are in it.
func eachHandler(config json.RawMessage, name string, visit func(json.RawMessage)) {
	var object map[string]json.RawMessage
	var list []json.RawMessage
	switch {
	case json.Unmarshal(config, &object) == nil:
		if string(object["handler"]) == `"`+name+`"` {
			visit(config)
		}
		for _, member := range object {
			eachHandler(member, name, visit)
		}
	case json.Unmarshal(config, &list) == nil:
		for _, element := range list {
			eachHandler(element, name, visit)
		}
	}
}
