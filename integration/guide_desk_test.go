package integration

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// guideShell runs lines of a guide in a folder, with `caddy` for the binary under test.
func guideShell(t *testing.T, dir, lines string) string {
	t.Helper()
	bin := t.TempDir()
	caddy, err := filepath.Abs(commandBinary)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(caddy, filepath.Join(bin, "caddy")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	shell := exec.CommandContext(ctx, "sh", "-euc", lines)
	shell.Dir = dir
	shell.Env = environment(t.TempDir(), map[string]string{"PATH": bin + ":" + os.Getenv("PATH")})
	var complaint strings.Builder
	shell.Stderr = &complaint
	out, err := shell.Output()
	if err != nil {
		t.Fatalf("%s\n%v\n%s%s", lines, err, out, &complaint)
	}
	return string(out)
}

// The commands and the site of docs/guides/device-tokens.md.
func TestGuides_DeviceTokens(t *testing.T) {
	t.Parallel()
	need(t, jq)
	const guide, host = "device-tokens.md", "devices.example.test"
	dir := t.TempDir()
	lines := func(n int, fromTo ...string) string {
		return guideShell(t, dir, changed(t, guideCode(t, guide, "sh", n), fromTo...))
	}
	lines(0)
	lines(1)
	lines(1, "meter-17", "meter-18", "--scope telemetry:write", "")
	if list := strings.Split(readFile(t, filepath.Join(dir, "issued.tsv")), "\n"); len(list) != 3 || len(strings.Split(list[0], "\t")) != 3 || !strings.Contains(list[0], "\tmeter-17\t2") {
		t.Errorf("%q", list)
	}
	global, block, _ := strings.Cut(guideCode(t, guide, "caddyfile", 0), "}\n\napi.example.com {\n")
	s := newFixture(t, "https://"+host+" {\n"+changed(t, block, "/etc/caddy/device-keys.json", filepath.Join(dir, "device-keys.json"), "localhost:8080", "{$UPSTREAM}"),
		options{global: strings.TrimPrefix(global, "{\n")})
	s.whenReady(t)
	token := func(name string) string { return strings.TrimSpace(readFile(t, filepath.Join(dir, name))) }
	if seen := s.accepts(t, host, token("meter-17.jwt")); seen.Header.Get("X-Device") != "meter-17" {
		t.Errorf("%v", seen.Header)
	}
	if a := s.get(t, host, token("meter-18.jwt")); a.status != 403 {
		t.Errorf("without the scope: %d", a.status)
	}
	guideShell(t, dir, changed(t, guideCode(t, guide, "sh", 1), "meter-17", "meter-19", "365d", "400d"))
	if a := s.get(t, host, token("meter-19.jwt")); a.status != 401 {
		t.Errorf("for longer than a year: %d", a.status)
	}
	server := "caddy jwt revoke --address " + s.adminAddress()
	guideShell(t, dir, changed(t, guideCode(t, guide, "sh", 1), "meter-17", "meter-20"))
	s.accepts(t, host, token("meter-20.jwt"))
	lines(3, "caddy jwt revoke", server, "meter-17", "meter-20")
	if a := s.get(t, host, token("meter-20.jwt")); a.status != 401 {
		t.Errorf("revoked by its file: %d", a.status)
	}
	s.accepts(t, host, token("meter-17.jwt"))
	lines(2, "caddy jwt revoke", server)
	if a := s.get(t, host, token("meter-17.jwt")); a.status != 401 {
		t.Errorf("revoked by its device: %d", a.status)
	}
	lines(4)
	if set := readFile(t, filepath.Join(dir, "both.json")); strings.Count(set, `"kid"`) != 2 {
		t.Error(set)
	}
}

// The commands and the site of docs/guides/at-the-desk.md.
func TestGuides_AtTheDesk(t *testing.T) {
	t.Parallel()
	need(t, jq)
	const guide, host = "at-the-desk.md", "desk.example.test"
	dir := t.TempDir()
	real := keys(t).RS256.Token(t, map[string]any{
		"iss": "https://auth.example.com/", "aud": guideAudience, "sub": "alice", "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(),
	}, nil)
	writeFile(t, filepath.Join(dir, "token.txt"), "Authorization: Bearer "+real+"\n")
	if out := guideShell(t, dir, guideCode(t, guide, "sh", 0)); !strings.HasPrefix(out, "NOT CHECKED") || !strings.HasSuffix(out, "\nalice\n") {
		t.Error(out)
	}
	if out := guideShell(t, dir, guideCode(t, guide, "sh", 1)); !strings.Contains(out, `"sub": "alice"`) {
		t.Error(out)
	}
	guideShell(t, dir, guideCode(t, guide, "sh", 2))
	if readFile(t, filepath.Join(dir, "again.json")) != readFile(t, filepath.Join(dir, "test-keys.json")) {
		t.Error("the key set of the public key is another")
	}
	s := newFixture(t, guideSite(t, guide, 0, "api.example.com", host, "test-keys.json", filepath.Join(dir, "test-keys.json"), "localhost:8080", "{$UPSTREAM}"), options{})
	s.accepts(t, host, strings.TrimSpace(readFile(t, filepath.Join(dir, "test-token.txt"))))
	if a := s.get(t, host, real); a.status != 401 {
		t.Errorf("the real one, at the test's server: %d", a.status)
	}
}
