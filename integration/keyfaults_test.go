package integration

import (
	"errors"
	"fmt"
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
	error  string // a part of the status's last error
	line   int    // and which line it names, if it does

	dir, path       string
	keep, gone, new *peers.APIKey
	content         string
	mark            int
}

// keyFaults are the ways in which a file can break. Each keeps the name of the file, so that
// Caddy finds what is there.
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
			return errors.Join(err, f.Close())
		}, error: "newline", line: 4},
		{name: "a bad line among good ones", breaks: replace(func(good string) string {
			return afterFirst(good) + "{\"id\":\"x\"}\n" + strings.TrimPrefix(good, afterFirst(good))
		}), error: "hash is missing", line: 2},
		{name: "a record twice", breaks: replace(func(good string) string { return good + afterFirst(good) }), error: "same hash", line: 4},
		{name: "another kind of file", breaks: replace(func(string) string { return "<!DOCTYPE html>\n" }), error: "JSON", line: 1},
		{name: "removed", breaks: func(path, _ string) error { return os.Remove(path) }, error: "no such file"},
		{name: "replaced by a folder", breaks: func(path, _ string) error {
			return errors.Join(os.Remove(path), os.Mkdir(path, 0o700))
		}, error: "folder"},
		{name: "a link swapped for one to a broken file", breaks: func(path, good string) error {
			broken := filepath.Join(filepath.Dir(path), "broken")
			return errors.Join(os.WriteFile(broken, []byte(midLine(good)), 0o600), os.Symlink(broken, path+".link"), os.Rename(path+".link", path))
		}, error: "newline", line: 3},
		{name: "a link swapped for one to nothing", breaks: func(path, _ string) error {
			return errors.Join(os.Symlink("no-such-file", path+".link"), os.Rename(path+".link", path))
		}, error: "no such file"},
		{name: "unreadable: a link to itself", breaks: func(path, _ string) error {
			return errors.Join(os.Symlink(filepath.Base(path), path+".link"), os.Rename(path+".link", path))
		}, error: "symbolic links"},
	}
}

// longWait bounds the waiting for what takes less than a second on a machine that
// has nothing else to do.
const longWait = 30 * time.Second

// A file that no config can be loaded with is named, with its line, by `caddy
// validate` too.
func TestBrokenKeyFilesAtTheStart(t *testing.T) {
	t.Parallel()
	held := []*peers.APIKey{peers.NewAPIKey(t, "first", nil), peers.NewAPIKey(t, "second", nil), peers.NewAPIKey(t, "third", nil)}
	content := peers.KeyLines(t, held...)
	for _, f := range keyFaults() {
		t.Run(f.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "keys.jsonl")
			if err := errors.Join(os.WriteFile(path, []byte(content), 0o600), f.breaks(path, content)); err != nil {
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
