package apikey

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/internal/filewatch"
)

// fixture is an File over a file that has the keys a, b and c at first.
type fixture struct {
	*File
	path  string
	clock *clock.Fake
	heard witness
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	s := &fixture{path: filepath.Join(t.TempDir(), "keys.jsonl"), clock: clock.NewFake(time.Now())}
	s.write(t, keyLines("a", "b", "c"))
	s.open(t)
	return s
}

func (s *fixture) open(t *testing.T) {
	t.Helper()
	f, err := NewFile(FileConfig{Path: s.path, Clock: s.clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	s.File = f
	f.Observe(s.heard.observe)
}

// write writes in place: the file stays the same one.
func (s *fixture) write(t *testing.T, content string) {
	t.Helper()
	if err := os.WriteFile(s.path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// replace puts another file in its place.
func (s *fixture) replace(t *testing.T, content string) {
	t.Helper()
	if err := os.WriteFile(s.path+".new", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(s.path+".new", s.path); err != nil {
		t.Fatal(err)
	}
}

// look is a look at the file once it has been left alone, and what it tells.
func (s *fixture) look() string {
	s.clock.Advance(time.Second)
	s.watched.Look()
	return s.said()
}

// said is what has been told since it was asked last.
func (s *fixture) said() string {
	kinds := strings.TrimSpace(s.heard.kinds())
	s.heard.mu.Lock()
	defer s.heard.mu.Unlock()
	s.heard.events = nil
	return kinds
}

func (s *fixture) expect(t *testing.T, what, event, keys string) {
	t.Helper()
	if got := s.look(); got != event {
		t.Errorf("%s: told %q, want %q", what, got, event)
	}
	if got := hasKeys(s.Set()); got != keys || s.Set().Len() != len(keys) {
		t.Errorf("%s: the keys %q serve, want %q", what, got, keys)
	}
}

// countReadings counts the readings from now on.
func (s *fixture) countReadings() *int {
	n := new(int)
	s.File.open = func(path string) (openedFile, error) {
		*n++
		return openFile(path)
	}
	return n
}

// openedWith is a key file whose reading is hooked.
type openedWith struct {
	openedFile
	read func(p []byte) (int, error)
}

func (f openedWith) Read(p []byte) (int, error) { return f.read(p) }

// hook lets a function hear of the next reading, as it begins, and fail it.
func (s *fixture) hook(hear func() error) {
	s.File.open = func(path string) (openedFile, error) {
		f, err := openFile(path)
		if err != nil {
			return nil, err
		}
		return openedWith{f, func(p []byte) (int, error) {
			if h := hear; h != nil {
				hear = nil
				if err := h(); err != nil {
					return 0, err
				}
			}
			return f.Read(p)
		}}, nil
	}
}

const (
	changed   = "changed"
	failing   = "failing"
	recovered = "recovered"
)

func TestAKeyFileIsTakenOver(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(t *testing.T, s *fixture) string{
		"a key added in place": func(t *testing.T, s *fixture) string {
			s.write(t, keyLines("a", "b", "c", "d"))
			return "abcd"
		},
		"appended": func(t *testing.T, s *fixture) string {
			f := must(os.OpenFile(s.path, os.O_APPEND|os.O_WRONLY, 0))
			must(f.WriteString(keyLines("d")))
			must(0, f.Close())
			return "abcd"
		},
		"rewritten in place with the same size": func(t *testing.T, s *fixture) string {
			s.write(t, keyLines("x", "y", "z"))
			return "xyz"
		},
		"threat 32: the first key removed in place": func(t *testing.T, s *fixture) string {
			s.write(t, keyLines("b", "c"))
			return "bc"
		},
		"threat 32: a key in the middle removed in place": func(t *testing.T, s *fixture) string {
			s.write(t, keyLines("a", "c"))
			return "ac"
		},
		"the last key exchanged in place": func(t *testing.T, s *fixture) string {
			s.write(t, keyLines("a", "b", "d"))
			return "abd"
		},
		"replaced by a file with more":   func(t *testing.T, s *fixture) string { s.replace(t, keyLines("a", "b", "c", "d")); return "abcd" },
		"replaced by one with fewer":     func(t *testing.T, s *fixture) string { s.replace(t, keyLines("a", "b")); return "ab" },
		"replaced by one without keys":   func(t *testing.T, s *fixture) string { s.replace(t, "\n"); return "" },
		"replaced by one with others":    func(t *testing.T, s *fixture) string { s.replace(t, keyLines("x")); return "x" },
		"removed and made again at once": func(t *testing.T, s *fixture) string { s.remake(t, keyLines("a")); return "a" },
		"changed by a command":           func(t *testing.T, s *fixture) string { s.remove(t, "c"); return "ab" },
		"twice by a command at one look": func(t *testing.T, s *fixture) string { s.remove(t, "c"); s.remove(t, "b"); return "a" },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := newFixture(t)
			s.expect(t, "nothing has changed", "", "abc")
			keys := change(t, s)
			s.expect(t, "changed", changed, keys)
			s.expect(t, "and then nothing", "", keys)
			if status := s.Status(); status.State != "fresh" || status.Keys != len(keys) || status.LastError != "" || !status.LoadedAt.Equal(s.clock.Now().Add(-time.Second)) {
				t.Errorf("status %+v", status)
			}
		})
	}
}

// remake removes the file and makes another one, which may get its number.
func (s *fixture) remake(t *testing.T, content string) {
	t.Helper()
	must(0, os.Remove(s.path))
	s.write(t, content)
}

// remove deletes a key as the command does.
func (s *fixture) remove(t *testing.T, id string) {
	t.Helper()
	if _, err := Update(s.path, false, func(f *Edit) error {
		if !f.Delete(id) {
			return errors.New("it is not there")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// Whatever breaks the file, the last good keys serve; the fault is told once;
// and what mends it is taken over.
func TestThreat34_ABrokenKeyFileKeepsTheLastGoodKeys(t *testing.T) {
	t.Parallel()
	whole := keyLines("a", "b", "c")
	bad := func(content string) func(*testing.T, *fixture) {
		return func(t *testing.T, s *fixture) { s.write(t, content) }
	}
	for _, row := range []struct {
		what   string
		breaks func(t *testing.T, s *fixture)
		want   string
	}{
		{"emptied", bad(""), "it is empty"},
		{"cut off in the first line", bad(whole[:20]), ":1: the last line does not end"},
		{"cut off in the last line", bad(whole[:len(whole)-20]), ":3: the last line does not end"},
		{"cut off before the last newline", bad(whole[:len(whole)-1]), ":3: the last line does not end"},
		{"cut off at a line's end", bad(keyLines("a", "b")), "it has lost its last records (1)"},
		{"cut off at the first line's end", bad(keyLines("a")), "it has lost its last records (2)"},
		{"all but an empty line gone in place", bad("\n"), "it has lost its last records (3)"},
		{"one bad line", bad(keyLines("a") + "{\n" + keyLines("c")), ":2: it is not a JSON object"},
		{"an id twice", bad(whole + keyLines("a")), ":4: the keys a (line 1) and a (line 4) have the same hash"},
		{"HTML", bad("<html>\n"), ":1: it is not a JSON object"},
		{"NULs", bad(strings.Repeat("\x00", len(whole)-1) + "\n"), ":1: it is not a JSON object"},
		{"too long a line", bad(strings.Repeat(" ", maxLine) + "\n"), ":1: the line is longer than"},
		{"replaced by a broken one", func(t *testing.T, s *fixture) { s.replace(t, "{}\n") }, ":1: id is missing"},
		{"replaced by an empty one", func(t *testing.T, s *fixture) { s.replace(t, "") }, "it is empty"},
		{"gone", func(t *testing.T, s *fixture) { must(0, os.Remove(s.path)) }, "no such file"},
		{"a folder", func(t *testing.T, s *fixture) { must(0, os.Remove(s.path)); must(0, os.Mkdir(s.path, 0o700)) }, "it is a folder"},
		{"a link to nothing", func(t *testing.T, s *fixture) { must(0, os.Remove(s.path)); must(0, os.Symlink("nothing", s.path)) }, "no such file"},
		{"a link to itself", func(t *testing.T, s *fixture) {
			must(0, os.Remove(s.path))
			must(0, os.Symlink("keys.jsonl", s.path))
		}, "too many levels"},
		{"the folder gone", func(t *testing.T, s *fixture) { must(0, os.RemoveAll(filepath.Dir(s.path))) }, "no such file"},
	} {
		t.Run(row.what, func(t *testing.T) {
			t.Parallel()
			s := newFixture(t)
			loaded := s.Status().LoadedAt
			row.breaks(t, s)
			s.expect(t, "broken", failing, "abc")
			for range 3 {
				s.expect(t, "still broken: told once", "", "abc")
			}
			status := s.Status()
			if status.State != "stale" || status.Keys != 3 || status.Failures != 1 || !status.LoadedAt.Equal(loaded) || status.LastErrorAt.IsZero() ||
				status.Size != int64(len(whole)) || status.File != s.path {
				t.Errorf("status %+v", status)
			}
			if !strings.Contains(status.LastError, row.want) || !strings.Contains(status.LastError, s.path) {
				t.Errorf("the error is %s, want %s", status.LastError, row.want)
			}
			must(0, os.RemoveAll(s.path))
			must(0, os.MkdirAll(filepath.Dir(s.path), 0o700))
			s.write(t, keyLines("b"))
			s.expect(t, "mended, with fewer keys", recovered, "b")
			if status := s.Status(); status.State != "fresh" || status.LastError != "" || status.Failures != 0 || !status.LastErrorAt.IsZero() {
				t.Errorf("status %+v", status)
			}
			s.write(t, keyLines("b", "d"))
			s.expect(t, "and changed again", changed, "bd")
		})
	}
}

func TestThreat34_AKeyFileThatLostItsEnd(t *testing.T) {
	t.Parallel()
	t.Run("and is written again to its end", func(t *testing.T) {
		t.Parallel()
		s := newFixture(t)
		s.write(t, keyLines("a"))
		s.expect(t, "cut off", failing, "abc")
		s.write(t, keyLines("a", "b"))
		s.expect(t, "not yet whole: another fault", failing, "abc")
		s.write(t, keyLines("a", "b", "c"))
		s.expect(t, "whole", recovered, "abc")
	})
	t.Run("and goes on with another key", func(t *testing.T) {
		t.Parallel()
		s := newFixture(t)
		s.write(t, keyLines("a"))
		s.expect(t, "cut off", failing, "abc")
		s.write(t, keyLines("a", "d"))
		s.expect(t, "with another", recovered, "ad")
	})
	t.Run("and is replaced by the same", func(t *testing.T) {
		t.Parallel()
		s := newFixture(t)
		s.write(t, keyLines("a"))
		s.expect(t, "cut off", failing, "abc")
		s.replace(t, keyLines("a"))
		s.expect(t, "replaced", recovered, "a")
	})
	t.Run("and is meant so by anyone who reloads", func(t *testing.T) {
		t.Parallel()
		s := newFixture(t)
		s.write(t, keyLines("a"))
		s.expect(t, "cut off", failing, "abc")
		must(s.Reread())()
		if s.said() != recovered || hasKeys(s.Set()) != "a" || s.Status().State != "fresh" {
			t.Errorf("%s %+v", hasKeys(s.Set()), s.Status())
		}
	})
	// A key that was disabled, or lost a scope, must not go on because the
	// last key went with the same change.
	t.Run("and has changed before it", func(t *testing.T) {
		t.Parallel()
		for what, change := range map[string]func(*Record){
			"disabled":         func(r *Record) { r.Disabled = true },
			"expired":          func(r *Record) { r.Expires = time.Unix(1, 0) },
			"with a scope":     func(r *Record) { r.Scopes = []string{"read"} },
			"another consumer": func(r *Record) { r.Consumer = "other" },
			"another hash":     func(r *Record) { r.Hash = DigestOf("other") },
		} {
			s := newFixture(t)
			a := record("a")
			change(&a)
			s.write(t, string(must(a.MarshalJSON()))+"\n")
			if got := s.look(); got != changed || s.Set().Len() != 1 {
				t.Errorf("%s: told %q, %d keys", what, got, s.Set().Len())
			}
		}
	})
	// A file system may give a new file the number of one that is gone. A
	// file that replaces the one after it is not the first one cut off.
	t.Run("is another one than a file of the same number", func(t *testing.T) {
		t.Parallel()
		s := newFixture(t)
		for range 4 {
			s.replace(t, keyLines("a", "b"))
			s.replace(t, "broken\n")
			s.expect(t, "broken", failing, "abc")
			s.replace(t, keyLines("a", "b"))
			s.expect(t, "mended with fewer keys", recovered, "ab")
			s.replace(t, keyLines("a", "b", "c"))
			s.expect(t, "as at first", changed, "abc")
		}
	})
}

func TestThreat34_AnotherFaultIsToldAgain(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.write(t, "{\n")
	s.expect(t, "broken", failing, "abc")
	s.write(t, "")
	s.expect(t, "in another way", failing, "abc")
	if n := s.Status().Failures; n != 2 {
		t.Errorf("%d faults, want 2", n)
	}
	s.write(t, keyLines("a", "b", "c"))
	s.expect(t, "mended with the same keys", recovered, "abc")
}

func TestThreat34_AKeyFileThatIsBeingWrittenIsLeftAlone(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	now := time.Now()
	touch := func(at time.Time) {
		t.Helper()
		if err := os.Chtimes(s.path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	s.write(t, keyLines("x")) // whole, but perhaps not all of it
	touch(now)
	s.clock.Set(now.Add(filewatch.SettleTime - time.Millisecond))
	if s.watched.Look(); s.said() != "" || hasKeys(s.Set()) != "abc" {
		t.Error("it was read at once")
	}
	s.clock.Set(now.Add(filewatch.SettleTime))
	if s.watched.Look(); s.said() != changed || hasKeys(s.Set()) != "x" {
		t.Error("it was not read when it was left alone")
	}
	s.write(t, "half a li")
	touch(s.clock.Now())
	if s.watched.Look(); s.said() != "" || s.Status().State != "fresh" {
		t.Error("half a line was told as a fault at once")
	}
	s.write(t, keyLines("y"))
	touch(s.clock.Now().Add(time.Hour))
	s.expect(t, "a time in the future is no reason to wait for it", changed, "y")
}

// A volume of Kubernetes: keys.jsonl -> ..data/keys.jsonl, ..data -> ..1, and the
// link ..data is replaced.
func TestThreat34_ALinkIsSwapped(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	link := func(version, content string) {
		t.Helper()
		must(0, os.Mkdir(filepath.Join(dir, version), 0o700))
		must(0, os.WriteFile(filepath.Join(dir, version, "keys.jsonl"), []byte(content), 0o600))
		must(0, os.Symlink(version, filepath.Join(dir, "..tmp")))
		must(0, os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data")))
	}
	link("..1", keyLines("a", "b"))
	s := &fixture{path: filepath.Join(dir, "keys.jsonl"), clock: clock.NewFake(time.Now())}
	must(0, os.Symlink(filepath.Join("..data", "keys.jsonl"), s.path))
	s.open(t)
	s.expect(t, "before", "", "ab")
	link("..2", keyLines("a"))
	s.expect(t, "fewer keys", changed, "a")
	link("..3", "broken\n")
	s.expect(t, "broken", failing, "a")
	must(0, os.Remove(filepath.Join(dir, "..data")))
	s.expect(t, "leading nowhere", failing, "a")
	must(0, os.RemoveAll(filepath.Join(dir, "..1")))
	link("..4", keyLines("c"))
	s.expect(t, "good again", recovered, "c")
}

func TestThreat34_AKeyFileRemovedAndPutBack(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	must(0, os.Rename(s.path, s.path+".away"))
	s.expect(t, "away", failing, "abc")
	must(0, os.Rename(s.path+".away", s.path))
	s.expect(t, "back", recovered, "abc")
}

func TestAKeyFileThatCantBeReadAtFirstIsAnError(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.jsonl")
	if _, err := NewFile(FileConfig{Path: path}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	must(0, os.WriteFile(path, nil, 0o600))
	if _, err := NewFile(FileConfig{Path: path}); !errors.Is(err, errEmpty) {
		t.Errorf("an empty file: %v", err)
	}
	if _, err := NewFile(FileConfig{Path: filepath.Dir(path)}); err == nil || !strings.Contains(err.Error(), "folder") {
		t.Errorf("a folder: %v", err)
	}
}

func TestAReloadReadsAChangedFileAlone(t *testing.T) {
	t.Parallel()
	t.Run("unchanged", func(t *testing.T) {
		t.Parallel()
		s := newFixture(t)
		for range 3 {
			s.expect(t, "until it is sure", "", "abc")
		}
		read := s.countReadings()
		for range 3 {
			must(s.Reread())()
		}
		if *read != 0 || s.said() != "" {
			t.Errorf("it was read %d times again", *read)
		}
	})
	// Anyone who writes can put the time of the writing back.
	t.Run("changed with the size and time of before", func(t *testing.T) {
		t.Parallel()
		s := newFixture(t)
		for range 3 {
			s.expect(t, "until it is sure", "", "abc")
		}
		info := must(os.Stat(s.path))
		s.write(t, keyLines("x", "y", "z"))
		must(0, os.Chtimes(s.path, info.ModTime(), info.ModTime()))
		must(s.Reread())()
		if hasKeys(s.Set()) != "xyz" || s.said() != changed {
			t.Error("it was not read")
		}
	})
	t.Run("changed a moment ago", func(t *testing.T) {
		t.Parallel()
		s := newFixture(t)
		s.write(t, keyLines("a", "b", "c", "d"))
		must(0, os.Chtimes(s.path, s.clock.Now(), s.clock.Now()))
		must(s.Reread())()
		if got := hasKeys(s.Set()); got != "abcd" {
			t.Error(got)
		}
	})
	t.Run("cut off", func(t *testing.T) {
		t.Parallel()
		s := newFixture(t)
		s.write(t, keyLines("a"))
		must(s.Reread())()
		if hasKeys(s.Set()) != "a" || s.said() != changed {
			t.Error(hasKeys(s.Set()))
		}
		s.expect(t, "and then nothing", "", "a")
	})
	t.Run("broken", func(t *testing.T) {
		t.Parallel()
		s := newFixture(t)
		s.write(t, "{}\n")
		for range 2 {
			var line *LineError
			if _, err := s.Reread(); !errors.As(err, &line) || line.Line != 1 {
				t.Errorf("%v", err)
			}
		}
		if got := s.said(); got != "" || s.Status().State != "fresh" {
			t.Errorf("told %q of a config that is not in force", got)
		}
		s.expect(t, "seen by itself", failing, "abc")
		must(0, os.Remove(s.path))
		if _, err := s.Reread(); !errors.Is(err, os.ErrNotExist) || hasKeys(s.Set()) != "abc" {
			t.Errorf("gone: %v", err)
		}
		s.write(t, keyLines("b"))
		if must(s.Reread())(); hasKeys(s.Set()) != "b" {
			t.Error("mended, it is not taken over")
		}
	})
	t.Run("away and back", func(t *testing.T) {
		t.Parallel()
		s := newFixture(t)
		must(0, os.Rename(s.path, s.path+".away"))
		if _, err := s.Reread(); err == nil {
			t.Error("away: no error")
		}
		must(0, os.Rename(s.path+".away", s.path))
		if must(s.Reread())(); s.Status().State != "fresh" {
			t.Errorf("back: %+v", s.Status())
		}
	})
}

func TestACloseEndsTheLooking(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.write(t, keyLines("x"))
	s.Close()
	s.Close()
	s.Start()
	if got := s.look(); got != "" {
		t.Errorf("told %q after Close", got)
	}
	if _, ok := s.Set().Find(record("a").Hash); ok != (hasKeys(s.Set()) == "abc") {
		t.Error("no keys serve after Close")
	}
}

// The real clock: changes are seen by themselves, requests go on meanwhile, and
// each of them sees one whole set or the other.
func TestKeyFilesAreLookedAtByThemselves(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.jsonl")
	must(0, os.WriteFile(path, []byte(keyLines("a", "b")), 0o600))
	f := must(NewFile(FileConfig{Path: path}))
	heard := make(chan Event, 99)
	f.Observe(func(e Event) { heard <- e })
	f.Start()
	f.Start()

	stop := make(chan struct{})
	var requests sync.WaitGroup
	for range 4 {
		requests.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				keys := f.Set()
				if got := hasKeys(keys); got != "ab" && got != "cd" {
					t.Errorf("a set of %q", got)
					return
				}
				if k, ok := keys.Find(record("c").Hash); ok && (k.Consumer() != "c" || k.Claims().Len() != 2) {
					t.Error("another key")
				}
				f.Status()
			}
		})
	}
	for i, ids := range [][]string{{"c", "d"}, {"a", "b"}, {"c", "d"}} {
		if i == 1 {
			must(0, os.WriteFile(path, []byte(keyLines(ids...)), 0o600))
		} else {
			must(Update(path, false, func(k *Edit) error {
				for _, r := range k.Records() {
					k.Delete(r.ID)
				}
				return errors.Join(k.Put(record(ids[0])), k.Put(record(ids[1])))
			}))
		}
		if i == 2 {
			must(f.Reread())() // beside the looking
		}
		select {
		case e := <-heard:
			if e.Kind != Changed || e.Keys != 2 || e.File != path {
				t.Errorf("%+v", e)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("the change was not seen")
		}
	}
	close(stop)
	requests.Wait()
	f.Close()
	if got := hasKeys(f.Set()); got != "cd" {
		t.Errorf("after Close: %s", fmt.Sprint(got))
	}
}

// A config that is being loaded and fails must not change what serves.
func TestThreat34_ARereadChangesNothingUntilItIsTaken(t *testing.T) {
	t.Parallel()
	t.Run("and is dropped", func(t *testing.T) {
		t.Parallel()
		s := newFixture(t)
		s.write(t, keyLines("a"))
		must(s.Reread())
		if got := hasKeys(s.Set()); got != "abc" || s.said() != "" {
			t.Errorf("%s serve", got)
		}
		s.expect(t, "cut off for the config in force", failing, "abc")
		must(s.Reread())
		s.expect(t, "still", "", "abc")
	})
	t.Run("and is taken after a look", func(t *testing.T) {
		t.Parallel()
		s := newFixture(t)
		s.write(t, keyLines("a"))
		take := must(s.Reread())
		s.expect(t, "cut off for the config in force", failing, "abc")
		take()
		if got := hasKeys(s.Set()); got != "a" || s.said() != recovered {
			t.Errorf("%s serve", got)
		}
		take()
		s.expect(t, "taken twice", "", "a")
	})
	t.Run("and is older than what serves", func(t *testing.T) {
		t.Parallel()
		s := newFixture(t)
		s.write(t, keyLines("a", "b"))
		take := must(s.Reread())
		s.replace(t, keyLines("x"))
		s.expect(t, "a change since", changed, "x")
		take()
		s.expect(t, "then it is dropped", "", "x")
	})
	t.Run("and the file breaks before it is taken", func(t *testing.T) {
		t.Parallel()
		s := newFixture(t)
		s.replace(t, keyLines("x"))
		take := must(s.Reread())
		s.write(t, "broken\n")
		take()
		if got := hasKeys(s.Set()); got != "x" || s.said() != changed {
			t.Errorf("%s serve", got)
		}
		s.expect(t, "which is seen then", failing, "x")
	})
}

func TestThreat34_AKeyFileThatChangesWhileItIsRead(t *testing.T) {
	t.Parallel()
	for what, read := range map[string]func(*fixture) error{
		"by itself":   func(s *fixture) error { s.clock.Advance(time.Second); s.watched.Look(); return nil },
		"at a reload": func(s *fixture) error { _, err := s.Reread(); return err },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := newFixture(t)
			s.replace(t, keyLines("x"))
			s.hook(func() error { return os.Chtimes(s.path, time.Time{}, time.Unix(1e9, 0)) })
			err, told := read(s), s.said()
			if told != "" || s.Status().State != "fresh" || (what == "at a reload") != errors.Is(err, filewatch.ErrChanging) {
				t.Errorf("%v, told %q, %+v", err, told, s.Status())
			}
			if got := hasKeys(s.Set()); got != "abc" {
				t.Errorf("the keys %q serve", got)
			}
			s.expect(t, "left alone", changed, "x")
		})
	}
}

// What is no fault of the file's content is tried again, though the file stays as
// it is.
func TestThreat34_AKeyFileThatCantBeReadForAMoment(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.replace(t, keyLines("x"))
	s.hook(func() error { return errors.New("input/output error") })
	s.expect(t, "the disk fails", failing, "abc")
	s.expect(t, "the disk is well again", recovered, "x")
}

// A file that looks the same may be another one on file systems whose times are
// coarse: it is read once more when it is old enough, and then no more.
func TestAKeyFileOfThisMomentIsReadOnceMore(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		step time.Duration // of the file system's times
		more int           // readings
	}{"whole seconds": {time.Second, 1}, "fractions": {time.Nanosecond, 0}} {
		t.Run(name, func(t *testing.T) {
			s := newFixture(t)
			date := func(at time.Time) {
				if at = at.Truncate(c.step); c.more == 0 && at.Nanosecond() == 0 {
					at = at.Add(time.Millisecond)
				}
				must(0, os.Chtimes(s.path, at, at))
			}
			date(s.clock.Now())
			s.open(t)
			for _, what := range []string{"after the first load", "after a change"} {
				read := s.countReadings()
				loaded := s.Status().LoadedAt
				for range 5 {
					if got := s.look(); got != "" {
						t.Errorf("%s: told %q", what, got)
					}
				}
				if *read != c.more || !s.Status().LoadedAt.Equal(loaded) {
					t.Errorf("%s: read %d times more, want %d; loaded at %s and %s", what, *read, c.more, loaded, s.Status().LoadedAt)
				}
				s.write(t, keyLines("x", "y", "z"))
				date(s.clock.Now().Add(-filewatch.SettleTime))
				s.clock.Advance(time.Millisecond)
				s.watched.Look()
				s.said()
			}
		})
	}
}

func TestAKeyFileThatKeepsSizeAndTimeIsTakenOver(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	for range 3 {
		s.look()
	}
	info := must(os.Stat(s.path))
	s.write(t, keyLines("x", "y", "z"))
	must(0, os.Chtimes(s.path, info.ModTime(), info.ModTime()))
	s.expect(t, "copied over with its time", changed, "xyz")
}

// A file that something touches all the time is read in the end.
func TestThreat32_AKeyFileThatIsNeverLeftAloneIsRead(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	began := s.clock.Now()
	for at := time.Duration(0); at <= maxSettleWait; at += pollInterval {
		s.clock.Set(began.Add(at))
		s.replace(t, keyLines("a", "b"))
		must(0, os.Chtimes(s.path, s.clock.Now(), s.clock.Now()))
		s.watched.Look()
		if got, want := hasKeys(s.Set()), map[bool]string{true: "ab", false: "abc"}[at >= maxSettleWait]; got != want {
			t.Fatalf("after %s: %s serve, want %s", at, got, want)
		}
	}
}

// Anyone who removes the last line by hand is served in the end.
func TestAKeyFileThatHasLostItsEndForLong(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.write(t, keyLines("a", "b"))
	s.expect(t, "cut off", failing, "abc")
	s.clock.Advance(cutOffDelay - 10*time.Second)
	s.expect(t, "not yet long", "", "abc")
	s.write(t, keyLines("a"))
	s.expect(t, "cut off once more, which starts over", failing, "abc")
	s.clock.Advance(cutOffDelay - 10*time.Second)
	s.expect(t, "not yet long", "", "abc")
	s.clock.Advance(10 * time.Second)
	s.expect(t, "long", recovered, "a")
	s.expect(t, "and then nothing", "", "a")
}

// A job that writes the file again, as it is, must not keep a removed key alive.
func TestThreat32_AKeyFileThatHasLostItsEndAndIsWrittenAgain(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.write(t, keyLines("a", "b"))
	s.expect(t, "cut off", failing, "abc")
	for range 4 {
		s.clock.Advance(time.Minute)
		s.write(t, keyLines("a", "b"))
		s.expect(t, "written again", "", "abc")
	}
	s.clock.Advance(time.Minute)
	s.write(t, keyLines("a", "b"))
	s.expect(t, "long", recovered, "ab")
}
