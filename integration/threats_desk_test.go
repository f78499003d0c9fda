package integration

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
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
	if raceEnabled { // the other half has the other texts in the same places
		tokens = tokens[:len(tokens)/2]
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
			command := exec.CommandContext(ctx, commandBinary, append([]string{"jwt"}, args...)...)
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
