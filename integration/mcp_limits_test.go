package integration

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// What the TypeScript SDK's providers for programs do by themselves: they ask for the
// scope that the program names, or for none, whatever a challenge says.
func TestMCP_TypeScriptScopes(t *testing.T) {
	t.Parallel()
	need(t, mcpTypeScript)
	e := startMCPExample(t)
	agent := mcpRequest{URL: e.url, ID: "agent", Secret: e.file("agent.key"), Calls: callTools[1:]}
	ask := func(r mcpRequest) (mcpAnswer, []string) {
		t.Helper()
		a := askTypeScriptSDK(t, r, "")
		requests := e.tokenRequests(t)
		if len(requests) > 0 {
			e.checkWire(t, r, requests)
		}
		return a, scopesOf(requests)
	}

	t.Run("without a scope it gets all that its client may have", func(t *testing.T) {
		a, scopes := ask(agent)
		if a.Error != nil || len(a.Calls) != 1 || a.Calls[0].Error != nil || !strings.HasPrefix(a.Calls[0].Text, "agent has deleted") {
			t.Errorf("%+v; want the call to succeed", a)
		}
		if !slices.Equal(scopes, []string{""}) {
			t.Errorf("it asks for %q; want one request without a scope", scopes)
		}
	})
	t.Run("with a narrow scope it asks for the same again, and gives up", func(t *testing.T) {
		r := agent
		r.Scope = "mcp:read"
		a, scopes := ask(r)
		if a.Error != nil || len(a.Calls) != 1 || a.Calls[0].Error == nil || a.Calls[0].Error.Code != float64(http.StatusForbidden) {
			t.Errorf("%+v; want the error 403", a)
		}
		if !slices.Equal(scopes, []string{"mcp:read", "mcp:read"}) {
			t.Errorf("it asks for %q; want the narrow scope, twice", scopes)
		}
	})
	t.Run("with the lines of the guide it asks for what the challenge names", func(t *testing.T) {
		r := agent
		r.Scope, r.StepUp = "mcp:read", true
		a, scopes := ask(r)
		if a.Error != nil || len(a.Calls) != 1 || a.Calls[0].Error != nil {
			t.Errorf("%+v; want the call to succeed", a)
		}
		if !slices.Equal(scopes, []string{"mcp:read", "mcp:read mcp:write"}) {
			t.Errorf("it asks for %q; want read, then both", scopes)
		}
	})
	t.Run("a client that may not write is told so", func(t *testing.T) {
		r := mcpRequest{URL: e.url, ID: "viewer", Secret: e.file("viewer.key"), StepUp: true, Calls: callTools}
		a, _ := ask(r)
		if a.Error != nil || len(a.Calls) != 2 || a.Calls[1].Error == nil || a.Calls[1].Error.Code != float64(http.StatusForbidden) {
			t.Errorf("%+v; want the error 403", a)
		}
	})
	t.Run("pinned to another issuer it sends its secret nowhere", func(t *testing.T) {
		r := agent
		r.Issuer = "https://auth.example.com"
		a, scopes := ask(r)
		if a.Error == nil || len(scopes) != 0 {
			t.Errorf("%+v, %d requests for tokens; want an error and none", a, len(scopes))
		}
		e.sawNoSecret(t, r)
	})
}

// sawNoSecret requires that no wire has the secret of a client.
func (e *mcpExample) sawNoSecret(t *testing.T, as mcpRequest) {
	t.Helper()
	for name, text := range map[string]string{"the token service": e.auth.take(), "the MCP server's host": e.api.take(), "the MCP server": e.upstream.take()} {
		if strings.Contains(text, as.Secret) || strings.Contains(text, base64.StdEncoding.EncodeToString([]byte(as.ID+":"+as.Secret))) {
			t.Errorf("%s got the secret", name)
		}
	}
}

// Without `resource` the same clients take the MCP server's host for their token service,
// and post their secret there: what the metadata is for, and proof that the tests above
// would see it.
func TestMCP_WithoutAResourceSecretsGoAstray(t *testing.T) {
	t.Parallel()
	for _, c := range mcpClients {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			need(t, c.part)
			k := keys(t)
			issuer := peers.NewKeyServer(t, peers.NewCA(t), k.RS256)
			port := peers.FreePort(t)
			api := newTap(t, fmt.Sprintf("127.0.0.1:%d", port))
			startCaddy(t, fmt.Sprintf("https://ready.example.test {\n\trespond ok\n}\nhttp://:%d {\n\tbind 127.0.0.1\n\tjwt %s %s\n\trespond ok\n}\n", port, issuer.URL, guideAudience),
				options{env: map[string]string{"SSL_CERT_FILE": issuer.CA.File}})
			const secret = "a-secret-that-goes-astray"
			if a := c.ask(t, mcpRequest{URL: "http://localhost:" + api.port() + "/mcp", ID: "agent", Secret: secret}, ""); a.Error == nil {
				t.Errorf("%+v; want an error", a)
			}
			wire := api.take()
			if !strings.Contains(wire, secret) && !strings.Contains(wire, base64.StdEncoding.EncodeToString([]byte("agent:"+secret))) {
				t.Errorf("it sends no secret: these tests no longer prove anything\n%s", wire)
			}
		})
	}
}

// What MCP's extension for client credentials wants of an authorization server's metadata,
// and RFC 9728 of the resource's.
func TestMCP_Metadata(t *testing.T) {
	t.Parallel()
	e := startMCPExample(t)
	get := func(url string) (m map[string]any) {
		t.Helper()
		res, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		a := read(t, res)
		checkStatus(t, a, http.StatusOK)
		checkHeaders(t, a.header, map[string]string{"Content-Type": "application/json", "Access-Control-Allow-Origin": "*"})
		if err := json.Unmarshal([]byte(a.body), &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	has := func(m map[string]any, name string, want ...any) {
		t.Helper()
		list, _ := m[name].([]any)
		for _, w := range want {
			if !slices.Contains(list, w) {
				t.Errorf("%s is %v; want %v in it", name, m[name], w)
			}
		}
	}
	for _, place := range []string{"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"} {
		m := get(e.issuer + place)
		has(m, "grant_types_supported", "client_credentials")
		has(m, "token_endpoint_auth_methods_supported", "client_secret_basic", "private_key_jwt")
		has(m, "token_endpoint_auth_signing_alg_values_supported", "ES256", "RS256")
		if m["issuer"] != e.issuer || m["token_endpoint"] != e.issuer+"/oauth2/token" {
			t.Errorf("%s: issuer %v, token endpoint %v", place, m["issuer"], m["token_endpoint"])
		}
	}
	origin := strings.TrimSuffix(e.url, "/mcp")
	for _, place := range []string{"/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource"} {
		m := get(origin + place)
		has(m, "authorization_servers", e.issuer)
		has(m, "scopes_supported", "mcp:read")
		if m["resource"] != e.url || len(m["scopes_supported"].([]any)) != 1 {
			t.Errorf("%s: %v; want the resource %s and the scope for reading alone", place, m, e.url)
		}
	}
}
