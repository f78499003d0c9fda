package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// keyCommand is what became of a `caddy jwt api-key` command.
type keyCommand struct {
	code           int
	stdout, stderr string
}

// apiKeyCommand runs one. It may be called from any goroutine of the test.
func apiKeyCommand(t *testing.T, args ...string) keyCommand {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	var stdout, stderr bytes.Buffer
	dir := t.TempDir()
	code, err := runCaddy(ctx, dir, environment(dir, nil), &stdout, &stderr, append([]string{"jwt", "api-key"}, args...)...)
	if err != nil {
		t.Error(err)
	}
	return keyCommand{code, stdout.String(), stderr.String()}
}

func (c keyCommand) String() string {
	return fmt.Sprintf("exit code %d\n%s\n%s", c.code, c.stdout, c.stderr)
}

// apiKeyCommand has a command ask this server.
func (c *caddy) apiKeyCommand(t *testing.T, args ...string) keyCommand {
	t.Helper()
	return apiKeyCommand(t, append(args, "--address", c.adminAddress())...)
}

// newKeyByCommand makes a key with the command, in force when it returns.
func (s *fixture) newKeyByCommand(t *testing.T, file, id string, more ...string) *peers.APIKey {
	t.Helper()
	c := s.apiKeyCommand(t, append([]string{"new", "--append", file, "--id", id}, more...)...)
	if c.code != 0 {
		t.Fatal(c)
	}
	return &peers.APIKey{Text: strings.TrimSuffix(c.stdout, "\n")}
}

// What a command has changed counts for the very next request, without a reload
// and without a request that was served in between being refused.
func TestAPIKeyCommandsOnARunningServer(t *testing.T) {
	t.Parallel()
	first := peers.NewAPIKey(t, "first", nil)
	s, file := newAPIKeyFixture(t, keySite, options{}, first)
	s.passes(t, s.withKey(t, first), first)
	going := s.loadWithoutPause(1, func(int) exchange { return s.exchangeWith(s.http, site, "/", apiKey(first.Text)) })

	made := s.newKeyByCommand(t, file.path, "made", "--consumer", "partner", "--scopes", "orders:read", "--meta", "plan=gold", "--prefix", "acme_live")
	checkHeaders(t, s.passes(t, s.withKey(t, made), made), map[string]string{
		"X-User": "partner", "X-Key-Id": "made", "X-Scopes": "orders:read", "X-Plan": "gold",
	})
	if !strings.HasPrefix(made.Text, "acme_live_") {
		t.Errorf("the key begins with %.10q; want acme_live_", made.Text)
	}

	keyText := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(keyText, []byte(made.Text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link.jsonl")
	if err := os.Symlink(file.path, link); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		command, which, file string
		status               int
		reason               string
	}{
		{"disable", "made", file.path, http.StatusUnauthorized, "api_key_disabled"},
		{"enable", "@" + keyText, file.path, http.StatusOK, ""},
		{"disable", "@" + keyText, link, http.StatusUnauthorized, "api_key_disabled"},
		{"enable", "made", link, http.StatusOK, ""},
		{"delete", "made", file.path, http.StatusUnauthorized, "unknown_api_key"},
	} {
		c := s.apiKeyCommand(t, step.command, step.which, "--file", step.file)
		if c.code != 0 || !strings.Contains(c.stderr, "has applied the change") {
			t.Fatalf("%s %s: %s", step.command, step.which, c)
		}
		a := s.withKey(t, made)
		if a.status != step.status || a.header.Get("X-Reason") != step.reason {
			t.Errorf("after %s: status %d, reason %q; want %d %s", step.command, a.status, a.header.Get("X-Reason"), step.status, step.reason)
		}
	}
	if target, err := os.Readlink(link); err != nil || target != file.path {
		t.Errorf("the link is %q, %v; want it as it was", target, err)
	}

	t.Run("the last key is deleted", func(t *testing.T) {
		going.stop()
		if c := s.apiKeyCommand(t, "delete", "first", "--file", file.path); c.code != 0 {
			t.Fatal(c)
		}
		s.upstream.Take()
		s.refused(t, s.withKey(t, first), http.StatusUnauthorized, "unknown_api_key")
		if f := s.keyFiles(t)[file.path]; f.Keys != 0 || f.State != "fresh" {
			t.Errorf("the status is %+v", f)
		}
	})
	if bad := withOtherStatus(going.stop(), http.StatusOK); len(bad) != 0 {
		t.Errorf("%d requests of another key failed meanwhile; the first: %+v", len(bad), bad[0])
	}
}

// Commands that change one file at the same time lose nothing of each other.
func TestAPIKeyCommandsAtOnce(t *testing.T) {
	t.Parallel()
	s, file := newAPIKeyFixture(t, keySite, options{})
	var (
		group sync.WaitGroup
		made  [4]keyCommand
	)
	for n := range made {
		group.Go(func() { made[n] = s.apiKeyCommand(t, "new", "--append", file.path, "--id", fmt.Sprintf("key-%d", n)) })
	}
	group.Wait()
	for n, c := range made {
		if c.code != 0 {
			t.Fatal(c)
		}
		k := &peers.APIKey{Text: strings.TrimSuffix(c.stdout, "\n")}
		checkHeaders(t, s.passes(t, s.withKey(t, k), k), map[string]string{"X-Key-Id": fmt.Sprintf("key-%d", n)})
	}
	c := apiKeyCommand(t, "list", "--file", file.path, "--json")
	var list []struct{ ID string }
	if err := json.Unmarshal([]byte(c.stdout), &list); err != nil || len(list) != len(made) {
		t.Errorf("%v, %d keys; want %d: %s", err, len(list), len(made), c)
	}
}

// A command whose change is written but not in force says so with its exit code;
// one that has no server to wait for does not wait.
func TestAPIKeyCommandsThatTheServerDoesNotFollow(t *testing.T) {
	t.Parallel()
	first := peers.NewAPIKey(t, "first", nil)
	s, file := newAPIKeyFixture(t, keySite, options{}, first)

	t.Run("no server", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "keys.jsonl")
		c := apiKeyCommand(t, "new", "--append", path, "--address", fmt.Sprintf("127.0.0.1:%d", peers.FreePort(t)))
		if c.code != 1 || !strings.Contains(c.stderr, "no server answers to apply the change") {
			t.Error(c)
		}
		if c := apiKeyCommand(t, "list", "--file", path); c.code != 0 || strings.Count(c.stdout, "\n") != 2 {
			t.Error(c)
		}
	})
	t.Run("a server that does not use the file", func(t *testing.T) {
		c := s.apiKeyCommand(t, "new", "--append", filepath.Join(t.TempDir(), "keys.jsonl"))
		if c.code != 0 || !strings.Contains(c.stderr, "does not use this file") {
			t.Error(c)
		}
	})
	t.Run("no waiting", func(t *testing.T) {
		c := s.apiKeyCommand(t, "new", "--append", file.path, "--id", "later", "--no-wait")
		if c.code != 0 || strings.Contains(c.stderr, "taken") {
			t.Error(c)
		}
		k := &peers.APIKey{Text: strings.TrimSuffix(c.stdout, "\n")}
		s.eventually("the key works", longWait, func() bool { return s.withKey(t, k).status == http.StatusOK }, s.logs.String)
	})
	t.Run("a file that is broken already is not made worse", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "keys.jsonl")
		broken := peers.KeyLines(t, first) + "broken\n"
		if err := os.WriteFile(path, []byte(broken), 0o600); err != nil {
			t.Fatal(err)
		}
		c := s.apiKeyCommand(t, "new", "--append", path)
		if content, err := os.ReadFile(path); c.code != 1 || c.stdout != "" || !strings.Contains(c.stderr, path+":2: ") || string(content) != broken {
			t.Errorf("%s\nthe file: %q, %v", c, content, err)
		}
	})
	t.Run("somebody breaks the file behind the command", func(t *testing.T) {
		before, err := os.Stat(file.path)
		if err != nil {
			t.Fatal(err)
		}
		broken := make(chan error, 1)
		go func() {
			for {
				now, err := os.Stat(file.path)
				if err != nil {
					broken <- err
					return
				}
				if !os.SameFile(before, now) {
					break
				}
				time.Sleep(time.Millisecond)
			}
			f, err := os.OpenFile(file.path, os.O_APPEND|os.O_WRONLY, 0)
			if err == nil {
				_, err = f.WriteString("a line of an editor\n")
				_ = f.Close()
			}
			broken <- err
		}()
		c := s.apiKeyCommand(t, "new", "--append", file.path, "--id", "broken")
		if err := <-broken; err != nil {
			t.Fatal(err)
		}
		if c.code != 1 || !strings.Contains(c.stderr, "has not applied the change") || !strings.Contains(c.stderr, file.path+":4: ") {
			t.Error(c)
		}
		s.upstream.Take()
		s.refused(t, s.withKey(t, &peers.APIKey{Text: strings.TrimSuffix(c.stdout, "\n")}), http.StatusUnauthorized, "unknown_api_key")
		s.passes(t, s.withKey(t, first), first)
	})
}
