package integration

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// shellExample is an example in a folder and on ports of the test's own, used by the
// lines of its README.
type shellExample struct {
	t     *testing.T
	dir   string
	env   []string
	ports *strings.Replacer // from those of the README
	logs  *logBook          // of its Caddys
}

// newShellExample prepares one whose folder has been copied: without files that somebody
// left who tried it, and with the binary under test.
func newShellExample(t *testing.T, dir string, ports *strings.Replacer, env map[string]string, left ...string) *shellExample {
	t.Helper()
	if !strings.Contains(readFile(t, filepath.Join(dir, "Caddyfile")), "default_bind 127.0.0.1") {
		t.Fatal("the example listens on every interface")
	}
	for _, name := range append(left, "caddy") {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(caddyBinary, filepath.Join(dir, "caddy")); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	markStorageCleaned(t, filepath.Join(home, "data", "caddy"))
	return &shellExample{t: t, dir: dir, env: environment(home, env), ports: ports, logs: &logBook{}}
}

// start runs a line of the README that goes on, until it is stopped or the test ends.
func (c *shellExample) start(line string, logs *logBook) (stop func()) {
	c.t.Helper()
	c.inReadme(line)
	p := exec.Command("sh", "-c", "exec "+c.ports.Replace(line))
	p.Dir, p.Env, p.Stdout, p.Stderr = c.dir, c.env, logs, logs
	p.SysProcAttr = childAttributes()
	if err := p.Start(); err != nil {
		c.t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
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
	})
	c.t.Cleanup(func() {
		stop()
		if c.t.Failed() {
			c.t.Logf("%s:\n%s", line, logs)
		}
		if logs == c.logs {
			logs.check(c.t, true)
		}
	})
	return stop
}

// inReadme requires that the README has a line, or names it in its text.
func (c *shellExample) inReadme(line string) {
	c.t.Helper()
	if text := readFile(c.t, filepath.Join(c.dir, "README.md")); !strings.Contains(text, "\n    "+line) && !strings.Contains(text, "`"+line+"`") {
		c.t.Errorf("the README has no line %q", line)
	}
}

// run runs a line of the README, which must succeed.
func (c *shellExample) run(line string) {
	c.t.Helper()
	c.inReadme(line)
	if out, err := c.shell(line); err != nil {
		c.t.Fatalf("%s: %v\n%s", line, err, out)
	}
}

// try is what a command prints, whether it succeeds or not.
func (c *shellExample) try(line string) string {
	out, _ := c.shell(line)
	return out
}

func (c *shellExample) shell(script string) (string, error) {
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

func (c *shellExample) eventually(what string, ok func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(40 * time.Second); !ok(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("not within 40 s: %s\n%s", what, c.logs)
		}
	}
}

// section runs all lines of a section of the README, and requires that these are printed,
// in this order, with no other answers of the site between them.
func (c *shellExample) section(title string, want ...string) {
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
