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

// brokenFiles is a Caddy with a key file for each fault, and a path for each file.
type brokenFiles struct {
	*fixture
	faults []*keyFault
}

func newBrokenFiles(t *testing.T) *brokenFiles {
	t.Helper()
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
		writeFile(t, f.path, f.content)
		env[fmt.Sprintf("KEYS_%d", n)] = f.path
		sites += fmt.Sprintf("\thandle /%d/* {\n\t\tjwt {\n\t\t\tapi_keys {$KEYS_%d}\n\t\t}\n\t\timport keyholder\n\t}\n", n, n)
	}
	s, _ := newAPIKeyFixture(t, sites+"\timport reasons\n}\n", options{env: env, level: "INFO"}) // each request is a line at DEBUG
	return &brokenFiles{s, faults}
}

// sendKey sends a key to the path of the n-th file.
func (s *brokenFiles) sendKey(n int, k *peers.APIKey) exchange {
	return s.exchangeWith(s.http, site, fmt.Sprintf("/%d/", n), apiKey(k.Text))
}

// breakAll breaks all files, and returns when the status shows each fault.
func (s *brokenFiles) breakAll(t *testing.T) {
	t.Helper()
	for _, f := range s.faults {
		f.mark = s.logs.length()
		if err := f.breaks(f.path, f.content); err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
	}
	for _, f := range s.faults {
		s.eventually(f.name+": the fault is in the status", longWait, func() bool {
			return strings.Contains(s.keyFiles(t)[f.path].LastError, f.error)
		}, func() string { return fmt.Sprintf("%+v", s.keyFiles(t)[f.path]) })
	}
	time.Sleep(500 * time.Millisecond) // two more checks of the file, which log nothing new
}

// failureMetric is the number of failures of a file.
func failureMetric(path string) string {
	return fmt.Sprintf("caddy_jwt_api_key_file_failures{file=%q}", path)
}

// checkBroken requires that status, command, metric and log report each fault, and that
// the keys of before are in force.
func (s *brokenFiles) checkBroken(t *testing.T) {
	t.Helper()
	page, metrics := s.statusCommand(t, 1), s.metrics(t)
	for n, f := range s.faults {
		name := f.path
		if f.line > 0 {
			name = fmt.Sprintf("%s:%d: ", f.path, f.line)
		}
		now := s.keyFiles(t)[f.path]
		// A check of the file may have come between two steps of a fault, and
		// found another.
		if now.State != "stale" || now.Keys != 3 || now.Failures < 1 || now.Failures > 2 || !strings.Contains(now.LastError, name) {
			t.Errorf("%s: state %q, %d keys, %d failures, last error %q; want stale, 3, 1, and %s", f.name, now.State, now.Keys, now.Failures, now.LastError, name)
		}
		if !strings.Contains(page, now.LastError) {
			t.Errorf("%s: caddy jwt status does not say %q:\n%s", f.name, now.LastError, page)
		}
		if got := metrics[failureMetric(f.path)]; got != float64(now.Failures) {
			t.Errorf("%s: caddy_jwt_api_key_file_failures is %v; want %d", f.name, got, now.Failures)
		}
		if lines := s.logs.keyFileLines(f.mark, f.path); len(lines) != now.Failures || lines[len(lines)-1].Level != "error" || lines[len(lines)-1].Error != now.LastError {
			t.Errorf("%s: the log has %v; want one ERROR a fault, the last with the reason", f.name, lines)
		}
		for _, k := range []*peers.APIKey{f.gone, f.keep} {
			if e := s.sendKey(n, k); e.status != http.StatusOK {
				t.Errorf("%s: status %d, reason %q; want 200", f.name, e.status, e.reason)
			}
		}
	}
}

// mendAll replaces all files by good ones with other keys, and requires that each takes
// the place of the old set as a whole.
func (s *brokenFiles) mendAll(t *testing.T) {
	t.Helper()
	for _, f := range s.faults {
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
	for n, f := range s.faults {
		s.eventually(f.name+": the good file is in force", longWait, func() bool {
			return s.sendKey(n, f.new).status == http.StatusOK
		}, func() string { return fmt.Sprintf("%+v", s.keyFiles(t)[f.path]) })
		// It took the old set's place whole, so the very next request counts.
		if e := s.sendKey(n, f.gone); e.status != http.StatusUnauthorized || e.reason != "unknown_api_key" {
			t.Errorf("%s: status %d, reason %q for a key that was removed; want 401", f.name, e.status, e.reason)
		}
	}
}

// checkMended requires that status, command, metric and log report no fault any more.
func (s *brokenFiles) checkMended(t *testing.T) {
	t.Helper()
	s.statusCommand(t, 0)
	s.logs.mark() // once all is written
	metrics := s.metrics(t)
	for _, f := range s.faults {
		if now := s.keyFiles(t)[f.path]; now.State != "fresh" || now.Keys != 2 || now.LastError != "" || now.Failures != 0 {
			t.Errorf("%s: the status is %+v", f.name, now)
		}
		if got, ok := metrics[failureMetric(f.path)]; !ok || got != 0 {
			t.Errorf("%s: caddy_jwt_api_key_file_failures is %v, %t; want 0", f.name, got, ok)
		}
		lines := s.logs.keyFileLines(f.mark, f.path)
		if len(lines) == 0 || lines[len(lines)-1].Level != "info" || !strings.Contains(lines[len(lines)-1].Msg, "can be read again") {
			t.Errorf("%s: the log has %v; want a last line that it can be read again", f.name, lines)
		}
	}
}

// Whatever goes wrong with a key file, the last good set stays in use: no request with
// a good key is refused, while clients send without pause. Log, metric, status and
// command report what is wrong, and the next good file replaces the set as a whole.
func TestThreat34_BrokenKeyFilesChangeNothing(t *testing.T) {
	t.Parallel()
	s := newBrokenFiles(t)
	turn := 0
	going := s.loadWithoutPause(1, func(int) exchange {
		turn++
		n := turn % len(s.faults)
		return s.sendKey(n, s.faults[n].keep)
	})
	s.statusCommand(t, 0)
	s.breakAll(t)
	s.checkBroken(t)
	s.mendAll(t)
	s.checkMended(t)
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
