package integration

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// example describes how to prepare one of the examples as its README does, and
// how it answers requests.
type example struct {
	// prepare makes what the folder needs and returns the environment.
	prepare func(t *testing.T, dir string) map[string]string
	// tokens that its site accepts.
	tokens func(t *testing.T, dir string, env map[string]string) []string
	// without is the status of a request without a credential; 401 if zero.
	statusWithout int
	// plain is whether its site is plain HTTP, for this machine alone.
	plain bool
	// requests are others that its README describes.
	requests func(t *testing.T, dir string) []exampleRequest
	// filtered means that only its own filter keeps credentials out of its log, so
	// that they are looked for in it wherever they were sent.
	filtered bool
	// deployed runs an example that is for a container or a service: it takes the place
	// of all of the above. See deployed_test.go.
	deployed func(t *testing.T, dir string)
}

// exampleRequest is a request to an example, and what it answers.
type exampleRequest struct {
	name, method, path string
	header, value      string
	status             int
	body               string // a part of it
}

var examples = map[string]example{
	"aws-api-gateway": {
		prepare: func(t *testing.T, dir string) map[string]string {
			awsKeys(t, dir)
			return nil
		},
		statusWithout: http.StatusForbidden,
		filtered:      true,
		requests: func(t *testing.T, dir string) []exampleRequest {
			const forbidden, unauthorized = `{"message":"Forbidden"}`, `{"message":"Unauthorized"}`
			key := func(name string) string { return script(t, dir, "./aws.sh", "key", name) }
			partner, shop, former := key("partner"), key("shop"), key("former")
			token := "Bearer " + script(t, dir, "./aws.sh", "token")
			return []exampleRequest{
				{"no key", "GET", "/orders", "", "", 403, forbidden},
				{"a key", "GET", "/orders", "x-api-key", partner, 200, "X-Usage-Plans: c7y23b glvrsr\nX-Api-Key: \n"},
				{"a disabled key", "GET", "/orders", "x-api-key", former, 403, forbidden},
				{"a key that was cut", "GET", "/orders", "x-api-key", partner[:32], 403, forbidden},
				{"a key in the plan", "GET", "/premium/", "x-api-key", partner, 200, "X-User-Id: "},
				{"a key that is not in the plan", "GET", "/premium/", "x-api-key", shop, 403, forbidden},
				{"the same without the slash", "GET", "/premium", "x-api-key", shop, 403, forbidden},
				{"no key, for the plan", "GET", "/premium/", "", "", 403, forbidden},
				{"reading without a key", "GET", "/catalog/", "", "", 200, "GET /catalog/\nX-User-Id: \nX-Key-Id: \nX-Usage-Plans: \nX-Api-Key: \n"},
				{"writing without a key", "POST", "/catalog/", "", "", 403, forbidden},
				{"writing with one", "POST", "/catalog/", "x-api-key", shop, 200, "POST /catalog/\n"},
				{"no token", "GET", "/account/", "", "", 401, unauthorized},
				{"a key for a token", "GET", "/account/", "x-api-key", partner, 401, unauthorized},
				{"a key for a token, without the slash", "GET", "/account", "x-api-key", partner, 401, unauthorized},
				{"a token", "GET", "/account/", "Authorization", token, 200, "X-User-Id: alice\n"},
				{"a token that was cut", "GET", "/account/", "Authorization", token[:len(token)-8], 401, unauthorized},
			}
		},
	},
	"cluster":       {deployed: runCluster},
	"compose":       {deployed: runCompose},
	"kubernetes":    {deployed: runKubernetes},
	"mcp":           {deployed: runMCP},
	"systemd":       {deployed: runSystemd},
	"token-service": {deployed: runTokenService},
	"oidc": {
		prepare: func(t *testing.T, _ string) map[string]string {
			issuer := peers.NewKeyServer(t, peers.NewCA(t), keys(t).RS256)
			return map[string]string{
				"OIDC_ISSUER":   issuer.URL,
				"OIDC_AUDIENCE": "https://api.example.com",
				"SSL_CERT_FILE": issuer.CA.File,
			}
		},
		tokens: func(t *testing.T, _ string, env map[string]string) []string {
			return []string{keys(t).RS256.Token(t, peers.Claims(env["OIDC_ISSUER"], env["OIDC_AUDIENCE"], nil), nil)}
		},
	},
	"quickstart": {
		// The command of the same name makes the files and goes on to run them.
		prepare: func(t *testing.T, dir string) map[string]string {
			q := startQuickstart(t, dir)
			q.stop()
			return nil
		},
		tokens: func(t *testing.T, dir string, env map[string]string) []string {
			code, token := caddyCommandIn(t, dir, nil, "jwt", "token", "--issuer", "http://localhost:"+env["HTTP_PORT"], "--secret-file", "api-key.txt")
			if code != 0 {
				t.Fatalf("caddy jwt token: exit code %d\n%s", code, token)
			}
			return []string{strings.TrimSpace(token)}
		},
		plain: true,
	},
	"static-keys": {
		prepare: func(t *testing.T, dir string) map[string]string {
			script(t, dir, "./keys.sh", "make")
			return map[string]string{"JWT_SECRET": strings.TrimSpace(readFile(t, filepath.Join(dir, "secret.txt")))}
		},
		tokens: func(t *testing.T, dir string, _ map[string]string) []string {
			return []string{script(t, dir, "./keys.sh", "token", "rs256"), script(t, dir, "./keys.sh", "token", "hs256")}
		},
	},
}

// awsKeys makes the keys of the example aws-api-gateway as its README does.
func awsKeys(t *testing.T, dir string) {
	t.Helper()
	script(t, dir, "./aws.sh", "make")
	if code, output := caddyCommandIn(t, dir, nil, "jwt", "api-key", "import", "keys.csv", "--append", "keys.jsonl", "--no-wait"); code != 0 {
		t.Fatalf("caddy jwt api-key import: exit code %d\n%s", code, output)
	}
}

// Every example is checked without a network and runs as it stands.
func TestExamples(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir(filepath.Join("..", "examples"))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !entry.IsDir() {
			continue // what embeds the examples
		}
		name := entry.Name()
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, known := examples[name]
			if !known {
				t.Fatal("the example has no test: add it to the table of this file")
			}
			dir := copyExample(t, name)
			if e.deployed != nil {
				e.deployed(t, dir)
				return
			}
			e.run(t, dir)
		})
	}
}

// copyExample copies the folder of an example into one of the test's own.
func copyExample(t *testing.T, name string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("..", "examples", name))); err != nil {
		t.Fatal(err)
	}
	checkIgnored(t, dir)
	return dir
}

// checkIgnored requires at the end of the test that git ignores what was made in the folder of
// an example: people try it in their checkout, and keys and secrets must not be committed.
func checkIgnored(t *testing.T, dir string) {
	t.Helper()
	list := func() map[string]bool {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		names := map[string]bool{}
		for _, entry := range entries {
			names[entry.Name()] = true
		}
		return names
	}
	there, patterns := list(), strings.Fields(readFile(t, filepath.Join(dir, ".gitignore")))
	t.Cleanup(func() {
		for name := range list() {
			ignored := slices.ContainsFunc(patterns, func(pattern string) bool {
				matches, err := filepath.Match(strings.Trim(pattern, "/"), name)
				if err != nil {
					t.Errorf(".gitignore: %q: %v", pattern, err)
				}
				return matches
			})
			if !there[name] && !ignored {
				t.Errorf("git does not ignore %s, which the commands of the example make", name)
			}
		}
	})
}

func (e example) run(t *testing.T, dir string) {
	port := strconv.Itoa(peers.FreePort(t))
	env := map[string]string{
		"HTTPS_PORT":    port,
		"UPSTREAM_PORT": strconv.Itoa(peers.FreePort(t)),
		"CADDY_ADMIN":   fmt.Sprintf("127.0.0.1:%d", peers.FreePort(t)),
	}
	if e.plain {
		env["HTTP_PORT"] = port
	}
	maps.Copy(env, e.prepare(t, dir))
	checkExampleConfig(t, dir, env)
	r := startExample(t, e, dir, port, env)
	without := e.statusWithout
	if without == 0 {
		without = http.StatusUnauthorized
	}
	if status, err := r.get(""); status != without {
		t.Errorf("without a credential: status %d, %v; want %d", status, err, without)
	}
	if e.tokens != nil {
		for _, token := range e.tokens(t, dir, env) {
			if status, err := r.get(token); status != http.StatusOK {
				t.Errorf("with a token of its issuer: status %d, %v; want 200", status, err)
			}
			if status, err := r.get(token[:len(token)-8]); status != http.StatusUnauthorized {
				t.Errorf("with a token that was cut: status %d, %v; want 401", status, err)
			}
		}
	}
	if e.requests != nil {
		for _, q := range e.requests(t, dir) {
			if status, body, err := r.send(q); err != nil || status != q.status || !strings.Contains(body, q.body) {
				t.Errorf("%s: status %d, %v, %q; want %d and %q", q.name, status, err, body, q.status, q.body)
			}
		}
	}
}

// checkExampleConfig requires that the config is valid without any connection, and that
// it listens on loopback only.
func checkExampleConfig(t *testing.T, dir string, env map[string]string) {
	t.Helper()
	proxy := newCountingProxy(t)
	if code, output := caddyCommandIn(t, dir, proxy.environment(env), "validate", "--config", "Caddyfile"); code != 0 {
		t.Fatalf("caddy validate: exit code %d\n%s", code, output)
	}
	if asked := proxy.requests(); len(asked) != 0 {
		t.Errorf("caddy validate made connections: %q", asked)
	}
	// An example is tried on a laptop: it must not open it to its network.
	if !strings.Contains(readFile(t, filepath.Join(dir, "Caddyfile")), "default_bind 127.0.0.1") {
		t.Fatal("the example listens on every interface: write `default_bind 127.0.0.1` into its global options")
	}
}

// runningExample is an example that serves, and a client for it.
type runningExample struct {
	example
	logs   *logBook
	url    string
	client *http.Client
}

func startExample(t *testing.T, e example, dir, port string, env map[string]string) *runningExample {
	t.Helper()
	home := t.TempDir()
	markStorageCleaned(t, filepath.Join(home, "data", "caddy"))
	if strings.Contains(readFile(t, filepath.Join(dir, "Caddyfile")), "storage file_system data") {
		markStorageCleaned(t, filepath.Join(dir, "data"))
	}
	c := startChild(t, &logBook{}, dir, environment(home, env), "run")
	t.Cleanup(func() {
		c.stop()
		c.logs.check(t, true)
	})
	scheme := "https"
	if e.plain {
		scheme = "http"
	}
	r := &runningExample{e, c.logs, scheme + "://localhost:" + port, &http.Client{
		Timeout: patience,
		// The certificate is of an authority that the example has just made.
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true},
	}}
	var last error
	c.eventually("the example serves", 15*time.Second, func() bool {
		_, last = r.get("")
		return last == nil
	}, func() string { return last.Error() })
	return r
}

// send makes a request and returns the status and the body.
func (e *runningExample) send(q exampleRequest) (int, string, error) {
	r, err := http.NewRequest(q.method, e.url+q.path, nil)
	if err != nil {
		return 0, "", err
	}
	if q.header != "" {
		r.Header.Set(q.header, q.value)
	}
	if q.value != "" && (q.header == "Authorization" || e.filtered) {
		e.logs.forbid(strings.TrimPrefix(q.value, "Bearer "))
	}
	res, err := e.client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res.StatusCode, string(body), err
}

// get asks for the first page, with a token unless it is empty.
func (e *runningExample) get(token string) (int, error) {
	q := exampleRequest{method: http.MethodGet, path: "/"}
	if token != "" {
		q.header, q.value = "Authorization", "Bearer "+token
	}
	status, _, err := e.send(q)
	return status, err
}

// markStorageCleaned makes Caddy believe that a storage has just been cleaned; see caddyfile.
func markStorageCleaned(t *testing.T, storage string) {
	t.Helper()
	if err := os.MkdirAll(storage, 0o700); err != nil {
		t.Fatal(err)
	}
	note := fmt.Sprintf(`{"tls":{"timestamp":%q}}`, time.Now().Format(time.RFC3339))
	writeFile(t, filepath.Join(storage, "last_clean.json"), note)
}

// script runs a program of an example's folder and returns what it prints.
func script(t *testing.T, dir string, command ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	program := exec.CommandContext(ctx, command[0], command[1:]...)
	program.Dir = dir
	var complaint strings.Builder
	program.Stderr = &complaint
	output, err := program.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", command, err, complaint.String())
	}
	return strings.TrimSpace(string(output))
}
