package integration

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// clusterExample is examples/cluster in a folder and on ports of the test's own.
type clusterExample struct {
	t     *testing.T
	dir   string
	env   []string
	ports *strings.Replacer // from those of the README
	logs  *logBook          // of both nodes
}

// runCluster runs the example as its README has it: Redis, two nodes, and then each line.
func runCluster(t *testing.T, dir string) {
	need(t, redis)
	need(t, redisPlugin)
	need(t, curl)
	if !strings.Contains(readFile(t, filepath.Join(dir, "Caddyfile")), "default_bind 127.0.0.1") {
		t.Fatal("the example listens on every interface")
	}
	for _, left := range []string{"caddy", "secret.txt", "state-key.txt", "redis"} { // by somebody who tried it
		if err := os.RemoveAll(filepath.Join(dir, left)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(caddyBinary, filepath.Join(dir, "caddy")); err != nil {
		t.Fatal(err)
	}
	p := ports(t, 5)
	home := t.TempDir()
	markStorageCleaned(t, filepath.Join(home, "data", "caddy"))
	c := &clusterExample{
		t: t, dir: dir, logs: &logBook{},
		ports: strings.NewReplacer("8441", p[0], "8442", p[1], "2021", p[2], "2022", p[3], "6390", p[4]),
		env: environment(home, map[string]string{
			"HTTPS_PORT_1": p[0], "HTTPS_PORT_2": p[1], "ADMIN_PORT_1": p[2], "ADMIN_PORT_2": p[3], "REDIS_PORT": p[4],
		}),
	}
	c.run("./cluster.sh make")
	c.start("./cluster.sh redis", &logBook{})
	c.eventually("Redis answers", func() bool { return strings.Contains(c.try("redis-cli -p 6390 ping"), "PONG") })
	// One after the other, as the README says: both would make Caddy's authority.
	for i, admin := range []string{"2021", "2022"} {
		c.start(fmt.Sprint("./cluster.sh node ", i+1), c.logs)
		c.eventually("the node at "+admin+" is ready", func() bool {
			return strings.Contains(c.try("./caddy jwt status --ready --address localhost:"+admin+" && echo ready"), "ready\n")
		})
	}

	const revoked, invalid = `"error_description":"the token is revoked"`, `"error_description":"the API key is not valid"`
	answer := func(node, user, method string) string {
		return fmt.Sprintf("node:   %s\nuser:   %s\nmethod: %s\n", node, user, method)
	}
	alice2, acme1 := answer("2", "alice", "jwt"), answer("1", "acme", "api_key")
	c.section("Revoke", answer("1", "alice", "jwt"), alice2, "sub-", revoked, revoked, alice2, "laptop stolen")
	c.section("API keys", answer("2", "acme", "api_key"), acme1, acme1, ": disabled", invalid)

	c.run("redis-cli -p 6390 flushall")
	c.eventually("the nodes have stored everything again", func() bool {
		return strings.Count(c.try("redis-cli -p 6390 keys 'caddy/jwt/example/*/1*'"), "revocations/1") == 1
	})
	for node, want := range map[string]string{"1": `"action":"revoke"`, "2": `"action":"learned"`} {
		if log := readFile(t, filepath.Join(dir, "audit-"+node+".log")); !strings.Contains(log, want) {
			t.Errorf("the audit log of node %s has no %s:\n%s", node, want, log)
		}
	}
}

// start runs a line of the README that goes on, until the end of the test.
func (c *clusterExample) start(line string, logs *logBook) {
	c.t.Helper()
	c.inReadme(line)
	p := exec.Command("sh", "-c", "exec "+c.ports.Replace(line))
	p.Dir, p.Env, p.Stdout, p.Stderr = c.dir, c.env, logs, logs
	p.SysProcAttr = childAttributes()
	if err := p.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		_ = p.Process.Signal(os.Interrupt) // as with Ctrl-C
		ended := make(chan struct{})
		go func() { _ = p.Wait(); close(ended) }()
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			_ = p.Process.Kill()
			<-ended
			c.t.Errorf("%s did not end", line)
		}
		if c.t.Failed() {
			c.t.Logf("%s:\n%s", line, logs)
		}
		if logs == c.logs {
			logs.check(c.t, true)
		}
	})
}

// inReadme requires that the README has a line, or names it in its text.
func (c *clusterExample) inReadme(line string) {
	c.t.Helper()
	if text := readFile(c.t, filepath.Join(c.dir, "README.md")); !strings.Contains(text, "\n    "+line) && !strings.Contains(text, "`"+line+"`") {
		c.t.Errorf("the README has no line %q", line)
	}
}

// run runs a line of the README, which must succeed.
func (c *clusterExample) run(line string) {
	c.t.Helper()
	c.inReadme(line)
	if out, err := c.shell(line); err != nil {
		c.t.Fatalf("%s: %v\n%s", line, err, out)
	}
}

// try is what a command prints, whether it succeeds or not.
func (c *clusterExample) try(line string) string {
	out, _ := c.shell(line)
	return out
}

func (c *clusterExample) shell(script string) (string, error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), 60*time.Second)
	defer cancel()
	p := exec.CommandContext(ctx, "sh", "-ec", c.ports.Replace(script))
	var stdout, stderr bytes.Buffer
	p.Dir, p.Env, p.Stdout, p.Stderr = c.dir, c.env, &stdout, &stderr
	p.SysProcAttr = childAttributes()
	err := p.Run()
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, &stderr)
	}
	return stdout.String(), err
}

func (c *clusterExample) eventually(what string, ok func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(40 * time.Second); !ok(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("not within 40 s: %s\n%s", what, c.logs)
		}
	}
}

// section runs all lines of a section of the README, and requires that these are printed,
// in this order, with no other answers of the site between them.
func (c *clusterExample) section(title string, want ...string) {
	c.t.Helper()
	_, text, found := strings.Cut(readFile(c.t, filepath.Join(c.dir, "README.md")), "\n## "+title+"\n")
	if !found {
		c.t.Fatalf("the README has no section %s", title)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	var script strings.Builder
	for line := range strings.Lines(text) {
		if command, ok := strings.CutPrefix(line, "    "); ok {
			// As at a prompt: curl without its meter.
			script.WriteString(strings.Replace(command, "curl -k", "curl -sk", 1))
		}
	}
	// The credentials, so that no node logs them.
	script.WriteString("echo \"used ${TOKEN-} ${KEY-} ${NEW-}\"\n")
	out, err := c.shell(script.String())
	if err != nil {
		c.t.Fatalf("%s: %v\n%s", title, err, out)
	}
	out, used, _ := strings.Cut(out, "used ")
	for _, credential := range strings.Fields(used) {
		c.logs.forbid(credential)
	}
	rest, answers := out, strings.Count(out, "user: ")+strings.Count(out, `"error"`)
	for _, part := range want {
		_, after, ok := strings.Cut(rest, part)
		if !ok {
			c.t.Fatalf("%s: %q is not there, or not in its place:\n%s", title, part, out)
		}
		rest = after
		if strings.Contains(part, "user: ") || strings.Contains(part, `"error_`) {
			answers--
		}
	}
	if answers != 0 {
		c.t.Errorf("%s: there are other answers:\n%s", title, out)
	}
}
