package integration

import (
	"encoding/base64"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// No credential is in the log, the config, or the files on disk. The log
// at DEBUG is searched at the end of every test; here is the rest.
func TestCredentialsStayWhereTheyAre(t *testing.T) {
	t.Parallel()
	k := keys(t)
	secret := peers.NewKey(t, "HS256", "")
	fileSecret := peers.NewKey(t, "HS256", "")
	encoded := func(key *peers.Key) string { return base64.RawURLEncoding.EncodeToString(key.Secret) }
	s := newFixture(t, oneIssuer+`
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
			secret base64 {file.`+tempFile(t, "secret", encoded(fileSecret))+`}
		}
		audience https://api.example.test
	}
	import upstream
}
`, options{env: map[string]string{"SECRET": encoded(secret)}}, k.RS256)
	s.logs.forbid(encoded(secret))
	s.logs.forbid(encoded(fileSecret))

	var answers []string
	send := func(host, token string, status int) {
		t.Helper()
		a := s.get(t, host, token)
		if a.status != status {
			t.Errorf("%s: status %d; want %d", host, a.status, status)
		}
		if status != http.StatusOK {
			answers = append(answers, a.body+toJSON(t, a.header))
		}
	}
	send(site, k.RS256.Token(t, s.claims(nil), nil), http.StatusOK)
	send(site, k.Stranger.Token(t, s.claims(nil), nil), http.StatusUnauthorized)
	for host, key := range map[string]*peers.Key{"variable.example.test": secret, "file.example.test": fileSecret} {
		claims := s.claims(map[string]any{"iss": "https://" + host})
		send(host, key.Token(t, claims, nil), http.StatusOK)
		send(host, k.HS256.Token(t, claims, nil), http.StatusUnauthorized)
	}

	s.checkAdminPages(t, []string{"{env.SECRET}"}, "/config/", "/metrics", "/debug/vars", "/debug/pprof/cmdline")
	t.Run("the config and all else on disk", func(t *testing.T) { s.checkDisk(t) })
	t.Run("the bodies and headers of refusals", func(t *testing.T) {
		for _, answer := range answers {
			s.checkNoCredential(t, "an answer", answer)
		}
	})
}

// checkNoCredential requires a text without any credential of the test.
func (s *fixture) checkNoCredential(t *testing.T, what, content string) {
	t.Helper()
	if at := s.logs.findSecret(content); at >= 0 {
		t.Errorf("%s holds a credential: …%s…", what, content[max(0, at-200):min(len(content), at+100)])
	}
}

// checkAdminPages looks for credentials in pages of the admin endpoint. The config
// must have some words, so that the test looks at the right one.
func (s *fixture) checkAdminPages(t *testing.T, inConfig []string, paths ...string) {
	t.Helper()
	for _, path := range paths {
		t.Run("GET "+path, func(t *testing.T) {
			page, err := s.adminGet(path)
			if err != nil {
				t.Fatal(err)
			}
			s.checkNoCredential(t, path, page)
			if path != "/config/" {
				return
			}
			for _, word := range inConfig {
				if !strings.Contains(page, word) {
					t.Errorf("the config does not have %s, so this test looks at nothing", word)
				}
			}
		})
	}
}

// checkDisk looks for credentials in all files that Caddy has written: its storage
// and the config that it saves.
func (s *fixture) checkDisk(t *testing.T) {
	t.Helper()
	if !exists(s.configFile("autosave.json")) {
		t.Error("there is no autosave.json")
	}
	files := 0
	err := filepath.WalkDir(s.dir, func(path string, item fs.DirEntry, err error) error {
		if err != nil || !item.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		s.checkNoCredential(t, filepath.Base(path), string(content))
		return nil
	})
	if err != nil || files == 0 {
		t.Errorf("%v, %d files", err, files)
	}
}

// Of claims the logs, the admin endpoint and the answers show nothing, but for the
// fields of the access log that name the user.
func TestThreat38_ClaimsAreNotWritten(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s, _ := newAPIKeyFixture(t, strings.ReplaceAll(modesSite, "forward text X-Text", "require expression `claims.text != \"x\"`\nclaim text\nclear X-Text"), options{},
		peers.NewAPIKey(t, "unused", nil))
	const canary = "canary-claim-0123456789"
	var answers strings.Builder
	mark := s.logs.length()
	for _, host := range []string{site, "pages.example.test", "report.example.test", "optional.example.test"} {
		for n, changes := range []map[string]any{
			{"tenant": "acme"}, {"tenant": canary}, {"scope": canary, "tenant": "acme"}, {"exp": 1_000_000_000}, {"aud": canary},
			{"sub": "x\nalice", "tenant": "acme"}, {"tenant": []any{map[string]string{canary: canary}}}, {"nbf": 9_000_000_000},
		} {
			claims := s.claims(map[string]any{"text": canary, "email": canary, canary: n})
			maps.Copy(claims, changes)
			a := s.send(t, s.http, http.MethodGet, host, "/", bearer(k.RS256.Token(t, claims, nil)))
			if a.status != http.StatusOK {
				answers.WriteString(a.body + toJSON(t, a.header))
			}
		}
	}
	s.logs.mark()
	own, access := 0, 0
	for _, e := range s.logs.since(mark) {
		switch {
		case strings.HasPrefix(e.Logger, "http.handlers.jwt"), strings.HasPrefix(e.Logger, "jwt"):
			own++
			if strings.Contains(e.line, canary) {
				t.Errorf("a claim is in a line of the plugin: %s", e.line)
			}
		case strings.HasPrefix(e.Logger, "http.log.access"):
			access++
			if strings.Contains(e.line, canary) {
				t.Errorf("a claim is in the access log: %s", e.line)
			}
		}
	}
	if own < 20 || access != 32 {
		t.Errorf("%d lines of the plugin and %d of the access log, so this test looks at little", own, access)
	}
	for _, path := range []string{"/config/", "/metrics", "/jwt/status"} {
		page, err := s.adminGet(path)
		if err != nil {
			t.Fatal(err)
		}
		answers.WriteString(page)
	}
	if strings.Contains(answers.String(), canary) {
		t.Error("a claim is in an answer")
	}
}
