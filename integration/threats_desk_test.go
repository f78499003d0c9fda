package integration

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// hostileTexts would move the cursor, set the window's title, turn text around, hide a part of
// it, or end a line, where they are shown as they are.
var hostileTexts = []string{
	"\x1b]0;owned\x07", "\x1b[2J\x1b[H", "\u009b31m", "\u202egnp.exe", "\u2066\u2069", "zero\u200bwidth", "\ufeff", "a\r\nSet-Cookie: b", "\U000e0041", "\x7f\b\b", "line\u2028end", "a\tb",
}

// checkShown requires that a text can be shown on a terminal.
func checkShown(t *testing.T, what, text string) {
	t.Helper()
	if !utf8.ValidString(text) {
		t.Errorf("%s: no UTF-8: %q", what, text)
	}
	for at, c := range text {
		if c != '\n' && c != '\t' && !unicode.IsGraphic(c) {
			t.Errorf("%s: %U at %d: %q", what, c, at, text[max(0, at-60):min(len(text), at+60)])
			return
		}
	}
}

// TestThreat90_HostileTokensAreShownEscaped has the commands show tokens, and refusals of
// requests, whose every text is hostile.
func TestThreat90_HostileTokensAreShownEscaped(t *testing.T) {
	t.Parallel()
	k := keys(t)
	d := newExplainer(t, `
http://api.example.test {
	jwt {
		import from_issuer
		require claim tenant acme
	}
	import in
	import shown
}
`, options{})
	var tokens []string
	for _, text := range []string{strings.Join(hostileTexts[:6], "."), strings.Join(hostileTexts[6:], ".")} {
		tokens = append(tokens,
			k.ES256.Token(t, d.claims(map[string]any{"sub": text, "tenant": text, text: []string{text}, "scope": text}), map[string]any{"x": text, text: 1}),
			k.ES256.Token(t, d.claims(map[string]any{"aud": text, "iss": d.issuer.URL}), map[string]any{"typ": text, "jku": text}),
			k.ES256.Token(t, d.claims(map[string]any{"iss": text, "exp": text}), nil),
			k.ES256.Token(t, d.claims(map[string]any{"iss": text}), map[string]any{"alg": text}),
			k.ES256.Named(text).Token(t, d.claims(nil), nil),
			k.ES256.Raw(t, `{"alg":"ES256","kid":"es256"}`, `{"a":1,"a":2,"`+strings.NewReplacer("\r", "", "\n", "", "\x1b", "", "\x07", "", "\b", "", "\t", "").Replace(text)+`":3}`),
		)
	}
	config := filepath.Join(d.dir, "Caddyfile")
	for n, token := range tokens {
		file := "@" + tempFile(t, "token", token)
		q := asked{host: site, token: token}
		if _, err := d.serve(q); err != nil {
			t.Fatal(err)
		}
		commands := [][]string{
			{"decode", file}, {"decode", "--json", file},
			{"explain", file, "--site", site, "--address", d.adminAddress()}, {"explain", "--json", file, "--config", config},
		}
		if n%2 == 0 { // each costs a start of the binary
			commands = append(commands[:2], []string{"explain", "--json", file, "--site", site, "--address", d.adminAddress()}, []string{"explain", file, "--config", config})
		}
		for _, args := range commands {
			c := jwtCommandIn(t, d.dir, d.opts.env, args...)
			checkShown(t, fmt.Sprint(args), c.stdout)
			checkShown(t, fmt.Sprint(args), c.stderr)
			if c.stdout == "" {
				t.Errorf("%q: %s", args, c)
			}
		}
	}
	t.Run("the URI and headers of a question", func(t *testing.T) {
		for _, text := range hostileTexts {
			a := d.ask(t, http.MethodPost, "/jwt/explain", toJSON(t, object{"site": text, "uri": "/" + text, "method": text, "headers": object{"X-A": []string{text}}, "remote": text}))
			checkShown(t, "the answer", a.body)
		}
	})
	t.Run("watch", func(t *testing.T) { d.checkWatchEscapes(t) })
}

// checkWatchEscapes runs watch while hostile requests are refused.
func (d *explainer) checkWatchEscapes(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for _, more := range [][]string{nil, {"--json"}} {
		command := exec.CommandContext(ctx, caddyBinary, append([]string{"jwt", "watch", "--address", d.adminAddress()}, more...)...)
		command.Env, command.Dir, command.SysProcAttr = environment(d.dir, nil), d.dir, childAttributes()
		var out logBook
		command.Stdout, command.Stderr = &out, &out
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		k := keys(t)
		enough := func() bool { return strings.Count(out.String(), "forbidden") >= 3 }
		for deadline := time.Now().Add(patience); !enough() && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
			// Watching begins when it has asked once.
			for _, text := range hostileTexts {
				q := asked{host: site, token: k.ES256.Token(t, d.claims(map[string]any{"sub": text}), nil), uri: "/%1b]0;%07%E2%80%AE?a=%0d%0a"}
				if _, err := d.serve(q); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = command.Process.Signal(os.Interrupt)
		_ = command.Wait()
		if !enough() {
			t.Errorf("it shows %q", out.String())
		}
		checkShown(t, "watch", out.String())
	}
}

// TestThreat90_WhatIsNoTokenGetsOneSentence hands everything but a token to the commands.
func TestThreat90_WhatIsNoTokenGetsOneSentence(t *testing.T) {
	t.Parallel()
	k := keys(t)
	good := k.ES256.Token(t, peers.Claims("https://a.example.test", audience, nil), nil)
	private := block64("PRIVATE KEY", k.ES256.PrivateDER(t))
	jwk, err := json.Marshal(k.ES256.PrivateJWK())
	if err != nil {
		t.Fatal(err)
	}
	deep := k.ES256.Raw(t, `{"alg":"ES256"}`, strings.Repeat(`{"a":`, 20000)+"1"+strings.Repeat("}", 20000))
	for name, text := range map[string]string{
		"nothing":          "",
		"spaces":           " \n\t\n",
		"a binary":         string(bytes.Repeat([]byte{0, 1, 2, 0xff, 0xfe}, 500)),
		"a program":        readFile(t, caddyBinary)[:200_000],
		"10 MB":            strings.Repeat("eyJ", 10<<20/3),
		"10 MB of a token": good[:40] + strings.Repeat("A", 10<<20) + good[40:],
		"deep JSON":        deep,
		"a private key":    private,
		"a private JWK":    string(jwk),
		"five tokens":      strings.Repeat(good+"\n", 2) + strings.Replace(good, ".", ".x", 1) + "\n" + good[1:] + "\n" + good,
		"a line of zeros":  strings.Repeat("\x00", 4096),
	} {
		t.Run(name, func(t *testing.T) {
			file := "@" + tempFile(t, "input", text)
			for _, args := range [][]string{{"decode", file}, {"explain", file, "--config", tempFile(t, "Caddyfile", "http://a.example.test {\n\tjwt {\n\t\tissuer https://a.example.test {\n\t\t\tpublic_key "+k.ES256.PublicFile(t)+"\n\t\t}\n\t\taudience a\n\t}\n}\n")}} {
				c := jwtCommandIn(t, t.TempDir(), nil, args...)
				what := fmt.Sprintf("%s of %s", args[0], name)
				checkShown(t, what, c.stdout+c.stderr)
				said := c.stdout + c.stderr
				if c.code == 0 && name != "deep JSON" || c.code > 2 || len(c.stderr) > 1000 && len(c.stdout) == 0 {
					t.Errorf("%s: exit code %d, %.2000s", what, c.code, said)
				}
				if c.stdout != "" && name != "deep JSON" {
					t.Errorf("%s: standard output has %.500q", what, c.stdout)
				}
				for _, secret := range []string{strings.Split(private, "\n")[1][:30], fmt.Sprint(k.ES256.PrivateJWK()["d"])} {
					if strings.Contains(said, secret) {
						t.Errorf("%s: it shows the private key", what)
					}
				}
			}
		})
	}
	t.Run("input without an end", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		for _, args := range [][]string{{"decode", "@-"}, {"explain", "@-"}} {
			command := exec.CommandContext(ctx, caddyBinary, append([]string{"jwt"}, args...)...)
			command.Env, command.Dir, command.SysProcAttr = environment(t.TempDir(), nil), t.TempDir(), childAttributes()
			command.Stdin = endless{}
			command.WaitDelay = 5 * time.Second
			out, _ := command.CombinedOutput()
			if ctx.Err() != nil {
				t.Fatalf("%q reads on for ever: %s", args, out)
			}
			checkShown(t, fmt.Sprint(args), string(out))
			if command.ProcessState.ExitCode() == 0 || len(out) > 1000 {
				t.Errorf("%q: exit code %d: %.500s", args, command.ProcessState.ExitCode(), out)
			}
		}
	})
}

// endless is a reader of one letter.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'e'
	}
	return len(p), nil
}

// block64 is PEM.
func block64(kind string, der []byte) string {
	text := base64.StdEncoding.EncodeToString(der)
	var b strings.Builder
	for len(text) > 64 {
		b.WriteString(text[:64] + "\n")
		text = text[64:]
	}
	return "-----BEGIN " + kind + "-----\n" + b.String() + text + "\n-----END " + kind + "-----\n"
}

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
			run := exec.CommandContext(t.Context(), "sh", "-c", `umask 0; exec "$0" "$@"`, caddyBinary, "jwt", "keygen", "--alg", alg, "--out", path)
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
	p.command = exec.CommandContext(t.Context(), "sh", append([]string{"-c", `ulimit -c unlimited 2>/dev/null; exec "$0" jwt "$@"`, caddyBinary}, args...)...)
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
