package integration

import (
	"fmt"
	"net/http"
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

// secretKeys are API keys of every origin, and none of them may be written anywhere.
type secretKeys struct {
	held, disabled            *peers.APIKey // in file
	written, variable, inFile *peers.APIKey // in the config, by their digest, a variable and a file
	unknown                   *peers.APIKey
	file                      string
}

// canaryMeta is in the record of a key.
const canaryMeta = "canary-meta-0123456789"

func newSecretKeys(t *testing.T) *secretKeys {
	t.Helper()
	k := &secretKeys{
		held:     peers.NewAPIKey(t, "held", map[string]any{"consumer": "partner", "meta": map[string]any{"note": canaryMeta}}),
		disabled: peers.NewAPIKey(t, "disabled", map[string]any{"enabled": false}),
		written:  peers.NewAPIKey(t, "written", nil),
		variable: peers.NewAPIKey(t, "variable", nil),
		inFile:   peers.NewAPIKey(t, "in-file", nil),
		unknown:  peers.NewAPIKey(t, "unknown", nil),
	}
	k.file = tempFile(t, "keys.jsonl", peers.KeyLines(t, k.held, k.disabled))
	return k
}

func (k *secretKeys) all() []*peers.APIKey {
	return []*peers.APIKey{k.held, k.disabled, k.variable, k.inFile, k.unknown, k.written}
}

// newLeakFixture starts a fixture with two sites that read the keys from all kinds of
// places. The logs of one are filtered; the other reads keys only from where Caddy's
// logs show nothing, and its access log is not filtered.
func newLeakFixture(t *testing.T, k *secretKeys) *fixture {
	t.Helper()
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
	reverse_proxy /down {$DOWN}
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
	reverse_proxy /down {$DOWN}
	import upstream
}
`, options{format: keyFilter, env: map[string]string{
		"KEYS":   k.file,
		"HASH":   k.written.Hash(),
		"KEY":    k.variable.Text,
		"SECRET": tempFile(t, "key", k.inFile.Text),
		"DOWN":   fmt.Sprintf("127.0.0.1:%d", peers.FreePort(t)), // without a listener
	}}, keys(t).RS256)

	// Keys and digests are looked for by their last 20 characters.
	for _, key := range k.all() {
		s.logs.forbid(key.Text)
		if key != k.written {
			s.logs.forbid(key.Hash())
		}
	}
	s.logs.forbid(canaryMeta)
	return s
}

// No API key and no digest is in the log at any level, the config, the files on
// disk, the metrics or an answer, except for a digest that the config contains.
func TestThreat38_APIKeysAreNotWritten(t *testing.T) {
	t.Parallel()
	k := newSecretKeys(t)
	s := newLeakFixture(t, k)
	var answers []string
	for _, key := range k.all() {
		answers = append(answers, s.sendKeyEverywhere(t, key, key != k.disabled && key != k.unknown)...)
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
	t.Run("a broken file", func(t *testing.T) { s.checkBrokenFileLeaksNothing(t, k) })
	s.checkAdminPages(t, []string{k.written.Hash(), "{env.KEY}"},
		"/config/", "/jwt/status", "/metrics", "/debug/vars", "/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=2")
	t.Run("the config and all else on disk", func(t *testing.T) { s.checkDisk(t) })
	t.Run("the bodies and headers of refusals and errors", func(t *testing.T) {
		for _, answer := range answers {
			s.checkNoCredential(t, "an answer", answer)
		}
	})
	t.Run("what commands print", func(t *testing.T) { s.checkCommandsPrintNoKey(t, k) })
}

// sendKeyEverywhere sends a key in every place, and returns the answers other than
// 200.
func (s *fixture) sendKeyEverywhere(t *testing.T, key *peers.APIKey, good bool) []string {
	t.Helper()
	var answers []string
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
	return append(answers, a.body+toJSON(t, a.header))
}

// checkBrokenFileLeaksNothing breaks the key file with a key's own text, and looks at
// what the log and the status command show of it.
func (s *fixture) checkBrokenFileLeaksNothing(t *testing.T, k *secretKeys) {
	t.Helper()
	mark := s.logs.length()
	writeFile(t, k.file, peers.KeyLines(t, k.held, k.disabled, k.held)+k.held.Text+"\n")
	s.eventually("the fault is in the status", longWait, func() bool {
		return s.keyFiles(t)[k.file].LastError != ""
	}, s.logs.String)
	s.checkNoCredential(t, "caddy jwt status", s.statusCommand(t, 1))
	if lines := s.logs.keyFileLines(mark, k.file); len(lines) != 1 {
		t.Errorf("the log has %v; want a line", lines)
	}
}

// checkCommandsPrintNoKey runs the commands that read keys.
func (s *fixture) checkCommandsPrintNoKey(t *testing.T, k *secretKeys) {
	t.Helper()
	path := tempFile(t, "keys.jsonl", peers.KeyLines(t, k.held, k.disabled))
	for _, args := range [][]string{
		{"list", "--file", path}, {"list", "--file", path, "--json"},
		{"disable", k.held.Text, "--file", path, "--no-wait"}, {"enable", k.held.Text, "--file", path, "--no-wait", "--json"},
		{"delete", k.held.Text, "--file", path, "--no-wait"},
	} {
		c := apiKeyCommand(t, args...)
		if c.code != 0 {
			t.Error(c)
		}
		s.checkNoCredential(t, args[0], c.stdout+c.stderr)
	}
	if c := apiKeyCommand(t, "delete", k.held.Text, "--file", path); c.code != 1 {
		t.Error(c)
	} else {
		s.checkNoCredential(t, "delete of an unknown key", c.stdout+c.stderr)
	}
	for what, hash := range map[string]string{"a key for a hash": k.unknown.Text, "a hash that was cut": k.unknown.Hash()[:70]} {
		code, output := caddyCommand(t, "https://api.example.test {\n\tjwt {\n\t\tapi_key x "+hash+"\n\t}\n}\n", nil, "adapt")
		if code == 0 {
			t.Errorf("%s was taken", what)
		}
		s.checkNoCredential(t, "the error for "+what, output)
	}
}
