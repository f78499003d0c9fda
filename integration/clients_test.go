package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// Clients that send a password only when a Basic challenge asks for it get through with
// an API key.
func TestClientsThatWaitForAChallenge(t *testing.T) {
	t.Parallel()
	for _, tool := range []dependency{wget, git, curl} {
		need(t, tool)
	}
	held := peers.NewAPIKey(t, "partner", nil)
	repository := bareRepository(t)
	s, _ := newAPIKeyFixture(t, `https://localhost {
	jwt {
		api_keys {$KEYS}
		api_key_from basic
	}
	root {$REPOSITORY}
	file_server
}
`, options{env: map[string]string{"REPOSITORY": repository}}, held)
	base := strings.TrimSuffix(s.origin("localhost"), "/")
	ca := s.dataFile("pki", "authorities", "local", "root.crt")
	home := t.TempDir()
	python := `import ssl, sys, urllib.request
m = urllib.request.HTTPPasswordMgrWithDefaultRealm()
m.add_password(None, sys.argv[1], "key", sys.argv[2])
o = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(m), urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=sys.argv[3])))
print(o.open(sys.argv[1] + "/HEAD").read().decode())`
	for name, command := range map[string][]string{
		"wget":           {"wget", "-q", "-O", "-", "--ca-certificate=" + ca, "--user=key", "--password=KEY", base + "/HEAD"},
		"curl --anyauth": {"curl", "-sf", "--anyauth", "--cacert", ca, "-u", "key:KEY", base + "/HEAD"},
		"curl, the user": {"curl", "-sf", "--anyauth", "--cacert", ca, "-u", "KEY:", base + "/HEAD"},
		"git":            {"git", "-c", "http.sslCAInfo=" + ca, "ls-remote", strings.Replace(base, "https://", "https://key:KEY@", 1)},
		"urllib":         {"/usr/bin/python3", "-c", python, base, "KEY", ca},
	} {
		for key, passes := range map[string]bool{held.Text: true, peers.NewAPIKey(t, "stranger", nil).Text: false} {
			args := make([]string, len(command)-1)
			for i, a := range command[1:] {
				args[i] = strings.ReplaceAll(a, "KEY", key)
			}
			run := exec.CommandContext(t.Context(), command[0], args...)
			run.Env = append(os.Environ(), "HOME="+home, "GIT_TERMINAL_PROMPT=0", "GIT_SSL_CAINFO="+ca, "GIT_ASKPASS=/bin/false", "GIT_CONFIG_NOSYSTEM=1", "NO_PROXY=*", "no_proxy=*")
			out, err := run.CombinedOutput()
			if got := err == nil && (strings.Contains(string(out), "refs/heads/") || strings.Contains(string(out), "HEAD")); got != passes {
				t.Errorf("%s: %v, %s; want through: %v", name, err, out, passes)
			}
		}
	}
}

// bareRepository is a git repository that a plain file server serves.
func bareRepository(t *testing.T) string {
	t.Helper()
	work, bare := t.TempDir(), filepath.Join(t.TempDir(), "bare")
	for _, c := range [][]string{
		{"init", "-q", "-b", "main", work},
		{"-C", work, "-c", "user.name=t", "-c", "user.email=t@example.test", "commit", "-q", "--allow-empty", "-m", "first"},
		{"clone", "-q", "--bare", work, bare},
		{"-C", bare, "update-server-info"},
	} {
		if out, err := exec.CommandContext(t.Context(), "git", c...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v %s", c, err, out)
		}
	}
	return bare
}
