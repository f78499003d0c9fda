package integration

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

const clusterGuide = "cluster.md"

// guideLine returns the command of a guide that begins so, with a continuation if it has one.
func guideLine(t *testing.T, guide, start string) string {
	t.Helper()
	text := strings.ReplaceAll(readFile(t, filepath.Join("..", "docs", "guides", guide)), " \\\n", " ")
	for line := range strings.Lines(text) {
		if command := strings.TrimSpace(line); strings.HasPrefix(line, "    ") && strings.HasPrefix(command, start) {
			return command
		}
	}
	t.Fatalf("%s has no line %s", guide, start)
	return ""
}

// The holder of a certificate may revoke at the remote admin endpoint of
// docs/guides/cluster.md, and nothing else.
func TestGuides_ClusterRemoteAdmin(t *testing.T) {
	t.Parallel()
	dir, home := t.TempDir(), t.TempDir()
	markStorageCleaned(t, filepath.Join(home, "data", "caddy"))
	script(t, dir, "sh", "-c", guideLine(t, clusterGuide, "openssl req "))
	certificate := script(t, dir, "sh", "-c", guideLine(t, clusterGuide, "grep -v CERTIFICATE"))
	p, socket := ports(t, 1)[0], filepath.Join(dir, "admin.sock")
	config := map[string]any{"apps": map[string]any{"jwt": map[string]any{"state": map[string]any{}}}}
	text := strings.NewReplacer("MIIBiTCCATCgAwIBAgIU…", certificate, `":2021"`, `"127.0.0.1:`+p+`"`, "/run/caddy/admin.sock", socket).
		Replace(guideCode(t, clusterGuide, "json", 0))
	if err := json.Unmarshal([]byte(text), &config); err != nil {
		t.Fatal(err)
	}
	whole, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "config.json"), string(whole))
	c := startChild(t, &logBook{}, dir, environment(home, nil), "run", "--config", "config.json")
	t.Cleanup(c.stop)

	root := filepath.Join(home, "data", "caddy", "pki", "authorities", "local", "root.crt")
	var client *http.Client
	send := func(method, path, body string) (int, string) {
		r, err := http.NewRequest(method, "https://node1.example.com:2021"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		res, err := client.Do(r)
		if err != nil {
			return 0, err.Error()
		}
		defer res.Body.Close()
		answer, err := io.ReadAll(res.Body)
		if err != nil {
			t.Error(err)
		}
		return res.StatusCode, string(answer)
	}
	last := ""
	c.eventually("the remote admin endpoint answers", 20*time.Second, func() bool {
		if client == nil {
			if pem, err := os.ReadFile(root); err == nil {
				client = remoteAdminClient(t, dir, pem, "127.0.0.1:"+p)
			}
			return false
		}
		status, answer := send(http.MethodGet, "/config/", "")
		last = answer
		return status == http.StatusForbidden
	}, func() string { return last + "\n" + c.logs.String() })
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("the socket: %v, %v", info, err)
	}

	_, body, _ := strings.Cut(guideLine(t, clusterGuide, "curl --cacert root.crt"), "-d '")
	body, _, _ = strings.Cut(body, "'")
	if status, answer := send(http.MethodPost, "/jwt/revocations", body); status != http.StatusCreated {
		t.Errorf("revoking: %d %s", status, answer)
	}
	for _, refused := range []struct{ method, path string }{
		{http.MethodGet, "/jwt/revocations"}, {http.MethodDelete, "/jwt/revocations/sub-1?reason=x"}, {http.MethodPost, "/jwt/api-keys"},
		{http.MethodPost, "/jwt/state/accept"}, {http.MethodGet, "/jwt/status"}, {http.MethodPost, "/load"}, {http.MethodGet, "/config/"},
	} {
		if status, answer := send(refused.method, refused.path, "{}"); status != http.StatusForbidden {
			t.Errorf("%s %s: %d %s", refused.method, refused.path, status, answer)
		}
	}
	code, list := caddyCommandIn(t, dir, nil, "jwt", "revocations", "--address", "unix/"+socket)
	if code != 0 || !strings.Contains(list, "CN=alice") || !strings.Contains(list, "bob") {
		t.Errorf("the rules: exit code %d\n%s", code, list)
	}
}

// remoteAdminClient has alice's certificate.
func remoteAdminClient(t *testing.T, dir string, root []byte, address string) *http.Client {
	t.Helper()
	certificate, err := tls.LoadX509KeyPair(filepath.Join(dir, "alice.crt"), filepath.Join(dir, "alice.key"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root)
	return &http.Client{Timeout: patience, Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{certificate}},
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", address)
		},
	}}
}

// A backup that is older than the latest revocations is restored as docs/guides/cluster.md
// says.
func TestGuides_ClusterRestore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	home, backup, audit := filepath.Join(dir, "home"), filepath.Join(dir, "backup"), filepath.Join(dir, "audit.log")
	storage := filepath.Join(home, "data", "caddy")
	markStorageCleaned(t, storage)
	p := ports(t, 2)
	text := strings.NewReplacer("/var/log/caddy/audit.log", audit, "api.example.com {", "http://127.0.0.1:"+p[0]+" {",
		"https://auth.example.com/", peers.NewKeyServer(t, peers.NewCA(t), keys(t).RS256).URL).Replace(guideCode(t, clusterGuide, "caddyfile", 4))
	writeFile(t, filepath.Join(dir, "Caddyfile"), text)
	env := map[string]string{"CADDY_ADMIN": "127.0.0.1:" + p[1]}
	run := func(want int, args ...string) string {
		t.Helper()
		code, out := caddyCommandIn(t, dir, env, append(args, "--address", "127.0.0.1:"+p[1])...)
		if code != want {
			t.Errorf("%v: exit code %d\n%s", args, code, out)
		}
		return out
	}
	start := func() *child {
		c := startChild(t, &logBook{}, dir, environment(home, env), "run", "--config", "Caddyfile")
		c.eventually("it is ready", 20*time.Second, func() bool {
			code, _ := caddyCommandIn(t, dir, env, "jwt", "status", "--ready", "--address", "127.0.0.1:"+p[1])
			return code == 0
		}, c.logs.String)
		return c
	}
	c := start()
	run(0, "jwt", "revoke", "--sub", "alice", "--reason", "before the backup")
	if err := os.CopyFS(backup, os.DirFS(filepath.Join(storage, "jwt"))); err != nil {
		t.Fatal(err)
	}
	run(0, "jwt", "revoke", "--sub", "bob", "--reason", "after the backup")
	c.stop()

	if err := os.RemoveAll(filepath.Join(storage, "jwt")); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(storage, "jwt"), os.DirFS(backup)); err != nil {
		t.Fatal(err)
	}
	c = start()
	t.Cleanup(c.stop)
	rules := func() string { return run(0, "jwt", "revocations") }
	if list := rules(); !strings.Contains(list, "alice") || strings.Contains(list, "bob") {
		t.Fatalf("the backup has\n%s", list)
	}
	replay := strings.Fields(strings.TrimPrefix(guideLine(t, clusterGuide, "caddy jwt state replay /var/log/caddy/audit.log --dry-run"), "caddy "))
	replay[3] = audit
	run(0, replay...)
	if list := rules(); strings.Contains(list, "bob") {
		t.Fatalf("a dry run revoked\n%s", list)
	}
	run(0, replay[:4]...)
	run(0, replay[:4]...)
	if list := rules(); strings.Count(list, "alice") != 1 || strings.Count(list, "bob") != 1 {
		t.Errorf("after the log was replayed twice:\n%s", list)
	}
}
