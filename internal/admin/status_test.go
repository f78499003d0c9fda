package admin

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/explain"
	"github.com/caddy-jwt/caddy-jwt/internal/shared"
	"github.com/caddy-jwt/caddy-jwt/keystore"
	"github.com/caddy-jwt/caddy-jwt/revocation"
)

// runningConfig is an App as a config makes it.
type runningConfig struct {
	*shared.Sources
	noConfig
}

// noConfig is what an App has of a config without shared state.
type noConfig struct{}

func (noConfig) Shared() State                              { return nil }
func (noConfig) Issuers() []string                          { return nil }
func (noConfig) Leeway() time.Duration                      { return 0 }
func (noConfig) MaxLifetime() time.Duration                 { return 0 }
func (noConfig) CachedRefused(*revocation.Rule, string) int { return 0 }
func (noConfig) ServicesOf(string) []string                 { return nil }
func (noConfig) KeyFiles() []KeyFile                        { return nil }
func (noConfig) WrittenKeys() []*apikey.Set                 { return nil }
func (noConfig) Audit() *zap.Logger                         { return zap.NewNop() }

func (c runningConfig) Status(now time.Time) Page {
	return PageOf(c.Sources, func(string) []string { return nil }, now)
}

func (c runningConfig) Refresh(ctx context.Context, id string) (IssuerStatus, error) {
	return RefreshIn(ctx, c.Sources, id)
}

func (runningConfig) KeyFiles() []KeyFile { return nil }

func newConfig(t *testing.T) runningConfig {
	t.Helper()
	sources := shared.New(zap.NewNop(), nil, nil)
	t.Cleanup(func() {
		if err := sources.Close(); err != nil {
			t.Error(err)
		}
	})
	return runningConfig{Sources: sources}
}

// keySet is a key set of one public key with the kid a.
func keySet(t *testing.T) []byte {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := private.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	return fmt.Appendf(nil, `{"keys":[{"kty":"EC","crv":"P-256","kid":"a","x":%q,"y":%q}]}`, b64(point[1:33]), b64(point[33:]))
}

// TestEndpoint is not parallel: which config is running is the process's.
func TestEndpoint(t *testing.T) {
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
	status := func() (int, string) { return ask("GET", "/jwt/status", process.serveStatus) }
	if code, _ := status(); code != 503 {
		t.Fatalf("%d where nothing runs", code)
	}
	keys := keySet(t)
	var down atomic.Bool
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if down.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_, _ = w.Write(keys)
	}))
	t.Cleanup(issuer.Close)
	config := newConfig(t)
	r, err := config.Remote("https://issuer.example", shared.Settings{JWKSURL: issuer.URL})
	if err != nil {
		t.Fatal(err)
	}
	config.Local("https://static.example", "config", "secret", keystore.NewStatic(keystore.NewSet(nil)))
	var static string
	for _, s := range config.List() {
		if s.Kind == "config" {
			static = s.ID
		}
	}
	config.Start()
	Running.Add(config)
	defer Running.Remove(config)
	for range 6000 {
		if r.Status().State == "fresh" {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	code, body := status()
	var page Page
	if err := json.Unmarshal([]byte(body), &page); code != 200 || err != nil || len(page.Issuers) != 2 ||
		page.Issuers[0].ID != r.ID || len(page.Issuers[0].Keys) != 1 || page.Issuers[0].Keys[0].ID != "a" || page.Issuers[0].AgeSeconds < 0 {
		t.Fatalf("%d %v %s", code, err, body)
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
		if code, body := ask(c.method, c.path, process.serveRefresh); code != c.want {
			t.Errorf("%s: %d %s", name, code, body)
		}
	}
	if code, _ := ask("POST", "/jwt/status", process.serveStatus); code != 405 {
		t.Errorf("status by POST: %d", code)
	}
	down.Store(true)
	if code, body := ask("POST", refresh, process.serveRefresh); code != 502 || !strings.Contains(body, "500") {
		t.Errorf("%d %s", code, body)
	}
	t.Run("a config that starts and fails leaves the older one in force", func(t *testing.T) {
		newer := newConfig(t)
		Running.Add(newer)
		if _, body := status(); strings.Contains(body, r.ID) || !Running.Replaced(config) || Running.Replaced(newer) {
			t.Error("the newer one is not in force")
		}
		Running.Remove(newer)
		if _, body := status(); !strings.Contains(body, r.ID) || Running.Replaced(config) {
			t.Error("the older one is not back in force")
		}
	})
}

func (runningConfig) Explain(context.Context, *explain.Question) (explain.Report, error) {
	return explain.Report{}, nil
}

func TestThePageShowsIntrospections(t *testing.T) {
	t.Parallel()
	c := newConfig(t)
	if page := c.Status(time.Now()); len(page.Introspections) != 0 {
		t.Errorf("%+v", page.Introspections)
	}
	i, err := c.Introspection("https://issuer.example", shared.IntrospectionSettings{Issuer: "https://issuer.example", URL: "https://issuer.example/introspect?key=secret"})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(c.Status(time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`"introspections":[{"id":%q,"issuers":["https://issuer.example"],"state":"idle","source":"https://issuer.example/introspect","endpoint":"https://issuer.example/introspect","failures":0,`, i.ID)
	if !strings.Contains(string(text), want) || strings.Contains(string(text), "secret") {
		t.Errorf("%s, want %s", text, want)
	}
}
