package integration

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// A move is docs/guides/full-identity-provider.md, from the sites of
// docs/guides/machine-to-machine.md to an OpenID provider with the same clients.
type move struct {
	*serviceGuide
	secret, key  string // of reports, and of deploy-bot
	providerPort string
}

const moveGuide, machines = "full-identity-provider.md", "machine-to-machine.md"

// newMove makes the clients.
func newMove(t *testing.T) *move {
	t.Helper()
	need(t, nodeModules)
	port := strconv.Itoa(peers.FreePort(t))
	m := &move{providerPort: port, serviceGuide: newServiceGuide(t, moveGuide, "api.example.com",
		"localhost:9090", "localhost:"+port, "https://login.example.com", "http://localhost:"+port)}
	for _, command := range []string{
		"caddy jwt api-key new --append /etc/caddy/clients.jsonl --id reports", "caddy jwt api-key new --append /etc/caddy/clients.jsonl --id gateway",
		"openssl genpkey", "openssl pkey",
	} {
		m.shell(t, guideLine(t, machines, command))
	}
	m.secret = strings.TrimSpace(readFile(t, filepath.Join(m.dir, "reports.key")))
	m.key = readFile(t, filepath.Join(m.dir, "deploy-bot.key"))
	return m
}

// provider starts an OpenID provider that knows the clients: reports by the key that it
// has, deploy-bot by its public key.
func (m *move) provider(t *testing.T, issuer string) {
	t.Helper()
	block, _ := pem.Decode([]byte(readFile(t, filepath.Join(m.dir, "deploy-bot.pem"))))
	if block == nil {
		t.Fatal("the public key is no PEM")
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	point, err := public.(*ecdsa.PublicKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	client := func(id string, more map[string]any) map[string]any {
		c := map[string]any{"client_id": id, "grant_types": []string{"client_credentials"}, "redirect_uris": []string{}, "response_types": []string{}}
		for name, value := range more {
			c[name] = value
		}
		return c
	}
	settings, err := json.Marshal(map[string]any{
		"issuer": issuer, "scopes": []string{"orders:read", "orders:write"},
		"clients": []any{
			client("reports", map[string]any{"client_secret": m.secret}),
			client("deploy-bot", map[string]any{
				"token_endpoint_auth_method": "private_key_jwt",
				"jwks":                       map[string]any{"keys": []any{map[string]any{"kty": "EC", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:])}}},
			}),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	runOIDCProvider(t, http.DefaultClient, m.providerPort, "", "", `{"https://api.example.com":"ES256"}`, string(settings))
}

// ask runs a client that knows an issuer's URL. It is the same before and after the move.
func (m *move) ask(t *testing.T, issuer string, r clientRequest) string {
	t.Helper()
	r.Do, r.Issuer, r.Scope, r.Resource = "token", issuer, "orders:read", "https://api.example.com"
	var a clientAnswer
	askJSON(t, m.trust(), r, &a, "node", filepath.Join("npm", "oauth-client.mjs"), "openid-client")
	if a.Error != nil {
		t.Fatalf("%s gets no token: %+v", r.ID, *a.Error)
	}
	m.logs.forbid(a.AccessToken)
	return a.AccessToken
}

// clients are the tokens of both clients.
func (m *move) clients(t *testing.T, issuer string) map[string]string {
	t.Helper()
	return map[string]string{
		"reports":    m.ask(t, issuer, clientRequest{ID: "reports", Secret: m.secret}),
		"deploy-bot": m.ask(t, issuer, clientRequest{ID: "deploy-bot", Key: m.key, Algorithm: "ES256"}),
	}
}

// all requires that the API accepts the tokens.
func (m *move) all(t *testing.T, tokens map[string]string) {
	t.Helper()
	for client, token := range tokens {
		m.passes(t, token, client)
	}
}

// check runs the commands at the end of the guide.
func (m *move) check(t *testing.T) {
	t.Helper()
	_, text, _ := strings.Cut(readFile(t, filepath.Join("..", "docs", "guides", moveGuide)), "\n## Check it\n")
	var script strings.Builder
	for line := range strings.Lines(text) {
		if command, ok := strings.CutPrefix(line, "    "); ok {
			script.WriteString(command)
		}
	}
	if got := m.shell(t, script.String()); got != "200\n" {
		t.Errorf("the guide's check prints %q", got)
	}
}

// The provider takes over the issuer's URL, and no client learns of it.
func TestGuides_FullIdentityProviderAtTheSameURL(t *testing.T) {
	t.Parallel()
	m := newMove(t)
	// Caddy will find the provider's keys at its own site, so it must trust its own
	// authority, which it makes when it starts for the first time.
	trusted := filepath.Join(m.dir, "trusted.pem")
	m.startWith(t, guideCode(t, machines, "caddyfile", 0), options{env: map[string]string{"SSL_CERT_FILE": trusted}})
	m.restart(func() { writeFile(t, trusted, readFile(t, m.root())) })
	before := m.clients(t, m.issuer)
	m.all(t, before)
	m.check(t)

	m.provider(t, m.issuer)
	for _, start := range []string{"curl -s https://auth.example.com/.well-known/jwks.json", "curl -s http://localhost:9090/jwks", "jq -s"} {
		m.line(t, start)
	}
	m.mustReload(t, m.caddyfile(t, 1))
	m.all(t, before) // until they expire
	during := m.clients(t, m.issuer)
	m.all(t, during)
	m.check(t)

	m.mustReload(t, m.caddyfile(t, 2))
	m.eventually("the API has found the provider's keys", 20*time.Second, func() bool {
		return m.get(t, m.api, during["reports"]).status == http.StatusOK
	}, m.logs.String)
	m.all(t, during)
	m.all(t, m.clients(t, m.issuer))
	m.check(t)
	for client, token := range before {
		m.denied(t, "a token of before of "+client, token, http.StatusUnauthorized)
	}
}

// Clients move one by one, from one issuer to the other.
func TestGuides_FullIdentityProviderSideBySide(t *testing.T) {
	t.Parallel()
	m := newMove(t)
	provider := "http://localhost:" + m.providerPort
	m.provider(t, provider)
	m.start(t, 0, options{})
	m.passes(t, m.ask(t, m.issuer, clientRequest{ID: "reports", Secret: m.secret}), "reports")
	m.all(t, m.clients(t, provider))
	m.check(t)
}
