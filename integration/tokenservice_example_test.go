package integration

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// tokenExample is examples/token-service, running: what clients of other languages, and
// verifiers, are tested against.
type tokenExample struct {
	*shellExample
	stop        func() // ends its Caddy
	issuer, api string
	http        *http.Client
}

// startTokenExample runs it by the lines of its README.
func startTokenExample(t *testing.T, env map[string]string) *tokenExample {
	t.Helper()
	return openTokenExample(t, copyExample(t, "token-service"), env)
}

func openTokenExample(t *testing.T, dir string, env map[string]string) *tokenExample {
	t.Helper()
	need(t, curl)
	need(t, jq)
	p := ports(t, 4)
	all := map[string]string{"AUTH_PORT": p[0], "UPSTREAM_PORT": p[1], "API_PORT": p[2], "CADDY_ADMIN": "127.0.0.1:" + p[3]}
	for name, value := range env {
		all[name] = value
	}
	e := &tokenExample{
		shellExample: newShellExample(t, dir, strings.NewReplacer("8480", p[0], "8481", p[1], "8482", p[2]), all,
			"data", "clients.jsonl", "reports.key", "gateway.key", "deploy-bot.key", "deploy-bot.pem", "nightly.key", "nightly.pem"),
		issuer: "http://localhost:" + p[0],
		api:    "http://localhost:" + p[2],
		http:   &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}},
	}
	e.run("./clients.sh make")
	for _, name := range []string{"reports.key", "gateway.key", "deploy-bot.key", "nightly.key"} {
		for _, line := range strings.Fields(e.file(name)) {
			if len(line) > 30 { // no line of PEM that others have too
				e.logs.forbid(line)
			}
		}
	}
	checkExampleConfig(t, dir, all)
	e.serve()
	return e
}

// serve starts Caddy and returns when it gives out tokens.
func (e *tokenExample) serve() {
	e.t.Helper()
	e.stop = e.start("./caddy run", e.logs)
	e.eventually("the token service has keys", func() bool {
		res, err := e.http.Get(e.issuer + "/.well-known/jwks.json")
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
}

// restart ends Caddy and starts it with more in its environment.
func (e *tokenExample) restart(env ...string) {
	e.t.Helper()
	e.stop()
	e.env = append(e.env, env...)
	e.serve()
}

// file is the content of a file of the folder.
func (e *tokenExample) file(name string) string {
	e.t.Helper()
	return strings.TrimSpace(readFile(e.t, filepath.Join(e.dir, name)))
}

// call sends a token to the API, and returns the status, the challenge and the body.
func (e *tokenExample) call(t *testing.T, token string) (int, string, string) {
	t.Helper()
	e.logs.forbid(token)
	r, err := http.NewRequest(http.MethodGet, e.api+"/orders", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	res, err := e.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header.Get("WWW-Authenticate"), string(text)
}

// accepts requires that the API accepts a token as that of a client.
func (e *tokenExample) accepts(t *testing.T, token, client string) {
	t.Helper()
	if status, _, text := e.call(t, token); status != http.StatusOK || !strings.Contains(text, "\nX-User-Id: "+client+"\n") {
		t.Errorf("the API answers %d, and the upstream sees\n%s\nwant 200 and %s", status, text, client)
	}
}

// refuses requires that the API refuses a token for what its description says.
func (e *tokenExample) refuses(t *testing.T, token, why string) {
	t.Helper()
	if status, challenge, text := e.call(t, token); status != http.StatusUnauthorized || !strings.Contains(challenge+text, why) {
		t.Errorf("the API answers %d, %s, %s; want 401 and %q", status, challenge, text, why)
	}
}

// metadata is the document from which clients learn the rest.
func (e *tokenExample) metadata(t *testing.T) (m struct {
	Issuer        string `json:"issuer"`
	Token         string `json:"token_endpoint"`
	Revocation    string `json:"revocation_endpoint"`
	Introspection string `json:"introspection_endpoint"`
	KeySet        string `json:"jwks_uri"`
}) {
	t.Helper()
	res, err := e.http.Get(e.issuer + "/.well-known/oauth-authorization-server")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&m); err != nil || m.Issuer != e.issuer {
		t.Fatalf("the metadata is of %q: %v", m.Issuer, err)
	}
	return m
}

// token asks for a token as the client reports, by its key.
func (e *tokenExample) token(t *testing.T) string {
	t.Helper()
	a := askGo(t, e, clientRequest{Do: "token", ID: "reports", Secret: e.file("reports.key")})
	if a.AccessToken == "" {
		t.Fatalf("no token: %+v", a.Error)
	}
	e.logs.forbid(a.AccessToken)
	return a.AccessToken
}

// part decodes a part of a token: 0 is its header, 1 its claims.
func part(t *testing.T, token string, n int, to any) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatal("it is no JWT")
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[n])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, to); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

// runTokenService runs the example as its README has it.
func runTokenService(t *testing.T, dir string) {
	e := openTokenExample(t, dir, nil)
	for _, line := range []string{
		"curl -s http://localhost:8480/.well-known/oauth-authorization-server | jq",
	} {
		e.run(line)
	}
	const forbidden, revoked, invalid = `"insufficient_scope","error_description"`, `"error_description":"the token is revoked"`, `"invalid_client","error_description"`
	upstream := func(client, scopes string) string {
		return "GET /orders\nX-User-Id: " + client + "\nX-Scopes: " + scopes + "\nAuthorization: \n"
	}
	e.section("With an API key", `"token_type":"Bearer"`, upstream("reports", "orders:read"))
	e.section("With a signature", forbidden, upstream("deploy-bot", "orders:read orders:write"))
	e.section("The end of a token", "true\n", "false\n", revoked, invalid)
}
