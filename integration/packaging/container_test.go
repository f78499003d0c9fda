//go:build container

package packaging

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// command is a command in the container, as its user if this test may change to it. Its
// paths are the container's.
func (c *container) command(name string, args ...string) *exec.Cmd {
	line := make([]string, len(args))
	for n, arg := range args {
		line[n] = c.onThisMachine(arg)
	}
	program := name
	if name == c.entrypoint[0] {
		program = c.path("/usr/bin/" + name)
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	c.t.Cleanup(cancel)
	command := exec.CommandContext(ctx, program, line...)
	command.Dir = c.path(c.workdir)
	command.Env = append([]string{"PATH=" + c.path("/usr/bin") + ":/usr/bin:/bin"}, c.env...)
	command.SysProcAttr = asUser(c.uid)
	return command
}

// runExample makes a key, serves, and asks after the health, all as people do it with
// the image.
func (c *container) runExample(mounts string) {
	c.t.Helper()
	site, plain, upstream := peers.FreePort(c.t), peers.FreePort(c.t), peers.FreePort(c.t)
	c.env = append(c.env, fmt.Sprintf("CADDY_ADMIN=127.0.0.1:%d", peers.FreePort(c.t)))

	secret := filepath.Join(mounts, "jwt_secret")
	c.check(os.WriteFile(secret, []byte(rand.Text()+rand.Text()), 0o444))
	caddyfile := read(c.t, "examples", "compose", "caddy", "Caddyfile")
	for from, to := range map[string]string{
		"{\n\t# Caddy's user":     "{\n\tdefault_bind 127.0.0.1\n\t# Caddy's user",
		"http_port 8080":          fmt.Sprintf("http_port %d", plain),
		"https_port 8443":         fmt.Sprintf("https_port %d", site),
		"/run/secrets/jwt_secret": secret,
		"/keys/":                  c.path("/keys") + "/",
		"upstream:8080":           fmt.Sprintf("127.0.0.1:%d", upstream),
	} {
		if !strings.Contains(caddyfile, from) {
			c.t.Fatalf("the Caddyfile has no %q", from)
		}
		caddyfile = strings.ReplaceAll(caddyfile, from, to)
	}
	c.check(os.WriteFile(c.path("/etc/caddy/Caddyfile"), []byte(caddyfile), 0o644))

	var complaint strings.Builder
	newKey := c.command(c.entrypoint[0], "jwt", "api-key", "new", "--append", "/keys/keys.jsonl", "--consumer", "partner")
	newKey.Stderr = &complaint
	key, err := newKey.Output()
	if err != nil {
		c.t.Fatalf("caddy jwt api-key new: %v\n%s", err, complaint.String())
	}
	if c.healthy() {
		c.t.Error("healthy before it runs")
	}

	var log strings.Builder
	server := c.command(c.entrypoint[0], c.cmd...)
	server.Stderr, server.Stdout = &log, &log
	c.check(server.Start())
	done := make(chan struct{})
	go func() { _ = server.Wait(); close(done) }()
	stop := func() {
		_ = server.Process.Signal(os.Interrupt)
		<-done
	}
	defer stop()

	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	get := func(key string) (int, error) {
		r, err := http.NewRequest(http.MethodGet, fmt.Sprintf("https://localhost:%d/", site), nil)
		if err != nil {
			return 0, err
		}
		r.Header.Set("X-API-Key", key)
		res, err := client.Do(r)
		if err != nil {
			return 0, err
		}
		_, _ = io.Copy(io.Discard, res.Body)
		return res.StatusCode, res.Body.Close()
	}
	status, err := get("none")
	for deadline := time.Now().Add(20 * time.Second); err != nil && time.Now().Before(deadline); status, err = get("none") {
		time.Sleep(50 * time.Millisecond)
	}
	if err != nil || status != 401 {
		stop()
		c.t.Fatalf("without a key: status %d, %v; want 401\n%s", status, err, log.String())
	}
	// Nothing listens at the upstream's port: the request got through.
	if status, err := get(strings.TrimSpace(string(key))); err != nil || status != 502 {
		c.t.Errorf("with a key: status %d, %v; want 502", status, err)
	}
	if !c.healthy() {
		c.t.Error("not healthy while it serves")
	}
}

// healthy runs the health check.
func (c *container) healthy() bool {
	if len(c.health) != 2 || c.health[0] != "CMD-SHELL" {
		c.t.Fatalf("this test does not know the health check %q", c.health)
	}
	return c.command("sh", "-c", c.health[1]).Run() == nil
}
