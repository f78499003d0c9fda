// Package admin serves the endpoint /jwt/ of Caddy's admin API, and has the client for
// it that commands use.
//
//	routes.go       the paths and methods, and how answers are written
//	status.go       the status page, and refreshing the keys of an issuer
//	statestatus.go  the status of shared state
//	api.go          bodies and answers, which client and server share
//	request.go      reading a request, strictly
//	change.go       the way of a request that changes something
//	idempotency.go  requests that are repeated
//	who.go          who changes something
//	audit.go        the audit log
//	state.go        what the endpoint needs of shared state
//	revocations.go  rules: add, list, remove
//	token.go        rules about a token in hand
//	apikeys.go      API keys: list and get; where a key is
//	createkey.go    API keys: create
//	import.go       API keys: take over by their hashes
//	editkey.go      API keys: edit, enable, disable, delete
//	rollkey.go      API keys: a new secret
//	keyfiles.go     API keys in files
//	signing.go      signing keys of token services: list, rotate, retire
//	signingapi.go   its bodies and answers, and the client's part
//	refusals.go     the newest refusals, for those who watch; and the client's part
//	accept.go       signing what is in the storage
//	client.go       the client: the status page
//	clientapi.go    the client: everything else
//	local.go        a client whose requests are served in this process
package admin

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/explain"
	"github.com/caddy-jwt/caddy-jwt/internal/shared"
	"github.com/caddy-jwt/caddy-jwt/internal/terminal"
	"github.com/caddy-jwt/caddy-jwt/keystore"
	"github.com/caddy-jwt/caddy-jwt/revocation"
)

// App is what the endpoint needs of a running config.
type App interface {
	// Status returns the state of the config's issuers and files of API keys.
	Status(now time.Time) Page
	// Refresh fetches the keys of an issuer now. The error is that of RefreshIn.
	Refresh(ctx context.Context, id string) (IssuerStatus, error)
	// Shared returns the shared state, nil if the config has none. See StateOf.
	Shared() State
	// Issuers returns the "iss" of all issuers of the config's sites, each once; "" for
	// those that accept any.
	Issuers() []string
	// Leeway returns the largest leeway of these issuers.
	Leeway() time.Duration
	// MaxLifetime returns the largest max_lifetime of these issuers, 0 if one of them has
	// none, or accepts tokens without an expiry.
	MaxLifetime() time.Duration
	// CachedRefused returns how many tokens in the cache a rule refuses. token is the one
	// that the rule is about, empty if it is not in hand. It is -1 if there is no cache, and
	// if there may be such tokens that are in none.
	CachedRefused(rule *revocation.Rule, token string) int
	// ServicesOf returns the issuers of the token services of which the API keys of a store
	// are clients.
	ServicesOf(store string) []string
	// KeyFiles returns the files of API keys. See KeyFilesOf.
	KeyFiles() []KeyFile
	// WrittenKeys returns the API keys that are written in the config.
	WrittenKeys() []*apikey.Set
	// Explain answers a question by the config. It changes nothing.
	Explain(ctx context.Context, q *explain.Question) (explain.Report, error)
	// Audit returns the logger of the audit log, jwt.audit.
	Audit() *zap.Logger
}

// runningApps are the apps that are started and not stopped, the newest last. During a
// reload there are two; if the newer one fails, the older is in force again. The
// endpoint does not ask Caddy for the app, as that would race with loading a config.
type runningApps struct {
	mu      sync.Mutex
	list    []App
	changed chan struct{} // closed at the next change; nil if nobody waits for it
}

// Running holds the apps of this process.
var Running runningApps

// Add puts an app in force.
func (r *runningApps) Add(a App) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, a)
	r.change()
}

// Remove takes an app away; the one before it, if it still runs, is in force again.
func (r *runningApps) Remove(a App) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = slices.DeleteFunc(r.list, func(b App) bool { return a == b })
	r.change()
}

// change tells those who wait for a change. The caller holds the lock.
func (r *runningApps) change() {
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

// changes returns a channel that is closed when another app comes into force.
func (r *runningApps) changes() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changed == nil {
		r.changed = make(chan struct{})
	}
	return r.changed
}

// Replaced reports whether a newer app than this one is in force.
func (r *runningApps) Replaced(a App) bool {
	newest := r.current()
	return newest != nil && newest != a
}

// Stateless reports whether an app without shared state is in force.
func (r *runningApps) Stateless() bool {
	a := r.current()
	return a != nil && a.Shared() == nil
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

// Page is the answer of GET /jwt/status.
type Page struct {
	// Sites are the sites with a jwt handler that authenticates: the hosts of each, or the
	// addresses of its server.
	Sites   []string       `json:"sites,omitempty"`
	Issuers []IssuerStatus `json:"issuers"`
	APIKeys []APIKeyStatus `json:"api_keys"`
	// Introspections are the issuers that are asked about tokens.
	Introspections []IntrospectionStatus `json:"introspections,omitempty"`
	// State is the shared state, nil if the config has none.
	State *StateStatus `json:"state,omitempty"`
	// Services are the token services, each with the keys of its tokens before those of the
	// tokens for upstreams.
	Services []ServiceStatus `json:"services,omitempty"`
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

// IntrospectionStatus is the state of what asks one issuer about tokens.
type IntrospectionStatus struct {
	// ID tells those of one issuer apart.
	ID string `json:"id"`
	// Issuers are the iss values that use it.
	Issuers []string `json:"issuers"`
	keystore.IntrospectionStatus
}

// PageOf returns the page for the sources of a config. names returns the names under
// which the app declares a file.
func PageOf(sources *shared.Sources, names func(path string) []string, now time.Time) Page {
	page := Page{Issuers: []IssuerStatus{}, APIKeys: []APIKeyStatus{}}
	for _, used := range sources.List() {
		page.Issuers = append(page.Issuers, statusOf(used, now))
	}
	for _, used := range sources.Introspections() {
		page.Introspections = append(page.Introspections, IntrospectionStatus{used.ID, used.Issuers, used.Status()})
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
func (s *service) serveStatus(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return methodNotAllowed(w, "GET")
	}
	a := s.running.current()
	if a == nil {
		return errNotRunning
	}
	now := s.now()
	page := a.Status(now)
	page.State = stateStatus(r.Context(), a.Shared(), now)
	page.Services = serviceStatuses(a.Shared(), now)
	status := http.StatusOK
	if r.URL.Query().Has("ready") && page.State != nil && !page.State.ready() {
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "5")
	}
	return writeAnswer(w, status, page)
}

// serveRefresh serves POST /jwt/issuers/{id}/refresh.
func (s *service) serveRefresh(w http.ResponseWriter, r *http.Request) error {
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
	a := s.running.current()
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
