// Package integration tests a real Caddy over real TLS with real peers. It is a
// module of its own, so that what only tests need never reaches a user's build.
package integration

import (
	"context"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
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
	build := exec.CommandContext(ctx, "go", append(args, "./internal/caddy")...)
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building Caddy: %w\n%s", err, text)
	}
	return nil
}

// The binary under test is the one that people get, the rate limiter and the cache.
func TestTheBinaryIsThatOfUsers(t *testing.T) {
	t.Parallel()
	parts := func(path ...string) (list []string) {
		t.Helper()
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(path...), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range file.Imports {
			name, err := strconv.Unquote(part.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, name)
		}
		slices.Sort(list)
		return list
	}
	want := append(parts("..", "cmd", "caddy", "main.go"), "github.com/caddyserver/cache-handler", "github.com/mholt/caddy-ratelimit")
	slices.Sort(want)
	if got := parts("internal", "caddy", "main.go"); !slices.Equal(got, want) {
		t.Errorf("it is built of %q; want %q", got, want)
	}
}
