// Package integration tests a real Caddy over real TLS with real peers. It is a
// module of its own, so that what only tests need never reaches a user's build.
package integration

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// caddyBinary is the Caddy under test.
var caddyBinary string

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	// CADDY_BIN names a ready binary, so that the same tests run against what
	// xcaddy builds.
	if ready := os.Getenv("CADDY_BIN"); ready != "" {
		path, err := filepath.Abs(ready)
		if err != nil {
			return 1, err
		}
		caddyBinary = path
		return m.Run(), nil
	}
	dir, err := os.MkdirTemp("", "caddy-jwt-integration-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	caddyBinary = filepath.Join(dir, "caddy")
	if err := buildCaddy(caddyBinary); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

func buildCaddy(output string) error {
	// A first build with the race detector compiles all of Caddy.
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	args := []string{"build", "-o", output}
	if raceEnabled {
		args = append(args, "-race")
	}
	build := exec.CommandContext(ctx, "go", append(args, "./cmd/caddy")...)
	build.Dir = ".." // the plugin's module, not this one
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building Caddy: %w\n%s", err, text)
	}
	return nil
}
