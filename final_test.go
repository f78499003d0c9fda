package caddyjwt_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// A refused request must never be served, whatever a site does with errors and answers.
// These tests run whole servers in this process, in front of an upstream and files that
// are guarded.

func init() {
	caddy.RegisterModule(catcher{})
	httpcaddyfile.RegisterHandlerDirective("test_catcher", func(httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		return new(catcher), nil
	})
	httpcaddyfile.RegisterDirectiveOrder("test_catcher", httpcaddyfile.Before, "header")
}

// catcher is a plugin's handler that answers errors with what it has in store.
type catcher struct{}

func (catcher) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.test_catcher", New: func() caddy.Module { return new(catcher) }}
}

func (*catcher) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if err := next.ServeHTTP(w, r); err == nil {
		return nil
	}
	_, err := w.Write([]byte("GUARDED, from a store"))
	return err
}

// guarded is what the sites of a test stand in front of.
type guarded struct {
	dir      string
	upstream *httptest.Server

	mu    sync.Mutex
	asked []string // what the upstream was asked for
}

func newGuarded(t *testing.T) *guarded {
	t.Helper()
	g := &guarded{dir: t.TempDir()}
	for name, text := range map[string]string{
		"guarded.txt": "GUARDED", "orders/42": "GUARDED", "index.html": "GUARDED", "page.html": "the page", "401.html": "the page", "403.html": "the page", "503.html": "the page", "400.html": "the page",
	} {
		path := filepath.Join(g.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g.upstream = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		g.asked = append(g.asked, r.Method+" "+r.RequestURI)
		g.mu.Unlock()
		if strings.HasSuffix(r.URL.Path, ".html") && r.Method == http.MethodGet && !strings.Contains(r.RequestURI, "guarded") {
			_, _ = w.Write([]byte("the page"))
			return
		}
		_, _ = w.Write([]byte("GUARDED " + r.Method + " " + r.RequestURI + " user " + r.Header.Get("X-User")))
	}))
	t.Cleanup(g.upstream.Close)
	return g
}

// take returns what the upstream was asked for since the last call.
func (g *guarded) take() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	asked := g.asked
	g.asked = nil
	return asked
}

// servers provisions the servers of a config, in which U stands for the upstream's
// address, D for the directory and JWT for the options of a handler whose issuer's keys
// can't be had.
func (g *guarded) servers(t *testing.T, config []byte) map[string]*caddyhttp.Server {
	t.Helper()
	provisioning.Lock()
	defer provisioning.Unlock()
	cfg := new(caddy.Config)
	if err := json.Unmarshal(config, cfg); err != nil {
		t.Fatalf("%v\n%s", err, config)
	}
	cfg.Admin = &caddy.AdminConfig{Disabled: true}
	cfg.Logging = &caddy.Logging{Logs: map[string]*caddy.CustomLog{"default": {BaseLog: caddy.BaseLog{Level: "PANIC"}}}}
	cfg.StorageRaw = json.RawMessage(fmt.Sprintf(`{"module":"file_system","root":%q}`, t.TempDir()))
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

func (g *guarded) fill(text string) string {
	jwt := "issuer https://127.0.0.1:1/ {\naudience api\n}\nforward user X-User"
	keys := `"issuer":[{"iss":"https://127.0.0.1:1/","audience":["api"]}],"forward":[{"what":"user","header":"X-User"}],"handler":"jwt"`
	return strings.NewReplacer("JWTJSON", keys, "JWT", jwt, "UPSTREAM", strings.TrimPrefix(g.upstream.URL, "http://"), "DIR", g.dir).Replace(text)
}

func (g *guarded) caddyfile(t *testing.T, text string) *caddyhttp.Server {
	t.Helper()
	text = string(caddyfile.Format([]byte("{\nauto_https off\n}\n" + g.fill(text))))
	provisioning.Lock()
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	provisioning.Unlock()
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return g.servers(t, config)["srv0"]
}

func (g *guarded) json(t *testing.T, server string) *caddyhttp.Server {
	t.Helper()
	return g.servers(t, []byte(`{"apps":{"http":{"servers":{"srv0":`+g.fill(server)+`}}}}`))["srv0"]
}

// refusals are requests that no jwt of these tests lets pass, and their status.
var refusals = map[string]struct {
	header, value string
	status        int
}{
	"no token": {"", "", 401}, "garbage": {"Authorization", "Bearer x", 401}, "malformed": {"Authorization", "Bearer", 400},
	// The keys of its issuer can't be had.
	"no keys": {"Authorization", "Bearer " + unsignedToken, 503},
}

var unsignedToken = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImEifQ." + base64URL(`{"iss":"https://127.0.0.1:1/","aud":"api","sub":"a","exp":4102444800}`) + "." + base64URL(strings.Repeat("s", 256))

func base64URL(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// send sends a request with a forged identity.
func send(server *caddyhttp.Server, method, host, target, header, value string) *httptest.ResponseRecorder {
	var body *strings.Reader
	r := httptest.NewRequest(method, target, http.NoBody)
	if method == http.MethodPost || method == http.MethodPut {
		body = strings.NewReader("the client's body")
		r = httptest.NewRequest(method, target, body)
	}
	r.Host = host
	r.Header.Set("X-User", "forged")
	if header != "" {
		r.Header.Set(header, value)
	}
	w := httptest.NewRecorder()
	server.ServeHTTP(w, r)
	return w
}

// TestThreat52_ARefusalIsFinal sends refused requests to sites whose errors, answers and
// routes could lead to what is guarded.
func TestThreat52_ARefusalIsFinal(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	const site = "jwt {\nJWT\n}\nreverse_proxy UPSTREAM\n"
	for name, c := range map[string]struct{ caddyfile, page string }{
		"a proxy by the request's path":        {site + "handle_errors {\njwt {\nmode clear\nclear X-User\n}\nreverse_proxy UPSTREAM\n}", ""},
		"another upstream for 5xx":             {site + "handle_errors 5xx {\nreverse_proxy UPSTREAM\n}", ""},
		"files by the request's path":          {site + "handle_errors {\nroot * DIR\nfile_server\n}", ""},
		"files after a rewrite of some":        {site + "handle_errors {\nroot * DIR\n@html path *.html\nrewrite @html /page.html\nfile_server\n}", ""},
		"a rewrite that keeps the query":       {site + "handle_errors {\nrewrite * /rpc\nreverse_proxy UPSTREAM\n}", ""},
		"a rewrite that keeps the method":      {site + "handle_errors {\nrewrite * /401.html?\nreverse_proxy UPSTREAM\n}", ""},
		"a rewrite to the original":            {site + "handle_errors {\nrewrite * {http.request.orig_uri}\nroot * DIR\nfile_server\n}", ""},
		"a front controller":                   {site + "handle_errors {\nroot * DIR\nphp_fastcgi UPSTREAM\n}", ""},
		"try_files":                            {site + "handle_errors {\nroot * DIR\ntry_files {path} /page.html\nfile_server\n}", ""},
		"a jwt that is optional":               {site + "handle_errors {\njwt {\nJWT\noptional\n}\nreverse_proxy UPSTREAM\n}", ""},
		"a jwt that reports":                   {site + "handle_errors {\njwt {\nJWT\nmode report\n}\nreverse_proxy UPSTREAM\n}", ""},
		"a jwt that lets preflights pass":      {site + "handle_errors {\njwt {\nJWT\nallow_preflight\n}\nreverse_proxy UPSTREAM\n}", ""},
		"an intercept":                         {"intercept {\n@e status 4xx 5xx\nhandle_response @e {\nreverse_proxy UPSTREAM\n}\n}\nhandle {\n" + site + "}", ""},
		"an intercept and an error page":       {"intercept {\n@e status 4xx 5xx\nhandle_response @e {\nreverse_proxy UPSTREAM\n}\n}\nhandle {\n" + site + "}\nhandle_errors {\nrespond \"the page\"\n}", "the page"},
		"an intercept of files":                {"intercept {\n@e status 4xx 5xx\nhandle_response @e {\nroot * DIR\nfile_server\n}\n}\nhandle {\n" + site + "}", ""},
		"a handler that catches errors":        {"route {\ntest_catcher\n" + site + "}", ""},
		"a handler that catches, and a page":   {"route {\ntest_catcher\n" + site + "}\nhandle_errors {\nrespond \"the page\"\n}", ""},
		"an error route that errors":           {site + "handle_errors {\nerror 500\n}", ""},
		"a page":                               {site + "handle_errors {\nrespond \"the page\"\n}", "the page"},
		"a page of some statuses":              {site + "handle_errors 401 400 503 {\nrespond \"the page\" {err.status_code}\n}", "the page"},
		"a page of files":                      {site + "handle_errors {\nroot * DIR\nrewrite * /{err.status_code}.html\nfile_server\n}", "the page"},
		"a page of an upstream":                {site + "handle_errors {\nrewrite * /{err.status_code}.html?\nreverse_proxy UPSTREAM {\nmethod GET\n}\n}", "the page"},
		"a page in a handle":                   {site + "handle_errors {\nhandle /none {\nreverse_proxy UPSTREAM\n}\nhandle {\nrespond \"the page\"\n}\n}", ""},
		"a jwt that authenticates":             {site + "handle_errors {\njwt {\nJWT\n}\nreverse_proxy UPSTREAM\n}", ""},
		"in a handle, and an open door beside": {"handle /open/* {\nreverse_proxy UPSTREAM\n}\nhandle {\n" + site + "}\nhandle_errors {\nreverse_proxy UPSTREAM\n}", ""},
	} {
		server := g.caddyfile(t, "http://a.test {\n"+c.caddyfile+"\n}")
		for what, request := range refusals {
			for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
				for _, target := range []string{"/guarded.txt", "/orders/42?x=1"} {
					w := send(server, method, "a.test", target, request.header, request.value)
					if strings.Contains(w.Body.String(), "GUARDED") {
						t.Errorf("%s: %s %s %s is served: %d %s", name, what, method, target, w.Code, w.Body)
					}
					for _, asked := range g.take() {
						if !strings.HasPrefix(asked, "GET /4") && !strings.HasPrefix(asked, "GET /5") || strings.Contains(asked, "42") {
							t.Errorf("%s: %s %s %s: the upstream was asked for %s", name, what, method, target, asked)
						}
					}
					if c.page != "" && !strings.Contains(w.Body.String(), c.page) {
						t.Errorf("%s: %s %s %s gets no page: %d %s", name, what, method, target, w.Code, w.Body)
					}
					if name != "a page of an upstream" && w.Code != request.status && name != "an error route that errors" {
						t.Errorf("%s: %s %s %s: status %d", name, what, method, target, w.Code)
					}
				}
			}
		}
	}
}

// TestThreat52_SubroutesWithErrors are what only JSON can say.
func TestThreat52_SubroutesWithErrors(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	const proxy = `{"handler":"reverse_proxy","upstreams":[{"dial":"UPSTREAM"}]}`
	page := `{"routes":[{"handle":[{"handler":"static_response","body":"the page"}]}]}`
	for name, server := range map[string]string{
		"errors that miss":       `{"routes":[{"handle":[{"handler":"subroute","routes":[{"handle":[{JWTJSON}]}],"errors":{"routes":[{"match":[{"expression":"{http.error.status_code} == 404"}],"handle":[{"handler":"static_response"}]}]}}]},{"handle":[` + proxy + `]}],"errors":` + page + `}`,
		"errors that proxy":      `{"routes":[{"handle":[{"handler":"subroute","routes":[{"handle":[{JWTJSON},` + proxy + `]}],"errors":{"routes":[{"handle":[` + proxy + `]}]}}]}]}`,
		"a named route":          `{"routes":[{"handle":[{"handler":"subroute","routes":[{"handle":[{"handler":"invoke","name":"x"}]}],"errors":{"routes":[{"handle":[` + proxy + `]}]}}]},{"handle":[` + proxy + `]}],"named_routes":{"x":{"handle":[{JWTJSON}]}}}`,
		"handle_response":        `{"routes":[{"handle":[{"handler":"reverse_proxy","upstreams":[{"dial":"UPSTREAM"}],"handle_response":[{"routes":[{"handle":[{JWTJSON}]}]}]}]}],"errors":{"routes":[{"handle":[{"handler":"file_server","root":"DIR"}]}]}}`,
		"after a named one":      `{"routes":[{"handle":[{"handler":"invoke","name":"x"},{JWTJSON},` + proxy + `]}],"named_routes":{"x":{"handle":[{"handler":"test_catcher"}]}}}`,
		"in an intercept's page": `{"routes":[{"handle":[{"handler":"intercept","handle_response":[{"match":{"status_code":[401]},"routes":[{"handle":[` + proxy + `]}]}]},{JWTJSON},` + proxy + `]}]}`,
	} {
		s := g.json(t, server)
		for what, request := range refusals {
			w := send(s, http.MethodGet, "a.test", "/guarded.txt", request.header, request.value)
			if strings.Contains(w.Body.String(), "GUARDED") || name != "handle_response" && len(g.take()) != 0 {
				t.Errorf("%s: %s is served: %d %s", name, what, w.Code, w.Body)
			}
			g.take()
			if w.Code != request.status {
				t.Errorf("%s: %s: status %d", name, what, w.Code)
			}
		}
	}
}

// TestThreat53_CatchersInFront: what has an old answer in store must not give it for a
// refusal.
func TestThreat53_CatchersInFront(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	for name, text := range map[string]string{
		"in front":           "route {\ntest_catcher\njwt {\nJWT\n}\nrespond ok\n}",
		"around":             "test_catcher\nhandle /guarded.txt {\njwt {\nJWT\n}\nrespond ok\n}",
		"in front of a page": "route {\ntest_catcher\njwt {\nJWT\n}\nrespond ok\n}\nhandle_errors {\nrespond page\n}",
	} {
		for _, resource := range []string{"", "resource https://a.test/guarded.txt\n"} {
			server := g.caddyfile(t, "http://a.test {\n"+strings.Replace(text, "JWT\n", "JWT\n"+resource, 1)+"\n}")
			for what, request := range refusals {
				w := send(server, http.MethodGet, "a.test", "/guarded.txt", request.header, request.value)
				if w.Code != request.status || strings.Contains(w.Body.String(), "GUARDED") {
					t.Errorf("%s: %s: %d %s", name, what, w.Code, w.Body)
				}
				if challenge := w.Header().Get("WWW-Authenticate"); (resource != "" && w.Code == http.StatusUnauthorized) != strings.Contains(challenge, `resource_metadata="https://a.test/.well-known/oauth-protected-resource/guarded.txt"`) {
					t.Errorf("%s: %s: the challenge is %q", name, what, challenge)
				}
			}
		}
	}
}

// TestThreat21_ErrorsBeforeAnyHandler: errors that are raised before a jwt runs come to
// error routes without the client's identity headers, and other sites keep theirs.
func TestThreat21_ErrorsBeforeAnyHandler(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	const errors = "handle_errors {\nreverse_proxy UPSTREAM\n}"
	server := g.caddyfile(t, `
http://a.test {
	root * DIR
	try_files {path} =404
	jwt {
		JWT
		token_from query access_token
		token_from header Authorization Bearer
	}
	respond ok
	`+errors+`
}
http://b.test {
	error 500
	`+errors+`
}
`)
	for name, c := range map[string]struct {
		method, host, target string
		user                 string
	}{
		"a file that is not there": {"GET", "a.test", "/none?access_token=secret&y=1", ""},
		"a method of 33 letters":   {strings.Repeat("A", 33), "a.test", "/", ""},
		"another site":             {"GET", "b.test", "/", "forged"},
	} {
		w := send(server, c.method, c.host, c.target, "Authorization", "Bearer secret")
		if text := w.Body.String(); !strings.HasSuffix(text, "user "+c.user) || strings.Contains(text, "secret") {
			t.Errorf("%s: %d %s", name, w.Code, text)
		}
	}
}

// TestThreat21_ErrorsOfStrangeHosts: a request whose host is no site's may be for any.
func TestThreat21_ErrorsOfStrangeHosts(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	const proxy = `{"handler":"reverse_proxy","upstreams":[{"dial":"UPSTREAM"}]}`
	server := g.json(t, `{"routes":[{"match":[{"host":["a.test"]}],"handle":[{JWTJSON}],"terminal":true},{"match":[{"host":["b.test"]}],"handle":[{"handler":"static_response"}],"terminal":true}],
		"errors":{"routes":[{"handle":[`+proxy+`]}]}}`)
	for host, user := range map[string]string{"a.test": "", "strange.test": "", "": "", "b.test": "forged"} {
		if w := send(server, strings.Repeat("A", 33), host, "/", "", ""); !strings.HasSuffix(w.Body.String(), "user "+user) {
			t.Errorf("%q: %d %s", host, w.Code, w.Body)
		}
	}
}

// TestThreat52_Generated makes sites of random parts. CADDY_JWT_SITES says how many, and
// CADDY_JWT_SEED repeats one run.
func TestThreat52_Generated(t *testing.T) {
	t.Parallel()
	sites, seed := 300, rand.Uint64()
	for name, set := range map[string]func(uint64){"CADDY_JWT_SITES": func(n uint64) { sites = int(n) }, "CADDY_JWT_SEED": func(n uint64) { seed = n }} {
		if text := os.Getenv(name); text != "" {
			n, err := strconv.ParseUint(text, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			set(n)
		}
	}
	rnd := rand.New(rand.NewPCG(seed, 0))
	g := newGuarded(t)
	pick := func(list []string) string { return list[rnd.IntN(len(list))] }
	ends := []string{
		"respond \"the page\"", "respond \"the page\" {err.status_code}", "redir * /login", "reverse_proxy UPSTREAM", "root * DIR\nfile_server", "root * DIR\nrewrite * /{err.status_code}.html\nfile_server",
		"rewrite * /{err.status_code}.html?\nreverse_proxy UPSTREAM {\nmethod GET\n}", "method GET\nrewrite * /page.html?\nreverse_proxy UPSTREAM", "rewrite * /page.html\nreverse_proxy UPSTREAM",
		"root * DIR\ntry_files {path} /page.html\nfile_server", "root * DIR\nphp_fastcgi UPSTREAM", "jwt {\nJWT\n}\nreverse_proxy UPSTREAM", "jwt {\nmode clear\nclear X-User\n}\nreverse_proxy UPSTREAM",
		"jwt {\nJWT\noptional\n}\nreverse_proxy UPSTREAM", "error 404", "root * DIR\nrewrite * /page.html\nuri replace page guarded\nfile_server", "rewrite * {http.request.orig_uri.path}\nroot * DIR\nfile_server",
		"root * DIR\nrewrite * {http.request.header.X-Path}\nfile_server", "templates\nrespond \"the page\"", "root * DIR\nfile_server {\npass_thru\n}\nrespond \"the page\"",
		"root * DIR\nrewrite /orders/* /page.html\nfile_server", "vars x {path}\nroot * DIR\nrewrite * {vars.x}\nfile_server", "test_catcher\nrespond \"the page\"",
	}
	fronts := []string{"", "", "", "encode gzip", "templates", "tracing", "header X-A b", "vars a b", "test_catcher",
		"intercept {\n@e status 4xx 5xx\nhandle_response @e {\nEND\n}\n}", "intercept {\nhandle_response {\nEND\n}\n}", "request_body {\nmax_size 1MB\n}", "uri query a>b"}
	wraps := []string{"%s", "%s", "handle {\n%s\n}", "route {\n%s\n}", "handle_path /* {\n%s\n}", "handle /orders/* {\n%[1]s\n}\nhandle {\n%[1]s\n}", "invoke guard\n%s"}
	errorsOf := []string{"handle_errors {\n%s\n}", "handle_errors 401 {\n%s\n}", "handle_errors 4xx {\n%s\n}", "handle_errors 5xx {\n%s\n}", "handle_errors {\nhandle /orders/* {\n%s\n}\nrespond \"the page\"\n}",
		"handle_errors {\n@e expression `{err.status_code} >= 500`\nhandle @e {\n%s\n}\nhandle {\nrespond \"the page\"\n}\n}", "handle_errors {\nroute {\n%s\n}\n}", ""}
	pages, refused, leaks := 0, 0, 0
	for n := range sites {
		front := strings.Replace(pick(fronts), "END", pick(ends), 1)
		jwt := "jwt {\nJWT\n}\n"
		inner := jwt + "reverse_proxy UPSTREAM"
		body := fmt.Sprintf(pick(wraps), inner)
		if front != "" && rnd.IntN(2) == 0 {
			body = "route {\n" + front + "\n" + body + "\n}"
		} else if front != "" {
			body = front + "\n" + body
		}
		errs := pick(errorsOf)
		if errs != "" {
			errs = fmt.Sprintf(errs, pick(ends))
		}
		text := "&(guard) {\njwt {\nJWT\n}\n}\nhttp://a.test {\n" + body + "\n" + errs + "\n}\n"
		if rnd.IntN(3) == 0 {
			text += "http://b.test {\nrespond other\nhandle_errors {\nreverse_proxy UPSTREAM\n}\n}\n"
		}
		server := g.caddyfile(t, text)
		for what, request := range refusals {
			method, target := pick([]string{"GET", "POST", "DELETE", "PUT", "HEAD"}), pick([]string{"/guarded.txt", "/orders/42?x=1", "/", "/index.html"})
			w := send(server, method, "a.test", target, request.header, request.value)
			refused++
			leak := strings.Contains(w.Body.String(), "GUARDED") && !strings.Contains(w.Body.String(), "from a store")
			for _, asked := range g.take() {
				method, uri, _ := strings.Cut(asked, " ")
				leak = leak || method != http.MethodGet || uri == "/" || strings.ContainsAny(uri, "?") || slices.ContainsFunc([]string{"guarded", "orders", "index"}, func(s string) bool { return strings.Contains(uri, s) })
			}
			if strings.Contains(w.Body.String(), "from a store") && !strings.Contains(errs, "test_catcher") {
				leak = true
			}
			if strings.Contains(w.Body.String(), "the page") {
				pages++
			}
			if leak {
				if leaks++; leaks < 5 {
					t.Errorf("seed %d, site %d: %s %s %s is served: %d %s\n%s", seed, n, what, method, target, w.Code, w.Body, text)
				}
			}
		}
	}
	t.Logf("seed %d: %d refused requests, %d pages", seed, refused, pages)
	if pages == 0 || leaks > 0 {
		t.Errorf("seed %d: %d pages, %d served", seed, pages, leaks)
	}
}
