package caddyjwt

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/caddy-jwt/caddy-jwt/internal/command"
)

// What the guide shows of explain's answers, with its Caddyfile in place of a running server.
func TestGuides_WhyRefused(t *testing.T) {
	const page = "docs/guides/why-refused.md"
	file := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var config string
	var commands, answers []string
	for _, b := range docBlocks(t, page) {
		switch b.language {
		case "caddyfile":
			config = file("Caddyfile", b.text)
		case "sh":
			commands = append(commands, b.text)
		case "text":
			answers = append(answers, b.text)
		}
	}
	token := file("token.txt", "Authorization: Bearer "+guideToken(t, map[string]any{"aud": "https://other.example.com", "scope": "orders:read"})+"\n")
	keys := file("keys.json", publicPEM(t, signer().Public()))
	explain := func(line string) (out string, accepted bool) {
		args := strings.Fields(strings.NewReplacer("@token.txt", "@"+token, "keys.json", keys, "Caddyfile", config).Replace(line))
		if !strings.Contains(line, "--config") {
			args = append(args, "--config", config, "--jwks", keys)
		}
		caddy, cmd := &cobra.Command{Use: "caddy"}, &cobra.Command{Use: "jwt"}
		caddy.AddCommand(cmd)
		command.New(explainOffline).CobraFunc(cmd)
		var text strings.Builder
		caddy.SetOut(&text)
		caddy.SetErr(&text)
		caddy.SetArgs(args[1:])
		err := caddy.Execute()
		return text.String(), err == nil
	}
	if len(commands) != 4 || len(answers) != 2 {
		t.Fatalf("%s has %d commands and %d answers", page, len(commands), len(answers))
	}
	for n, answer := range map[int]string{0: answers[0], 1: answers[0], 3: answers[1]} {
		out, accepted := explain(commands[n])
		if accepted {
			t.Errorf("%s: it is accepted", commands[n])
		}
		for line := range strings.Lines(answer) {
			// The columns are as wide as what is in them.
			if line = strings.Join(strings.Fields(line), " "); line != "…" && !strings.Contains(strings.Join(strings.Fields(out), " "), line) {
				t.Errorf("%s has %q, and the answer\n%s", page, line, out)
			}
		}
	}
}
