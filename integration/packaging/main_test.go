// Package packaging tests the files that put Caddy into a container or run it as a
// service, each with its own tool as far as there is one: BuildKit's parser and checks for
// the Dockerfile, Compose's loader, Kustomize and the types of the Kubernetes API,
// systemd-analyze. The Caddyfiles among them run in the tests of the folder above.
package packaging

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// repository is the root of the checkout.
var repository = filepath.Join("..", "..")

func TestMain(m *testing.M) {
	flag.Parse()
	// go test does not see all files that these tests read, and so must keep no results.
	if err := flag.Set("test.testlogfile", ""); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// unable skips a test for want of something, which on CI is there.
func unable(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

// read returns the content of a file of the repository.
func read(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{repository}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// mentions requires these texts in a file of the repository.
func mentions(t *testing.T, path string, texts ...string) {
	t.Helper()
	content := read(t, path)
	for _, text := range texts {
		if !strings.Contains(content, text) {
			t.Errorf("%s does not mention %q", path, text)
		}
	}
}
