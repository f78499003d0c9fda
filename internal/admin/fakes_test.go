package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/internal/explain"
	"github.com/caddy-jwt/caddy-jwt/internal/replica"
	"github.com/caddy-jwt/caddy-jwt/internal/shared"
	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/revocation"
	"github.com/caddy-jwt/caddy-jwt/tokenservice"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// site is an endpoint with a config that tests change.
type site struct {
	*service
	t     *testing.T
	clock *clock.Fake
	app   *fakeApp
	state *fakeState
	rules *fakeRules
	mux   *http.ServeMux
	logs  *logLines
}

// newSite makes one with the stores partners and staff.
func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, clock: clock.NewFake(noon), logs: new(logLines), rules: &fakeRules{stored: true}}
	s.state = &fakeState{rules: s.rules, stores: []Store{newFakeStore("partners"), newFakeStore("staff")}, node: "node-1"}
	s.state.signing = []SigningSet{{
		Service: "https://auth.example", Use: shared.UseService, Keys: newFakeSigning("service"),
		SigningSettings: tokenservice.SigningSettings{Issuer: "https://auth.example", Rotate: 30 * 24 * time.Hour},
	}, {
		Service: "https://auth.example", Use: shared.UseForward, Keys: newFakeSigning("forward"),
		SigningSettings: tokenservice.SigningSettings{Issuer: "https://auth.example/forward", Rotate: 30 * 24 * time.Hour},
	}}
	s.app = &fakeApp{
		state: s.state, issuers: []string{"https://a.example", "https://b.example"}, leeway: 30 * time.Second, logger: s.logs.logger(),
	}
	running := new(runningApps)
	running.Add(s.app)
	s.service = newService(running, s.clock.Now)
	s.mux = serveMux(s.service)
	return s
}

// serveMux serves the endpoint as Caddy does.
func serveMux(s *service) *http.ServeMux {
	mux := http.NewServeMux()
	for _, route := range s.routes() {
		mux.HandleFunc(route.Pattern, func(w http.ResponseWriter, r *http.Request) {
			err := route.Handler.ServeHTTP(w, r)
			if err == nil {
				return
			}
			api, ok := err.(caddy.APIError)
			if !ok {
				api = caddy.APIError{HTTPStatus: http.StatusInternalServerError, Err: err}
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(api.HTTPStatus)
			_ = json.NewEncoder(w).Encode(map[string]string{"error": api.Error()})
		})
	}
	return mux
}

// signing returns the signing keys of the service for a use.
func (s *site) signing(use string) *fakeSigning {
	for _, set := range s.state.signing {
		if set.Use == use {
			return set.Keys.(*fakeSigning)
		}
	}
	s.t.Fatal("there are no keys for " + use)
	return nil
}

// store returns the fake with a name.
func (s *site) store(name string) *fakeStore { return storeNamed(s.state, name).(*fakeStore) }

// send sends a request; headers are pairs.
func (s *site) send(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	s.t.Helper()
	r := httptest.NewRequest(method, "http://localhost:2019"+path, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:54321"
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.mux.ServeHTTP(w, r)
	return w
}

// want sends a request, expects a status, and decodes the answer.
func want[T any](s *site, status int, method, path, body string, headers ...string) (answer T) {
	s.t.Helper()
	w := s.send(method, path, body, headers...)
	if w.Code != status {
		s.t.Fatalf("%s %s %s: %d %s", method, path, body, w.Code, w.Body)
	}
	d := json.NewDecoder(w.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&answer); err != nil {
		s.t.Fatalf("%s %s: %v in %s", method, path, err, w.Body)
	}
	return answer
}

// failure is the body of an error.
type failure struct {
	Error string `json:"error"`
}

// fails expects an error whose text contains a part.
func (s *site) fails(status int, part, method, path, body string, headers ...string) {
	s.t.Helper()
	if got := want[failure](s, status, method, path, body, headers...); !strings.Contains(got.Error, part) {
		s.t.Errorf("%s %s %s: %q does not contain %q", method, path, body, got.Error, part)
	}
}

// last returns the newest line of the audit log.
func (s *site) last() AuditItem {
	s.t.Helper()
	s.audit.mu.Lock()
	defer s.audit.mu.Unlock()
	return *s.audit.at(s.audit.seq)
}

// logLines collects what is logged, as JSON.
type logLines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logLines) logger() *zap.Logger {
	return zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(l), zap.InfoLevel))
}

var _ io.Writer = (*logLines)(nil)

type fakeApp struct {
	mu       sync.Mutex // of token and asked
	state    State
	issuers  []string
	leeway   time.Duration
	lifetime time.Duration
	cached   int
	token    string // of the last CachedRefused
	services map[string][]string
	files    []KeyFile
	written  []*apikey.Set
	logger   *zap.Logger

	report     explain.Report
	explainErr error
	asked      []explain.Question
}

func (a *fakeApp) Status(time.Time) Page {
	return Page{Issuers: []IssuerStatus{}, APIKeys: []APIKeyStatus{}}
}
func (a *fakeApp) Refresh(context.Context, string) (IssuerStatus, error) {
	return IssuerStatus{}, errNoIssuer
}
func (a *fakeApp) Shared() State              { return a.state }
func (a *fakeApp) Issuers() []string          { return a.issuers }
func (a *fakeApp) Leeway() time.Duration      { return a.leeway }
func (a *fakeApp) MaxLifetime() time.Duration { return a.lifetime }
func (a *fakeApp) CachedRefused(_ *revocation.Rule, token string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.token = token
	return a.cached
}
func (a *fakeApp) ServicesOf(store string) []string { return a.services[store] }
func (a *fakeApp) KeyFiles() []KeyFile              { return a.files }
func (a *fakeApp) WrittenKeys() []*apikey.Set       { return a.written }
func (a *fakeApp) Audit() *zap.Logger               { return a.logger }
func (a *fakeApp) Explain(_ context.Context, q *explain.Question) (explain.Report, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, *q)
	return a.report, a.explainErr
}

type fakeState struct {
	mu       sync.Mutex // of revoked and changed
	rules    Revocations
	stores   []Store
	usage    map[string]fakeUsage
	node     string
	sets     []shared.SetStatus
	accepted int
	err      error
	revoked  []revocation.Rule
	changed  []string
	signing  []SigningSet
}

func (s *fakeState) SigningSets() []SigningSet { return s.signing }

// fakeSigning are signing keys in memory, the newest first.
type fakeSigning struct {
	mu     sync.Mutex
	keys   []tokenservice.SigningKey
	made   int
	by     string // of the last change
	early  bool   // whether the next key has not been published for long enough
	stored bool
	err    error
}

// newFakeSigning makes a key that signs and a next one.
func newFakeSigning(name string) *fakeSigning {
	f := &fakeSigning{stored: true}
	f.add(name, "signing", noon.Add(-time.Hour))
	f.add(name, "next", noon.Add(23*time.Hour))
	return f
}

func (f *fakeSigning) add(name, state string, from time.Time) {
	f.made++
	f.keys = slices.Insert(f.keys, 0, tokenservice.SigningKey{
		ID: name + "-" + strconv.Itoa(f.made), Algorithm: key.ES256, State: state, Made: noon.Add(-time.Hour), SignsFrom: from,
	})
}

func (f *fakeSigning) List(time.Time) []tokenservice.SigningKey {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.keys)
}

func (f *fakeSigning) Rotate(_ context.Context, by, node string) (tokenservice.RotateResult, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return tokenservice.RotateResult{}, f.err
	}
	f.by = by + " at " + node
	if !f.early {
		for i := range f.keys {
			switch k := &f.keys[i]; k.State {
			case "signing":
				k.State, k.SignsUntil = "published", noon
			case "next":
				k.State, k.SignsFrom = "signing", noon
			}
		}
		f.add("rotated", "next", noon.Add(24*time.Hour))
	}
	return f.result(), nil
}

func (f *fakeSigning) RetireNow(_ context.Context, by, node string) (tokenservice.RotateResult, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return tokenservice.RotateResult{}, f.err
	}
	f.by = by + " at " + node
	var retired []string
	for i := range f.keys {
		if k := &f.keys[i]; k.State != "retired" {
			k.State = "retired"
			retired = append(retired, k.ID)
		}
	}
	f.add("safe", "signing", noon)
	f.add("safe", "next", noon.Add(24*time.Hour))
	result := f.result()
	result.Retired = retired
	return result, nil
}

func (f *fakeSigning) result() tokenservice.RotateResult {
	r := tokenservice.RotateResult{Stored: f.stored}
	for _, k := range f.keys {
		switch k.State {
		case "signing":
			r.Signing = k
		case "next":
			r.Next = k
		}
	}
	return r
}

func (s *fakeState) Revocations() Revocations { return s.rules }
func (s *fakeState) Stores() []Store          { return s.stores }
func (s *fakeState) Usage(store string) Usage {
	if u, ok := s.usage[store]; ok {
		return u
	}
	return nil
}
func (s *fakeState) Node() string                              { return s.node }
func (s *fakeState) Cluster() string                           { return "default" }
func (s *fakeState) Storage() string                           { return "caddy.storage.file_system" }
func (s *fakeState) Sets(time.Time) []shared.SetStatus         { return s.sets }
func (s *fakeState) Nodes(context.Context, time.Time) []string { return []string{s.node, "node-2"} }
func (s *fakeState) Accept(context.Context) (int, error)       { return s.accepted, s.err }
func (s *fakeState) Revoked(r revocation.Rule) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revoked = append(s.revoked, r)
}
func (s *fakeState) KeyChanged(store string, c apikey.StoreChange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed = append(s.changed, store+"/"+c.ID+" "+c.Change)
}

type fakeUsage struct {
	uses map[string]apikey.Uses
	err  error
}

func (u fakeUsage) Read(context.Context) (map[string]apikey.Uses, error) { return u.uses, u.err }

// fakeRules are rules in memory, one to an object.
type fakeRules struct {
	mu     sync.Mutex
	rules  []revocation.Rule
	stored bool
	err    error
}

func (f *fakeRules) Add(_ context.Context, rules []revocation.Rule) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return false, f.err
	}
	f.rules = append(f.rules, rules...)
	return f.stored, nil
}

func (f *fakeRules) Remove(_ context.Context, id, _, _, _ string) (revocation.Rule, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return revocation.Rule{}, f.err
	}
	for i, r := range f.rules {
		if r.PublicID() == id {
			f.rules = slices.Delete(f.rules, i, i+1)
			return r, nil
		}
	}
	return revocation.Rule{}, revocation.ErrNoRule
}

func (f *fakeRules) List(_ context.Context, q revocation.Query) (rules []revocation.Rule, next string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.rules {
		id := r.PublicID()
		switch {
		case id <= q.After && q.After != "", q.HasKind && r.Kind != q.Kind, q.Value != "" && q.Value != r.Value, q.Issuer != "" && q.Issuer != r.Issuer:
		default:
			rules = append(rules, r)
		}
	}
	slices.SortFunc(rules, func(a, b revocation.Rule) int { return cmp.Compare(a.PublicID(), b.PublicID()) })
	if len(rules) > q.Limit {
		rules = rules[:q.Limit]
		next = rules[q.Limit-1].PublicID()
	}
	return rules, next, f.err
}

func (f *fakeRules) Snapshot() *revocation.Snapshot { return new(revocation.Snapshot) }

// fakeStore is a store in memory.
type fakeStore struct {
	name string

	mu      sync.Mutex
	keys    map[string]apikey.StoredKey
	deleted []string
	late    map[string]apikey.StoredKey // what the next sync brings
	stored  bool
	unready bool
	err     error // of changes
	syncErr error
}

func newFakeStore(name string) *fakeStore {
	return &fakeStore{name: name, keys: map[string]apikey.StoredKey{}, stored: true}
}

func (f *fakeStore) Name() string           { return f.name }
func (f *fakeStore) Len() int               { return len(f.keys) }
func (f *fakeStore) Status() replica.Status { return replica.Status{Ready: !f.unready} }
func (f *fakeStore) Sync(context.Context) error {
	for id, k := range f.late {
		f.keys[id] = k
	}
	return f.syncErr
}

func (f *fakeStore) Create(_ context.Context, r apikey.Record, _ apikey.Actor) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch _, taken := f.keys[r.ID]; {
	case f.err != nil:
		return f.err
	case taken:
		return apikey.ErrKeyExists
	case slices.Contains(f.deleted, r.ID):
		return apikey.ErrKeyDeleted
	}
	r.Hash = apikey.Digest{}
	f.keys[r.ID] = apikey.StoredKey{Record: r, Secrets: 1}
	return nil
}

// change changes a key.
func (f *fakeStore) change(id string, change func(*apikey.StoredKey) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	k, ok := f.keys[id]
	switch {
	case f.err != nil:
		return f.err
	case slices.Contains(f.deleted, id):
		return apikey.ErrKeyDeleted
	case !ok:
		return apikey.ErrNoKey
	}
	if err := change(&k); err != nil {
		return err
	}
	f.keys[id] = k
	return nil
}

func (f *fakeStore) Roll(_ context.Context, id string, _ apikey.Digest, overlap time.Duration, _ apikey.Actor) (until time.Time, err error) {
	if overlap > 0 {
		until = noon.Add(overlap)
	}
	return until, f.change(id, func(k *apikey.StoredKey) error {
		k.Secrets, k.OldUntil = 2, until
		return nil
	})
}

func (f *fakeStore) Edit(_ context.Context, id string, change func(*apikey.Record) error, _ apikey.Actor) (bool, error) {
	return f.stored, f.change(id, func(k *apikey.StoredKey) error { return change(&k.Record) })
}

func (f *fakeStore) Disable(_ context.Context, id string, _ apikey.Actor) (bool, error) {
	return f.stored, f.change(id, func(k *apikey.StoredKey) error {
		k.Disabled = true
		return nil
	})
}

func (f *fakeStore) Enable(_ context.Context, id string, _ apikey.Actor) error {
	return f.change(id, func(k *apikey.StoredKey) error {
		k.Disabled = false
		return nil
	})
}

func (f *fakeStore) Delete(_ context.Context, id string, _ apikey.Actor) (bool, error) {
	err := f.change(id, func(*apikey.StoredKey) error { return nil })
	if err == nil {
		delete(f.keys, id)
		f.deleted = append(f.deleted, id)
	}
	return f.stored, err
}

func (f *fakeStore) Get(id string, _ time.Time) (apikey.StoredKey, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if slices.Contains(f.deleted, id) {
		return apikey.StoredKey{}, apikey.ErrKeyDeleted
	}
	if k, ok := f.keys[id]; ok {
		return k, nil
	}
	return apikey.StoredKey{}, apikey.ErrNoKey
}

func (f *fakeStore) List(after string, limit int, _ time.Time) (keys []apikey.StoredKey, next string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, k := range f.keys {
		if id > after {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b apikey.StoredKey) int { return cmp.Compare(a.ID, b.ID) })
	if len(keys) > limit {
		keys = keys[:limit]
		next = keys[limit-1].ID
	}
	return keys, next
}

var errDisk = errors.New("no space left on device")

func setStatus(name string, ready bool, err error) shared.SetStatus {
	return shared.SetStatus{Name: name, Status: replica.Status{Ready: ready, SyncedAt: noon.Add(-time.Minute), Err: err}}
}
