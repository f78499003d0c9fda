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

// keyFilter is what docs/security.md has for logs, with the names of this test's
// places.
const keyFilter = `filter {
			request>uri query {
				delete api_key
			}
			request>headers>Referer query {
				delete api_key
			}
			request>headers>X-Api-Key delete
			uri query {
				delete api_key
			}
		}`

// No API key and no digest is in the log at any level, the config, the files on
// disk, the metrics or an answer, except for a digest that the config contains.
func TestThreat38_APIKeysAreNotWritten(t *testing.T) {
	t.Parallel()
	k := keys(t)
	held := peers.NewAPIKey(t, "held", map[string]any{"consumer": "partner", "meta": map[string]any{"note": "canary-meta-0123456789"}})
	disabled := peers.NewAPIKey(t, "disabled", map[string]any{"enabled": false})
	written, variable, inFile := peers.NewAPIKey(t, "written", nil), peers.NewAPIKey(t, "variable", nil), peers.NewAPIKey(t, "in-file", nil)
	unknown := peers.NewAPIKey(t, "unknown", nil)
	secret := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(secret, []byte(inFile.Text), 0o600); err != nil {
		t.Fatal(err)
	}
	// The site has what the logs show filtered; the other reads keys only from
	// where Caddy's logs show nothing, and its access log is as it comes.
	options := options{format: keyFilter, env: map[string]string{
		"HASH": written.Hash(), "KEY": variable.Text, "SECRET": secret, "NOBODY": fmt.Sprintf("127.0.0.1:%d", peers.FreePort(t)),
	}}
	options.env["KEYS"] = filepath.Join(t.TempDir(), "keys.jsonl")
	if err := os.WriteFile(options.env["KEYS"], []byte(peers.KeyLines(t, held, disabled)), 0o600); err != nil {
		t.Fatal(err)
	}
	const places = `
		import issuer
		api_keys {$KEYS}
		api_key written {$HASH}
		api_key variable {env.KEY}
		api_key in-file {file.{$SECRET}}
		`
	s := newFixture(t, keySnippets+`
https://api.example.test {
	log {
		output stderr
		format `+keyFilter+`
	}
	jwt {`+places+`
		api_key_from header X-API-Key
		api_key_from query api_key
	}
	rewrite /rewritten /{http.auth.user.id}
	reverse_proxy /down {$NOBODY}
	import upstream
}
https://hidden.example.test {
	log {
		output stderr
	}
	jwt {`+places+`
		api_key_from header Authorization Bearer
		api_key_from basic
		api_key_from cookie key
	}
	reverse_proxy /down {$NOBODY}
	import upstream
}
`, options, k.RS256)

	// Keys and digests are looked for by their last 20 characters.
	all := []*peers.APIKey{held, disabled, variable, inFile, unknown, written}
	for _, key := range all {
		s.logs.forbid(key.Text)
		if key != written {
			s.logs.forbid(key.Hash())
		}
	}
	s.logs.forbid("canary-meta-0123456789")

	var answers []string
	for _, key := range all {
		good := key != disabled && key != unknown
		for place, c := range map[string]struct {
			host   string
			change change
		}{
			"header": {site, apiKey(key.Text)},
			"query":  {site, inQuery("api_key", key.Text)},
			"referer": {site, func(r *http.Request) {
				apiKey(key.Text)(r)
				r.Header.Set("Referer", "https://"+site+"/?api_key="+key.Text)
			}},
			"bearer": {"hidden.example.test", bearer(key.Text)},
			"basic":  {"hidden.example.test", basicAuth(key.Text)},
			"cookie": {"hidden.example.test", cookie("key", key.Text)},
		} {
			for path, status := range map[string]int{"/": http.StatusOK, "/down": http.StatusBadGateway, "/rewritten": http.StatusOK} {
				if !good {
					status = http.StatusUnauthorized
				}
				a := s.send(t, s.http, http.MethodGet, c.host, path+"?a=1", c.change)
				if a.status != status {
					t.Errorf("%v in %s, %s: status %d; want %d", key.Record["id"], place, path, a.status, status)
				}
				if a.status != http.StatusOK {
					answers = append(answers, a.body+toJSON(t, a.header))
				}
			}
		}
		a := s.send(t, s.http, http.MethodGet, site, "/", apiKey(key.Text), inQuery("api_key", key.Text+"x"))
		answers = append(answers, a.body+toJSON(t, a.header))
	}

	t.Run("the log has the lines that this test is about", func(t *testing.T) {
		s.logs.mark()
		for _, logger := range []string{"http.log.access", "http.log.error", "http.handlers.reverse_proxy", "http.handlers.rewrite"} {
			if !strings.Contains(s.logs.String(), `"logger":"`+logger) {
				t.Errorf("there is no line of %s", logger)
			}
		}
		s.checkNoCredential(t, "the log", s.logs.String())
	})
	t.Run("a broken file", func(t *testing.T) {
		mark := s.logs.length()
		if err := os.WriteFile(options.env["KEYS"], []byte(peers.KeyLines(t, held, disabled, held)+held.Text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		s.eventually("the status tells of it", longWait, func() bool {
			return s.keyFiles(t)[options.env["KEYS"]].LastError != ""
		}, s.logs.String)
		code, page := caddyCommandIn(t, t.TempDir(), nil, "jwt", "status", "--address", s.adminAddress())
		if code != 1 {
			t.Errorf("caddy jwt status: exit code %d; want 1", code)
		}
		s.checkNoCredential(t, "caddy jwt status", page)
		if lines := s.logs.keyFileLines(mark, options.env["KEYS"]); len(lines) != 1 {
			t.Errorf("the log has %v; want a line", lines)
		}
	})
	for _, path := range []string{"/config/", "/jwt/status", "/metrics", "/debug/vars", "/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=2"} {
		t.Run("GET "+path, func(t *testing.T) {
			answer, err := s.adminGet(path)
			if err != nil {
				t.Fatal(err)
			}
			s.checkNoCredential(t, path, answer)
			if path == "/config/" && (!strings.Contains(answer, written.Hash()) || !strings.Contains(answer, "{env.KEY}")) {
				t.Error("the config does not have what is written in it, so this test looks at nothing")
			}
		})
	}
	t.Run("the config and all else on disk", func(t *testing.T) {
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
		if err != nil || files == 0 || !exists(s.configFile("autosave.json")) {
			t.Errorf("%v, %d files", err, files)
		}
	})
	t.Run("the bodies and headers of refusals and errors", func(t *testing.T) {
		for _, answer := range answers {
			s.checkNoCredential(t, "an answer", answer)
		}
	})
	t.Run("what commands print", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "keys.jsonl")
		if err := os.WriteFile(path, []byte(peers.KeyLines(t, held, disabled)), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{
			{"list", "--file", path}, {"list", "--file", path, "--json"},
			{"disable", held.Text, "--file", path, "--no-wait"}, {"enable", held.Text, "--file", path, "--no-wait", "--json"},
			{"delete", held.Text, "--file", path, "--no-wait"},
		} {
			c := apiKeyCommand(t, args...)
			if c.code != 0 {
				t.Error(c)
			}
			s.checkNoCredential(t, args[0], c.stdout+c.stderr)
		}
		if c := apiKeyCommand(t, "delete", held.Text, "--file", path); c.code != 1 {
			t.Error(c)
		} else {
			s.checkNoCredential(t, "delete of an unknown key", c.stdout+c.stderr)
		}
		for what, hash := range map[string]string{"a key for a hash": unknown.Text, "a hash that was cut": unknown.Hash()[:70]} {
			code, output := caddyCommand(t, "https://api.example.test {\n\tjwt {\n\t\tapi_key x "+hash+"\n\t}\n}\n", nil, "adapt")
			if code == 0 {
				t.Errorf("%s was taken", what)
			}
			s.checkNoCredential(t, "the error for "+what, output)
		}
	})
}
