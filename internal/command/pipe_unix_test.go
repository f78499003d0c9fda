//go:build unix

package command

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// A pipe in the place of a file, which nobody writes to, stops no command.
func TestAPipeStopsNoCommand(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{
		"api-key list --file PIPE", "api-key new --append PIPE --no-wait", "api-key disable a --file PIPE --no-wait", "api-key delete @PIPE --file PIPE --no-wait",
		"api-key hash @PIPE", "api-key import PIPE --append NEW --no-wait", "api-key import @PIPE --append NEW --no-wait",
	} {
		t.Run(args, func(t *testing.T) {
			caddy, cmd := &cobra.Command{Use: "caddy", SilenceUsage: true}, &cobra.Command{Use: "jwt"}
			caddy.AddCommand(cmd)
			New(nil).CobraFunc(cmd)
			var out strings.Builder
			caddy.SetOut(&out)
			caddy.SetErr(&out)
			args := strings.NewReplacer("PIPE", pipe, "NEW", filepath.Join(t.TempDir(), "keys")).Replace(args)
			caddy.SetArgs(append([]string{"jwt"}, strings.Fields(args)...))
			done := make(chan error, 1)
			go func() { done <- caddy.Execute() }()
			select {
			case err := <-done:
				if err == nil || !strings.Contains(err.Error(), "not a regular file") {
					t.Errorf("%v", err)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("it waits for ever")
			}
		})
	}
	t.Run("quickstart", func(t *testing.T) {
		done := make(chan bool, 1)
		go func() { done <- sameFile(pipe, nil) }()
		select {
		case same := <-done:
			if same {
				t.Error("it is taken for the file")
			}
		case <-time.After(20 * time.Second):
			t.Fatal("it waits for ever")
		}
	})
}
