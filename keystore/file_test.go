package keystore

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/internal/filewatch"
	"github.com/caddy-jwt/caddy-jwt/key"
)

// fileFixture is a File over a key set file.
type fileFixture struct {
	*File
	path  string
	clock *clock.Fake
}

func readJWKS(contents [][]byte) (*Set, error) {
	return ParseJWKS(contents[0], JWKSOptions{Local: true})
}

func newFileFixture(t *testing.T) *fileFixture {
	t.Helper()
	s := &fileFixture{path: filepath.Join(t.TempDir(), "jwks.json"), clock: clock.NewFake(time.Now())}
	s.write(t, ec("a"))
	f, err := NewFile(FileConfig{Paths: []string{s.path}, Read: readJWKS, Clock: s.clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	s.File = f
	return s
}

func (s *fileFixture) write(t *testing.T, content []byte) {
	t.Helper()
	if err := os.WriteFile(s.path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// look is a look at the files once they have been left alone, and what it tells.
func (s *fileFixture) look() EventKind {
	s.clock.Advance(time.Second)
	if e := s.check(); e != nil {
		return e.Kind
	}
	return 0
}

// check is a look at the files now, and what it tells.
func (s *fileFixture) check() (told *Event) {
	s.Observe(func(e Event) { told = &e })
	s.watched.Look()
	return told
}

func (s *fileFixture) has(kid string) bool {
	_, err := s.Keys(context.Background(), kid)
	if err != nil && !errors.Is(err, key.ErrUnknown) {
		panic(err)
	}
	return err == nil
}

func (s *fileFixture) expect(t *testing.T, what string, kind EventKind, kids ...string) {
	t.Helper()
	if got := s.look(); got != kind {
		t.Errorf("%s: event %q, want %q", what, got, kind)
	}
	if len(s.Set().Keys()) != len(kids) {
		t.Errorf("%s: %d keys, want %d", what, len(s.Set().Keys()), len(kids))
	}
	for _, kid := range kids {
		if !s.has(kid) {
			t.Errorf("%s: the key %s is not there", what, kid)
		}
	}
}

// The watcher drops a reading of files that were written meanwhile. What was broken in it
// is reported by the next one all the same.
func TestAFaultOfADroppedReadingIsReported(t *testing.T) {
	t.Parallel()
	s := newFileFixture(t)
	s.write(t, []byte("broken"))
	if _, err := s.read(); err == nil {
		t.Fatal("it is read")
	}
	s.expect(t, "broken", SourceFailing, "a")
	s.expect(t, "still", 0, "a")
}

func TestAChangedFileIsTakenOver(t *testing.T) {
	t.Parallel()
	s := newFileFixture(t)
	versions := []uint64{s.Version("", noon)}
	s.expect(t, "nothing has changed", 0, "a")
	versions = append(versions, s.Version("", noon))
	s.write(t, ec("b"))
	s.expect(t, "written in place", KeysChanged, "b")
	versions = append(versions, s.Version("", noon))
	s.expect(t, "and then nothing", 0, "b")
	versions = append(versions, s.Version("", noon))
	s.write(t, ec("a"))
	s.expect(t, "as it was", KeysChanged, "a")
	versions = append(versions, s.Version("", noon))
	if v := versions; v[0] == 0 || v[1] != v[0] || v[2] == v[1] || v[3] != v[2] || v[4] == v[3] || v[4] == v[0] {
		t.Errorf("versions %v; want another with each change, and no other", v)
	}

	other := s.path + ".new"
	if err := os.WriteFile(other, ec("c", "d"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(other, s.path); err != nil {
		t.Fatal(err)
	}
	s.expect(t, "replaced", KeysChanged, "c", "d")
	s.write(t, append(ec("c", "d"), '\n'))
	s.expect(t, "changed without another key", 0, "c", "d")
}

// A volume of Kubernetes: jwks.json -> ..data/jwks.json, ..data -> ..1, and the
// link ..data is replaced.
func TestASwappedLinkIsAChange(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for version, kid := range map[string]string{"..1": "a", "..2": "b"} {
		if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, version, "jwks.json"), ec(kid), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := func(version string) {
		t.Helper()
		if err := os.Symlink(version, filepath.Join(dir, "..tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	link("..1")
	s := &fileFixture{path: filepath.Join(dir, "jwks.json"), clock: clock.NewFake(time.Now())}
	if err := os.Symlink(filepath.Join("..data", "jwks.json"), s.path); err != nil {
		t.Fatal(err)
	}
	f, err := NewFile(FileConfig{Paths: []string{s.path}, Read: readJWKS, Clock: s.clock})
	if err != nil {
		t.Fatal(err)
	}
	s.File = f
	s.expect(t, "before", 0, "a")
	link("..2")
	s.expect(t, "after", KeysChanged, "b")
}

func TestABrokenFileKeepsTheLastGoodKeys(t *testing.T) {
	t.Parallel()
	for what, breaks := range map[string]func(t *testing.T, s *fileFixture){
		"cut off":     func(t *testing.T, s *fileFixture) { s.write(t, ec("a", "b")[:60]) },
		"empty":       func(t *testing.T, s *fileFixture) { s.write(t, nil) },
		"no keys":     func(t *testing.T, s *fileFixture) { s.write(t, []byte(`{"keys":[]}`)) },
		"HTML":        func(t *testing.T, s *fileFixture) { s.write(t, []byte("<html>")) },
		"too large":   func(t *testing.T, s *fileFixture) { s.write(t, []byte(strings.Repeat(" ", maxDocumentBytes+1))) },
		"a secret":    func(t *testing.T, s *fileFixture) { s.write(t, jwks(octJWK("s"))) },
		"gone":        func(t *testing.T, s *fileFixture) { must(0, os.Remove(s.path)) },
		"a directory": func(t *testing.T, s *fileFixture) { must(0, os.Remove(s.path)); must(0, os.Mkdir(s.path, 0o700)) },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := newFileFixture(t)
			breaks(t, s)
			s.expect(t, "broken", SourceFailing, "a")
			for range 3 {
				s.expect(t, "still broken: said once", 0, "a")
			}
			if status := s.Status(); status.State != "stale" || status.LastError == "" || status.LastErrorAt.IsZero() || status.Failures != 1 {
				t.Errorf("status %+v", status)
			}
			must(0, os.RemoveAll(s.path))
			s.write(t, ec("b"))
			s.expect(t, "mended, with another key", KeysChanged, "b")
			if status := s.Status(); status.State != "fresh" || status.LastError != "" {
				t.Errorf("status %+v", status)
			}
		})
	}
	t.Run("mended with the same keys", func(t *testing.T) {
		s := newFileFixture(t)
		s.write(t, []byte("{"))
		s.expect(t, "broken", SourceFailing, "a")
		s.write(t, ec("a"))
		s.expect(t, "mended", SourceRecovered, "a")
	})
	t.Run("another fault is said again", func(t *testing.T) {
		s := newFileFixture(t)
		s.write(t, []byte("{"))
		s.expect(t, "broken", SourceFailing, "a")
		s.write(t, []byte(`{"keys":[]}`))
		s.expect(t, "in another way", SourceFailing, "a")
	})
}

func TestAFileThatIsBeingWrittenIsLeftAlone(t *testing.T) {
	t.Parallel()
	s := newFileFixture(t)
	now := time.Now()
	s.write(t, ec("a", "b")) // whole, but perhaps not all of it
	if err := os.Chtimes(s.path, now, now); err != nil {
		t.Fatal(err)
	}
	s.clock.Set(now.Add(filewatch.SettleTime - time.Millisecond))
	if e := s.check(); e != nil || s.has("b") {
		t.Error("it was read at once")
	}
	s.clock.Set(now.Add(filewatch.SettleTime))
	if e := s.check(); e == nil || e.Kind != KeysChanged || !s.has("b") {
		t.Error("it was not read when it was left alone")
	}
	t.Run("a time in the future is no reason to wait for it", func(t *testing.T) {
		future := now.Add(time.Hour)
		s.write(t, ec("c"))
		if err := os.Chtimes(s.path, future, future); err != nil {
			t.Fatal(err)
		}
		s.expect(t, "from the future", KeysChanged, "c")
	})
	t.Run("a write that keeps time and size mends a broken one", func(t *testing.T) {
		good := ec("d")
		bad := append([]byte{'['}, good[1:]...)
		s.write(t, bad)
		if err := os.Chtimes(s.path, now, now); err != nil {
			t.Fatal(err)
		}
		s.expect(t, "broken", SourceFailing, "c")
		s.write(t, good)
		if err := os.Chtimes(s.path, now, now); err != nil {
			t.Fatal(err)
		}
		s.expect(t, "mended", KeysChanged, "d")
	})
}

func TestAFileThatCantBeReadAtFirstIsAnError(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "jwks.json")
	if _, err := NewFile(FileConfig{Paths: []string{path}, Read: readJWKS}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewFile(FileConfig{Paths: []string{path}, Read: readJWKS}); err == nil {
		t.Error("a broken file: no error")
	}
}

func TestFilesAreLookedAtByThemselves(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(path, ec("a"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := NewFile(FileConfig{Paths: []string{path}, Read: readJWKS})
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan Event, 1)
	f.Observe(func(e Event) { heard <- e })
	f.Start()
	f.Start()
	if err := os.WriteFile(path, ec("b"), 0o600); err != nil {
		t.Fatal(err)
	}
	select {
	case e := <-heard:
		if e.Kind != KeysChanged || len(e.Added) != 1 || len(e.Removed) != 1 {
			t.Errorf("%+v", e)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the change was not seen")
	}
	f.Close()
	f.Close()
	if keys, err := f.Keys(context.Background(), "b"); err != nil || len(keys) != 1 {
		t.Errorf("after Close: %v %v", keys, err)
	}
}
