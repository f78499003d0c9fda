package caddyjwt

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/golang-jwt/jwt/v5"
)

// These tests serve requests with the Caddyfiles of the guides, unchanged except for
// what a test can't have: keys come from signer instead of the network, API keys from
// a file of the test, and all upstreams are one that echoes requests. The tests set
// up whole Caddy configs, which write to globals of Caddy, so none runs in parallel.

// guide is a Caddyfile of a guide, ready to serve.
type guide struct {
	handler http.Handler
	keys    map[string]string // API keys by their consumer
	config  []byte            // as adapted
	app     *App
}

// guideKeys are the consumers of the API keys, with the scope of each.
var guideKeys = map[string]string{"ci": "hooks:ci", "shop": "hooks:shop"}

// openGuide loads the nth Caddyfile of a guide.
func openGuide(t *testing.T, name string, n int) *guide {
	t.Helper()
	var found []docBlock
	for _, b := range docBlocks(t, filepath.Join("docs/guides", name+".md")) {
		if b.language == "caddyfile" || b.language == "caddyfile cache" {
			found = append(found, b)
		}
	}
	if n >= len(found) {
		t.Fatalf("%s has %d Caddyfiles", name, len(found))
	}
	return loadGuide(t, found[n].place, found[n].text)
}

func loadGuide(t *testing.T, place, text string) *guide {
	t.Helper()
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		t.Fatalf("%s: %v", place, err)
	}
	g := &guide{keys: map[string]string{}, config: adapted}
	var file strings.Builder
	for consumer, scope := range guideKeys {
		g.keys[consumer] = "test_" + rand.Text() + rand.Text()
		fmt.Fprintf(&file, `{"id":%q,"hash":"sha256:%x","scopes":[%q]}`+"\n", consumer, sha256.Sum256([]byte(g.keys[consumer])), scope)
	}
	keyFile := filepath.Join(t.TempDir(), "keys.jsonl")
	if err := os.WriteFile(keyFile, []byte(file.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	upstream := httptest.NewServer(http.HandlerFunc(writeRequest))
	t.Cleanup(upstream.Close)

	var config struct {
		Apps map[string]any `json:"apps"`
	}
	if err := json.Unmarshal(adapted, &config); err != nil {
		t.Fatal(err)
	}
	forTest(t, config.Apps, keyFile, upstream.Listener.Addr().String())
	apps := caddy.ModuleMap{}
	for _, app := range []string{"http", "jwt"} {
		raw, err := json.Marshal(config.Apps[app])
		if err != nil {
			t.Fatal(err)
		}
		if config.Apps[app] != nil {
			apps[app] = raw
		}
	}
	ctx, err := caddy.ProvisionContext(&caddy.Config{
		Admin:      &caddy.AdminConfig{Disabled: true},
		Logging:    &caddy.Logging{Logs: map[string]*caddy.CustomLog{"default": {BaseLog: caddy.BaseLog{Level: "PANIC"}}}},
		StorageRaw: fmt.Appendf(nil, `{"module":"file_system","root":%q}`, t.TempDir()),
		AppsRaw:    apps,
	})
	if err != nil {
		t.Fatalf("%s: %v", place, err)
	}
	app, err := ctx.App("http")
	if err != nil {
		t.Fatal(err)
	}
	ours, err := ctx.App("jwt")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ours.(*App).Cleanup(); err != nil {
			t.Error(err)
		}
	})
	g.app = ours.(*App)
	servers := app.(*caddyhttp.App).Servers
	if len(servers) != 1 {
		t.Fatalf("%s: %d servers", place, len(servers))
	}
	for _, s := range servers {
		g.handler = s
	}
	return g
}

// forTest replaces keys, files and upstreams by those of the test.
func forTest(t *testing.T, apps map[string]any, keyFile, upstream string) {
	t.Helper()
	issuer := func(v any) {
		i := v.(map[string]any)
		if i["name"] != nil {
			return
		}
		for _, source := range []string{"discovery", "jwks_url", "jwks_file", "secret", "algorithms"} {
			delete(i, source)
		}
		i["public_key"] = []any{publicPEM(t, signer().Public())}
	}
	if app, ok := apps["jwt"].(map[string]any); ok {
		issuers, _ := app["issuer"].(map[string]any)
		for _, i := range issuers {
			issuer(i)
		}
	}
	services := map[any]bool{} // whose keys are here
	docWalk(apps["http"], func(object map[string]any) {
		if object["handler"] != "jwt_authorization_server" {
			return
		}
		services[object["issuer"]] = true
		if object["api_keys"] != nil {
			object["api_keys"] = []any{map[string]any{"file": keyFile}}
		}
		federates, _ := object["federate"].([]any)
		for _, f := range federates {
			from := f.(map[string]any)["issuer"].(map[string]any)
			issuer(from)
			delete(from, "ca")
			delete(from, "bearer_token_file")
		}
		clients, _ := object["client"].([]any)
		for _, c := range clients {
			if client := c.(map[string]any); client["public_key"] != nil {
				client["public_key"] = []any{publicPEM(t, signer().Public())}
			}
		}
		// A client by a key of the guide's own file.
		delete(object, "introspect")
	})
	docWalk(apps["http"], func(object map[string]any) {
		switch object["handler"] {
		case "jwt":
			issuers, _ := object["issuer"].([]any)
			if resource, ok := object["resource"].(map[string]any); ok && resource["authorization_servers"] == nil && len(issuers) == 1 {
				// What an issuer whose keys are not discovered needs.
				if iss, ok := issuers[0].(map[string]any)["iss"]; ok {
					resource["authorization_servers"] = []any{iss}
				}
			}
			for _, i := range issuers {
				if !services[i.(map[string]any)["iss"]] {
					issuer(i)
				}
			}
			if object["api_keys"] != nil {
				object["api_keys"] = []any{map[string]any{"file": keyFile}}
			}
		case "reverse_proxy":
			upstreams, ok := object["upstreams"].([]any)
			if !ok {
				t.Fatal("reverse_proxy has no upstreams")
			}
			first := upstreams[0].(map[string]any)
			set := map[string]any{"X-Upstream": []any{first["dial"]}}
			headers, _ := object["headers"].(map[string]any)
			if headers == nil {
				headers = map[string]any{}
				object["headers"] = headers
			}
			request, _ := headers["request"].(map[string]any)
			if request == nil {
				request = map[string]any{}
				headers["request"] = request
			}
			if before, ok := request["set"].(map[string]any); ok {
				maps.Copy(set, before)
			}
			request["set"] = set
			first["dial"] = upstream
		}
	})
	servers := apps["http"].(map[string]any)["servers"].(map[string]any)
	for _, v := range servers {
		s := v.(map[string]any)
		s["automatic_https"] = map[string]any{"disable": true}
		delete(s, "tls_connection_policies")
		delete(s, "logs")
	}
}

// writeRequest is the upstream: it answers with what it got, one item per line.
func writeRequest(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "%s %s\n", r.Method, r.URL.RequestURI())
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		fmt.Fprintf(w, "%s: %s\n", name, strings.Join(r.Header[name], " | "))
	}
}

// send sends a request with headers, given as name and value in turn.
func (g *guide) send(method, url string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, url, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	g.handler.ServeHTTP(w, r)
	return w
}

// get sends a GET with a token, which may be empty for none.
func (g *guide) get(url, token string, headers ...string) *httptest.ResponseRecorder {
	if token != "" {
		headers = append(headers, "Authorization", "Bearer "+token)
	}
	return g.send(http.MethodGet, url, headers...)
}

// guideToken returns a token like those of most guides.
func guideToken(t *testing.T, claims map[string]any) string {
	t.Helper()
	all := map[string]any{"iss": "https://auth.example.com/", "aud": "https://api.example.com"}
	maps.Copy(all, claims)
	return signed(t, all)
}

func wantStatus(t *testing.T, what string, got *httptest.ResponseRecorder, want int) {
	t.Helper()
	if got.Code != want {
		t.Errorf("%s: status %d, want %d: %s", what, got.Code, want, got.Body)
	}
}

// wantUpstream checks that the upstream got these lines.
func wantUpstream(t *testing.T, what string, got *httptest.ResponseRecorder, lines ...string) {
	t.Helper()
	wantStatus(t, what, got, http.StatusOK)
	for _, line := range lines {
		if !strings.Contains("\n"+got.Body.String(), "\n"+line+"\n") {
			t.Errorf("%s: the upstream did not get %q:\n%s", what, line, got.Body)
		}
	}
}

// wantAbsent checks that the upstream got none of these.
func wantAbsent(t *testing.T, what string, got *httptest.ResponseRecorder, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(strings.ToLower(got.Body.String()), strings.ToLower(text)) {
			t.Errorf("%s: the upstream got %q:\n%s", what, text, got.Body)
		}
	}
}

// TestGuides_EveryCaddyfileLoads provisions the Caddyfiles, where
// TestDocs_CaddyfilesAdapt only adapts them. It skips what a test can't provision.
func TestGuides_EveryCaddyfileLoads(t *testing.T) {
	loaded := 0
	for _, name := range []string{
		"scopes-per-route", "multi-tenant", "caching", "webhooks", "header-auth-upstreams", "spa-cors", "websockets",
		"error-pages", "cluster", "tokens-you-make", "browser-and-machines", "model-server", "ci-tokens", "grpc", "entra-tenants",
		"machine-to-machine", "full-identity-provider", "from-reason-to-remedy",
		"from-aws-api-gateway", "from-caddy-security", "from-envoy", "from-ggicci", "from-kong", "from-nginx-plus", "from-traefik-hub",
	} {
		for _, b := range docBlocks(t, filepath.Join("docs/guides", name+".md")) {
			if b.language != "caddyfile" && b.language != "caddyfile cache" || strings.Contains(b.text, "php_fastcgi") {
				continue
			}
			loadGuide(t, b.place, b.text)
			loaded++
		}
	}
	if loaded < 20 {
		t.Errorf("only %d Caddyfiles", loaded)
	}
}

func TestGuides_ScopesPerRoute(t *testing.T) {
	g := openGuide(t, "scopes-per-route", 0)
	const site = "https://api.example.com"
	read, admin, none := guideToken(t, map[string]any{"scope": "orders:read"}), guideToken(t, map[string]any{"scope": "admin"}), guideToken(t, nil)
	for _, path := range []string{"/", "/orders", "/orders/1", "/reports", "/reports/1", "/elsewhere"} {
		wantStatus(t, path+" without a token", g.get(site+path, ""), 401)
	}
	for path, want := range map[string]int{"/": 200, "/orders": 403, "/orders/1": 403, "/reports": 403, "/reports/1": 403} {
		wantStatus(t, path+" without a scope", g.get(site+path, none), want)
	}
	wantUpstream(t, "reading", g.get(site+"/orders/1", read), "GET /orders/1")
	wantUpstream(t, "reports", g.get(site+"/reports", admin), "X-Upstream: localhost:8081")
	for _, method := range []string{"DELETE", "POST", "PURGE"} {
		res := g.send(method, site+"/orders/1", "Authorization", "Bearer "+read)
		wantStatus(t, method, res, 403)
		if got := res.Header().Get("WWW-Authenticate"); !strings.HasSuffix(got, `error="insufficient_scope", error_description="the credential lacks a required scope", scope="orders:write"`) {
			t.Errorf("%s: challenge %s", method, got)
		}
	}
	t.Run("choosing", func(t *testing.T) {
		g := openGuide(t, "scopes-per-route", 1)
		wantUpstream(t, "gold", g.get(site+"/", guideToken(t, map[string]any{"scope": "plan:gold"})), "X-Upstream: localhost:8081")
		wantUpstream(t, "others", g.get(site+"/", none), "X-Upstream: localhost:8080")
		wantStatus(t, "nobody", g.get(site+"/", ""), 401)
	})
}

func TestGuides_MultiTenant(t *testing.T) {
	const acmeIss, globexIss = "https://login.acme.example/", "https://globex.example.net/oauth2/default"
	acme, globex := guideToken(t, map[string]any{"iss": acmeIss}), guideToken(t, map[string]any{"iss": globexIss})
	for n, refused := range map[int]int{0: 401, 3: 403} {
		t.Run(fmt.Sprint("issuers, Caddyfile ", n), func(t *testing.T) {
			g := openGuide(t, "multi-tenant", n)
			wantUpstream(t, "acme at acme", g.get("https://acme.example.com/", acme, "X-Tenant", "globex", "X-User", "evil"), "X-Tenant: acme", "X-User: acme:alice")
			wantUpstream(t, "globex at globex", g.get("https://globex.example.com/", globex), "X-Tenant: globex", "X-User: globex:alice")
			wantStatus(t, "globex at acme", g.get("https://acme.example.com/", globex), refused)
			wantStatus(t, "acme at globex", g.get("https://globex.example.com/", acme), refused)
		})
	}
	t.Run("an audience for each host", func(t *testing.T) {
		g := openGuide(t, "multi-tenant", 1)
		token := guideToken(t, map[string]any{"aud": "https://acme.example.com"})
		wantStatus(t, "at acme", g.get("https://acme.example.com/", token), 200)
		wantStatus(t, "at globex", g.get("https://globex.example.com/", token), 401)
	})
	t.Run("a claim", func(t *testing.T) {
		g := openGuide(t, "multi-tenant", 2)
		token := guideToken(t, map[string]any{"tenant": "acme"})
		wantUpstream(t, "at acme", g.get("https://acme.example.com/", token, "X-Tenant", "evil"), "X-Tenant: acme")
		for what, res := range map[string]*httptest.ResponseRecorder{
			"at globex":           g.get("https://globex.example.com/", token),
			"without the claim":   g.get("https://acme.example.com/", guideToken(t, nil)),
			"a claim of a number": g.get("https://acme.example.com/", guideToken(t, map[string]any{"tenant": 7})),
			"a claim of a list":   g.get("https://acme.example.com/", guideToken(t, map[string]any{"tenant": []string{"acme"}})),
		} {
			wantStatus(t, what, res, 403)
		}
	})
}

// TestGuides_Caching serves the Caddyfiles of the guide with a cache that
// orders itself, makes keys and stores responses as cache-handler does.
func TestGuides_Caching(t *testing.T) {
	const site = "https://api.example.com"
	alice, bob := guideToken(t, nil), guideToken(t, map[string]any{"sub": "bob"})
	t.Run("sorted by itself it answers for jwt", func(t *testing.T) {
		g := loadGuide(t, "the open Caddyfile", "api.example.com {\n\tcache\n\tjwt https://auth.example.com/ https://api.example.com {\n\t\tforward user X-User\n\t}\n\treverse_proxy localhost:8080\n}")
		wantUpstream(t, "alice", g.get(site+"/me", alice), "X-User: alice")
		// The mistake that the guide warns of. If this fails, its warning is out of date.
		wantUpstream(t, "nobody", g.get(site+"/me", ""), "X-User: alice")
	})
	t.Run("the same for everybody", func(t *testing.T) {
		g := openGuide(t, "caching", 0)
		wantStatus(t, "alice", g.get(site+"/list", alice), 200)
		if res := g.get(site+"/list", bob); res.Header().Get("Cache-Status") != "hit" {
			t.Error("bob's response is not from the cache")
		}
		wantStatus(t, "nobody", g.get(site+"/list", ""), 401)
		wantStatus(t, "a bad token", g.get(site+"/list", "x"), 401)
	})
	t.Run("keyed by the user", func(t *testing.T) {
		g := openGuide(t, "caching", 1)
		wantUpstream(t, "alice", g.get(site+"/me", alice), `X-User: "alice"`)
		wantUpstream(t, "bob", g.get(site+"/me", bob, "X-User", `"alice"`), `X-User: "bob"`)
		again := g.get(site+"/me", alice)
		wantUpstream(t, "alice again", again, `X-User: "alice"`)
		if again.Header().Get("Cache-Status") != "hit" {
			t.Error("alice's second response is not from the cache")
		}
		wantStatus(t, "nobody", g.get(site+"/me", "", "X-User", `"alice"`), 401)
		// Path and user run into each other without the quotes.
		wantUpstream(t, "x-2", g.get(site+"/me", guideToken(t, map[string]any{"sub": "x-2"})), `X-User: "x-2"`)
		wantUpstream(t, "2", g.get(site+"/me-x", guideToken(t, map[string]any{"sub": "2"})), `X-User: "2"`)
	})
	t.Run("public beside private", func(t *testing.T) {
		g := openGuide(t, "caching", 2)
		wantStatus(t, "the catalog", g.get(site+"/catalog", ""), 200)
		if res := g.get(site+"/catalog", ""); res.Header().Get("Cache-Status") != "hit" {
			t.Error("the catalog is not from the cache")
		}
		for range 2 {
			if res := g.get(site+"/me", alice); res.Code != 200 || res.Header().Get("Cache-Status") != "" {
				t.Errorf("/me: %d, Cache-Status %q", res.Code, res.Header().Get("Cache-Status"))
			}
		}
		wantStatus(t, "nobody", g.get(site+"/me", ""), 401)
	})
	t.Run("all answers private", func(t *testing.T) {
		g := openGuide(t, "caching", 3)
		if got := g.get(site+"/me", alice).Header().Get("Cache-Control"); got != "private" {
			t.Errorf("Cache-Control %q", got)
		}
	})
}

func TestGuides_Webhooks(t *testing.T) {
	g := openGuide(t, "webhooks", 0)
	const site = "https://hooks.example.com"
	wantUpstream(t, "the CI", g.send("POST", site+"/in/ci", "X-API-Key", g.keys["ci"], "X-Sender", "shop"), "POST /in/ci", "X-Sender: ci")
	r := httptest.NewRequest("POST", site+"/in/ci", nil)
	r.SetBasicAuth("ci", g.keys["ci"])
	w := httptest.NewRecorder()
	g.handler.ServeHTTP(w, r)
	wantUpstream(t, "the CI by Basic", w, "X-Sender: ci")
	wantStatus(t, "the shop's key at the CI's", g.send("POST", site+"/in/ci", "X-API-Key", g.keys["shop"]), 403)
	wantStatus(t, "no key", g.send("POST", site+"/in/shop"), 401)
	wantStatus(t, "elsewhere", g.send("POST", site+"/elsewhere"), 404)
	for address, want := range map[string]int{"192.0.2.7:1": 200, "198.51.100.1:1": 403} {
		r := httptest.NewRequest("POST", site+"/in/shop", nil)
		r.RemoteAddr = address
		r.Header.Set("X-API-Key", g.keys["shop"])
		w := httptest.NewRecorder()
		g.handler.ServeHTTP(w, r)
		wantStatus(t, "from "+address, w, want)
	}
	t.Run("in the URL", func(t *testing.T) {
		g := openGuide(t, "webhooks", 1)
		res := g.send("POST", site+"/in?a=1&key="+g.keys["ci"])
		wantUpstream(t, "the key", res, "POST /in?a=1", "X-Sender: ci")
		wantAbsent(t, "the key", res, g.keys["ci"])
		wantStatus(t, "a wrong one", g.send("POST", site+"/in?key=x"+g.keys["ci"]), 401)
		if bytes.Count(g.config, []byte(`"type":"delete"`)) < 4 {
			t.Error("the logs are not filtered")
		}
	})
}

func TestGuides_HeaderAuthUpstreams(t *testing.T) {
	g := openGuide(t, "header-auth-upstreams", 0)
	const site = "https://grafana.example.com"
	token := guideToken(t, map[string]any{"aud": site, "preferred_username": "ann", "email": "ann@example.com", "groups": []string{"dev", "ops"}})
	res := g.get(site+"/", token, "X-WEBAUTH-USER", "admin", "X-Webauth-Name", "Admin", "X-Webauth-Role", "Admin", "X_Webauth_Role", "Admin")
	wantUpstream(t, "ann", res, "X-Webauth-User: ann", "X-Webauth-Email: ann@example.com", "X-Webauth-Groups: dev,ops")
	wantAbsent(t, "ann", res, "admin", token)
	wantUpstream(t, "by cookie", g.send("GET", site+"/", "Cookie", "session="+token), "X-Webauth-User: ann")
	wantStatus(t, "nobody", g.get(site+"/", "", "X-WEBAUTH-USER", "admin"), 401)
	wantStatus(t, "a group with a comma", g.get(site+"/", guideToken(t, map[string]any{"aud": site, "preferred_username": "ann", "groups": []string{"a,admin"}})), 403)

	t.Run("some paths without a token", func(t *testing.T) {
		g := openGuide(t, "header-auth-upstreams", 2)
		open := g.get(site+"/api/health", "", "X-WEBAUTH-USER", "admin", "X-Webauth-Role", "Admin")
		wantUpstream(t, "open", open, "GET /api/health")
		wantAbsent(t, "open", open, "admin")
		wantStatus(t, "guarded", g.get(site+"/", "", "X-WEBAUTH-USER", "admin"), 401)
	})
	t.Run("clear alone", func(t *testing.T) {
		g := openGuide(t, "header-auth-upstreams", 3)
		res := g.get("https://status.example.com/", "", "X-WEBAUTH-USER", "admin", "X-Webauth-Role", "Admin")
		wantUpstream(t, "anyone", res, "GET /")
		wantAbsent(t, "anyone", res, "admin")
	})
}

func TestGuides_SinglePageApps(t *testing.T) {
	const site, app = "https://api.example.com", "https://app.example.com"
	for n := range 2 {
		g := openGuide(t, "spa-cors", n)
		preflight := []string{"Origin", app, "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "authorization"}
		for what, res := range map[string]*httptest.ResponseRecorder{
			"no token":    g.get(site+"/", "", "Origin", app),
			"a bad token": g.get(site+"/", "x", "Origin", app),
			"a token":     g.get(site+"/", guideToken(t, nil), "Origin", app),
			"a preflight": g.send("OPTIONS", site+"/", preflight...),
		} {
			if got := res.Header()["Access-Control-Allow-Origin"]; !slices.Equal(got, []string{app}) {
				t.Errorf("%d, %s: Access-Control-Allow-Origin %q", n, what, got)
			}
		}
		wantStatus(t, "no token", g.get(site+"/", "", "Origin", app), 401)
		wantStatus(t, "a token", g.get(site+"/", guideToken(t, nil), "Origin", app), 200)
		for _, origin := range []string{app, "https://evil.example"} {
			preflight[1] = origin
			res := g.send("OPTIONS", site+"/", preflight...)
			wantStatus(t, "a preflight of "+origin, res, 204)
			if got := res.Header().Get("Access-Control-Allow-Headers"); !strings.Contains(got, "Authorization") {
				t.Errorf("Access-Control-Allow-Headers %q", got)
			}
		}
		if res := g.get(site+"/", "", "Origin", "https://evil.example"); res.Header().Get("Access-Control-Allow-Origin") == "https://evil.example" {
			t.Error("another origin may read the answer")
		}
		wantStatus(t, "OPTIONS that is no preflight", g.send("OPTIONS", site+"/", "Origin", app), 401)
	}
}

// TestGuides_WebSockets checks the request that opens a stream. The stream itself,
// and its end, need a connection.
func TestGuides_WebSockets(t *testing.T) {
	const site = "https://app.example.com"
	g := openGuide(t, "websockets", 0)
	token := guideToken(t, map[string]any{"aud": site})
	open := func(origin string) *httptest.ResponseRecorder {
		return g.send("GET", site+"/ws", "Connection", "Upgrade", "Upgrade", "websocket", "Origin", origin, "Cookie", "session="+token)
	}
	wantStatus(t, "another site", open("https://evil.example"), 403)
	wantUpstream(t, "the site", open(site), "GET /ws", "X-User: alice", "Upgrade: websocket")
	wantStatus(t, "a trusted origin", open("https://admin.example.com"), 200)
	wantStatus(t, "no token", g.get(site+"/ws", ""), 401)
	if !bytes.Contains(g.config, []byte(`"stream_timeout":900000000000`)) {
		t.Error("the stream has no end")
	}
	t.Run("a ticket", func(t *testing.T) {
		g := openGuide(t, "websockets", 1)
		const site = "https://api.example.com"
		ticket := func(life time.Duration) string {
			return signed(t, map[string]any{"iss": "https://tickets.example.com", "aud": "https://api.example.com/ws", "exp": time.Now().Add(life).Unix()})
		}
		good := ticket(20 * time.Second)
		res := g.get(site+"/ws?room=1&ticket="+good, "")
		wantUpstream(t, "a ticket", res, "GET /ws?room=1", "X-User: alice")
		wantAbsent(t, "a ticket", res, good)
		wantStatus(t, "one for an hour", g.get(site+"/ws?ticket="+ticket(time.Hour), ""), 401)
		wantStatus(t, "an access token in the query", g.get(site+"/ws?ticket="+guideToken(t, nil), ""), 401)
		wantStatus(t, "a ticket for the API", g.get(site+"/", good), 401)
		wantStatus(t, "a ticket in the API's query", g.get(site+"/?ticket="+good, ""), 401)
		wantStatus(t, "the API", g.get(site+"/", guideToken(t, nil)), 200)
	})
}

func TestGuides_ErrorPages(t *testing.T) {
	g := openGuide(t, "error-pages", 0)
	const site = "https://app.example.com"
	token := guideToken(t, map[string]any{"aud": site})
	for what, c := range map[string]struct {
		res     *httptest.ResponseRecorder
		status  int
		kind    string
		content string
	}{
		"a browser":           {g.get(site+"/", "", "Accept", "text/html,*/*;q=0.8"), 401, "text/html; charset=utf-8", "<p>a token is required, in the cookie session or in the header Authorization with the scheme Bearer</p>"},
		"a program":           {g.get(site+"/", ""), 401, "application/problem+json", `{"status":401,"title":"Unauthorized","detail":"a token is required, in the cookie session or in the header Authorization with the scheme Bearer"}`},
		"a program's token":   {g.get(site+"/", "x"), 401, "application/problem+json", `"detail":"the token is not a JWT"`},
		"a page of elsewhere": {g.send("POST", site+"/", "Cookie", "session="+token, "Origin", "https://evil.example", "Accept", "text/html"), 403, "text/html; charset=utf-8", "You may not see this"},
	} {
		wantStatus(t, what, c.res, c.status)
		h := c.res.Header()
		if h.Get("Content-Type") != c.kind || !strings.Contains(c.res.Body.String(), c.content) {
			t.Errorf("%s: %s %s", what, h.Get("Content-Type"), c.res.Body)
		}
		if h.Get("WWW-Authenticate") == "" || h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: headers %v", what, h)
		}
	}
	wantStatus(t, "a token", g.get(site+"/", token), 200)
}

// TestGuides_FromReasonToRemedy makes the mistakes of the guide: each is refused for its
// reason by a plain config, and accepted by the one that the guide mends it with.
func TestGuides_FromReasonToRemedy(t *testing.T) {
	const site = "https://api.example.com/orders"
	plain := loadGuide(t, "a plain config", "api.example.com {\n\tjwt https://auth.example.com/ https://api.example.com\n\treverse_proxy localhost:8080\n}")
	typed := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"iss": "https://auth.example.com/", "aud": "https://api.example.com", "sub": "alice", "exp": time.Now().Add(time.Hour).Unix()})
	typed.Header["typ"] = "vnd.example+jwt"
	strange, err := typed.SignedString(signer())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what   string
		n      int // of the guide's Caddyfiles
		token  string
		text   string // of the answer before
		header []string
	}{
		{"another realm", 0, guideToken(t, map[string]any{"iss": "https://auth.example.com/realms/shop"}), "the token's issuer is not trusted", nil},
		{"another spelling of the audience", 1, guideToken(t, map[string]any{"aud": "orders-api"}), "the token is for another audience", nil},
		{"the audience in client_id", 1, guideToken(t, map[string]any{"aud": nil, "client_id": "orders-api"}), "the token has no audience", nil},
		{"a clock behind", 2, guideToken(t, map[string]any{"exp": time.Now().Add(-70 * time.Second).Unix()}), "the token has expired", nil},
		{"no end", 3, guideToken(t, map[string]any{"exp": nil}), "the token lacks a required claim", nil},
		{"a machine", 3, guideToken(t, map[string]any{"sub": nil, "client_id": "ci"}), "the token lacks a required claim", nil},
		{"a type of its own", 4, strange, "the token's type is not accepted", nil},
		{"many groups", 5, guideToken(t, map[string]any{"groups": strings.Repeat("g", 14<<10)}), "the token is malformed", nil},
		{"a cookie", 8, "", "a token is required", []string{"Cookie", "session=" + guideToken(t, nil)}},
	} {
		before := plain.get(site, c.token, c.header...)
		if before.Code != 401 || !strings.Contains(before.Body.String(), c.text) {
			t.Errorf("%s: %d %s, want %q", c.what, before.Code, before.Body, c.text)
		}
		wantStatus(t, c.what+", mended", openGuide(t, "from-reason-to-remedy", c.n).get(site, c.token, c.header...), 200)
	}
	scopes := openGuide(t, "from-reason-to-remedy", 9)
	wantStatus(t, "scopes elsewhere", scopes.get(site, guideToken(t, map[string]any{"permissions": []string{"orders:read"}})), 200)
	wantStatus(t, "no scope", scopes.get(site, guideToken(t, nil)), 403)
	origins := openGuide(t, "from-reason-to-remedy", 10)
	post := func(origin string) *httptest.ResponseRecorder {
		return origins.send("POST", site, "Cookie", "session="+guideToken(t, nil), "Origin", origin)
	}
	wantStatus(t, "my page", post("https://app.example.com"), 200)
	wantStatus(t, "another's page", post("https://evil.example"), 403)
	wantUpstream(t, "a list with commas", openGuide(t, "from-reason-to-remedy", 11).get(site, guideToken(t, map[string]any{"groups": []string{"a,b", "c d"}})), `X-Groups: ["a,b","c d"]`)
}

// The directive cache of these tests, for the plugin of that name: it comes before
// rewrite, as the plugin's does, and keys by method, host and URI, and by headers.
func init() {
	caddy.RegisterModule(new(sampleCache))
	httpcaddyfile.RegisterHandlerDirective("cache", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		c := new(sampleCache)
		return c, c.UnmarshalCaddyfile(h.Dispenser)
	})
	httpcaddyfile.RegisterDirectiveOrder("cache", httpcaddyfile.Before, "rewrite")
}

type sampleCache struct {
	Headers []string `json:"headers,omitempty"`
	stored  map[string]*httptest.ResponseRecorder
}

func (*sampleCache) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.cache", New: func() caddy.Module { return new(sampleCache) }}
}

func (c *sampleCache) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	for d.NextBlock(0) {
		switch d.Val() {
		case "ttl":
			d.RemainingArgs()
		case "key":
			for d.NextBlock(1) {
				if d.Val() != "headers" {
					return d.ArgErr()
				}
				c.Headers = d.RemainingArgs()
			}
		default:
			return d.ArgErr()
		}
	}
	return nil
}

func (c *sampleCache) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	key := r.Method + "-" + r.Host + "-" + r.RequestURI
	for _, name := range c.Headers {
		key += "-" + r.Header.Get(name)
	}
	answer, hit := c.stored[key]
	if !hit {
		answer = httptest.NewRecorder()
		if err := next.ServeHTTP(answer, r); err != nil {
			return err
		}
		// RFC 9111 section 3.5, by what the request has now.
		control := answer.Header().Get("Cache-Control")
		if answer.Code == http.StatusOK && r.Header.Get("Authorization") == "" && !strings.Contains(control, "private") && !strings.Contains(control, "no-store") {
			if c.stored == nil {
				c.stored = map[string]*httptest.ResponseRecorder{}
			}
			c.stored[key] = answer
		}
	}
	maps.Copy(w.Header(), answer.Header())
	if hit {
		w.Header().Set("Cache-Status", "hit")
	}
	w.WriteHeader(answer.Code)
	_, err := w.Write(answer.Body.Bytes())
	return err
}

var _ caddyhttp.MiddlewareHandler = (*sampleCache)(nil)
