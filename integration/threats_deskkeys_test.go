package integration

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// TestThreat90_KeyFilesAreNotOverwritten makes keys where something is already.
func TestThreat90_KeyFilesAreNotOverwritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	keygen := func(args ...string) keyCommand {
		return jwtCommandIn(t, dir, nil, append([]string{"keygen"}, args...)...)
	}
	if c := keygen("--out", at("key.pem"), "--jwks", at("keys.json")); c.code != 0 {
		t.Fatalf("%s", c)
	}
	first, set := readFile(t, at("key.pem")), readFile(t, at("keys.json"))
	writeFile(t, at("precious"), "precious")
	if err := os.Symlink(at("elsewhere"), at("dangling")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(at("precious"), at("link")); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"the key again":               {"--out", at("key.pem")},
		"another file":                {"--out", at("precious")},
		"a link":                      {"--out", at("link")},
		"a link to nothing":           {"--out", at("dangling")},
		"a folder":                    {"--out", dir},
		"a secret over a key":         {"--alg", "HS256", "--out", at("key.pem")},
		"a key set over a key set":    {"--out", at("new.pem"), "--jwks", at("keys.json")},
		"a key set over another file": {"--out", at("new.pem"), "--jwks", at("precious")},
		"a key set over a key":        {"--out", at("new.pem"), "--jwks", at("key.pem")},
		"both the same":               {"--out", at("new.pem"), "--jwks", at("new.pem")},
		"a token over a file":         nil,
	} {
		t.Run(name, func(t *testing.T) {
			var c keyCommand
			if args == nil {
				c = jwtCommandIn(t, dir, nil, "sign", "--key", at("key.pem"), "--iss", "a", "--sub", "b", "--aud", "c", "--expires", "1h", "--out", at("precious"))
			} else {
				c = keygen(args...)
			}
			if c.code == 0 || c.stdout != "" {
				t.Errorf("%s", c)
			}
			if readFile(t, at("key.pem")) != first || readFile(t, at("keys.json")) != set || readFile(t, at("precious")) != "precious" {
				t.Fatal("a file has been changed")
			}
			for _, name := range []string{"elsewhere", "new.pem"} {
				if _, err := os.Lstat(at(name)); err == nil {
					t.Errorf("%s is there", name)
					removeFile(t, at(name))
				}
			}
		})
	}
	t.Run("rights", func(t *testing.T) {
		if info, err := os.Stat(at("key.pem")); err != nil || info.Mode() != 0o600 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
		sign := []string{"sign", "--key", at("key.pem"), "--iss", "a", "--sub", "b", "--aud", "c", "--expires", "1h"}
		if c := jwtCommandIn(t, dir, nil, sign...); c.code != 0 {
			t.Fatalf("%s", c)
		}
		for _, mode := range []os.FileMode{0o640, 0o604, 0o644} {
			if err := os.Chmod(at("key.pem"), mode); err != nil {
				t.Fatal(err)
			}
			if c := jwtCommandIn(t, dir, nil, sign...); c.code == 0 || c.stdout != "" || !strings.Contains(c.stderr, "--force") {
				t.Errorf("with %v: %s", mode, c)
			}
			if c := jwtCommandIn(t, dir, nil, append(sign, "--force")...); c.code != 0 {
				t.Errorf("with %v and --force: %s", mode, c)
			}
		}
	})
	t.Run("with a umask of nothing", func(t *testing.T) {
		for _, alg := range []string{"ES256", "HS256"} {
			path := at("open-" + alg)
			run := exec.CommandContext(t.Context(), "sh", "-c", `umask 0; exec "$0" "$@"`, commandBinary, "jwt", "keygen", "--alg", alg, "--out", path)
			run.Env, run.Dir = environment(dir, nil), dir
			if out, err := run.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
				t.Errorf("%v, %v", info.Mode(), err)
			}
		}
	})
}

// TestThreat90_NothingIsLeftBehind looks at the commands that have secrets from outside while
// they run: no core file will be written, and neither the list of processes nor the
// environment nor a file has what they were given.
func TestThreat90_NothingIsLeftBehind(t *testing.T) {
	t.Parallel()
	needProc(t)
	k := keys(t)
	dir := t.TempDir()
	token := k.ES256.Token(t, peers.Claims("https://a.example.test", audience, nil), nil)
	key := block64("PRIVATE KEY", k.ES256.PrivateDER(t))
	claims := []string{"--iss", "a", "--sub", "b", "--aud", "c", "--expires", "1h"}
	sealed := filepath.Join(dir, "sealed.pem")
	writeFile(t, sealed, key)

	// Each stops where it waits for its standard input, or for somebody who reads its output.
	for _, c := range []struct {
		name  string
		args  []string
		stdin string
		full  bool // the pipe of its output is full
	}{
		{"sign with a key from elsewhere", append([]string{"sign", "--key", "-"}, claims...), key, false},
		{"sign with a key in a file", append([]string{"sign", "--key", sealed}, claims...), "", true},
		{"keygen", []string{"keygen", "--out", filepath.Join(dir, "made.pem")}, "", true},
		{"keygen of a secret", []string{"keygen", "--alg", "HS256", "--out", filepath.Join(dir, "made-secret")}, "", true},
		{"decode", []string{"decode", "@-"}, token, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := startHeld(t, dir, c.full, c.args...)
			if c.stdin != "" { // half of it, so that it waits for the rest
				p.write(t, c.stdin[:len(c.stdin)/2])
			}
			var limits string
			for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
				limits = p.proc(t, "limits")
				if line := coreLimit(limits); len(line) == 2 && line[0] == "0" && line[1] == "0" || c.args[0] == "decode" {
					break
				}
				if time.Now().After(deadline) {
					t.Errorf("a core file may be written:\n%s", limits)
					break
				}
			}
			for _, what := range []string{"cmdline", "environ"} {
				text := p.proc(t, what)
				for _, secret := range []string{key[40:60], token[len(token)-30:]} {
					if strings.Contains(text, secret) {
						t.Errorf("%s has a secret", what)
					}
				}
			}
			if c.stdin != "" {
				p.write(t, c.stdin[len(c.stdin)/2:])
			}
			out := p.end(t)
			if strings.Contains(out, key[40:60]) {
				t.Error("the key is in its output")
			}
		})
	}
	t.Run("secrets among the arguments", func(t *testing.T) {
		for _, args := range [][]string{
			{"decode", token},
			{"explain", token},
			{"explain", "--header", "Authorization: Bearer " + token},
			{"explain", "--header", "X-API-Key: 0123456789abcdef0123456789"},
			{"explain", "--uri", "/?access_token=" + token},
			append([]string{"sign", "--key", key}, claims...),
		} {
			c := jwtCommandIn(t, dir, nil, args...)
			if c.code == 0 || c.stdout != "" || strings.Contains(c.stderr, token[len(token)-20:]) || strings.Contains(c.stderr, key[40:60]) {
				t.Errorf("%s: %s", args[0], c)
			}
		}
	})
	t.Run("files", func(t *testing.T) {
		list, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range list {
			switch item.Name() {
			case "sealed.pem", "made.pem", "made-secret", "config", "data":
			default:
				t.Errorf("%s was left behind", item.Name())
			}
		}
	})
}

// coreLimit are the soft and the hard limit on core files.
func coreLimit(limits string) []string {
	for line := range strings.Lines(limits) {
		if rest, ok := strings.CutPrefix(line, "Max core file size"); ok {
			return strings.Fields(rest)[:2]
		}
	}
	return nil
}

// heldProcess is a command that waits for its input, or for its output to be read.
type heldProcess struct {
	command *exec.Cmd
	in      io.WriteCloser
	out     *os.File
	filled  int
	said    bytes.Buffer
}

// startHeld starts a command whose core files would be as large as may be.
func startHeld(t *testing.T, dir string, full bool, args ...string) *heldProcess {
	t.Helper()
	p := new(heldProcess)
	p.command = exec.CommandContext(t.Context(), "sh", append([]string{"-c", `ulimit -c unlimited 2>/dev/null; exec "$0" jwt "$@"`, commandBinary}, args...)...)
	p.command.Env, p.command.Dir, p.command.SysProcAttr = environment(dir, nil), dir, childAttributes()
	p.command.Stderr = &p.said
	var err error
	if p.in, err = p.command.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out, p.command.Stdout = read, write
	if full {
		_ = write.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		p.filled, _ = write.Write(make([]byte, 4<<20))
		if p.filled == 0 {
			t.Fatal("nothing fits into a pipe")
		}
	}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	_ = write.Close()
	t.Cleanup(func() { _ = p.command.Process.Kill(); _ = read.Close() })
	return p
}

func (p *heldProcess) write(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(p.in, text); err != nil {
		t.Fatalf("it ended early: %v, %s", err, p.said.String())
	}
}

// proc is a file about the process.
func (p *heldProcess) proc(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.command.Process.Pid, name))
	if err != nil {
		t.Fatalf("it ended early: %v, %s", err, p.said.String())
	}
	return string(text)
}

// end lets the process go on to its end, and returns what it wrote.
func (p *heldProcess) end(t *testing.T) string {
	t.Helper()
	_ = p.in.Close()
	out, err := io.ReadAll(p.out)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.command.Wait(); err != nil {
		t.Errorf("%v: %s", err, p.said.String())
	}
	return string(out[p.filled:]) + p.said.String()
}
