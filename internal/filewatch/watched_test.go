package filewatch

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
)

const pace = 200 * time.Millisecond

// stand is a text that is made of a file, and what was told of it.
type stand struct {
	Watched[string, string]
	path     string
	clock    *clock.Fake
	readings int
	told     []string
	closed   []string // the texts whose reading was released
}

var errBroken = errors.New("it is broken")

func newStand(t *testing.T, change func(*Config[string, string])) *stand {
	t.Helper()
	s := &stand{path: filepath.Join(t.TempDir(), "text"), clock: clock.NewFake(time.Now())}
	s.write(t, "first")
	c := Config[string, string]{Paths: []string{s.path}, Pace: pace, Clock: s.clock, Read: s.read, Take: s.take, Fail: s.fail}
	if change != nil {
		change(&c)
	}
	if err := s.Open(c); err != nil {
		t.Fatal(err)
	}
	s.Observe(func(e string) { s.told = append(s.told, e) })
	return s
}

func (s *stand) write(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(s.path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.date(t, s.clock.Now())
}

// date dates the file, and keeps off the times that are taken for coarse ones.
func (s *stand) date(t *testing.T, at time.Time) {
	t.Helper()
	if at.Nanosecond() == 0 {
		at = at.Add(1)
	}
	if err := os.Chtimes(s.path, at, at); err != nil {
		t.Fatal(err)
	}
}

func (s *stand) read() (r Reading[string], err error) {
	s.readings++
	if r.Of, err = Stat([]string{s.path}); err != nil {
		return r, err
	}
	text, err := ReadFile(s.path)
	r.Value = string(text)
	if r.Value == "broken" {
		return r, errBroken
	}
	r.Held = closer(func() { s.closed = append(s.closed, r.Value) })
	return r, err
}

type closer func()

func (c closer) Close() error {
	c()
	return nil
}

func (s *stand) take(serves, read *Reading[string], recovered bool) (string, bool) {
	if recovered {
		return "recovered", true
	}
	return "changed", serves.Value != read.Value
}

func (s *stand) fail(serves *Reading[string], at time.Time, err error) string { return "failing" }

// expect turns the clock forward and says what must have been told meanwhile, and
// what must serve then.
func (s *stand) expect(t *testing.T, what string, after time.Duration, told, serves string) {
	t.Helper()
	s.clock.Advance(after)
	if got := strings.Join(s.told, " "); got != told || s.Value() != serves {
		t.Errorf("%s: told %q and %q serves, want %q and %q", what, got, s.Value(), told, serves)
	}
	s.told = nil
}

func TestTheLifeOfAWatchedFile(t *testing.T) {
	t.Parallel()
	s := newStand(t, nil)
	s.Start()
	s.Start()
	s.expect(t, "left alone", time.Minute, "", "first")
	if s.readings != 1 {
		t.Errorf("an unchanged file was read %d times", s.readings)
	}
	s.write(t, "second")
	s.expect(t, "just written", SettleTime-time.Millisecond, "", "first")
	s.expect(t, "left alone", pace, "changed", "second")
	s.write(t, "broken")
	s.expect(t, "broken", time.Second, "failing", "second")
	s.expect(t, "still: told once", time.Minute, "", "second")
	if got := s.Status(); !errors.Is(got.Err, errBroken) || got.Failures != 1 || got.Serves.Value != "second" || got.ErrAt.IsZero() {
		t.Errorf("%+v", got)
	}
	if err := os.Remove(s.path); err != nil {
		t.Fatal(err)
	}
	s.expect(t, "gone, which is another fault", time.Second, "failing", "second")
	s.write(t, "third")
	s.expect(t, "mended", time.Second, "recovered", "third")
	if got := s.Status(); got.Err != nil || got.Failures != 0 {
		t.Errorf("%+v", got)
	}
	if got := strings.Join(s.closed, " "); got != "first second" {
		t.Errorf("released: %s", got)
	}
	s.Close()
	s.write(t, "fourth")
	s.expect(t, "closed", time.Minute, "", "third")
}

func TestNothingStartsAfterClose(t *testing.T) {
	t.Parallel()
	s := newStand(t, nil)
	s.Close()
	s.Start()
	if s.started {
		t.Error("it starts after Close")
	}
	// A look that was under way.
	s.write(t, "second")
	s.clock.Advance(time.Second)
	s.Look()
	s.expect(t, "closed", 0, "", "second")
	if got := strings.Join(s.closed, " "); got != "first first second" {
		t.Errorf("released: %s", got)
	}
}

func TestAFileThatIsNeverLeftAlone(t *testing.T) {
	t.Parallel()
	for what, row := range map[string]struct {
		patience time.Duration
		want     string
	}{"is waited for": {0, "first"}, "is read in the end": {5 * time.Second, "second"}} {
		s := newStand(t, func(c *Config[string, string]) { c.Patience = row.patience })
		s.Start()
		for range 40 {
			s.write(t, "second")
			s.clock.Advance(pace)
		}
		if got := s.Value(); got != row.want {
			t.Errorf("%s: %s serves", what, got)
		}
	}
}

func TestWhatIsNoFaultLeavesEverythingAsItIs(t *testing.T) {
	t.Parallel()
	for _, err := range []error{ErrChanging, ErrSame} {
		s := newStand(t, nil)
		read := s.c.Read
		s.c.Read = func() (Reading[string], error) { s.readings++; return Reading[string]{}, err }
		s.write(t, "second")
		s.Start()
		s.expect(t, "twice", SettleTime+pace, "", "first")
		if s.readings < 2 || s.Status().Err != nil {
			t.Errorf("%v: %d readings, %+v", err, s.readings, s.Status())
		}
		s.c.Read = read
		s.expect(t, "then", pace, "changed", "second")
	}
}

func TestABrokenFileIsReadAgain(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		insist bool
		want   int
	}{"once it changes": {false, 1}, "at each look": {true, 10}} {
		s := newStand(t, func(config *Config[string, string]) { config.Insist = c.insist })
		s.Start()
		s.write(t, "broken")
		s.clock.Advance(time.Second)
		s.readings = 0
		if err := os.Chmod(s.path, 0o640); err != nil {
			t.Fatal(err)
		}
		s.clock.Advance(10 * pace)
		if changeTime(s.current.Load().Of[0]).IsZero() {
			t.Skip("changes of the mode can't be seen here")
		}
		if s.readings != c.want {
			t.Errorf("%s: %d readings in ten looks, want %d", what, s.readings, c.want)
		}
	}
}

func TestADoubtKeepsWhatServes(t *testing.T) {
	t.Parallel()
	errShort := errors.New("it is short")
	over := false
	s := newStand(t, func(c *Config[string, string]) {
		c.Doubt = func(serves, read *Reading[string], err error) error {
			if err == nil && len(read.Value) < len(serves.Value) && !over {
				return errShort
			}
			return err
		}
		c.Due = func(time.Time) bool { return over }
	})
	s.Start()
	s.write(t, "f")
	s.expect(t, "doubted", time.Second, "failing", "first")
	if got := strings.Join(s.closed, " "); got != "f" || !errors.Is(s.Status().Err, errShort) {
		t.Errorf("released: %s; %v", got, s.Status().Err)
	}
	s.expect(t, "still", time.Minute, "", "first")
	over = true
	s.expect(t, "no longer", pace, "recovered", "f")
	over = false
	s.write(t, "")
	if take, err := s.Reread(); err != nil {
		t.Error(err)
	} else {
		take()
	}
	s.expect(t, "whoever loads a config does not doubt", 0, "changed", "")
}

// On a file system that counts whole seconds a file of this moment may change and
// look the same.
func TestAFileOfThisMomentIsReadOnceMore(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		twice bool
		nanos int
		want  int
	}{"coarse": {true, 0, 1}, "fine": {true, 1e6, 0}, "not asked for": {false, 0, 0}} {
		s := newStand(t, nil)
		s.c.Twice = c.twice
		s.write(t, "second")
		at := s.clock.Now().Truncate(time.Second).Add(time.Duration(c.nanos))
		if err := os.Chtimes(s.path, at, at); err != nil {
			t.Fatal(err)
		}
		s.clock.Set(at.Add(SettleTime))
		s.Look()
		s.readings = 0
		s.Start()
		s.clock.Advance(time.Minute)
		if s.readings != c.want || s.Value() != "second" {
			t.Errorf("%s: read %d times more, want %d", what, s.readings, c.want)
		}
	}
}
