package integration

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// child is a process of the binary under test that goes on until it is stopped.
type child struct {
	t       *testing.T
	command *exec.Cmd
	logs    *logBook
	done    chan struct{}
	exit    error // once done is closed
}

// startChild runs the binary; all that it writes goes into the log book.
func startChild(t *testing.T, logs *logBook, dir string, env []string, args ...string) *child {
	t.Helper()
	c := &child{t: t, command: exec.Command(caddyBinary, args...), logs: logs, done: make(chan struct{})}
	c.command.Dir = dir
	c.command.Env = env
	c.command.Stdout, c.command.Stderr = c.logs, c.logs
	c.command.SysProcAttr = childAttributes()
	if err := c.command.Start(); err != nil {
		t.Fatalf("starting Caddy: %v", err)
	}
	go func() {
		c.exit = c.command.Wait()
		close(c.done)
	}()
	return c
}

// stop ends the process the way an init system does.
func (c *child) stop() {
	_ = c.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.done:
	case <-time.After(15 * time.Second):
		_ = c.command.Process.Kill()
		<-c.done
		c.t.Errorf("Caddy did not stop within 15 s of SIGTERM")
	}
}

// eventually polls for what no event announces, as long as the process lives.
func (c *child) eventually(what string, within time.Duration, ok func() bool, details func() string) {
	c.t.Helper()
	for deadline := time.Now().Add(within); !ok(); {
		select {
		case <-c.done:
			c.t.Fatalf("Caddy ended, waiting for: %s: %v\n%s", what, c.exit, c.logs)
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("not within %s: %s\n%s", within, what, details())
		}
	}
}

// environment keeps Caddy's files in a folder of the test's own.
func environment(dir string, more map[string]string) []string {
	env := []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + dir,
		"XDG_DATA_HOME=" + filepath.Join(dir, "data"),
		"XDG_CONFIG_HOME=" + filepath.Join(dir, "config"),
	}
	for name, value := range more {
		env = append(env, name+"="+value)
	}
	return env
}

// caddyCommand runs a command of the binary to its end, on a Caddyfile, and
// returns its exit code and all that it wrote.
func caddyCommand(t *testing.T, caddyfile string, env map[string]string, args ...string) (int, string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "Caddyfile"), []byte(caddyfile), 0o600); err != nil {
		t.Fatal(err)
	}
	return caddyCommandIn(t, dir, env, append(args, "--config", "Caddyfile", "--adapter", "caddyfile")...)
}

// caddyCommandIn runs any command of the binary in a folder.
func caddyCommandIn(t *testing.T, dir string, env map[string]string, args ...string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	var text bytes.Buffer
	code, err := runCaddy(ctx, dir, environment(t.TempDir(), env), &text, &text, args...)
	if err != nil {
		t.Fatal(err)
	}
	return code, text.String()
}

// runCaddy runs a command of the binary to its end, with its two streams apart. The
// error is of one that did not run; it may be called from any goroutine.
func runCaddy(ctx context.Context, dir string, env []string, stdout, stderr io.Writer, args ...string) (int, error) {
	command := exec.CommandContext(ctx, commandBinary, args...)
	command.Dir = dir
	command.Env = env
	command.Stdout, command.Stderr = stdout, stderr
	command.SysProcAttr = childAttributes()
	err := command.Run()
	if command.ProcessState == nil {
		return 0, fmt.Errorf("running caddy %v: %w", args, err)
	}
	return command.ProcessState.ExitCode(), nil
}
