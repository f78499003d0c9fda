package integration

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// Whatever goes wrong with a key file, the last good set stays in use: not one request with a
// good key is refused, while clients send without pause. Log, metric, status and
// command report what is wrong, and the next good file replaces the set as a whole.
func TestThreat34_BrokenKeyFilesChangeNothing(t *testing.T) {
	t.Parallel()
	env := map[string]string{}
	faults := keyFaults()
	sites := "https://api.example.test {\n"
	for n, f := range faults {
		f.dir = t.TempDir()
		f.path = filepath.Join(f.dir, "keys.jsonl")
		// The key that must go on working is the last: the one that a cut
		// takes first.
		f.gone, f.keep, f.new = peers.NewAPIKey(t, "gone", nil), peers.NewAPIKey(t, "keep", nil), peers.NewAPIKey(t, "new", nil)
		f.content = peers.KeyLines(t, f.gone, peers.NewAPIKey(t, "other", nil), f.keep)
		if err := os.WriteFile(f.path, []byte(f.content), 0o600); err != nil {
			t.Fatal(err)
		}
		env[fmt.Sprintf("KEYS_%d", n)] = f.path
		sites += fmt.Sprintf("\thandle /%d/* {\n\t\tjwt {\n\t\t\tapi_keys {$KEYS_%d}\n\t\t}\n\t\timport keyholder\n\t}\n", n, n)
	}
	s, _ := newAPIKeyFixture(t, sites+"\timport reasons\n}\n", options{env: env, level: "INFO"}) // each request is a line at DEBUG
	send := func(n int, k *peers.APIKey) exchange {
		return s.exchangeWith(s.http, site, fmt.Sprintf("/%d/", n), apiKey(k.Text))
	}
	turn := 0
	going := s.loadWithoutPause(1, func(int) exchange {
		turn++
		return send(turn%len(faults), faults[turn%len(faults)].keep)
	})
	status := func(code int) string {
		t.Helper()
		got, text := caddyCommandIn(t, t.TempDir(), nil, "jwt", "status", "--address", s.adminAddress())
		if got != code {
			t.Errorf("caddy jwt status: exit code %d; want %d\n%s", got, code, text)
		}
		return text
	}
	status(0)

	for _, f := range faults {
		f.mark = s.logs.length()
		if err := f.breaks(f.path, f.content); err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
	}
	for _, f := range faults {
		s.eventually(f.name+": the fault is in the status", longWait, func() bool {
			return strings.Contains(s.keyFiles(t)[f.path].LastError, f.error)
		}, func() string { return fmt.Sprintf("%+v", s.keyFiles(t)[f.path]) })
	}
	time.Sleep(500 * time.Millisecond) // two more checks of the file, which log nothing new
	page := status(1)
	metrics := s.metrics(t)
	for n, f := range faults {
		name := f.path
		if f.line > 0 {
			name = fmt.Sprintf("%s:%d: ", f.path, f.line)
		}
		now := s.keyFiles(t)[f.path]
		// A look may have come between two steps of a fault, and found another.
		if now.State != "stale" || now.Keys != 3 || now.Failures < 1 || now.Failures > 2 || !strings.Contains(now.LastError, name) {
			t.Errorf("%s: state %q, %d keys, %d failures, last error %q; want stale, 3, 1, and %s", f.name, now.State, now.Keys, now.Failures, now.LastError, name)
		}
		if !strings.Contains(page, now.LastError) {
			t.Errorf("%s: caddy jwt status does not say %q:\n%s", f.name, now.LastError, page)
		}
		if got := metrics[fmt.Sprintf("caddy_jwt_api_key_file_failures{file=%q}", f.path)]; got != float64(now.Failures) {
			t.Errorf("%s: caddy_jwt_api_key_file_failures is %v; want %d", f.name, got, now.Failures)
		}
		if lines := s.logs.keyFileLines(f.mark, f.path); len(lines) != now.Failures || lines[len(lines)-1].Level != "error" || lines[len(lines)-1].Error != now.LastError {
			t.Errorf("%s: the log has %v; want one ERROR a fault, the last with the reason", f.name, lines)
		}
		for _, k := range []*peers.APIKey{f.gone, f.keep} {
			if e := send(n, k); e.status != http.StatusOK {
				t.Errorf("%s: status %d, reason %q; want 200", f.name, e.status, e.reason)
			}
		}
	}

	for _, f := range faults {
		f.mark = s.logs.length()
		good := filepath.Join(f.dir, "good")
		if err := errors.Join(
			os.WriteFile(good, []byte(peers.KeyLines(t, f.keep, f.new)), 0o600),
			os.RemoveAll(f.path), // a folder is in the way of a file
			os.Rename(good, f.path),
		); err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
	}
	for n, f := range faults {
		s.eventually(f.name+": the good file is taken over", longWait, func() bool {
			return send(n, f.new).status == http.StatusOK
		}, func() string { return fmt.Sprintf("%+v", s.keyFiles(t)[f.path]) })
		// It took the old set's place whole, so the very next request counts.
		if e := send(n, f.gone); e.status != http.StatusUnauthorized || e.reason != "unknown_api_key" {
			t.Errorf("%s: status %d, reason %q for a key that was removed; want 401", f.name, e.status, e.reason)
		}
	}
	status(0)
	s.logs.mark() // once all is written
	metrics = s.metrics(t)
	for _, f := range faults {
		if now := s.keyFiles(t)[f.path]; now.State != "fresh" || now.Keys != 2 || now.LastError != "" || now.Failures != 0 {
			t.Errorf("%s: the status is %+v", f.name, now)
		}
		if got, ok := metrics[fmt.Sprintf("caddy_jwt_api_key_file_failures{file=%q}", f.path)]; !ok || got != 0 {
			t.Errorf("%s: caddy_jwt_api_key_file_failures is %v, %t; want 0", f.name, got, ok)
		}
		lines := s.logs.keyFileLines(f.mark, f.path)
		if len(lines) == 0 || lines[len(lines)-1].Level != "info" || !strings.Contains(lines[len(lines)-1].Msg, "can be read again") {
			t.Errorf("%s: the log has %v; want a last line that it can be read again", f.name, lines)
		}
	}
	all := going.stop()
	if bad := withOtherStatus(all, http.StatusOK); len(bad) != 0 || len(all) < 100 {
		t.Errorf("%d of %d requests with a good key failed: %+v", len(bad), len(all), bad[:min(len(bad), 3)])
	}
	t.Logf("%d requests with good keys", len(all))
}

// keyFileLines keeps the plugin's lines about a file of API keys, above DEBUG.
func (l *logBook) keyFileLines(mark int, path string) []entry {
	return aboveDebug(l.since(mark), func(e entry) bool { return fromPlugin(e) && strings.Contains(e.line, fmt.Sprintf("%q", path)) })
}

// A config is loaded with the files as they are, and with none that is broken.
func TestKeyFilesAtALoad(t *testing.T) {
	t.Parallel()
	gone, keep := peers.NewAPIKey(t, "gone", nil), peers.NewAPIKey(t, "keep", nil)
	s, file := newAPIKeyFixture(t, keySite, options{}, keep, gone)
	s.passes(t, s.withKey(t, gone), gone)
	loads := 0
	load := func() error {
		loads++ // Caddy does not load a config that it has already
		return s.reload(keySnippets + strings.Replace(keySite, "api_keys {$KEYS}", fmt.Sprintf("api_keys {$KEYS}\n\t\trealm load-%d", loads), 1))
	}

	t.Run("one that was cut off counts then", func(t *testing.T) {
		if err := os.Truncate(file.path, int64(len(peers.KeyLines(t, keep)))); err != nil {
			t.Fatal(err)
		}
		s.eventually("the fault is in the status", longWait, func() bool {
			return strings.Contains(s.keyFiles(t)[file.path].LastError, "cut off")
		}, s.logs.String)
		s.passes(t, s.withKey(t, gone), gone)
		if err := load(); err != nil {
			t.Fatal(err)
		}
		s.upstream.Take()
		s.refused(t, s.withKey(t, gone), http.StatusUnauthorized, "unknown_api_key")
		s.passes(t, s.withKey(t, keep), keep)
		if f := s.keyFiles(t)[file.path]; f.State != "fresh" || f.Keys != 1 || f.LastError != "" {
			t.Errorf("the status is %+v", f)
		}
	})
	for name, content := range map[string]string{"a broken one": "broken\n", "an empty one": ""} {
		t.Run(name+" is an error, and the config of before serves", func(t *testing.T) {
			file.write(t, content)
			if err := load(); err == nil || !strings.Contains(err.Error(), file.path) {
				t.Errorf("the load says %v; want an error that names the file", err)
			}
			s.passes(t, s.withKey(t, keep), keep)
		})
	}
	t.Run("one that is mended is taken over", func(t *testing.T) {
		file.write(t, peers.KeyLines(t, gone))
		if err := load(); err != nil {
			t.Fatal(err)
		}
		s.passes(t, s.withKey(t, gone), gone)
		s.refused(t, s.withKey(t, keep), http.StatusUnauthorized, "unknown_api_key")
	})
	t.Run("one that no site uses any more is forgotten", func(t *testing.T) {
		other := replaced(t, "other.jsonl")
		other.write(t, peers.KeyLines(t, keep))
		s.mustReload(t, keySnippets+strings.Replace(keySite, "{$KEYS}", other.path, 1))
		if files := s.keyFiles(t); len(files) != 1 || files[other.path].Keys != 1 {
			t.Errorf("the status is %+v", files)
		}
		for name := range s.metrics(t) {
			if strings.Contains(name, file.path) {
				t.Errorf("there is still %s", name)
			}
		}
		mark := s.logs.mark()
		file.write(t, "broken\n")
		time.Sleep(1200 * time.Millisecond) // some looks, if there were any
		if lines := s.logs.keyFileLines(mark, file.path); len(lines) != 0 {
			t.Errorf("the log has %v", lines)
		}
	})
}
