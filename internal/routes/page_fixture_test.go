package routes

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/intercept"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

func init() {
	caddy.RegisterModule(testGuard{})
	caddy.RegisterModule(testUnknown{})
	httpcaddyfile.RegisterHandlerDirective("test_guard", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		h.Next()
		return &testGuard{Clear: h.NextArg()}, nil
	})
	httpcaddyfile.RegisterHandlerDirective("test_unknown", func(httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		return new(testUnknown), nil
	})
	for _, name := range []string{"test_guard", "test_unknown"} {
		httpcaddyfile.RegisterDirectiveOrder(name, httpcaddyfile.Before, "header")
	}
}

// testGuard stands for a handler of ours.
type testGuard struct {
	Clear bool `json:"clear,omitempty"`
}

func (testGuard) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.test_guard", New: func() caddy.Module { return new(testGuard) }}
}

func (g testGuard) Authenticates() bool { return !g.Clear }

func (g *testGuard) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if g.Clear {
		return next.ServeHTTP(w, r)
	}
	return caddyhttp.Error(http.StatusUnauthorized, nil)
}

// testUnknown stands for another plugin's.
type testUnknown struct{}

func (testUnknown) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.test_unknown", New: func() caddy.Module { return new(testUnknown) }}
}

func (*testUnknown) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	return next.ServeHTTP(w, r)
}

// provisioning is done by one test at a time: it touches Caddy's globals.
var provisioning sync.Mutex

// serversOf provisions the HTTP servers of a config.
func serversOf(t testing.TB, config []byte) map[string]*caddyhttp.Server {
	t.Helper()
	provisioning.Lock()
	defer provisioning.Unlock()
	cfg := new(caddy.Config)
	if err := json.Unmarshal(config, cfg); err != nil {
		t.Fatal(err)
	}
	ctx, err := caddy.ProvisionContext(cfg)
	if err != nil {
		t.Fatalf("%v\n%s", err, config)
	}
	app, err := ctx.App("http")
	if err != nil {
		t.Fatal(err)
	}
	return app.(*caddyhttp.App).Servers
}

// serverOfCaddyfile is the one server of a Caddyfile without global options.
func serverOfCaddyfile(t testing.TB, text string) *caddyhttp.Server {
	t.Helper()
	text = "{\n\tadmin off\n\tauto_https off\n\tstorage file_system " + t.TempDir() + "\n\tlog {\n\t\toutput discard\n\t}\n}\n" + text
	text = string(caddyfile.Format([]byte(text)))
	provisioning.Lock() // adapters of directives may keep state
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	provisioning.Unlock()
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	servers := serversOf(t, config)
	if len(servers) != 1 {
		t.Fatalf("%d servers", len(servers))
	}
	for _, server := range servers {
		return server
	}
	return nil
}

// serverOfJSON is a server given as JSON.
func serverOfJSON(t testing.TB, text string) *caddyhttp.Server {
	t.Helper()
	return serversOf(t, configOf(t, map[string]json.RawMessage{"s": json.RawMessage(text)}))["s"]
}

func configOf(t testing.TB, servers map[string]json.RawMessage) []byte {
	t.Helper()
	config, err := json.Marshal(map[string]any{
		"admin":   map[string]any{"disabled": true},
		"storage": map[string]any{"module": "file_system", "root": t.TempDir()},
		"logging": map[string]any{"logs": map[string]any{"default": map[string]any{"writer": map[string]any{"output": "discard"}}}},
		"apps":    map[string]any{"http": map[string]any{"servers": servers}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return config
}

var errRefused = errors.New("a token is required")

// refused prepares a request as Caddy does for error routes: run through the server's
// routes until something (nothing, here) refuses it.
func refused(server *caddyhttp.Server, r *http.Request, w http.ResponseWriter, status int) *http.Request {
	repl := caddy.NewReplacer()
	r = caddyhttp.PrepareRequest(r, repl, w, server)
	repl.Set("http.jwt.reason", "missing_credentials")
	repl.Set("http.jwt.error", errRefused.Error())
	return server.Errors.WithError(r, caddyhttp.Error(status, errRefused))
}

func judge(t testing.TB, server *caddyhttp.Server, host string, status int) Judgement {
	t.Helper()
	if server.Errors == nil {
		server.Errors = new(caddyhttp.HTTPErrorConfig)
	}
	r := httptest.NewRequestWithContext(context.Background(), "POST", "http://"+host+"/guarded/x?y=1", strings.NewReader("body"))
	return Judge(server, server.Errors.Routes, refused(server, r, httptest.NewRecorder(), status))
}

// interceptsOf are the lists of routes of an intercept.
func interceptsOf(h caddyhttp.MiddlewareHandler) (lists []caddyhttp.RouteList) {
	if i, ok := h.(*intercept.Intercept); ok {
		for _, rh := range i.HandleResponse {
			lists = append(lists, rh.Routes)
		}
	}
	return lists
}
