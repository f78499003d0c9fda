package integration

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// keyFault is a fault that comes over a key file while Caddy runs.
type keyFault struct {
	name   string
	breaks func(path string, good string) error
	error  string // what the status says of it
	line   int    // and which line it names, if it does

	dir, path       string
	keep, gone, new *peers.APIKey
	content         string
	mark            int
}

// keyFaults are what befalls files. Each keeps the name of the file: whatever is
// there is what Caddy finds.
func keyFaults() []*keyFault {
	replace := func(content func(good string) string) func(path, good string) error {
		return func(path, good string) error {
			if err := os.WriteFile(path+".new", []byte(content(good)), 0o600); err != nil {
				return err
			}
			return os.Rename(path+".new", path)
		}
	}
	inPlace := func(content func(good string) string) func(path, good string) error {
		return func(path, good string) error { return os.Truncate(path, int64(len(content(good)))) }
	}
	midLine := func(good string) string { return good[:len(good)-10] }
	afterFirst := func(good string) string { return good[:strings.IndexByte(good, '\n')+1] }
	nothing := func(string) string { return "" }
	return []*keyFault{
		{name: "cut in the middle of a line, in place", breaks: inPlace(midLine), error: "newline", line: 3},
		{name: "cut in the middle of a line, replaced", breaks: replace(midLine), error: "newline", line: 3},
		{name: "cut at the end of a line, in place", breaks: inPlace(afterFirst), error: "cut off"},
		{name: "emptied in place", breaks: inPlace(nothing), error: "empty"},
		{name: "emptied, replaced", breaks: replace(nothing), error: "empty"},
		{name: "half of a record without an end", breaks: func(path, good string) error {
			f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteString(`{"id":"half","hash":`)
			return firstOf(err, f.Close())
		}, error: "newline", line: 4},
		{name: "a bad line among good ones", breaks: replace(func(good string) string {
			return afterFirst(good) + "{\"id\":\"x\"}\n" + strings.TrimPrefix(good, afterFirst(good))
		}), error: "hash is missing", line: 2},
		{name: "a record twice", breaks: replace(func(good string) string { return good + afterFirst(good) }), error: "one hash", line: 4},
		{name: "another kind of file", breaks: replace(func(string) string { return "<!DOCTYPE html>\n" }), error: "JSON", line: 1},
		{name: "removed", breaks: func(path, _ string) error { return os.Remove(path) }, error: "no such file"},
		{name: "replaced by a folder", breaks: func(path, _ string) error {
			return firstOf(os.Remove(path), os.Mkdir(path, 0o700))
		}, error: "folder"},
		{name: "a link swapped for one to a broken file", breaks: func(path, good string) error {
			broken := filepath.Join(filepath.Dir(path), "broken")
			return firstOf(os.WriteFile(broken, []byte(midLine(good)), 0o600), os.Symlink(broken, path+".link"), os.Rename(path+".link", path))
		}, error: "newline", line: 3},
		{name: "a link swapped for one to nothing", breaks: func(path, _ string) error {
			return firstOf(os.Symlink("no-such-file", path+".link"), os.Rename(path+".link", path))
		}, error: "no such file"},
		{name: "unreadable: a link to itself", breaks: func(path, _ string) error {
			return firstOf(os.Symlink(filepath.Base(path), path+".link"), os.Rename(path+".link", path))
		}, error: "symbolic links"},
	}
}

// inTheEnd bounds the waiting for what takes less than a second on a machine that
// has nothing else to do.
const inTheEnd = 30 * time.Second

// firstOf is the first error of steps that were all tried.
func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Whatever befalls a key file, the last good set serves on: not one request with a
// good key is refused, while clients send without pause. Log, metric, status and
// command say what is wrong, and a good file that follows is taken over whole.
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
	s, _ := newKeyStand(t, sites+"\timport reasons\n}\n", options{env: env, level: "INFO"}) // each request is a line at DEBUG
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
		got, text := caddyCommandIn(t, t.TempDir(), nil, "jwt", "status", "--address", fmt.Sprintf("127.0.0.1:%d", s.admin))
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
		s.eventually(f.name+": the fault is in the status", inTheEnd, func() bool {
			return strings.Contains(s.keyFiles(t)[f.path].LastError, f.error)
		}, func() string { return fmt.Sprintf("%+v", s.keyFiles(t)[f.path]) })
	}
	time.Sleep(500 * time.Millisecond) // two looks more, which say nothing new
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
		if lines := s.logs.aboutFile(f.mark, f.path); len(lines) != now.Failures || lines[len(lines)-1].Level != "error" || lines[len(lines)-1].Error != now.LastError {
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
		if err := firstOf(
			os.WriteFile(good, []byte(peers.KeyLines(t, f.keep, f.new)), 0o600),
			os.RemoveAll(f.path), // a folder is in the way of a file
			os.Rename(good, f.path),
		); err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
	}
	for n, f := range faults {
		s.eventually(f.name+": the good file is taken over", inTheEnd, func() bool {
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
		lines := s.logs.aboutFile(f.mark, f.path)
		if len(lines) == 0 || lines[len(lines)-1].Level != "info" || !strings.Contains(lines[len(lines)-1].Msg, "can be read again") {
			t.Errorf("%s: the log has %v; want a last line that it can be read again", f.name, lines)
		}
	}
	all := going.stop()
	if bad := notWanted(all, http.StatusOK); len(bad) != 0 || len(all) < 100 {
		t.Errorf("%d of %d requests with a good key failed: %+v", len(bad), len(all), bad[:min(len(bad), 3)])
	}
	t.Logf("%d requests with good keys", len(all))
}

// aboutFile keeps the plugin's lines about a file of API keys, above DEBUG.
func (l *logBook) aboutFile(mark int, path string) []entry {
	return above(l.since(mark), func(e entry) bool { return ours(e) && strings.Contains(e.line, fmt.Sprintf("%q", path)) })
}

// A config is loaded with the files as they are, and with none that is broken.
func TestKeyFilesAtALoad(t *testing.T) {
	t.Parallel()
	gone, keep := peers.NewAPIKey(t, "gone", nil), peers.NewAPIKey(t, "keep", nil)
	s, file := newKeyStand(t, keySite, options{}, keep, gone)
	s.passes(t, s.withKey(t, gone), gone)
	loads := 0
	load := func() error {
		loads++ // Caddy does not load a config that it has already
		return s.reload(snippets + keySnippets + strings.Replace(keySite, "api_keys {$KEYS}", fmt.Sprintf("api_keys {$KEYS}\n\t\trealm load-%d", loads), 1))
	}

	t.Run("one that was cut off counts then", func(t *testing.T) {
		if err := os.Truncate(file.path, int64(len(peers.KeyLines(t, keep)))); err != nil {
			t.Fatal(err)
		}
		s.eventually("the fault is in the status", inTheEnd, func() bool {
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
		if err := s.reload(snippets + keySnippets + strings.Replace(keySite, "{$KEYS}", other.path, 1)); err != nil {
			t.Fatal(err)
		}
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
		if lines := s.logs.aboutFile(mark, file.path); len(lines) != 0 {
			t.Errorf("the log has %v", lines)
		}
	})
}

// A file that no config can be loaded with is named, with its line, by `caddy
// validate` too.
func TestBrokenKeyFilesAtTheStart(t *testing.T) {
	t.Parallel()
	held := []*peers.APIKey{peers.NewAPIKey(t, "first", nil), peers.NewAPIKey(t, "second", nil), peers.NewAPIKey(t, "third", nil)}
	content := peers.KeyLines(t, held...)
	for _, f := range keyFaults() {
		t.Run(f.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "keys.jsonl")
			if err := firstOf(os.WriteFile(path, []byte(content), 0o600), f.breaks(path, content)); err != nil {
				t.Fatal(err)
			}
			code, output := caddyCommand(t, "https://api.example.test {\n\tjwt {\n\t\tapi_keys {$KEYS}\n\t}\n}\n", map[string]string{"KEYS": path}, "validate")
			// What was cut off at a line's end before a start is a good file.
			if cut := f.error == "cut off"; cut != (code == 0) || !cut && !strings.Contains(output, path) {
				t.Errorf("exit code %d\n%s", code, output)
			}
			if f.line > 0 && !strings.Contains(output, fmt.Sprintf("%s:%d: ", path, f.line)) {
				t.Errorf("line %d is not named:\n%s", f.line, output)
			}
			for _, k := range held {
				if strings.Contains(output, k.Hash()[len("sha256:"):][:pieceLength]) {
					t.Errorf("the error shows a hash:\n%s", output)
				}
			}
		})
	}
}
