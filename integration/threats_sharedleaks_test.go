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

// leakSite takes keys from where Caddy's own logs show nothing.
const leakSite = `
https://api.example.test {
	log
	jwt {
		import issuer
		api_keys partners
		api_key_from header Authorization Bearer
		api_key_from cookie key
	}
	import keyholder
}
`

// No secret of a stored key, no token that was revoked and none of their digests is in the
// log at any level, in the config, the metrics, the audit log or an answer, but for the one
// that makes it. What is stored has digests and no secret.
func TestThreat38_SharedStateHasNoSecrets(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newSharedFixture(t, leakSite, options{}, k.RS256, k.ES256)
	var answers []string // all but those that make a secret
	var secrets []string
	ask := func(method, path, body string) {
		t.Helper()
		a := s.ask(t, method, path, body)
		answers = append(answers, a.body+toJSON(t, a.header))
	}
	keep := func(k storedKey) storedKey {
		s.logs.forbid(k.Key)
		secrets = append(secrets, k.Key)
		return k
	}
	made := keep(s.makeKey(t, object{"consumer": "acme", "scopes": []string{"a"}}))
	rolled := keep(s.rollKey(t, made.ID, "1h"))
	repeated := header("Idempotency-Key", "once")
	var once storedKey
	decode(t, s.ask(t, http.MethodPost, "/jwt/api-keys", `{"consumer":"once"}`, repeated).body, &once)
	keep(once)
	answers = append(answers, s.ask(t, http.MethodPost, "/jwt/api-keys", `{"consumer":"once"}`, repeated).body)

	byCommand := s.mustCommand(t, "api-key", "new", "--store", "partners", "--consumer", "command")
	keep(storedKey{Key: byCommand})
	imported := peers.NewAPIKey(t, "imported", nil)
	keep(storedKey{Key: imported.Text})
	ask(http.MethodPost, "/jwt/api-keys", toJSON(t, object{"store": "partners", "import": []object{imported.Record}}))

	token, twin := k.RS256.Token(t, s.claims(map[string]any{"n": 1}), nil), k.ES256.Token(t, s.claims(map[string]any{"n": 2, "jti": "known"}), nil)
	for _, text := range []string{token, twin} {
		checkStatus(t, s.get(t, site, text), http.StatusOK)
		secrets = append(secrets, strings.Split(text, ".")[2])
	}
	ask(http.MethodPost, "/jwt/revocations", toJSON(t, object{"kind": "token", "value": token, "reason": "test"}))
	for _, args := range [][]string{
		{"revoke", "@" + tempFile(t, "token", twin)}, {"revoke", "@" + tempFile(t, "token", twin), "--yes", "--json"}, {"revoke", "--token", "@" + tempFile(t, "token", token), "--dry-run"},
		{"api-key", "list", "--store", "partners"}, {"api-key", "list", "--store", "partners", "--json"}, {"revocations"}, {"revocations", "--json"}, {"status"}, {"status", "--json"},
		{"api-key", "disable", "@" + tempFile(t, "key", once.Key), "--store", "partners", "--json"}, {"api-key", "edit", made.ID, "--store", "partners", "--name", "x", "--json"},
		{"revoke", "--key", made.Key}, {"revoke", "--jti", token}, {"api-key", "delete", once.Key, "--store", "partners"},
	} {
		c := s.jwtCommand(t, args...)
		answers = append(answers, c.stdout+c.stderr)
	}
	// Credentials in wrong places of requests are not repeated and not logged.
	for _, text := range []string{rolled.Key, k.ES256.Token(t, s.claims(map[string]any{"n": 3}), nil)} {
		s.logs.forbid(text)
		for _, body := range []object{
			{"kind": "jti", "value": text}, {"kind": "sub", "value": text}, {"kind": "key", "value": text}, {"kind": "sub", "value": "x", "reason": "see " + text},
			{"kind": "sub", "value": "x", "issuer": text}, {"kind": text, "value": "x"}, {"kind": "key", "value": "x", "store": text}, {"kind": "sub", "value": "x", "end": text},
		} {
			ask(http.MethodPost, "/jwt/revocations", toJSON(t, body))
		}
		for _, body := range []object{{"name": text}, {"consumer": text}, {"description": text}, {"scopes": []string{text}}, {"id": text}, {"store": text}, {"expires": text}, {text: 1}} {
			ask(http.MethodPost, "/jwt/api-keys", toJSON(t, body))
			ask(http.MethodPatch, "/jwt/api-keys/"+made.ID, toJSON(t, body))
		}
	}
	for _, text := range []string{made.Key, rolled.Key, byCommand} { // requests that pass, and ones that don't
		for _, credential := range []change{bearer(text), cookie("key", text), bearer(text + "x")} {
			a := s.send(t, s.http, http.MethodGet, site, "/", credential)
			if a.status != http.StatusOK {
				answers = append(answers, a.body+toJSON(t, a.header))
			}
		}
	}
	s.addRule(t, object{"kind": "key", "value": made.ID})
	a := s.send(t, s.http, http.MethodGet, site, "/", bearer(rolled.Key))
	if answers = append(answers, a.body+toJSON(t, a.header)); a.status != http.StatusUnauthorized {
		t.Errorf("status %d", a.status)
	}
	s.mustReload(t, strings.Replace(keySnippets+leakSite, "log\n", "log\n\theader X-A b\n", 1))
	s.whenReady(t)

	t.Run("in the storage there are digests and no secrets", func(t *testing.T) {
		files, digests := 0, 0
		err := filepath.WalkDir(s.dir, func(path string, item fs.DirEntry, err error) error {
			if err != nil || !item.Type().IsRegular() {
				return err
			}
			content, err := os.ReadFile(path)
			files++
			for _, secret := range secrets {
				if strings.Contains(string(content), secret) || strings.Contains(string(content), secret[len(secret)-pieceLength:]) {
					t.Errorf("%s has a secret", path)
				}
			}
			if strings.Contains(string(content), imported.Hash()) {
				digests++
			}
			return err
		})
		if err != nil || files == 0 || digests == 0 {
			t.Errorf("%v, %d files, %d with a digest, so that this test looks at nothing", err, files, digests)
		}
	})
	for _, secret := range secrets { // from here on digests are forbidden, too
		s.logs.forbid((&peers.APIKey{Text: secret}).Hash())
	}
	s.checkAdminPages(t, []string{"partners"}, "/config/", "/metrics", "/jwt/status", "/jwt/audit?limit=1000", "/jwt/api-keys", "/jwt/revocations", "/jwt/api-keys/"+made.ID,
		"/debug/vars", "/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=2")
	s.checkNoCredential(t, "autosave.json", readFile(t, s.configFile("autosave.json")))
	s.logs.mark()
	s.checkNoCredential(t, "the log", s.logs.String())
	for _, answer := range answers {
		s.checkNoCredential(t, "an answer", answer)
	}
	if n := strings.Count(s.logs.String(), `"logger":"jwt.audit`); n < 20 {
		t.Errorf("the log has %d lines of the audit log", n)
	}
	if len(answers) < 40 {
		t.Error(fmt.Sprint(len(answers), " answers were looked at"))
	}
}
