// Package integration tests a real Caddy over real TLS with real peers. It is a
// module of its own, so that what only tests need never reaches a user's build.
package integration

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"
)

// caddyBinary is the Caddy under test. Commands that end by themselves run commandBinary,
// which never has the race detector: it makes their start, which is most of them, three times
// as long.
var caddyBinary, commandBinary string

func TestMain(m *testing.M) {
	flag.Parse()
	if err := errors.Join(keepNoResults(), runMoreAtOnce()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// keepNoResults has go test cache no results: it does not see what the binary under
// test is built from, nor CADDY_BIN and TEST_CACHE, so that a change of them would be
// answered with the results of before. It caches none without its log of inputs.
func keepNoResults() error {
	return flag.Set("test.testlogfile", "")
}

// runMoreAtOnce has twice as many tests run at the same time as there are processors,
// unless -parallel says how many: most of the time a test waits. The race detector
// leaves them no time to wait.
func runMoreAtOnce() error {
	chosen := raceEnabled
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if chosen {
		return nil
	}
	return flag.Set("test.parallel", strconv.Itoa(2*runtime.GOMAXPROCS(0)))
}

func run(m *testing.M) (int, error) {
	// CADDY_BIN names a ready binary, so that the same tests run against what
	// xcaddy builds.
	if ready := os.Getenv("CADDY_BIN"); ready != "" {
		path, err := filepath.Abs(ready)
		if err != nil {
			return 1, err
		}
		caddyBinary, commandBinary = path, path
		if list, err := modules(); err != nil {
			return 1, fmt.Errorf("CADDY_BIN: %w", err)
		} else if !slices.Contains(list, "http.handlers.jwt") {
			return 1, fmt.Errorf("CADDY_BIN: %s has no jwt handler", path)
		}
		return m.Run(), nil
	}
	dir, err := os.MkdirTemp("", "caddy-jwt-integration-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	caddyBinary = filepath.Join(dir, "caddy")
	commandBinary = caddyBinary
	if err := buildCaddy(caddyBinary, raceEnabled); err != nil {
		return 1, err
	}
	if raceEnabled {
		commandBinary = filepath.Join(dir, "caddy-commands")
		if err := buildCaddy(commandBinary, false); err != nil {
			return 1, err
		}
	}
	return m.Run(), nil
}

func buildCaddy(output string, race bool) error {
	// A first build with the race detector compiles all of Caddy.
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	args := []string{"build", "-o", output}
	if race {
		args = append(args, "-race")
	}
	build := exec.CommandContext(ctx, "go", append(args, "./internal/caddy")...)
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building Caddy: %w\n%s", err, text)
	}
	return nil
}

// The binary that these tests build is the one that people get, the rate limiter, the
// cache and the storage in Redis, with a clock that tests can set. It is a test of the sources; the binary in CADDY_BIN may be any.
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
	want := append(parts("..", "cmd", "caddy", "main.go"),
		"github.com/caddyserver/cache-handler", "github.com/mholt/caddy-ratelimit", "github.com/pberkel/caddy-storage-redis",
		"os", "time", "github.com/caddy-jwt/caddy-jwt/internal/clock")
	slices.Sort(want)
	if got := parts("internal", "caddy", "main.go"); !slices.Equal(got, want) {
		t.Errorf("it is built of %q; want %q", got, want)
	}
}
