package integration

import (
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// offline runs `caddy jwt` with this server's config, in an environment whose home is home.
func (s *fixture) offline(t *testing.T, home string, args ...string) keyCommand {
	t.Helper()
	return jwtCommandIn(t, home, s.opts.env, append(args, "--config", filepath.Join(s.dir, "Caddyfile"), "--adapter", "caddyfile")...)
}

// sharedFiles are the files of shared state below a folder.
func sharedFiles(t *testing.T, dir string) map[string]os.FileInfo {
	t.Helper()
	found := map[string]os.FileInfo{}
	err := filepath.WalkDir(dir, func(path string, item fs.DirEntry, err error) error {
		if err != nil || !item.Type().IsRegular() || !strings.Contains(path, "/jwt/") {
			return err
		}
		info, err := item.Info()
		found[path] = info
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// A command that works on the storage while the server is down either changes what the
// server reads, or says that it did not and exits with 1. It never makes a second set.
func TestThreat64_OfflineCommandsFindTheServersState(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newSharedFixture(t, strings.Replace(storeSite, "api_keys partners", "import issuer\n\t\tapi_keys partners", 1), options{}, k.RS256)
	token := k.RS256.Token(t, s.claims(map[string]any{"jti": "offline"}), nil)
	key := s.makeKey(t, object{"consumer": "acme"})
	s.accepts(t, site, token)
	other := t.TempDir() // somebody else's home

	t.Run("while the server runs, it is asked, no matter who calls", func(t *testing.T) {
		c := s.offline(t, other, "revoke", "--jti", "online", "--json")
		if c.code != 0 || len(sharedFiles(t, other)) != 0 {
			t.Errorf("%s\n%v", c, sharedFiles(t, other))
		}
		s.refuses(t, site, k.RS256.Token(t, s.claims(map[string]any{"jti": "online"}), nil), "revoked")
	})
	s.http.CloseIdleConnections()
	s.caddy.restart(func() {
		t.Run("without --config", func(t *testing.T) {
			if c := s.jwtCommand(t, "revoke", "--jti", "offline"); c.code != 1 || !strings.Contains(c.stderr, "--config") {
				t.Error(c)
			}
		})
		t.Run("another home", func(t *testing.T) {
			for _, args := range [][]string{
				{"revoke", "--jti", "offline"}, {"revocations"}, {"revocations", "delete", "jti-" + strings.Repeat("0", 24), "--reason", "x"},
				{"api-key", "new", "--store", "partners"}, {"api-key", "list", "--store", "partners"}, {"api-key", "disable", key.ID, "--store", "partners"},
			} {
				c := s.offline(t, other, args...)
				if c.code != 1 || c.stdout != "" || !strings.Contains(c.stderr, other) || !strings.Contains(c.stderr, "nothing was changed") {
					t.Errorf("%v: %s", args, c)
				}
			}
			if files := sharedFiles(t, other); len(files) != 0 {
				t.Errorf("a second set was made: %v", files)
			}
		})
		t.Run("another cluster", func(t *testing.T) {
			dir := t.TempDir()
			writeFile(t, filepath.Join(dir, "Caddyfile"), strings.Replace(readFile(t, filepath.Join(s.dir, "Caddyfile")), "state {", "state {\n\t\t\tcluster staging", 1))
			before := sharedFiles(t, s.dir)
			c := jwtCommandIn(t, s.dir, s.opts.env, "revoke", "--jti", "offline", "--config", filepath.Join(dir, "Caddyfile"))
			if c.code != 1 || !strings.Contains(c.stderr, "jwt/staging/revocations") || len(sharedFiles(t, s.dir)) != len(before) {
				t.Error(c)
			}
		})
		t.Run("a config without state", func(t *testing.T) {
			dir := t.TempDir()
			writeFile(t, filepath.Join(dir, "Caddyfile"), "{\n\tadmin "+s.adminAddress()+"\n}\n")
			if c := jwtCommandIn(t, s.dir, nil, "revoke", "--jti", "offline", "--config", filepath.Join(dir, "Caddyfile")); c.code != 1 || !strings.Contains(c.stderr, "state") {
				t.Error(c)
			}
		})
		t.Run("the right folder", func(t *testing.T) { s.checkOffline(t, key) })
	})
	s.whenReady(t)
	s.refuses(t, site, token, "revoked")
	s.upstream.Take()
	s.refused(t, s.withKey(t, key.peer()), http.StatusUnauthorized, "api_key_disabled")
}

// checkOffline revokes and makes keys with the server's storage, whose owner may be another
// user than the one of the command.
func (s *fixture) checkOffline(t *testing.T, key storedKey) {
	before := sharedFiles(t, s.dir)
	owner := -1
	if os.Getuid() == 0 { // as in `sudo caddy jwt revoke`
		owner = 65534
		for path := range before {
			for ; path != s.dir; path = filepath.Dir(path) {
				if err := os.Chown(path, owner, owner); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	var made storedKey
	c := s.offline(t, s.dir, "api-key", "new", "--store", "partners", "--consumer", "offline", "--json")
	if decode(t, c.stdout, &made); c.code != 0 || made.Key == "" {
		t.Fatal(c)
	}
	for _, args := range [][]string{
		{"revoke", "--jti", "offline", "--reason", "test"}, {"api-key", "disable", key.ID, "--store", "partners"},
		{"api-key", "edit", made.ID, "--scopes", "a", "--store", "partners"}, {"api-key", "roll", made.ID, "--overlap", "1h", "--store", "partners"},
	} {
		if c := s.offline(t, s.dir, args...); c.code != 0 || c.stdout == "" {
			t.Errorf("%v: %s", args, c)
		}
	}
	c = s.offline(t, s.dir, "revocations", "--json")
	var rules []struct{ Value string }
	if decode(t, c.stdout, &rules); len(rules) != 2 {
		t.Errorf("the rules are %s", c)
	}
	added := 0
	for path, info := range sharedFiles(t, s.dir) {
		if before[path] != nil {
			continue
		}
		added++
		if owner >= 0 {
			checkOwner(t, path, info, uint32(owner))
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the mode %v", path, info.Mode())
		}
	}
	if added == 0 {
		t.Error("there is no new file")
	}
	markers := 0
	for path := range sharedFiles(t, s.dir) {
		if filepath.Base(path) == redisMarker {
			markers++
		}
	}
	if markers != 2 {
		t.Errorf("there are %d sets; want the rules and the store", markers)
	}
}

// A config whose server has never run has no set, and a command makes none.
func TestThreat64_NoSetIsMadeOffline(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "Caddyfile"), fmt.Sprintf("{\n\tadmin 127.0.0.1:%d\n\t%s\n}\n", peers.FreePort(t), sharedState))
	for _, args := range [][]string{{"revoke", "--jti", "x", "--any-issuer"}, {"api-key", "new", "--store", "partners"}, {"revocations"}, {"state", "accept"}} {
		c := jwtCommandIn(t, dir, nil, append(args, "--config", filepath.Join(dir, "Caddyfile"))...)
		if c.code != 1 || c.stdout != "" || len(sharedFiles(t, dir)) != 0 {
			t.Errorf("%v: %s\n%v", args, c, sharedFiles(t, dir))
		}
	}
}
