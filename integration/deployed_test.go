package integration

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// These examples are for a container or a service: they listen on all interfaces, and
// their files are in folders of the system. Here each is changed in these two respects
// alone, every change in a place that it must have. That the files beside them fit is
// tested in the folder packaging.

// moved is a part of a Caddyfile, and what stands in its place here.
type moved struct{ from, to string }

// deployment is a Caddyfile of such an example.
type deployment struct {
	caddyfile string
	changes   []moved
	env       map[string]string
	url       string
}

// start checks the Caddyfile without a network, and runs it.
func (d deployment) start(t *testing.T) (server *runningExample, file string, env map[string]string) {
	t.Helper()
	text := readFile(t, d.caddyfile)
	for _, c := range d.changes {
		if !strings.Contains(text, c.from) {
			t.Fatalf("%s has no %q", d.caddyfile, c.from)
		}
		text = strings.ReplaceAll(text, c.from, c.to)
	}
	const confined = "{\n\tdefault_bind 127.0.0.1\n\tskip_install_trust\n\tstorage_clean_interval off\n"
	if strings.HasPrefix(text, "{\n") {
		text = confined + strings.TrimPrefix(text, "{\n")
	} else {
		text = confined + "}\n" + text
	}
	dir := t.TempDir()
	file = filepath.Join(dir, "Caddyfile")
	writeFile(t, file, text)

	env = map[string]string{"CADDY_ADMIN": fmt.Sprintf("127.0.0.1:%d", peers.FreePort(t))}
	for name, value := range d.env {
		env[name] = value
	}
	checkExampleConfig(t, dir, env)
	home := t.TempDir()
	markStorageCleaned(t, filepath.Join(home, "data", "caddy"))
	c := startChild(t, &logBook{}, dir, environment(home, env), "run", "--config", "Caddyfile")
	t.Cleanup(func() {
		c.stop()
		c.logs.check(t, true)
	})
	server = &runningExample{example{filtered: true}, c.logs, d.url, &http.Client{
		Timeout:   patience,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true},
	}}
	var last error
	c.eventually(d.caddyfile+" serves", 15*time.Second, func() bool {
		_, last = server.get("")
		return last == nil
	}, func() string { return last.Error() })
	return server, file, env
}

// expect sends requests and compares the answers.
func (e *runningExample) expect(t *testing.T, requests ...exampleRequest) {
	t.Helper()
	for _, q := range requests {
		if q.method == "" {
			q.method, q.path = http.MethodGet, "/"
		}
		if status, body, err := e.send(q); err != nil || status != q.status || !strings.Contains(body, q.body) {
			t.Errorf("%s: status %d, %v, %q; want %d and %q", q.name, status, err, body, q.status, q.body)
		}
	}
}

// makeKey runs the READMEs' command for an API key, and returns the key.
func makeKey(t *testing.T, file, consumer string) string {
	t.Helper()
	// No server uses the file, whatever runs at the usual address.
	env := environment(t.TempDir(), map[string]string{"CADDY_ADMIN": fmt.Sprintf("127.0.0.1:%d", peers.FreePort(t))})
	var key, complaint bytes.Buffer
	code, err := runCaddy(t.Context(), filepath.Dir(file), env, &key, &complaint,
		"jwt", "api-key", "new", "--append", file, "--consumer", consumer)
	if err != nil || code != 0 {
		t.Fatalf("caddy jwt api-key new: exit code %d, %v\n%s", code, err, complaint.String())
	}
	return strings.TrimSpace(key.String())
}

// ports takes free ones, as text.
func ports(t *testing.T, n int) []string {
	t.Helper()
	list := make([]string, n)
	for i := range list {
		list[i] = strconv.Itoa(peers.FreePort(t))
	}
	return list
}

// seen is what the upstreams of these examples show of a caller: the user, and no credential.
func seen(user string) string {
	return "X-User-Id: " + user + "\nX-Api-Key: \nAuthorization: \n"
}

func runCompose(t *testing.T, dir string) {
	script(t, dir, "./keys.sh", "make")
	// Another user reads the secret in the container, but nobody does here.
	secrets := filepath.Join(dir, "secrets")
	for path, want := range map[string]os.FileMode{secrets: 0o700, filepath.Join(secrets, "jwt_secret"): 0o444} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, %v; want %v", path, info.Mode().Perm(), err, want)
		}
	}
	keyFolder := t.TempDir()
	key := makeKey(t, filepath.Join(keyFolder, "keys.jsonl"), "partner")
	p := ports(t, 3)

	site, _, _ := deployment{
		caddyfile: filepath.Join(dir, "caddy", "Caddyfile"),
		changes: []moved{
			{"http_port 8080", "http_port " + p[1]},
			{"https_port 8443", "https_port " + p[2]},
			{"/run/secrets/", secrets + "/"},
			{"/keys/", keyFolder + "/"},
			{"upstream:8080", "127.0.0.1:" + p[0]},
		},
		url: "https://localhost:" + p[2],
	}.start(t)
	// Caddy logs the request where the upstream can't be reached, and must log no key.
	site.expect(t, exampleRequest{name: "a key while the upstream is down", header: "X-API-Key", value: key, status: 502})
	deployment{
		caddyfile: filepath.Join(dir, "upstream", "Caddyfile"),
		changes:   []moved{{"http://:8080", "http://:" + p[0]}},
		url:       "http://127.0.0.1:" + p[0],
	}.start(t)
	token := script(t, dir, "./keys.sh", "token")
	site.expect(t,
		exampleRequest{name: "without a credential", status: 401},
		exampleRequest{name: "a key", header: "X-API-Key", value: key, status: 200, body: seen("partner")},
		exampleRequest{name: "a key that was cut", header: "X-API-Key", value: key[:len(key)-4], status: 401},
		exampleRequest{name: "a token", header: "Authorization", value: "Bearer " + token, status: 200, body: seen("alice")},
		exampleRequest{name: "a token that was cut", header: "Authorization", value: "Bearer " + token[:len(token)-8], status: 401},
	)
}

// The guide says which ways to a credential of systemd work.
func TestPlacesOfCredentials(t *testing.T) {
	t.Parallel()
	const issuer = "issuer internal {\n%s\naudience x\n}"
	for option, adapted := range map[string]string{
		fmt.Sprintf(issuer, "secret {file.{$CREDENTIALS_DIRECTORY:/run/credentials/caddy.service}/jwt_secret}"): `"{file./run/credentials/caddy.service/jwt_secret}"`,
		fmt.Sprintf(issuer, "secret {file./run/credentials/caddy.service/jwt_secret}"):                          `"{file./run/credentials/caddy.service/jwt_secret}"`,
		fmt.Sprintf(issuer, "secret {file.{env.CREDENTIALS_DIRECTORY}/jwt_secret}"):                             "",
		"api_keys {$CREDENTIALS_DIRECTORY:/run/credentials/caddy.service}/keys.jsonl":                           `"/run/credentials/caddy.service/keys.jsonl"`,
		"api_keys {env.CREDENTIALS_DIRECTORY}/keys.jsonl":                                                       "",
		fmt.Sprintf(issuer, "jwks_file {env.CREDENTIALS_DIRECTORY}/jwks.json"):                                  "",
		fmt.Sprintf(issuer, "public_key {env.CREDENTIALS_DIRECTORY}/key.pem"):                                   "",
		fmt.Sprintf(issuer, "ca {env.CREDENTIALS_DIRECTORY}/ca.pem"):                                            "",
	} {
		code, output := caddyCommand(t, "http://localhost {\njwt {\n"+option+"\n}\n}\n", nil, "adapt")
		if works := code == 0; works != (adapted != "") || !strings.Contains(output, adapted) {
			t.Errorf("%s: exit code %d\n%s\nwant %s", option, code, output, adapted)
		}
	}
}

func runSystemd(t *testing.T, dir string) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"X-User-Id", "X-Api-Key", "Authorization"} {
			fmt.Fprintf(w, "%s: %s\n", name, r.Header.Get(name))
		}
	}))
	t.Cleanup(upstream.Close)
	secret := strings.ToLower(rand.Text() + rand.Text())
	credentials, usual := t.TempDir(), filepath.Join(t.TempDir(), "caddy.service")
	writeFile(t, filepath.Join(credentials, "jwt_secret"), secret+"\n")
	keyFolder := t.TempDir()
	key := makeKey(t, filepath.Join(keyFolder, "keys.jsonl"), "partner")
	p := ports(t, 2)

	site, file, env := deployment{
		caddyfile: filepath.Join(dir, "Caddyfile"),
		changes: []moved{
			{"\napi.example.com {", "\nlocalhost {"},
			{"{\n\t# Caddy's logs", "{\n\thttp_port " + p[0] + "\n\thttps_port " + p[1] + "\n\t# Caddy's logs"},
			{"/run/credentials/caddy.service", usual},
			{"/etc/caddy/keys/", keyFolder + "/"},
			{"localhost:8080", upstream.Listener.Addr().String()},
		},
		env: map[string]string{"CREDENTIALS_DIRECTORY": credentials},
		url: "https://localhost:" + p[1],
	}.start(t)
	token := peers.HMAC(t, "HS256", []byte(secret), peers.Claims("internal", "https://api.example.com", nil), nil)
	requests := []exampleRequest{
		{name: "without a credential", status: 401},
		{name: "a key", header: "X-API-Key", value: key, status: 200, body: seen("partner")},
		{name: "a token", header: "Authorization", value: "Bearer " + token, status: 200, body: seen("user-1")},
	}
	site.expect(t, requests...)

	// systemd does not tell the command of ExecReload where the credentials are.
	if err := os.CopyFS(usual, os.DirFS(credentials)); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(credentials); err != nil {
		t.Fatal(err)
	}
	delete(env, "CREDENTIALS_DIRECTORY")
	if code, output := caddyCommandIn(t, filepath.Dir(file), env, "reload", "--config", file, "--force"); code != 0 {
		t.Fatalf("caddy reload: exit code %d\n%s", code, output)
	}
	site.expect(t, requests...)

	upstream.Close()
	site.expect(t, exampleRequest{name: "a key while the upstream is down", header: "X-API-Key", value: key, status: 502})
}

func runKubernetes(t *testing.T, dir string) {
	const keySet, issuer = "/openid/v1/jwks", "https://kubernetes.default.svc.cluster.local"
	cluster := peers.NewKeyServer(t, peers.NewCA(t))
	cluster.Answer(keySet, &peers.Answer{Body: peers.JWKS(t, keys(t).RS256)})
	account := t.TempDir()
	writeFile(t, filepath.Join(account, "ca.crt"), readFile(t, cluster.CA.File))
	writeFile(t, filepath.Join(account, "token"), "token-of-the-pod")

	made := filepath.Join(t.TempDir(), "keys.jsonl")
	key := makeKey(t, made, "partner")
	mounted := configMap(t, "keys.jsonl")
	mounted.write(t, readFile(t, made))
	p := ports(t, 3)

	site, _, _ := deployment{
		caddyfile: filepath.Join(dir, "Caddyfile"),
		changes: []moved{
			{"http://:8080 {", "http://:" + p[0] + " {"},
			{"http://:8081 {", "http://:" + p[1] + " {"},
			{"8481", p[2]},
			{"https://kubernetes.default.svc/", cluster.URL + "/"},
			{"/var/run/secrets/kubernetes.io/serviceaccount/", account + "/"},
			{"/keys/", filepath.Dir(mounted.path) + "/"},
			{"shutdown_delay 5s", "shutdown_delay 10ms"},
		},
		url: "http://127.0.0.1:" + p[0],
	}.start(t)
	token := func(sub string) string {
		return "Bearer " + keys(t).RS256.Token(t, peers.Claims(issuer, "https://api.example.com", map[string]any{"sub": sub}), nil)
	}
	const client, stranger = "system:serviceaccount:default:client", "system:serviceaccount:default:stranger"
	site.expect(t,
		exampleRequest{name: "without a credential", status: 401},
		exampleRequest{name: "the token of the account that is let in", header: "Authorization", value: token(client), status: 200, body: seen(client)},
		exampleRequest{name: "the token of another account", header: "Authorization", value: token(stranger), status: 403},
		exampleRequest{name: "a key", header: "X-API-Key", value: key, status: 200, body: seen("partner")},
	)
	if got := cluster.Authorizations(keySet); len(got) == 0 || got[0] != "Bearer token-of-the-pod" {
		t.Errorf("the key set was asked for with %q; want the pod's token", got)
	}

	health := *site
	health.url = "http://127.0.0.1:" + p[1]
	health.expect(t,
		exampleRequest{name: "the probes", method: http.MethodGet, path: "/healthz", status: 200},
		exampleRequest{name: "anything else at their port", status: 404},
	)

	// A changed Secret.
	other := exampleRequest{name: "a later key", header: "X-API-Key", value: makeKey(t, made, "other"), status: 401}
	site.expect(t, other)
	mounted.write(t, readFile(t, made))
	other.status, other.body = 200, seen("other")
	for deadline := time.Now().Add(2 * pickupTime()); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if status, _, err := site.send(exampleRequest{method: http.MethodGet, path: "/", header: other.header, value: other.value}); err == nil && status == 200 {
			break
		}
	}
	site.expect(t, other)
}
