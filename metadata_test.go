package caddyjwt

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	logcapture "go.uber.org/zap/zaptest/observer"

	"github.com/caddy-jwt/caddy-jwt/internal/explain"
)

const metadataPlace = "/.well-known/oauth-protected-resource"

// described is what a client finds in metadata.
type described struct {
	Resource      string   `json:"resource"`
	Servers       []string `json:"authorization_servers"`
	Scopes        []string `json:"scopes_supported"`
	Methods       []string `json:"bearer_methods_supported"`
	Name          string   `json:"resource_name"`
	Documentation string   `json:"resource_documentation"`
}

func metadataOf(t *testing.T, got *httptest.ResponseRecorder) (d described) {
	t.Helper()
	if err := json.Unmarshal(got.Body.Bytes(), &d); err != nil {
		t.Fatalf("%v: %s", err, got.Body)
	}
	return d
}

// unserved are the warnings about resources that no route serves.
func unserved(g *guide) []string {
	g.app.warnings = siteWarnings{}
	g.app.warnUnserved()
	return g.app.warnings.texts
}

// TestMetadataPlaces: the metadata of a resource are found from its URL in each kind of site,
// by a client without a credential; where they can't be, a warning says what to write.
func TestMetadataPlaces(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "index.html"), []byte("INDEX"), 0o600); err != nil {
		t.Fatal(err)
	}
	const (
		jwt     = " https://auth.example.com/ {\nresource https://mcp.example.com/mcp\n}\n"
		jwtRoot = "jwt https://auth.example.com/ {\nresource https://mcp.example.com\n}\n"
		mcp     = "mcp.example.com" + metadataPlace + "/mcp"
		atRoot  = "mcp.example.com" + metadataPlace
	)
	for name, c := range map[string]struct {
		caddyfile string
		served    []string // hosts and paths
		other     []string // which are not served, and answered with this status
		status    int
		warned    bool
	}{
		"a site": {
			"mcp.example.com {\njwt" + jwt + "respond ok\n}", []string{mcp, atRoot, "mcp.example.com:443" + metadataPlace + "/mcp", "MCP.example.com" + metadataPlace + "/mcp"},
			[]string{
				"mcp.example.com/mcp", mcp + "/", mcp + "/x", atRoot + "/", "mcp.example.com" + metadataPlace + "/%6dcp", "mcp.example.com" + metadataPlace + "/MCP",
				"mcp.example.com/.well-known/%6fauth-protected-resource/mcp", "mcp.example.com/x/.." + metadataPlace + "/mcp", "mcp.example.com/" + metadataPlace + "/mcp",
				"mcp.example.com:80" + metadataPlace + "/mcp", "mcp.example.com:8443" + metadataPlace + "/mcp",
			}, 401, false,
		},
		"a resource that is a host":   {"mcp.example.com {\n" + jwtRoot + "respond ok\n}", []string{atRoot}, []string{mcp, atRoot + "/"}, 401, false},
		"a matcher":                   {"mcp.example.com {\njwt /mcp*" + jwt + "respond ok\n}", []string{mcp, atRoot}, []string{"mcp.example.com/mcp"}, 401, false},
		"a matcher, and headers":      {"mcp.example.com {\njwt /mcp* https://auth.example.com/ {\nresource https://mcp.example.com/mcp\nforward user X-User\n}\nrespond ok\n}", []string{mcp, atRoot}, []string{"mcp.example.com/mcp"}, 401, false},
		"another jwt in front":        {"mcp.example.com {\n@all path /*\njwt @all https://other.example.com/ api\njwt /mcp*" + jwt + "respond ok\n}", []string{mcp, atRoot}, []string{"mcp.example.com/mcp", "mcp.example.com/"}, 401, false},
		"a jwt that clears, in front": {"mcp.example.com {\nroute {\njwt {\nmode clear\nclear X-User\n}\nrespond /.well-known/* no 404\njwt" + jwt + "respond ok\n}\n}", []string{mcp, atRoot}, []string{"mcp.example.com/mcp"}, 401, false},
		"try_files in front": {
			"mcp.example.com {\nroot " + root + "\ntry_files {path} /index.html\njwt /mcp*" + jwt + "file_server\n}", []string{mcp, atRoot}, []string{"mcp.example.com/x"}, 200, false,
		},
		"a rewrite in front":         {"mcp.example.com {\nrewrite * /other{uri}\njwt" + jwt + "respond ok\n}", []string{mcp, atRoot}, []string{"mcp.example.com/mcp"}, 401, false},
		"a path that leads there":    {"mcp.example.com {\nrewrite /x " + metadataPlace + "/mcp\njwt" + jwt + "respond ok\n}", []string{mcp}, []string{"mcp.example.com/x"}, 401, false},
		"handle":                     {"mcp.example.com {\nhandle /mcp* {\njwt" + jwt + "respond ok\n}\nhandle {\nrespond no 404\n}\n}", nil, []string{mcp, atRoot}, 404, true},
		"handle, with metadata":      {"mcp.example.com {\njwt_resource_metadata\nhandle /mcp* {\njwt" + jwt + "respond ok\n}\nhandle {\nrespond no 404\n}\n}", []string{mcp, atRoot}, []string{"mcp.example.com/x"}, 404, false},
		"handle of everything":       {"mcp.example.com {\nhandle {\njwt" + jwt + "respond ok\n}\n}", []string{mcp, atRoot}, []string{"mcp.example.com/mcp"}, 401, false},
		"handle_path":                {"mcp.example.com {\nhandle_path /mcp* {\njwt" + jwt + "respond ok\n}\nrespond no 404\n}", nil, []string{mcp}, 404, true},
		"handle_path, with metadata": {"mcp.example.com {\njwt_resource_metadata\nhandle_path /mcp* {\njwt" + jwt + "respond ok\n}\nrespond no 404\n}", []string{mcp, atRoot}, []string{"mcp.example.com/x"}, 404, false},
		"handle_path of the place":   {"mcp.example.com {\nhandle_path /.well-known/* {\njwt" + jwt + "respond ok\n}\nrespond no 404\n}", []string{mcp, atRoot}, []string{"mcp.example.com/x"}, 404, false},
		"route":                      {"mcp.example.com {\nroute /mcp* {\njwt" + jwt + "respond ok\n}\nrespond no 404\n}", nil, []string{mcp}, 404, true},
		"route, with metadata":       {"mcp.example.com {\njwt_resource_metadata\nroute /mcp* {\njwt" + jwt + "respond ok\n}\nrespond no 404\n}", []string{mcp, atRoot}, []string{"mcp.example.com/x"}, 404, false},
		"route of everything":        {"mcp.example.com {\nroute {\njwt" + jwt + "respond ok\n}\n}", []string{mcp, atRoot}, []string{"mcp.example.com/mcp"}, 401, false},
		"a redirect in front":        {"mcp.example.com {\nredir /.well-known/* https://www.example.com\njwt" + jwt + "respond ok\n}", nil, []string{mcp}, 302, true},
		"metadata, and a redirect":   {"mcp.example.com {\nredir /.well-known/* https://www.example.com\njwt_resource_metadata\njwt" + jwt + "respond ok\n}", []string{mcp, atRoot}, []string{"mcp.example.com/.well-known/x"}, 302, false},
		"metadata of another site": {
			"mcp.example.com {\nhandle /mcp* {\njwt" + jwt + "}\nrespond no 404\n}\nwww.example.com {\njwt_resource_metadata\nrespond no 404\n}", nil, []string{mcp, "www.example.com" + metadataPlace + "/mcp"}, 404, true,
		},
		"a wildcard site":  {"*.example.com {\njwt" + jwt + "respond ok\n}", []string{mcp, atRoot}, []string{"evil.example.com" + metadataPlace + "/mcp", "evil.example.com" + metadataPlace}, 401, false},
		"a catch-all site": {":443 {\njwt" + jwt + "respond ok\n}", []string{mcp, atRoot}, []string{"evil.example" + metadataPlace + "/mcp", "mcp.example.com.evil.example" + metadataPlace, "mcp.example.com." + metadataPlace}, 401, false},
		"a site of several addresses": {
			"mcp.example.com, api.example.com {\njwt" + jwt + "respond ok\n}", []string{mcp, atRoot}, []string{"api.example.com" + metadataPlace + "/mcp", "api.example.com" + metadataPlace}, 401, false,
		},
		"a resource of another host":         {"mcp.example.com {\nrespond no 404\n}\napi.example.com {\njwt" + jwt + "respond ok\n}", nil, []string{mcp}, 404, true},
		"a named route":                      {"&(api) {\njwt" + jwt + "respond ok\n}\nmcp.example.com {\ninvoke api\n}", []string{mcp, atRoot}, []string{"mcp.example.com/mcp"}, 401, false},
		"a named route, out of reach":        {"&(api) {\njwt" + jwt + "respond ok\n}\nmcp.example.com {\nhandle /mcp {\ninvoke api\n}\nrespond no 404\n}", nil, []string{mcp}, 404, true},
		"basic_auth behind":                  {"mcp.example.com {\njwt" + jwt + "basic_auth {\nbob $2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG\n}\nrespond ok\n}", []string{mcp, atRoot}, []string{"mcp.example.com/mcp"}, 401, false},
		"a site whose jwt reports":           {"mcp.example.com {\njwt https://auth.example.com/ {\nresource https://mcp.example.com/mcp\nmode report\n}\nrespond ok\n}", []string{mcp, atRoot}, nil, 0, false},
		"an error in front":                  {"mcp.example.com {\nroute {\nerror * 418\njwt" + jwt + "}\nhandle_errors {\nrespond no {err.status_code}\n}\n}", nil, []string{mcp}, 418, true},
		"a jwt and metadata in error routes": {"mcp.example.com {\nroute {\nerror 418\njwt" + jwt + "}\nhandle_errors {\njwt_resource_metadata\njwt https://auth.example.com/ api\nrespond no {err.status_code}\n}\n}", nil, []string{mcp}, 401, true},
	} {
		t.Run(name, func(t *testing.T) {
			g := loadGuide(t, name, c.caddyfile)
			for _, place := range c.served {
				got := g.get("https://"+place, "")
				wantStatus(t, place, got, 200)
				if d := metadataOf(t, got); !slices.Contains([]string{"https://mcp.example.com/mcp", "https://mcp.example.com"}, d.Resource) {
					t.Errorf("%s: %s", place, got.Body)
				}
			}
			for _, place := range c.other {
				got := g.get("https://"+place, "")
				wantStatus(t, place, got, c.status)
				if strings.Contains(got.Body.String(), "authorization_servers") {
					t.Errorf("%s is served: %s", place, got.Body)
				}
			}
			warnings := unserved(g)
			if c.warned != (len(warnings) == 1) || c.warned && !strings.Contains(warnings[0], "write jwt_resource_metadata at the site of mcp.example.com itself") {
				t.Errorf("warnings %q", warnings)
			}
		})
	}
}

// TestMetadataOfSeveralResources: each has its own, and the root place is of none, unless it is
// the place of one.
func TestMetadataOfSeveralResources(t *testing.T) {
	one := func(path string) string {
		return "jwt /" + path + "* https://auth.example.com/ {\nresource https://mcp.example.com/" + path + "\nrequire scope " + path + "\n}\n"
	}
	g := loadGuide(t, "two", "mcp.example.com {\n"+one("orders")+one("reports")+"respond ok\n}\nother.example.com {\njwt https://auth.example.com/ {\nresource https://other.example.com/x\n}\nrespond ok\n}")
	for _, path := range []string{"orders", "reports"} {
		d := metadataOf(t, g.get("https://mcp.example.com"+metadataPlace+"/"+path, ""))
		if d.Resource != "https://mcp.example.com/"+path || !slices.Equal(d.Scopes, []string{path}) {
			t.Errorf("%s: %+v", path, d)
		}
		refused := g.get("https://mcp.example.com/"+path, "")
		if want := `Bearer realm="restricted", scope="` + path + `", resource_metadata="https://mcp.example.com` + metadataPlace + "/" + path + `"`; refused.Header().Get("WWW-Authenticate") != want {
			t.Errorf("%s: the challenge is %s", path, refused.Header())
		}
	}
	if got := g.get("https://mcp.example.com"+metadataPlace, ""); got.Body.String() != "ok" {
		t.Errorf("the root place: %s", got.Body)
	}
	if d := metadataOf(t, g.get("https://other.example.com"+metadataPlace, "")); d.Resource != "https://other.example.com/x" {
		t.Errorf("the root place of the other: %+v", d)
	}
	g = loadGuide(t, "a host and a path", "mcp.example.com {\n"+one("orders")+"jwt / https://auth.example.com/ {\nresource https://mcp.example.com\n}\nrespond ok\n}")
	if d := metadataOf(t, g.get("https://mcp.example.com"+metadataPlace, "")); d.Resource != "https://mcp.example.com" {
		t.Errorf("the root place: %+v", d)
	}
}

// TestOneResourceOfSeveralHandlers: a document says the same of it, no matter which serves it.
func TestOneResourceOfSeveralHandlers(t *testing.T) {
	site := func(first, second string) string {
		one := func(path, options string) string {
			return "jwt /" + path + " https://auth.example.com/ {\nresource https://mcp.example.com/mcp " + options + "\n}\n"
		}
		return "mcp.example.com {\n" + one("a", first) + one("b", second) + "respond ok\n}"
	}
	for _, c := range []struct{ first, second, err string }{
		{"", "", ""}, {"{\nname A\n}", "{\nname A\n}", ""},
		{"{\nname A\n}", "{\nname B\n}", "https://mcp.example.com/mcp is in several jwt (here and at mcp.example.com) that say different things of it"},
		{"\nrequire scope a", "\nrequire scope b", "write the same name, documentation, scopes and authorization_servers into both"},
		{"{\nscopes a b\n}\nrequire scope a", "{\nscopes a b\n}\nrequire scope b", ""},
	} {
		_, err := provisioned(t, site(c.first, c.second))
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%q and %q: %v", c.first, c.second, err)
		}
	}
}

// provisioned provisions the config of a Caddyfile as it is. Nothing is fetched.
func provisioned(t *testing.T, text string) (*App, error) {
	t.Helper()
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return nil, err
	}
	var config caddy.Config
	if err := json.Unmarshal(adapted, &config); err != nil {
		t.Fatal(err)
	}
	delete(config.AppsRaw, "tls")
	config.Admin = &caddy.AdminConfig{Disabled: true}
	config.Logging = &caddy.Logging{Logs: map[string]*caddy.CustomLog{"default": {BaseLog: caddy.BaseLog{Level: "PANIC"}}}}
	ctx, err := caddy.ProvisionContext(&config)
	if err != nil {
		return nil, err
	}
	app, err := ctx.App("jwt")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := app.(*App).Cleanup(); err != nil {
			t.Error(err)
		}
	})
	return app.(*App), nil
}

// TestMetadataMethods: the metadata can be read by pages of any site, and by nothing but
// reading.
func TestMetadataMethods(t *testing.T) {
	g := loadGuide(t, "methods", "mcp.example.com {\njwt https://auth.example.com/ {\nresource https://mcp.example.com/mcp\n}\nrespond ok\n}")
	const url = "https://mcp.example.com" + metadataPlace + "/mcp"
	get := g.get(url, "")
	for header, want := range map[string]string{
		"Content-Type": "application/json", "Cache-Control": "public, max-age=3600", "Access-Control-Allow-Origin": "*", "WWW-Authenticate": "", "Set-Cookie": "",
	} {
		if got := get.Header().Get(header); got != want {
			t.Errorf("%s is %q, want %q", header, got, want)
		}
	}
	head := g.send(http.MethodHead, url)
	wantStatus(t, "HEAD", head, 200)
	if head.Body.Len() != 0 || head.Header().Get("Content-Length") != get.Header().Get("Content-Length") {
		t.Errorf("HEAD: %v %s", head.Header(), head.Body)
	}
	preflight := g.send(http.MethodOptions, url, "Origin", "https://agent.example", "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "mcp-protocol-version")
	wantStatus(t, "a preflight", preflight, 204)
	if h := preflight.Header(); h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Access-Control-Allow-Headers") != "*, MCP-Protocol-Version" || h.Get("Access-Control-Allow-Methods") != "GET, HEAD" {
		t.Errorf("a preflight: %v", h)
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions, "get", "PROPFIND"} {
		wantStatus(t, method, g.send(method, url), 401)
	}
	wantStatus(t, "OPTIONS with an Origin alone", g.send(http.MethodOptions, url, "Origin", "https://agent.example"), 401)
	for _, headers := range [][]string{{"Authorization", "Bearer x.y.z"}, {"Authorization", "Bearer x", "Cookie", "a=b"}, {"X-Forwarded-Host", "evil.example"}, {"X-Original-URL", "/x"}, {"Range", "bytes=0-1"}} {
		if got := g.send(http.MethodGet, url, headers...); got.Code != 200 || got.Body.String() != get.Body.String() {
			t.Errorf("%v: %d %s", headers, got.Code, got.Body)
		}
	}
	if got := g.send(http.MethodGet, url+"?x=1", "Accept", "text/html"); got.Body.String() != get.Body.String() {
		t.Errorf("with a query: %d %s", got.Code, got.Body)
	}
}

// TestTheAudienceOfAResource: without another audience, a token must be for the resource.
func TestTheAudienceOfAResource(t *testing.T) {
	const mcp = "https://mcp.example.com/mcp"
	for name, c := range map[string]struct {
		caddyfile string
		good, bad []string
	}{
		"the resource":         {caddyfile: "jwt https://auth.example.com/ {\nresource " + mcp + "\n}", good: []string{mcp}, bad: []string{"https://mcp.example.com", mcp + "/", mcp + "/x", "https://mcp.example.com/MCP", "https://api.example.com", "*"}},
		"a host, with a slash": {caddyfile: "jwt https://auth.example.com/ {\nresource https://mcp.example.com\n}", good: []string{"https://mcp.example.com", "https://mcp.example.com/"}, bad: []string{"https://mcp.example.com//", mcp, "mcp.example.com"}},
		"the issuer's own":     {caddyfile: "jwt https://auth.example.com/ api {\nresource " + mcp + "\n}", good: []string{"api"}, bad: []string{mcp}},
		"the handler's":        {caddyfile: "jwt https://auth.example.com/ {\naudience api\nresource " + mcp + "\n}", good: []string{"api"}, bad: []string{mcp}},
	} {
		g := loadGuide(t, name, "mcp.example.com {\n"+c.caddyfile+"\nrespond ok\n}")
		for _, aud := range c.good {
			wantStatus(t, name+": "+aud, g.get(mcp, guideToken(t, map[string]any{"aud": aud})), 200)
		}
		for _, aud := range c.bad {
			wantStatus(t, name+": "+aud, g.get(mcp, guideToken(t, map[string]any{"aud": aud})), 401)
		}
	}
	named := func(audience, options string) string {
		return "{\njwt {\nissuer corp https://auth.example.com/ {\naudience " + audience + "\n}\n}\n}\nmcp.example.com {\njwt corp {\n" + options + "\n}\nrespond ok\n}"
	}
	for _, c := range []struct{ audience, options, good, bad string }{
		{"api", "resource " + mcp + " {\nauthorization_servers https://auth.example.com/\n}", mcp, "api"},
		{"*", "resource " + mcp + " {\nauthorization_servers https://auth.example.com/\n}", mcp, "api"},
		{"api", "require claim sub alice", "api", mcp},
	} {
		g := loadGuide(t, c.options, named(c.audience, c.options))
		wantStatus(t, c.options, g.get(mcp, guideToken(t, map[string]any{"aud": c.good})), 200)
		wantStatus(t, c.options, g.get(mcp, guideToken(t, map[string]any{"aud": c.bad})), 401)
	}
}

// TestMetadataSay what the config has, and what its issuers and rules tell.
func TestMetadataSay(t *testing.T) {
	t.Setenv("MCP_URL", "https://mcp.example.com/env")
	t.Setenv("MCP_ISSUER", "https://env.example.com")
	for options, want := range map[string]described{
		"issuer https://auth.example.com\nresource https://mcp.example.com/mcp": {Resource: "https://mcp.example.com/mcp", Servers: []string{"https://auth.example.com"}},
		"issuer {env.MCP_ISSUER}\nresource {env.MCP_URL}":                       {Resource: "https://mcp.example.com/env", Servers: []string{"https://env.example.com"}},
		"issuer https://auth.example.com\nissuer https://partner.example {\njwks_url https://partner.example/keys\n}\nresource https://mcp.example.com/mcp\nrequire scope a b\nrequire scope b offline_access c\nrequire any_scope d e": {
			Resource: "https://mcp.example.com/mcp", Servers: []string{"https://auth.example.com"}, Scopes: []string{"a", "b", "c"},
		},
		"issuer https://auth.example.com\nrequire scope a\nresource https://mcp.example.com/mcp {\nname \"Les commandes <é>\"\ndocumentation https://docs.example.com\nscopes a b\nauthorization_servers https://x.example/ {env.MCP_ISSUER}\n}": {
			Resource: "https://mcp.example.com/mcp", Servers: []string{"https://x.example/", "https://env.example.com"}, Scopes: []string{"a", "b"}, Name: "Les commandes <é>", Documentation: "https://docs.example.com",
		},
		"issuer corp\nresource https://mcp.example.com/mcp": {Resource: "https://mcp.example.com/mcp", Servers: []string{"https://corp.example.com"}},
	} {
		app, err := provisioned(t, "{\njwt {\nissuer corp https://corp.example.com {\naudience *\n}\n}\n}\nmcp.example.com {\njwt {\n"+options+"\n}\n}")
		if err != nil {
			t.Errorf("%s: %v", options, err)
			continue
		}
		all := app.guards.all()[0].resources.All()
		if len(all) != 1 {
			t.Fatalf("%s: %d resources", options, len(all))
		}
		w := httptest.NewRecorder()
		if !app.guards.all()[0].resources.Serve(w, all[0].Request()) {
			t.Fatalf("%s: it is not served", options)
		}
		want.Methods = []string{"header"}
		if got := metadataOf(t, w); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v\nwant %+v", options, got, want)
		}
	}
	for options, want := range map[string]string{
		"issuer {env.MCP_ISSUER}\nissuer https://auth.example.com\nresource https://mcp.example.com/mcp":                                             "there are several; write authorization_servers https://auth.example.com",
		"issuer https://auth.example.com {\ndiscovery https://auth.example.com/other\n}\nresource https://mcp.example.com/mcp":                       "none is an https URL whose keys are discovered",
		"issuer https://auth.example.com\nresource {env.MCP_ISSUER}/":                                                                                `"https://env.example.com/" ends with a slash`,
		"issuer https://auth.example.com\nresource https://mcp.example.com/mcp {\nauthorization_servers {env.MCP_ISSUER}?x\n}":                       "has a query or a fragment",
		"issuer https://auth.example.com\nresource https://mcp.example.com/mcp {\ndocumentation {env.MCP_NOT_SET}\n}":                                "the environment variable MCP_NOT_SET is not set or empty",
		"issuer http://auth.example.com {\ninsecure_http\n}\nresource https://mcp.example.com/mcp":                                                   "none is an https URL whose keys are discovered",
		"issuer {env.MCP_ISSUER} {\naudience *\n}\nresource https://mcp.example.com/mcp":                                                             "audience: * accepts tokens for any other API",
		"issuer https://auth.example.com\nresource https://mcp.example.com/mcp {\nauthorization_servers {env.MCP_ISSUER} https://env.example.com\n}": "is there twice",
	} {
		if _, err := provisioned(t, "mcp.example.com {\njwt {\n"+options+"\n}\n}"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v\nwant in it: %s", options, err, want)
		}
	}
}

// TestMetadataWarnings: what a resource makes dangerous or leaves without a use is said.
func TestMetadataWarnings(t *testing.T) {
	for options, want := range map[string]int{
		"resource https://api.example/mcp {\nauthorization_servers https://a.example\n}\ntoken_from header Authorization Bearer\ntoken_from query access_token": 1,
		"resource https://api.example/mcp {\nauthorization_servers https://a.example\n}":                                                                        0,
		"token_from query access_token": 0,
	} {
		s := newSite(t, options)
		core, logs := logcapture.New(zapcore.WarnLevel)
		s.logger, s.site = zap.New(core), "api.example"
		warn(s.Handler, time.Now())
		if lines := logs.FilterMessageSnippet("token_from query beside resource").Len(); lines != want {
			t.Errorf("%s: %v", options, logs.All())
		}
	}
	g := loadGuide(t, "nothing to serve", "mcp.example.com {\njwt_resource_metadata\njwt https://auth.example.com/ api\nrespond ok\n}")
	if got := unserved(g); len(got) != 1 || !strings.Contains(got[0], "jwt_resource_metadata has nothing to serve") {
		t.Errorf("%q", got)
	}
	wantStatus(t, "nothing to serve", g.get("https://mcp.example.com"+metadataPlace, ""), 401)
}

// TestRefusalsBehindMetadata: what serves metadata changes nothing of how the refusals of the
// site are answered.
func TestRefusalsBehindMetadata(t *testing.T) {
	for name, front := range map[string]string{"without": "", "with": "jwt_resource_metadata\n"} {
		g := loadGuide(t, name, "mcp.example.com {\n"+front+"jwt https://auth.example.com/ {\nresource https://mcp.example.com/mcp\n}\nrespond ok\nhandle_errors {\n"+front+"respond page\n}\n}")
		got := g.get("https://mcp.example.com/mcp", "")
		wantStatus(t, name, got, 401)
		if got.Body.String() != "page" || !strings.Contains(got.Header().Get("WWW-Authenticate"), "resource_metadata=") {
			t.Errorf("%s: %v %s", name, got.Header(), got.Body)
		}
	}
}

// TestExplainMetadata: a request for the metadata is answered, and nothing else is asked.
func TestExplainMetadata(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"", "mode report"} {
		s := newSite(t, "resource https://api.example/mcp {\nauthorization_servers https://a.example\n}\n"+mode)
		request := func(method, path string) *http.Request {
			r := httptest.NewRequest(method, "https://api.example"+path, nil)
			return r
		}
		e := explainTo(t, request("GET", metadataPlace+"/mcp"), explain.Question{Credential: "x"}, s.Handler)
		if h := e.last(); h.Verdict != explain.Anonymous || h.Answer != "the metadata of the resource https://api.example/mcp" || len(h.Checks) != 0 {
			t.Errorf("%+v", h)
		}
		for _, r := range []*http.Request{request("POST", metadataPlace+"/mcp"), request("GET", metadataPlace+"/other"), request("GET", "/mcp")} {
			e := explainTo(t, r, explain.Question{}, s.Handler)
			if h := e.last(); h.Answer != "" || h.Reason == "" {
				t.Errorf("%s %s: %+v", r.Method, r.URL, h)
			}
		}
	}
}

// TestMetadataInTheWalk: explaining a request for metadata ends where it is answered.
func TestMetadataInTheWalk(t *testing.T) {
	g := loadGuide(t, "walk", "mcp.example.com {\nroute {\njwt /mcp* https://auth.example.com/ {\nresource https://mcp.example.com/mcp\n}\njwt https://other.example.com/ api\nrespond ok\n}\n}")
	servers := map[string]*caddyhttp.Server{"srv0": g.handler.(*caddyhttp.Server)}
	for uri, want := range map[string]struct {
		verdict  explain.Verdict
		handlers int
	}{
		metadataPlace + "/mcp": {explain.Unprotected, 0}, // by jwt_resource_metadata, the route of what does not match
		"/mcp":                 {explain.Refused, 1},
		"/x":                   {explain.Refused, 1},
	} {
		report, err := explain.Walk(t.Context(), servers, &explain.Question{URI: "https://mcp.example.com" + uri})
		if err != nil || report.Verdict != want.verdict || len(report.Handlers) != want.handlers || !report.Certain {
			t.Errorf("%s: %v %+v", uri, err, report)
		}
	}
	g = loadGuide(t, "walk", "mcp.example.com {\njwt https://auth.example.com/ {\nresource https://mcp.example.com/mcp\n}\nrespond ok\n}")
	servers = map[string]*caddyhttp.Server{"srv0": g.handler.(*caddyhttp.Server)}
	report, err := explain.Walk(t.Context(), servers, &explain.Question{URI: "https://mcp.example.com" + metadataPlace})
	if err != nil || report.Verdict != explain.Anonymous || len(report.Handlers) != 1 || report.Handlers[0].Answer == "" {
		t.Errorf("%v %+v", err, report)
	}
}
