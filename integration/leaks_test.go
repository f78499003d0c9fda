package integration

import (
	"encoding/base64"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// Whoever reads the log, the config, or the disk learns no credential. The log
// at DEBUG is searched at the end of every test; here is the rest.
func TestCredentialsStayWhereTheyAre(t *testing.T) {
	t.Parallel()
	k := keys(t)
	secret := peers.NewKey(t, "HS256", "")
	fileSecret := peers.NewKey(t, "HS256", "")
	written := func(key *peers.Key) string { return base64.RawURLEncoding.EncodeToString(key.Secret) }
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(written(fileSecret)), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newStand(t, oneIssuer+`
https://variable.example.test {
	jwt {
		issuer https://variable.example.test {
			secret base64 {env.SECRET}
		}
		audience https://api.example.test
	}
	import upstream
}
https://file.example.test {
	jwt {
		issuer https://file.example.test {
			secret base64 {file.`+file+`}
		}
		audience https://api.example.test
	}
	import upstream
}
`, options{env: map[string]string{"SECRET": written(secret)}}, k.RS256)
	s.logs.forbid(written(secret))
	s.logs.forbid(written(fileSecret))

	var answers []string
	send := func(host, token string, status int) {
		t.Helper()
		a := s.get(t, host, token)
		if a.status != status {
			t.Errorf("%s: status %d; want %d", host, a.status, status)
		}
		if status != http.StatusOK {
			answers = append(answers, a.body+text(t, a.header))
		}
	}
	send(site, k.RS256.Token(t, s.claims(nil), nil), http.StatusOK)
	send(site, k.Stranger.Token(t, s.claims(nil), nil), http.StatusUnauthorized)
	for host, key := range map[string]*peers.Key{"variable.example.test": secret, "file.example.test": fileSecret} {
		claims := s.claims(map[string]any{"iss": "https://" + host})
		send(host, key.Token(t, claims, nil), http.StatusOK)
		send(host, k.HS256.Token(t, claims, nil), http.StatusUnauthorized)
	}

	for _, path := range []string{"/config/", "/metrics", "/debug/vars", "/debug/pprof/cmdline"} {
		t.Run("GET "+path, func(t *testing.T) {
			answer, err := s.adminGet(path)
			if err != nil {
				t.Fatal(err)
			}
			s.free(t, path, answer)
			if path == "/config/" && !strings.Contains(answer, "{env.SECRET}") {
				t.Error("the config does not name the variable, so this test looks at nothing")
			}
		})
	}
	t.Run("autosave.json", func(t *testing.T) {
		saved, err := os.ReadFile(s.configFile("autosave.json"))
		if err != nil {
			t.Fatal(err)
		}
		s.free(t, "autosave.json", string(saved))
	})
	t.Run("all of Caddy's storage", func(t *testing.T) {
		err := filepath.WalkDir(s.dir, func(path string, item fs.DirEntry, err error) error {
			if err != nil || !item.Type().IsRegular() {
				return err
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			s.free(t, filepath.Base(path), string(content))
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	t.Run("the bodies and headers of refusals", func(t *testing.T) {
		for _, answer := range answers {
			s.free(t, "an answer", answer)
		}
	})
}

// free requires a text without any credential of the test.
func (s *stand) free(t *testing.T, what, content string) {
	t.Helper()
	if at := s.logs.leak(content); at >= 0 {
		t.Errorf("%s holds a credential: …%s…", what, content[max(0, at-200):min(len(content), at+100)])
	}
}
