package integration

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// startQuickstart runs `caddy jwt quickstart` and returns when it has printed
// what to try.
func startQuickstart(t *testing.T, dir string) *child {
	t.Helper()
	c := startChild(t, &logBook{}, dir, environment(t.TempDir(), nil),
		"jwt", "quickstart", "--dir", dir, "--port", strconv.Itoa(peers.FreePort(t)))
	c.eventually("the quickstart says what to try", 20*time.Second, func() bool {
		return strings.Contains(c.logs.String(), "Ctrl-C")
	}, c.logs.String)
	return c
}

// suggestedCommands are commands, and what they answer.
var suggestedCommands = regexp.MustCompile(`(?m)^# (.*): ([0-9]{3}),.*\n((?:[a-z].*\n)+)`)

// What the quickstart prints is pasted by people who have not read anything yet.
func TestQuickstartCommands(t *testing.T) {
	t.Parallel()
	need(t, curl)
	dir := t.TempDir()
	c := startQuickstart(t, dir)
	t.Cleanup(func() {
		c.stop()
		c.logs.check(t, true)
	})
	commands := suggestedCommands.FindAllStringSubmatch(c.logs.String(), -1)
	if len(commands) != 6 {
		t.Fatalf("it printed %d commands with what they answer; want six:\n%s", len(commands), c.logs)
	}
	for _, command := range commands { // one after the other, as each needs what those before made
		answer := script(t, dir, "sh", "-c", command[3])
		if status, _, _ := strings.Cut(answer, "\n"); !strings.Contains(status, " "+command[2]) {
			t.Errorf("%s: %s\nanswered %q; want %s", command[1], command[3], status, command[2])
		}
	}
	answer := script(t, dir, "sh", "-c", commands[4][3])
	if !strings.Contains(answer, "the token is revoked") {
		t.Errorf("the token that was revoked: %s", answer)
	}
	// What to try next.
	next := regexp.MustCompile(`(?m)^  (.* jwt (?:token|api-key) .*)$`).FindAllStringSubmatch(c.logs.String(), -1)
	if len(next) != 2 {
		t.Fatalf("what to try next has %d commands:\n%s", len(next), c.logs)
	}
	token := strings.TrimSpace(script(t, dir, "sh", "-c", next[0][1]))
	site := regexp.MustCompile(`http://localhost:[0-9]+`).FindString(c.logs.String())
	ask := func() string {
		return script(t, dir, "curl", "-s", "-w", "%{http_code}", "-H", "Authorization: Bearer "+token, site+"/hello")
	}
	if answer := ask(); !strings.HasSuffix(answer, "200") {
		t.Errorf("a token of caddy jwt token: %s", answer)
	}
	script(t, dir, "sh", "-c", next[1][1])
	c.eventually("the token of a disabled key is refused", 10*time.Second, func() bool { return strings.HasSuffix(ask(), "401") }, ask)
}
