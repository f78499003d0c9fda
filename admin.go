package caddyjwt

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/keystore"
)

func init() {
	caddy.RegisterModule(adminAPI{})
}

// runningApps are the apps that have started and not stopped, the newest last.
// During a reload there are two; if the newer one fails, the older is in force
// again. The admin endpoint reads them here, as asking Caddy for its app races
// with the loading of configs.
type runningApps struct {
	mu   sync.Mutex
	list []*App
}

var running runningApps

func (r *runningApps) add(a *App) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, a)
}

func (r *runningApps) remove(a *App) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = slices.DeleteFunc(r.list, func(b *App) bool { return a == b })
}

// current returns the app in force, or nil.
func (r *runningApps) current() *App {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.list) == 0 {
		return nil
	}
	return r.list[len(r.list)-1]
}

// adminAPI serves /jwt/ on Caddy's admin endpoint, which is for operators
// alone and guards itself.
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
	return []caddy.AdminRoute{
		{Pattern: "/jwt/status", Handler: caddy.AdminHandlerFunc(adminStatus)},
		{Pattern: "/jwt/issuers/", Handler: caddy.AdminHandlerFunc(adminRefresh)},
	}
}

// statusPage is the answer of GET /jwt/status.
type statusPage struct {
	Issuers []issuerStatus `json:"issuers"`
	APIKeys []apiKeyStatus `json:"api_keys"`
}

// apiKeyStatus is the state of one file of API keys.
type apiKeyStatus struct {
	// Names are the names that the app gives to the file.
	Names []string `json:"names,omitempty"`
	apikey.Status
}

// issuerStatus is the state of one source of keys.
type issuerStatus struct {
	// ID names the source in POST /jwt/issuers/{id}/refresh.
	ID string `json:"id"`
	// Issuers are the iss values whose keys it holds.
	Issuers []string `json:"issuers"`
	// Kind is remote, file or config.
	Kind string `json:"kind"`
	// AgeSeconds is how long ago the keys were fetched, or found unchanged.
	AgeSeconds float64 `json:"age_seconds,omitempty"`
	keystore.Status
}

func (a *App) status(now time.Time) statusPage {
	page := statusPage{Issuers: []issuerStatus{}, APIKeys: []apiKeyStatus{}}
	for _, used := range a.list() {
		page.Issuers = append(page.Issuers, used.status(now))
	}
	for _, f := range a.keyFileList() {
		page.APIKeys = append(page.APIKeys, apiKeyStatus{a.namesOf(f.path), f.Status()})
	}
	return page
}

// namesOf are the names of the stores in a file.
func (a *App) namesOf(path string) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(a.APIKeys)) {
		if full, err := filepath.Abs(a.APIKeys[name].File); err == nil && full == path {
			names = append(names, name)
		}
	}
	return names
}

func (s usedSource) status(now time.Time) issuerStatus {
	status := issuerStatus{ID: s.id, Issuers: s.issuers, Kind: s.kind, Status: s.source.Status()}
	if !status.FetchedAt.IsZero() && s.kind != "config" {
		status.AgeSeconds = now.Sub(status.FetchedAt).Round(time.Millisecond).Seconds()
	}
	return status
}

func adminStatus(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return methodNotAllowed(w, "GET")
	}
	a := running.current()
	if a == nil {
		return errNotRunning
	}
	return writeJSON(w, a.status(time.Now()))
}

// adminRefresh serves POST /jwt/issuers/{id}/refresh.
func adminRefresh(w http.ResponseWriter, r *http.Request) error {
	id, ok := strings.CutPrefix(r.URL.Path, "/jwt/issuers/")
	if ok {
		id, ok = strings.CutSuffix(id, "/refresh")
	}
	if !ok || id == "" || strings.Contains(id, "/") {
		return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: errors.New("there is POST /jwt/issuers/{id}/refresh; GET /jwt/status lists the ids")}
	}
	if r.Method != http.MethodPost {
		return methodNotAllowed(w, "POST")
	}
	a := running.current()
	if a == nil {
		return errNotRunning
	}
	source, ok := a.find(id)
	if !ok {
		return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: errors.New("there is no issuer with this id; GET /jwt/status lists them")}
	}
	err := source.refresh(r.Context())
	switch {
	case errors.Is(err, errNotRemote):
		return caddy.APIError{HTTPStatus: http.StatusConflict, Err: err}
	case err != nil:
		return caddy.APIError{HTTPStatus: http.StatusBadGateway, Err: fmt.Errorf("the keys can't be fetched: %w", err)}
	}
	return writeJSON(w, source.status(time.Now()))
}

var errNotRunning = caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Err: errors.New("no config with a jwt handler is running")}

func methodNotAllowed(w http.ResponseWriter, allowed string) error {
	w.Header().Set("Allow", allowed)
	return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: errors.New("the method must be " + allowed)}
}

func writeJSON(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetIndent("", "\t")
	return e.Encode(v)
}

var _ caddy.AdminRouter = adminAPI{}
