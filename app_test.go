package caddyjwt

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/caddyserver/certmagic"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	logcapture "go.uber.org/zap/zaptest/observer"

	"github.com/caddy-jwt/caddy-jwt/internal/admin"
	"github.com/caddy-jwt/caddy-jwt/internal/metrics"
	"github.com/caddy-jwt/caddy-jwt/internal/shared"
	"github.com/caddy-jwt/caddy-jwt/keystore"
)

// issuerServer serves signer's key, counts, and can be told to fail.
type issuerServer struct {
	*httptest.Server
	fetches atomic.Int64
	down    atomic.Bool
	kid     atomic.Value
}

func newIssuerServer(t *testing.T) *issuerServer {
	t.Helper()
	s := &issuerServer{}
	s.kid.Store("a")
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.fetches.Add(1)
		if s.down.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_, _ = w.Write(signerSet(t, s.kid.Load().(string)))
	}))
	t.Cleanup(s.Close)
	return s
}

func signerSet(t *testing.T, kid string) []byte {
	t.Helper()
	point, err := signer().PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	return fmt.Appendf(nil, `{"keys":[{"kty":"EC","crv":"P-256","kid":%q,"x":%q,"y":%q}]}`, kid, b64(point[1:33]), b64(point[33:]))
}

func (s *issuerServer) settings() shared.Settings { return shared.Settings{JWKSURL: s.URL} }

// memory is a storage in memory.
type memory struct {
	certmagic.Storage // for the methods that nothing here calls

	mu      sync.Mutex
	objects map[string][]byte
	hang    chan struct{} // if not nil, reading waits for it
	err     error
}

func (m *memory) Store(_ context.Context, name string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	if m.objects == nil {
		m.objects = map[string][]byte{}
	}
	m.objects[name] = value
	return nil
}

func (m *memory) Load(_ context.Context, name string) ([]byte, error) {
	if m.hang != nil {
		<-m.hang
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return nil, m.err
	}
	if v, ok := m.objects[name]; ok {
		return v, nil
	}
	return nil, fs.ErrNotExist
}

func (m *memory) has(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.objects[name] != nil
}

// config are sources with a storage, as one config has them.
func config(t *testing.T, m *memory) (*shared.Sources, *logcapture.ObservedLogs) {
	t.Helper()
	core, logs := logcapture.New(zapcore.DebugLevel)
	logger := zap.New(core)
	a := shared.New(logger, nil, nil)
	if m != nil {
		a.Store.Storage = m
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a, logs
}

func mustRemote(t *testing.T, a *shared.Sources, iss string, s shared.Settings) *shared.Remote {
	t.Helper()
	r, err := a.Remote(iss, s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// eventually waits for what happens in the background.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 500 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("not within 5 s: %s", what)
}

func hasKey(r *shared.Remote, kid string) bool {
	_, err := r.Keys(context.Background(), kid)
	return err == nil
}

func TestOneSourceForAllWhoAskForTheSameKeys(t *testing.T) {
	t.Parallel()
	issuer := newIssuerServer(t)
	a, _ := config(t, nil)
	one := mustRemote(t, a, "https://one.example", issuer.settings())
	if mustRemote(t, a, "https://two.example", issuer.settings()) != one {
		t.Error("the same settings give two sources")
	}
	for name, other := range map[string]shared.Settings{
		"another URL": {JWKSURL: issuer.URL + "/2"}, "a CA": {JWKSURL: issuer.URL, CA: "digest"}, "a token": {JWKSURL: issuer.URL, BearerFile: "f"},
		"http": {JWKSURL: issuer.URL, InsecureHTTP: true}, "timing": {JWKSURL: issuer.URL, Refresh: time.Minute}, "age": {JWKSURL: issuer.URL, MaxStale: 2 * time.Hour},
	} {
		if mustRemote(t, a, "https://one.example", other) == one {
			t.Errorf("%s: other settings give the same source", name)
		}
	}
	for range 3 {
		if !hasKey(one, "a") {
			t.Fatal("no key")
		}
	}
	if n := issuer.fetches.Load(); n != 1 {
		t.Errorf("%d fetches", n)
	}
	list := a.List()
	if len(list) != 7 || strings.Join(list[0].Issuers, " ") == "" {
		t.Errorf("%d sources", len(list))
	}
}

func TestAReloadKeepsSourcesAndTheirKeys(t *testing.T) {
	t.Parallel()
	issuer := newIssuerServer(t)
	before, _ := config(t, nil)
	source := mustRemote(t, before, "i", issuer.settings())
	if !hasKey(source, "a") {
		t.Fatal("no key")
	}
	issuer.down.Store(true)
	for range 3 {
		after, logs := config(t, nil)
		if mustRemote(t, after, "i", issuer.settings()) != source {
			t.Fatal("the reload made another source")
		}
		after.Start()
		if err := before.Close(); err != nil {
			t.Fatal(err)
		}
		if !hasKey(source, "a") {
			t.Error("the keys are gone")
		}
		source.Tell(keystore.Event{Kind: keystore.KeysChanged})
		if logs.Len() != 1 {
			t.Errorf("the config in force heard of %d events, not of one", logs.Len())
		}
		before = after
	}
	if issuer.fetches.Load() != 1 {
		t.Errorf("%d fetches", issuer.fetches.Load())
	}
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	if !hasKey(source, "a") {
		t.Error("a request in flight lost its keys")
	}
	again, _ := config(t, nil)
	if mustRemote(t, again, "i", issuer.settings()) == source {
		t.Error("a source that nobody used lived on")
	}
}

func TestAConfigThatFailsToLoadLeavesTheOldOneInForce(t *testing.T) {
	t.Parallel()
	issuer := newIssuerServer(t)
	old, oldLogs := config(t, nil)
	source := mustRemote(t, old, "i", issuer.settings())
	failed, failedLogs := config(t, nil)
	mustRemote(t, failed, "i", issuer.settings())
	if err := failed.Close(); err != nil {
		t.Fatal(err)
	}
	source.Tell(keystore.Event{Kind: keystore.KeysChanged})
	if oldLogs.Len() != 1 || failedLogs.Len() != 0 {
		t.Errorf("the old config heard of %d, the failed one of %d", oldLogs.Len(), failedLogs.Len())
	}
	if err := failed.Close(); err != nil { // Caddy may call it again
		t.Error(err)
	}
}

func TestNewTimingKeepsTheKeysAndOtherSettingsDoNot(t *testing.T) {
	t.Parallel()
	issuer := newIssuerServer(t)
	a, _ := config(t, nil)
	if !hasKey(mustRemote(t, a, "i", issuer.settings()), "a") {
		t.Fatal("no key")
	}
	issuer.down.Store(true)
	timing, other := issuer.settings(), issuer.settings()
	timing.Refresh, timing.MaxStale = 5*time.Minute, 48*time.Hour
	other.InsecureHTTP = true
	b, _ := config(t, nil)
	if !hasKey(mustRemote(t, b, "i", timing), "a") {
		t.Error("new timing lost the keys")
	}
	if hasKey(mustRemote(t, b, "i", other), "a") {
		t.Error("other settings took the keys over")
	}
}

func TestKeysAreKeptInStorageForARestart(t *testing.T) {
	t.Parallel()
	issuer, store := newIssuerServer(t), &memory{}
	settings := issuer.settings()
	name := shared.StoredName(settings.Identity())
	first, _ := config(t, store)
	if !hasKey(mustRemote(t, first, "i", settings), "a") {
		t.Fatal("no key")
	}
	eventually(t, "the keys are stored", func() bool { return store.has(name) })
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	issuer.down.Store(true)

	restart := func(t *testing.T, store *memory) (*shared.Remote, *logcapture.ObservedLogs) {
		t.Helper()
		a, logs := config(t, store)
		t.Cleanup(func() { _ = a.Close() })
		return mustRemote(t, a, "i", settings), logs
	}
	t.Run("they serve at once, and say so", func(t *testing.T) {
		r, _ := restart(t, store)
		if !hasKey(r, "a") || !r.Status().Restored {
			t.Errorf("status %+v", r.Status())
		}
	})
	change := func(f func(*shared.StoredKeys)) *memory {
		var kept shared.StoredKeys
		if err := json.Unmarshal(store.objects[name], &kept); err != nil {
			t.Fatal(err)
		}
		f(&kept)
		object, err := json.Marshal(kept)
		if err != nil {
			t.Fatal(err)
		}
		return &memory{objects: map[string][]byte{name: object}}
	}
	for what, bad := range map[string]*memory{
		"of other settings":   change(func(s *shared.StoredKeys) { s.Source = "other" }),
		"from the future":     change(func(s *shared.StoredKeys) { s.FetchedAt = time.Now().Add(time.Hour) }),
		"too old":             change(func(s *shared.StoredKeys) { s.FetchedAt = time.Now().Add(-25 * time.Hour) }),
		"without a time":      change(func(s *shared.StoredKeys) { s.FetchedAt = time.Time{} }),
		"a secret":            change(func(s *shared.StoredKeys) { s.Keys = json.RawMessage(`{"keys":[{"kty":"oct","kid":"a","k":"AAAA"}]}`) }),
		"empty":               change(func(s *shared.StoredKeys) { s.Keys = json.RawMessage(`{"keys":[]}`) }),
		"no JSON":             {objects: map[string][]byte{name: []byte("{")}},
		"not to be read":      {err: errors.New("broken")},
		"none":                {},
		"no storage to speak": nil,
	} {
		t.Run(what+": it is not used", func(t *testing.T) {
			r, _ := restart(t, bad)
			if hasKey(r, "a") {
				t.Error("it is used")
			}
		})
	}
	t.Run("the first good answer replaces them", func(t *testing.T) {
		r, _ := restart(t, store)
		if !hasKey(r, "a") {
			t.Fatal("not restored")
		}
		issuer.down.Store(false)
		if err := r.Refresh(context.Background()); err != nil {
			t.Fatal(err)
		}
		if r.Status().Restored {
			t.Error("the status still says restored")
		}
	})
}

func TestAStorageThatHangsHoldsRequestsUpForNoLongerThanAFetch(t *testing.T) {
	t.Parallel()
	issuer := newIssuerServer(t)
	store := &memory{hang: make(chan struct{})}
	defer close(store.hang)
	a, logs := config(t, store)
	r := mustRemote(t, a, "i", issuer.settings())
	start := time.Now()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if !hasKey(r, "a") {
				t.Error("no key")
			}
		})
	}
	wg.Wait()
	if took := time.Since(start); took > 2*shared.StorageReadTime {
		t.Errorf("took %v", took)
	}
	if n := logs.FilterLevelExact(zapcore.WarnLevel).Len(); n != 1 {
		t.Errorf("%d warnings", n)
	}
}

func TestAWriteThatFailsIsALineAndNothingElse(t *testing.T) {
	t.Parallel()
	issuer := newIssuerServer(t)
	store := &memory{}
	a, logs := config(t, store)
	r := mustRemote(t, a, "i", issuer.settings())
	store.err = errors.New("disk full")
	if !hasKey(r, "a") {
		t.Error("no key")
	}
	eventually(t, "a warning", func() bool { return logs.FilterMessageSnippet("can't be kept").Len() == 1 })
}

// TestChangesOfStateAreEvents is not parallel, as Caddy writes to variables of the
// process where it makes a context.
func TestChangesOfStateAreEvents(t *testing.T) {
	ctx, err := caddy.ProvisionContext(&caddy.Config{
		Admin:      &caddy.AdminConfig{Disabled: true},
		Logging:    &caddy.Logging{Logs: map[string]*caddy.CustomLog{"default": {BaseLog: caddy.BaseLog{Level: "PANIC"}}}},
		StorageRaw: fmt.Appendf(nil, `{"module":"file_system","root":%q}`, t.TempDir()),
	})
	if err != nil {
		t.Fatal(err)
	}
	events, err := ctx.App("events")
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan caddy.Event, 10)
	for _, name := range []string{"key_set_changed", "key_source_failing"} {
		if err := events.(*caddyevents.App).On(name, hear(heard)); err != nil {
			t.Fatal(err)
		}
	}
	loaded, err := ctx.App("jwt")
	if err != nil {
		t.Fatal(err)
	}
	a := loaded.(*App).sources
	t.Cleanup(func() { _ = a.Close() })
	issuer := newIssuerServer(t)
	r := mustRemote(t, a, "https://issuer.example", issuer.settings())
	if !hasKey(r, "a") {
		t.Fatal("no key")
	}
	expect := func(name string, data map[string]any) {
		t.Helper()
		select {
		case e := <-heard:
			if e.Name() != name {
				t.Fatalf("event %s, want %s", e.Name(), name)
			}
			for k, want := range data {
				if got := fmt.Sprint(e.Data[k]); got != want {
					t.Errorf("%s: %s is %s, want %s", name, k, got, want)
				}
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("no %s", name)
		}
	}
	issuer.kid.Store("b")
	_ = hasKey(r, "b")
	expect("key_set_changed", map[string]any{"issuer": "https://issuer.example", "keys": "1", "added": `[kid "b" (P-256)]`, "removed": `[kid "a" (P-256)]`})
	issuer.down.Store(true)
	if r.Refresh(context.Background()) == nil {
		t.Fatal("no error")
	}
	expect("key_source_failing", map[string]any{"issuer": "https://issuer.example", "keys": "1"})
	_ = r.Refresh(context.Background())
	select {
	case e := <-heard:
		t.Errorf("a second event %s for one outage", e.Name())
	case <-time.After(50 * time.Millisecond):
	}
}

type hear chan caddy.Event

func (h hear) Handle(_ context.Context, e caddy.Event) error {
	h <- e
	return nil
}

func TestThreat39_MetricsHaveLabelsFromTheConfigAlone(t *testing.T) {
	t.Parallel()
	issuer := newIssuerServer(t)
	a, _ := config(t, nil)
	r := mustRemote(t, a, "https://issuer.example", issuer.settings())
	if !hasKey(r, "a") {
		t.Fatal("no key")
	}
	for n := range 20 {
		_ = hasKey(r, fmt.Sprint("stranger", n))
	}
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(metrics.OfSources(a, new(atomic.Int64))); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]int{}
	for _, f := range families {
		for _, m := range f.Metric {
			names[f.GetName()]++
			for _, l := range m.Label {
				switch {
				case l.GetName() == "issuer" && l.GetValue() == "https://issuer.example":
				case l.GetName() == "id" && l.GetValue() == r.ID:
				case l.GetName() == "result" && slices.Contains([]string{"ok", "failed", "hit", "miss"}, l.GetValue()):
				default:
					t.Errorf("%s has the label %s=%q", f.GetName(), l.GetName(), l.GetValue())
				}
			}
		}
	}
	want := map[string]int{
		"caddy_jwt_key_fetches_total": 2, "caddy_jwt_keys": 1, "caddy_jwt_key_set_age_seconds": 1,
		"caddy_jwt_key_set_next_refresh_seconds": 1, "caddy_jwt_key_source_failures": 1, "caddy_jwt_report_mode_handlers": 1,
		"caddy_jwt_cache_lookups_total": 2, "caddy_jwt_cache_bytes": 1, "caddy_jwt_cache_tokens": 1,
	}
	if fmt.Sprint(names) != fmt.Sprint(want) {
		t.Errorf("metrics %v, want %v", names, want)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if families, err := registry.Gather(); err != nil || len(families) != 0 {
		t.Errorf("metrics of a source that is gone: %v, %v", families, err)
	}
}

// TestAdminEndpoint is not parallel: which app is running is the process's.
func TestAdminEndpoint(t *testing.T) {
	ask := func(method, path string, handler func(http.ResponseWriter, *http.Request) error) (int, string) {
		w := httptest.NewRecorder()
		err := handler(w, httptest.NewRequest(method, path, nil))
		if api, ok := errors.AsType[caddy.APIError](err); ok {
			return api.HTTPStatus, api.Err.Error()
		} else if err != nil {
			t.Errorf("%s %s: %v", method, path, err)
		}
		return w.Code, w.Body.String()
	}
	status := func() (int, string) { return ask("GET", "/jwt/status", admin.ServeStatus) }
	if code, _ := status(); code != 503 {
		t.Fatalf("%d where nothing runs", code)
	}
	issuer := newIssuerServer(t)
	a, _ := config(t, nil)
	r := mustRemote(t, a, "https://issuer.example", issuer.settings())
	a.Local("https://static.example", "config", "secret", keystore.NewStatic(keystore.NewSet(nil)))
	var static string
	for _, s := range a.List() {
		if s.Kind == "config" {
			static = s.ID
		}
	}
	app := &App{sources: a}
	if err := app.Start(); err != nil {
		t.Fatal(err)
	}
	defer app.Stop()
	eventually(t, "the keys are fetched without a request", func() bool { return r.Status().State == "fresh" })
	code, body := status()
	var page admin.Page
	if err := json.Unmarshal([]byte(body), &page); code != 200 || err != nil || len(page.Issuers) != 2 ||
		page.Issuers[0].ID != r.ID || page.Issuers[0].Keys[0].ID != "a" || page.Issuers[0].AgeSeconds < 0 {
		t.Errorf("%d %v %s", code, err, body)
	}
	refresh := "/jwt/issuers/" + r.ID + "/refresh"
	for name, c := range map[string]struct {
		method, path string
		want         int
	}{
		"refresh": {"POST", refresh, 200}, "refresh by GET": {"GET", refresh, 405}, "an unknown id": {"POST", "/jwt/issuers/nope/refresh", 404},
		"no id": {"POST", "/jwt/issuers//refresh", 404}, "no verb": {"POST", "/jwt/issuers/" + r.ID, 404}, "too deep": {"POST", "/jwt/issuers/a/b/refresh", 404},
		"what is not fetched": {"POST", "/jwt/issuers/" + static + "/refresh", 409},
	} {
		if code, body := ask(c.method, c.path, admin.ServeRefresh); code != c.want {
			t.Errorf("%s: %d %s", name, code, body)
		}
	}
	if code, _ := ask("POST", "/jwt/status", admin.ServeStatus); code != 405 {
		t.Errorf("status by POST: %d", code)
	}
	issuer.down.Store(true)
	if code, body := ask("POST", refresh, admin.ServeRefresh); code != 502 || !strings.Contains(body, "500") {
		t.Errorf("%d %s", code, body)
	}
	t.Run("a config that starts and fails leaves the older one in force", func(t *testing.T) {
		sources, _ := config(t, nil)
		b := &App{sources: sources}
		if err := b.Start(); err != nil {
			t.Fatal(err)
		}
		if _, body := status(); strings.Contains(body, r.ID) {
			t.Error("the newer one is not in force")
		}
		if err := b.Stop(); err != nil {
			t.Fatal(err)
		}
		if _, body := status(); !strings.Contains(body, r.ID) {
			t.Error("the older one is not back in force")
		}
	})
}

// It counts allocations, and so is not parallel.
func TestAKeyThatIsThereCostsNoAllocation(t *testing.T) {
	issuer := newIssuerServer(t)
	a, _ := config(t, nil)
	r := mustRemote(t, a, "i", issuer.settings())
	if !hasKey(r, "a") {
		t.Fatal("no key")
	}
	ctx := context.Background()
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := r.Keys(ctx, "a"); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
