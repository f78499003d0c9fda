package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// unitFile is the unit of the example.
func unitFile(t *testing.T) string { return read(t, "examples", "systemd", "caddy.service") }

// settings returns the values of an option of a unit.
func settings(unit, option string) []string {
	var values []string
	for line := range strings.Lines(unit) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && name == option {
			values = append(values, value)
		}
	}
	return values
}

func TestSystemd(t *testing.T) {
	t.Parallel()
	unit := unitFile(t)

	t.Run("systemd accepts the unit", func(t *testing.T) {
		analyze := systemdAnalyze(t)
		// It must find the program, so one that can be had everywhere stands for it.
		file := filepath.Join(t.TempDir(), "caddy.service")
		text := strings.ReplaceAll(unit, "/usr/bin/caddy ", analyze+" ")
		if text == unit {
			t.Fatal("the unit does not run /usr/bin/caddy")
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		// It exits with 0 for some faults that it writes about.
		if output, err := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", file).CombinedOutput(); err != nil || strings.Contains(string(output), "caddy.service") {
			t.Errorf("systemd-analyze verify: %v\n%s", err, output)
		}
	})
	t.Run("the service may do little", func(t *testing.T) {
		analyze := systemdAnalyze(t)
		file, err := filepath.Abs(filepath.Join(repository, "examples", "systemd", "caddy.service"))
		if err != nil {
			t.Fatal(err)
		}
		// The exposure in tenths: 0 is the best, and a unit without any of it has 96.
		if output, err := exec.CommandContext(t.Context(), analyze, "security", "--no-pager", "--offline=true", "--threshold=20", file).CombinedOutput(); err != nil {
			t.Errorf("systemd-analyze security: %v\n%s", err, output)
		}
	})
	t.Run("the credential is where the Caddyfile looks for it", func(t *testing.T) {
		credentials := settings(unit, "LoadCredential")
		if len(credentials) != 1 {
			t.Fatalf("LoadCredential=%q; want one", credentials)
		}
		name, path, _ := strings.Cut(credentials[0], ":")
		mentions(t, "examples/systemd/Caddyfile", "secret {file.{$CREDENTIALS_DIRECTORY:/run/credentials/caddy.service}/"+name+"}")
		mentions(t, "examples/systemd/README.md", "install -m 0600 /dev/stdin "+path+"\n", "install -d -m 0700 "+filepath.Dir(path)+"\n")
	})
	t.Run("writes no variables into the journal", func(t *testing.T) {
		for _, command := range settings(unit, "ExecStart") {
			if slices.Contains(strings.Fields(command), "--environ") {
				t.Errorf("ExecStart=%s", command)
			}
		}
	})
}

func systemdAnalyze(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("systemd-analyze")
	if err != nil {
		unable(t, "systemd-analyze is not installed: install Debian's package systemd")
	}
	return path
}
