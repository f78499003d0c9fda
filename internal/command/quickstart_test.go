package command

import (
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/examples"
)

// quickstartFails runs a quickstart that must fail, in a process whose folder,
// variables and folder for temporary files are the test's.
func quickstartFails(t *testing.T, dir string, port int, want ...string) {
	t.Helper()
	t.Chdir(t.TempDir())
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	t.Setenv("TMP", temporary)
	t.Setenv("HTTP_PORT", "")
	t.Setenv("UPSTREAM_PORT", "")
	err := quickstart(dir, port, brokenPipe{})
	if err == nil {
		t.Fatal("it has started")
	}
	for _, text := range want {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("got: %v\nwant in it: %s", err, text)
		}
	}
	if left := folder(t, temporary); len(left) > 0 {
		t.Errorf("it left %s", left)
	}
}

func folder(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestQuickstartChoosesPortsFirst: a port that can't be had leaves no file.
func TestQuickstartChoosesPortsFirst(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, c := range map[string]struct {
		port int
		want string
	}{
		"taken":     {taken.Addr().(*net.TCPAddr).Port, "name another with --port, or none"},
		"too large": {65536, "invalid port 65536"},
		"negative":  {-1, "invalid port -1"},
	} {
		for _, dir := range []string{"", filepath.Join(t.TempDir(), "new")} {
			t.Run(name, func(t *testing.T) {
				quickstartFails(t, dir, c.port, c.want)
				if _, err := os.Stat(dir); dir != "" && err == nil {
					t.Error("it has made the folder")
				}
			})
		}
	}
}

// brokenPipe is a terminal that is gone.
type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// TestQuickstartLeavesNoKeyBehind: a temporary folder goes however late the
// error comes.
func TestQuickstartLeavesNoKeyBehind(t *testing.T) {
	quickstartFails(t, "", 0, io.ErrClosedPipe.Error())
}

func TestQuickstartPortsDiffer(t *testing.T) {
	t.Setenv("HTTP_PORT", "")
	t.Setenv("UPSTREAM_PORT", "")
	l, err := net.Listen("tcp", "127.0.0.1:8481")
	if err != nil { // by somebody else: a port that was asked for is taken or nothing is
		if port, err := choosePorts(8481); err == nil {
			t.Errorf("the port 8481 is taken, and %d was chosen", port)
		}
		return
	}
	l.Close()
	site, err := choosePorts(8481)
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("HTTP_PORT") != strconv.Itoa(site) || os.Getenv("UPSTREAM_PORT") == strconv.Itoa(site) {
		t.Errorf("the site has %d, the upstream %s", site, os.Getenv("UPSTREAM_PORT"))
	}
}

// TestQuickstartOverwritesNothing: all files in the way are named at once, and
// none is written before.
func TestQuickstartOverwritesNothing(t *testing.T) {
	const theirs = "theirs"
	for name, there := range map[string][]string{
		"a file":  {"keys.jsonl"},
		"several": {"api-key.txt", "api-key.header", "Caddyfile"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, file := range there {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(theirs), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			quickstartFails(t, dir, 0, dir+" already has "+strings.Join(there, ", "), "name another folder with --dir, or remove them")
			if left, want := folder(t, dir), slices.Sorted(slices.Values(there)); !slices.Equal(left, want) {
				t.Errorf("there is %s", left)
			}
			for _, file := range there {
				if !sameFile(filepath.Join(dir, file), []byte(theirs)) {
					t.Errorf("%s is overwritten", file)
				}
			}
		})
	}
}

// TestQuickstartKnowsItsOwn: the example's Caddyfile.
func TestQuickstartKnowsItsOwn(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("Caddyfile", examples.Quickstart, 0o600); err != nil {
		t.Fatal(err)
	}
	id, err := quickstartFiles(".")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("api-key.txt")
	if got, ok := apikey.IDOf(strings.TrimSpace(string(text))); err != nil || !ok || got != id {
		t.Errorf("%q, %v", got, err)
	}
	for _, name := range []string{"api-key.txt", "api-key.header", "keys.jsonl"} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 && runtime.GOOS != "windows" {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

func TestQuickstartQuotesForTheShell(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{
		"/tmp/caddy-jwt-quickstart-123", "/home/me/my folder", "/a/it's", "/a/$HOME/`id`;\"x\"*?[~]", "/a/\\n\n", "/ä",
	} {
		quoted := shellQuote(dir)
		if plain := quoted == dir; plain != strings.HasPrefix(dir, "/tmp/") {
			t.Errorf("%s becomes %s", dir, quoted)
		}
		sh, err := exec.LookPath("sh")
		if err != nil {
			continue
		}
		if out, err := exec.Command(sh, "-c", "printf %s "+quoted).Output(); err != nil || string(out) != dir {
			t.Errorf("the shell takes %s for %q (%v)", quoted, out, err)
		}
	}
}
