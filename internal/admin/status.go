// Package admin serves the endpoint /jwt/ of Caddy's admin API, and has the client for
// it that commands use.
//
//	status.go   the endpoint: the status page and refreshing the keys of an issuer
//	client.go   the client
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/shared"
	"github.com/caddy-jwt/caddy-jwt/internal/terminal"
	"github.com/caddy-jwt/caddy-jwt/keystore"
)

// App is what the endpoint needs of a running config.
type App interface {
	// Status returns the state of the config's issuers and files of API keys.
	Status(now time.Time) Page
	// Refresh fetches the keys of an issuer now. The error is that of RefreshIn.
	Refresh(ctx context.Context, id string) (IssuerStatus, error)
}

// runningApps are the apps that are started and not stopped, the newest last. During a
// reload there are two; if the newer one fails, the older is in force again. The
// endpoint does not ask Caddy for the app, as that would race with loading a config.
type runningApps struct {
	mu   sync.Mutex
	list []App
}

// Running holds the apps of this process.
var Running runningApps

// Add puts an app in force.
func (r *runningApps) Add(a App) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, a)
}

// Remove takes an app away; the one before it, if it still runs, is in force again.
func (r *runningApps) Remove(a App) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = slices.DeleteFunc(r.list, func(b App) bool { return a == b })
}

// current returns the app in force, or nil.
func (r *runningApps) current() App {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.list) == 0 {
		return nil
	}
	return r.list[len(r.list)-1]
}

// Routes returns the routes of the endpoint.
func Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{
		{Pattern: "/jwt/status", Handler: caddy.AdminHandlerFunc(serveStatus)},
		{Pattern: "/jwt/issuers/", Handler: caddy.AdminHandlerFunc(serveRefresh)},
	}
}

// Page is the answer of GET /jwt/status.
type Page struct {
	Issuers []IssuerStatus `json:"issuers"`
	APIKeys []APIKeyStatus `json:"api_keys"`
	// State is the shared state, nil if the config has none.
	State *StateStatus `json:"state,omitempty"`
}

// APIKeyStatus is the state of one file of API keys.
type APIKeyStatus struct {
	// Names are the names under which the app declares the file.
	Names []string `json:"names,omitempty"`
	apikey.Status
}

// IssuerStatus is the state of one key source.
type IssuerStatus struct {
	// ID names the source in POST /jwt/issuers/{id}/refresh.
	ID string `json:"id"`
	// Issuers are the iss values that use the source.
	Issuers []string `json:"issuers"`
	// Kind is remote, file or config.
	Kind string `json:"kind"`
	// AgeSeconds is how long ago the keys were fetched, or found unchanged.
	AgeSeconds float64 `json:"age_seconds,omitempty"`
	keystore.Status
}

// PageOf returns the page for the sources of a config. names returns the names under
// which the app declares a file.
func PageOf(sources *shared.Sources, names func(path string) []string, now time.Time) Page {
	page := Page{Issuers: []IssuerStatus{}, APIKeys: []APIKeyStatus{}}
	for _, used := range sources.List() {
		page.Issuers = append(page.Issuers, statusOf(used, now))
	}
	for _, f := range sources.KeyFiles() {
		page.APIKeys = append(page.APIKeys, APIKeyStatus{names(f.Path), f.Status})
	}
	return page
}

// RefreshIn fetches the keys of a source now. The error is errNoIssuer for an unknown
// id, shared.ErrNotRemote if the keys are not fetched, or why fetching failed.
func RefreshIn(ctx context.Context, sources *shared.Sources, id string) (IssuerStatus, error) {
	used, ok := sources.Find(id)
	if !ok {
		return IssuerStatus{}, errNoIssuer
	}
	if err := used.Refresh(ctx); err != nil {
		return IssuerStatus{}, err
	}
	return statusOf(used, time.Now()), nil
}

// errNoIssuer is the error for an id that no source has.
var errNoIssuer = errors.New("unknown issuer id; GET /jwt/status lists them")

func statusOf(s shared.Used, now time.Time) IssuerStatus {
	status := IssuerStatus{ID: s.ID, Issuers: s.Issuers, Kind: s.Kind, Status: s.Source.Status()}
	if !status.FetchedAt.IsZero() && s.Kind != "config" {
		status.AgeSeconds = now.Sub(status.FetchedAt).Round(time.Millisecond).Seconds()
	}
	return status
}

// serveStatus serves GET /jwt/status.
func serveStatus(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return methodNotAllowed(w, "GET")
	}
	a := Running.current()
	if a == nil {
		return errNotRunning
	}
	return writeJSON(w, a.Status(time.Now()))
}

// serveRefresh serves POST /jwt/issuers/{id}/refresh.
func serveRefresh(w http.ResponseWriter, r *http.Request) error {
	id, ok := strings.CutPrefix(r.URL.Path, "/jwt/issuers/")
	if ok {
		id, ok = strings.CutSuffix(id, "/refresh")
	}
	if !ok || id == "" || strings.Contains(id, "/") {
		return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: errors.New("write POST /jwt/issuers/{id}/refresh; GET /jwt/status lists the ids")}
	}
	if r.Method != http.MethodPost {
		return methodNotAllowed(w, "POST")
	}
	a := Running.current()
	if a == nil {
		return errNotRunning
	}
	status, err := a.Refresh(r.Context(), id)
	switch {
	case errors.Is(err, errNoIssuer):
		return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: err}
	case errors.Is(err, shared.ErrNotRemote):
		return caddy.APIError{HTTPStatus: http.StatusConflict, Err: err}
	case err != nil:
		return caddy.APIError{HTTPStatus: http.StatusBadGateway, Err: errors.New(terminal.Text("the keys can't be fetched: " + err.Error()))}
	}
	return writeJSON(w, status)
}

var errNotRunning = caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Err: errors.New("no config with a jwt handler is running")}

func methodNotAllowed(w http.ResponseWriter, allowed string) error {
	w.Header().Set("Allow", allowed)
	return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: errors.New("the method must be " + allowed)}
}

func writeJSON(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	// It is read on terminals too: errors are what other servers wrote.
	e := json.NewEncoder(terminal.NewWriter(w))
	e.SetIndent("", "\t")
	return e.Encode(v)
}
