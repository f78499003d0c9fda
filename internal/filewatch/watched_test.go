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

const interval = 200 * time.Millisecond

// fixture is a text that is read from a file, with the events reported of it.
type fixture struct {
	Watched[string, string]
	path     string
	clock    *clock.Fake
	readings int
	events   []string
	closed   []string // the texts whose reading was released
}

var errBroken = errors.New("it is broken")

func newFixture(t *testing.T, change func(*Config[string, string])) *fixture {
	t.Helper()
	s := &fixture{path: filepath.Join(t.TempDir(), "text"), clock: clock.NewFake(time.Now())}
	s.write(t, "first")
	c := Config[string, string]{Paths: []string{s.path}, Interval: interval, Clock: s.clock, Read: s.read, Take: s.take, Fail: s.fail}
	if change != nil {
		change(&c)
	}
	if err := s.Open(c); err != nil {
		t.Fatal(err)
	}
	s.Observe(func(e string) { s.events = append(s.events, e) })
	return s
}

func (s *fixture) write(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(s.path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.date(t, s.clock.Now())
}

// date sets the times of the file, and avoids times that are taken for coarse ones.
func (s *fixture) date(t *testing.T, at time.Time) {
	t.Helper()
	if at.Nanosecond() == 0 {
		at = at.Add(1)
	}
	if err := os.Chtimes(s.path, at, at); err != nil {
		t.Fatal(err)
	}
}

func (s *fixture) read() (r Reading[string], err error) {
	s.readings++
	if r.State, err = Stat([]string{s.path}); err != nil {
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

func (s *fixture) take(current, read *Reading[string], recovered bool) (string, bool) {
	if recovered {
		return "recovered", true
	}
	return "changed", current.Value != read.Value
}

func (s *fixture) fail(current *Reading[string], at time.Time, err error) string { return "failing" }

// expect advances the clock and checks the events meanwhile and the value then.
func (s *fixture) expect(t *testing.T, what string, after time.Duration, events, value string) {
	t.Helper()
	s.clock.Advance(after)
	if got := strings.Join(s.events, " "); got != events || s.Value() != value {
		t.Errorf("%s: events %q and value %q, want %q and %q", what, got, s.Value(), events, value)
	}
	s.events = nil
}

func TestTheLifeOfAWatchedFile(t *testing.T) {
	t.Parallel()
	s := newFixture(t, nil)
	s.Start()
	s.Start()
	s.expect(t, "left alone", time.Minute, "", "first")
	if s.readings != 1 {
		t.Errorf("an unchanged file was read %d times", s.readings)
	}
	s.write(t, "second")
	s.expect(t, "just written", SettleTime-time.Millisecond, "", "first")
	s.expect(t, "left alone", interval, "changed", "second")
	s.write(t, "broken")
	s.expect(t, "broken", time.Second, "failing", "second")
	s.expect(t, "still: reported once", time.Minute, "", "second")
	if got := s.Status(); !errors.Is(got.Err, errBroken) || got.Failures != 1 || got.Current.Value != "second" || got.ErrAt.IsZero() {
		t.Errorf("%+v", got)
	}
	if err := os.Remove(s.path); err != nil {
		t.Fatal(err)
	}
	s.expect(t, "gone, which is another fault", time.Second, "failing", "second")
	s.write(t, "third")
	s.expect(t, "repaired", time.Second, "recovered", "third")
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
	s := newFixture(t, nil)
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

func TestAFileThatNeverSettles(t *testing.T) {
	t.Parallel()
	for what, row := range map[string]struct {
		maxWait time.Duration
		want    string
	}{"is waited for": {0, "first"}, "is read in the end": {5 * time.Second, "second"}} {
		s := newFixture(t, func(c *Config[string, string]) { c.MaxWait = row.maxWait })
		s.Start()
		for range 40 {
			s.write(t, "second")
			s.clock.Advance(interval)
		}
		if got := s.Value(); got != row.want {
			t.Errorf("%s: %s is in force", what, got)
		}
	}
}

// A file that is written between a poll and its reading has not settled: it may be the
// first half of a new one, which must neither count nor be reported.
func TestAFileThatIsWrittenBeforeItIsRead(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(*fixture){
		"one that was gone":    func(s *fixture) { _ = os.Remove(s.path) },
		"one that had settled": func(s *fixture) { s.write(t, "second") },
	} {
		for _, half := range []string{"thi", "broken"} {
			s := newFixture(t, nil)
			change(s)
			s.clock.Advance(SettleTime)
			s.c.Read = func() (Reading[string], error) {
				s.write(t, half)
				s.c.Read = s.read
				return s.read()
			}
			s.Look()
			s.expect(t, what+", half written: "+half, 0, "", "first")
			s.write(t, "third")
			s.Start()
			s.expect(t, what+", whole", SettleTime+interval, "changed", "third")
			if got := strings.Join(s.closed, " "); got != strings.TrimPrefix(half+" first", "broken ") {
				t.Errorf("%s: released: %s", what, got)
			}
		}
	}
}

func TestErrorsThatChangeNothing(t *testing.T) {
	t.Parallel()
	for _, err := range []error{ErrChanging, ErrSame} {
		s := newFixture(t, nil)
		read := s.c.Read
		s.c.Read = func() (Reading[string], error) { s.readings++; return Reading[string]{}, err }
		s.write(t, "second")
		s.Start()
		s.expect(t, "twice", SettleTime+interval, "", "first")
		if s.readings < 2 || s.Status().Err != nil {
			t.Errorf("%v: %d readings, %+v", err, s.readings, s.Status())
		}
		s.c.Read = read
		s.expect(t, "then", interval, "changed", "second")
	}
}

func TestABrokenFileIsReadAgain(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		retry bool
		want  int
	}{"once it changes": {false, 1}, "at each look": {true, 10}} {
		s := newFixture(t, func(config *Config[string, string]) { config.RetryBroken = c.retry })
		s.Start()
		s.write(t, "broken")
		s.clock.Advance(time.Second)
		s.readings = 0
		if err := os.Chmod(s.path, 0o640); err != nil {
			t.Fatal(err)
		}
		s.clock.Advance(10 * interval)
		if changeTime(s.current.Load().State[0]).IsZero() {
			const reason = "changes of the mode can't be seen here"
			if os.Getenv("CI") == "true" {
				t.Fatal(reason)
			}
			t.Skip(reason)
		}
		if s.readings != c.want {
			t.Errorf("%s: %d readings in ten looks, want %d", what, s.readings, c.want)
		}
	}
}

func TestAReviewKeepsTheCurrentValue(t *testing.T) {
	t.Parallel()
	errShort := errors.New("it is short")
	over := false
	s := newFixture(t, func(c *Config[string, string]) {
		c.Review = func(current, read *Reading[string], err error) error {
			if err == nil && len(read.Value) < len(current.Value) && !over {
				return errShort
			}
			return err
		}
		c.ReviewDue = func(time.Time) bool { return over }
	})
	s.Start()
	s.write(t, "f")
	s.expect(t, "rejected", time.Second, "failing", "first")
	if got := strings.Join(s.closed, " "); got != "f" || !errors.Is(s.Status().Err, errShort) {
		t.Errorf("released: %s; %v", got, s.Status().Err)
	}
	s.expect(t, "still", time.Minute, "", "first")
	over = true
	s.expect(t, "no longer", interval, "recovered", "f")
	over = false
	s.write(t, "")
	if take, err := s.Reread(); err != nil {
		t.Error(err)
	} else {
		take()
	}
	s.expect(t, "anyone who loads a config asks no review", 0, "changed", "")
}

// On a file system that counts whole seconds a file that was just written may change
// and look the same.
func TestAJustWrittenFileIsReadOnceMore(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		reread bool
		nanos  int
		want   int
	}{"coarse": {true, 0, 1}, "fine": {true, 1e6, 0}, "not asked for": {false, 0, 0}} {
		s := newFixture(t, nil)
		s.c.RereadUncertain = c.reread
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
