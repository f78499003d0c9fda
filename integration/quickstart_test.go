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

var suggestedCommand = regexp.MustCompile(`(?m)^# (.*): ([0-9]{3}),.*\n(curl .*)$`)

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
	commands := suggestedCommand.FindAllStringSubmatch(c.logs.String(), -1)
	if len(commands) < 4 {
		t.Fatalf("it printed %d commands with what they answer; want four:\n%s", len(commands), c.logs)
	}
	for _, command := range commands {
		t.Run(command[1], func(t *testing.T) {
			answer := script(t, dir, "sh", "-c", command[3])
			if status, _, _ := strings.Cut(answer, "\n"); !strings.Contains(status, " "+command[2]) {
				t.Errorf("%s\nanswered %q; want %s", command[3], status, command[2])
			}
		})
	}
}
