package integration

import (
	"encoding/json"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// mcpCallOf is a call of a tool.
func mcpCallOf(tool string) string {
	return `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"` + tool + `","arguments":{}}}`
}

// The Caddyfiles of docs/guides/mcp-server.md, with tokens as each provider makes them.
func TestGuides_MCPServer(t *testing.T) {
	t.Parallel()
	const guide = "mcp-server.md"
	k := keys(t)
	const own, listed, keycloak, auth0, entra = "own.example.test", "listed.example.test", "keycloak.example.test", "auth0.example.test", "entra.example.test"
	site := func(text, host string, more ...string) string {
		code := guideCodeWith(t, guide, text)
		_, code, found := strings.Cut(code, "mcp.example.com {\n")
		if !found {
			t.Fatalf("this code of the guide is no site mcp.example.com:\n%s", code)
		}
		code = strings.ReplaceAll(changed(t, code, append(more, printedUpstream...)...), "https://mcp.example.com", "https://"+host)
		return "https://" + host + " {\n" + code
	}
	s := newFixture(t, site("delete_all drop_*", own, "jwt https://auth.example.com", "jwt {$ISSUER}")+
		site("default deny", listed, "jwt https://auth.example.com", "jwt {$ISSUER}")+
		site("KEYCLOAK-HOST", keycloak, "https://KEYCLOAK-HOST/realms/REALM", "{$ISSUER}")+
		site("AUTH0-DOMAIN", auth0, "https://AUTH0-DOMAIN/", "{$ISSUER}")+
		site("TENANT_ID", entra, "https://login.microsoftonline.com/TENANT_ID/v2.0", "{$ISSUER}"),
		options{trusted: true, global: "jwt {\n\t\tscope_implies mcp:write mcp:read\n\t}"}, k.RS256)

	token := func(host string, claims map[string]any) string {
		all := map[string]any{"aud": "https://" + host + "/mcp", "exp": time.Now().Add(time.Hour).Unix()}
		for name, value := range claims {
			all[name] = value
		}
		return k.RS256.Token(t, s.claims(all), nil)
	}
	both := `scope="mcp:read mcp:write"`
	api := map[string]any{"aud": "API_CLIENT_ID", "oid": "o", "scope": nil}
	with := func(claims map[string]any, name string, value any) map[string]any {
		more := map[string]any{name: value}
		for n, v := range claims {
			if n != name {
				more[n] = v
			}
		}
		return more
	}
	for _, c := range []struct {
		name, host string
		claims     map[string]any // nil for no token
		message    string
		status     int
		challenge  string
	}{
		{"no token", own, nil, mcpCallOf("list"), 401, `scope="mcp:read"`},
		{"reading", own, map[string]any{"scope": "mcp:read"}, mcpCallOf("list"), 200, ""},
		{"writing implies reading", own, map[string]any{"scope": "mcp:write"}, mcpCallOf("list"), 200, ""},
		{"deleting with a token to read", own, map[string]any{"scope": "mcp:read"}, mcpCallOf("delete_all"), 403, both},
		{"the same in capitals", own, map[string]any{"scope": "mcp:read"}, mcpCallOf("DELETE_ALL"), 403, both},
		{"what a pattern names", own, map[string]any{"scope": "mcp:read"}, mcpCallOf("drop_table"), 403, both},
		{"deleting", own, map[string]any{"scope": "mcp:write"}, mcpCallOf("delete_all"), 200, ""},
		{"a token for another MCP server", own, map[string]any{"aud": "https://" + auth0 + "/mcp", "scope": "mcp:read"}, mcpCallOf("list"), 401, `scope="mcp:read"`},

		{"what is listed", listed, map[string]any{"scope": "mcp:read"}, mcpCallOf("list"), 200, ""},
		{"a method that is listed", listed, map[string]any{"scope": "mcp:read"}, `{"jsonrpc":"2.0","method":"notifications/initialized"}`, 200, ""},
		{"a tool that is not listed", listed, map[string]any{"scope": "mcp:write"}, mcpCallOf("brand_new"), 403, ""},
		{"a method that is not listed", listed, map[string]any{"scope": "mcp:write"}, `{"jsonrpc":"2.0","id":1,"method":"resources/list"}`, 403, ""},

		{"Keycloak without the mapper", keycloak, map[string]any{"aud": "account", "scope": "mcp:read"}, mcpCallOf("list"), 401, `scope="mcp:read"`},
		{"Keycloak, reading", keycloak, map[string]any{"scope": "profile mcp:read"}, mcpCallOf("list"), 200, ""},
		{"Keycloak, deleting", keycloak, map[string]any{"scope": "mcp:read"}, mcpCallOf("delete_all"), 403, both},
		{"Keycloak, deleting with both", keycloak, map[string]any{"scope": "mcp:read mcp:write"}, mcpCallOf("delete_all"), 200, ""},

		{"Auth0, with its userinfo too", auth0, map[string]any{"aud": []string{"https://" + auth0 + "/mcp", "https://AUTH0-DOMAIN/userinfo"}, "scope": "openid mcp:read"}, mcpCallOf("list"), 200, ""},
		{"Auth0, deleting", auth0, map[string]any{"scope": "mcp:read"}, mcpCallOf("delete_all"), 403, both},

		{"Entra, no token", entra, nil, mcpCallOf("list"), 401, `resource_metadata="https://` + entra + `/.well-known/oauth-protected-resource/mcp"`},
		{"Entra, a user", entra, with(api, "scp", "mcp.access"), mcpCallOf("list"), 200, ""},
		{"Entra, an application", entra, with(api, "roles", []string{"Mcp.Access"}), mcpCallOf("list"), 200, ""},
		{"Entra, an application without roles", entra, api, mcpCallOf("list"), 403, ""},
		{"Entra, a user without the scope", entra, with(api, "scp", "other"), mcpCallOf("list"), 403, ""},
		{"Entra, deleting without the role", entra, with(api, "scp", "mcp.access"), mcpCallOf("delete_all"), 403, ""},
		{"Entra, deleting", entra, with(with(api, "scp", "mcp.access"), "roles", []string{"Mcp.Write"}), mcpCallOf("delete_all"), 200, ""},
	} {
		changes := []change{header("Content-Type", "application/json"), header("Accept", "application/json, text/event-stream"), body(c.message)}
		if c.claims != nil {
			changes = append(changes, bearer(token(c.host, c.claims)))
		}
		a := s.send(t, s.http, http.MethodPost, c.host, "/mcp", changes...)
		challenge := a.header.Get("WWW-Authenticate")
		if a.status != c.status || !strings.Contains(challenge, c.challenge) {
			t.Errorf("%s: status %d, %q; want %d and %q: %s", c.name, a.status, challenge, c.status, c.challenge, a.body)
			continue
		}
		if c.host == entra && (strings.Contains(challenge, `scope="mcp.`) || strings.Contains(challenge, "Mcp.")) {
			t.Errorf("%s: the challenge names a scope that Entra does not know: %q", c.name, challenge)
		}
		switch {
		case c.status == http.StatusOK:
			if seen := a.upstream(t); seen.Body != c.message || seen.Header.Get("Authorization") != "" {
				t.Errorf("%s: the upstream got %+v", c.name, seen)
			}
		case c.status == http.StatusForbidden && strings.HasPrefix(c.message, `{"jsonrpc":"2.0","id":7`) && !strings.HasPrefix(c.name, "Entra, a"):
			var failure struct {
				ID    int `json:"id"`
				Error struct {
					Code int `json:"code"`
				} `json:"error"`
			}
			if err := json.Unmarshal([]byte(a.body), &failure); err != nil || failure.ID != 7 || failure.Error.Code != -32000 {
				t.Errorf("%s: %s is no error of JSON-RPC with the id 7 and the code -32000", c.name, a.body)
			}
		}
	}
}

// The whole first Caddyfile of the guide with the commands of its section "What a client
// does", and the lines for the TypeScript SDK, which the test's client has too.
func TestGuides_MCPServerSteps(t *testing.T) {
	t.Parallel()
	need(t, curl)
	need(t, jq)
	const guide = "mcp-server.md"
	lines := strings.TrimSpace(guideCode(t, guide, "js", 0))
	if !strings.Contains(readFile(t, filepath.Join("npm", "mcp-client.mjs")), lines) {
		t.Errorf("the test's client does not have the lines of the guide:\n%s", lines)
	}

	agent := peers.NewAPIKey(t, "agent", map[string]any{"scopes": []string{"mcp:write"}})
	robot := keys(t).ES256.PublicFile(t)
	port := peers.FreePort(t)
	number := strconv.Itoa(port)
	issuer := "https://auth.example.test"
	upstream := peers.NewUpstream(t)
	code := guideCode(t, guide, "caddyfile", 0)
	global, sites, found := strings.Cut(code, "}\n\nauth.example.com {\n")
	if !found || !strings.HasPrefix(global, "{\n\tjwt {") {
		t.Fatalf("the guide's first Caddyfile has another form:\n%s", code)
	}
	sites = changed(t, "auth.example.com {\n"+sites, "/etc/caddy/keys/clients.jsonl", tempFile(t, "clients.jsonl", peers.KeyLines(t, agent)),
		"/etc/caddy/keys/robot.pem", robot, "localhost:8080", upstream.Addr)
	sites = strings.NewReplacer("https://auth.example.com", issuer+":"+number, "https://mcp.example.com", "https://mcp.example.test:"+number,
		"auth.example.com {", "https://auth.example.test {", "mcp.example.com {", "https://mcp.example.test {").Replace(sites)
	c := startCaddy(t, sites, options{port: port, global: strings.TrimSuffix(strings.TrimPrefix(global, "{\n"), "\n")})
	becomesTrue(t, "the token service has keys", func() bool {
		a := c.send(t, c.client(http2), http.MethodGet, "auth.example.test", "/.well-known/jwks.json")
		return a.status == http.StatusOK
	})

	text := readFile(t, filepath.Join("..", "docs", "guides", guide))
	_, section, found := strings.Cut(text, "\n## What a client does, step by step\n")
	if !found {
		t.Fatal("the guide has no such section")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "agent.key"), agent.Text)
	c.logs.forbid(agent.Text)
	var script strings.Builder
	for line := range strings.Lines(section) {
		if command, ok := strings.CutPrefix(line, "    "); ok {
			command = strings.NewReplacer("auth.example.com", "auth.example.test:"+number, "mcp.example.com", "mcp.example.test:"+number,
				"curl ", "curl --noproxy '*' -k --connect-to ::127.0.0.1:"+number+" ").Replace(command)
			script.WriteString(strings.TrimSuffix(command, "\n") + "\necho\n")
		}
	}
	script.WriteString("echo \"used $TOKEN\"\n")
	shell := exec.CommandContext(t.Context(), "sh", "-ec", script.String())
	shell.Dir = dir
	output, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	out, token, _ := strings.Cut(string(output), "used ")
	c.logs.forbid(strings.TrimSpace(token))
	rest := out
	for _, want := range []string{
		`scope="mcp:read", resource_metadata="https://mcp.example.test:` + number + `/.well-known/oauth-protected-resource/mcp"`,
		`"resource":"https://mcp.example.test:` + number + `/mcp"`, `"scopes_supported":["mcp:read"]`,
		`"code_challenge_methods_supported":["S256"]`,
		`tools/call`, // the upstream's echo
		` 403`, `scope="mcp:read mcp:write"`, `"code":-32000`,
	} {
		_, after, ok := strings.Cut(rest, want)
		if !ok {
			t.Errorf("%s is not there, or not in its place:\n%s", want, out)
			break
		}
		rest = after
	}
}

// guideCodeWith is the Caddyfile of a guide that contains a text.
func guideCodeWith(t *testing.T, guide, text string) string {
	t.Helper()
	for _, block := range fencedBlock.FindAllStringSubmatch(readFile(t, filepath.Join("..", "docs", "guides", guide)), -1) {
		if block[1] == "caddyfile" && strings.Contains(block[2], text) {
			return block[2]
		}
	}
	t.Fatalf("%s has no Caddyfile with %q", guide, text)
	return ""
}

// The guide's table of what clients can do names the versions that are tested here.
func TestGuides_MCPServerVersions(t *testing.T) {
	t.Parallel()
	text := readFile(t, filepath.Join("..", "docs", "guides", "mcp-server.md"))
	for file, pin := range map[string]string{
		"go.mod":                             "github.com/modelcontextprotocol/go-sdk v",
		filepath.Join("npm", "package.json"): `"@modelcontextprotocol/sdk": "`,
		filepath.Join("..", "examples", "mcp", "go.mod"): "github.com/modelcontextprotocol/go-sdk v",
	} {
		_, version, found := strings.Cut(readFile(t, file), pin)
		version = strings.FieldsFunc(version, func(r rune) bool { return r == '"' || r == '\n' || r == ' ' })[0]
		name := "TypeScript SDK "
		if slices.Contains([]string{"go.mod"}, filepath.Base(file)) {
			name = "Go SDK "
		}
		if !found || !strings.Contains(text, name+version) {
			t.Errorf("%s has %s%s; the guide speaks of another version", file, name, version)
		}
	}
}
