package clock

import (
	"slices"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func TestAFakeRunsTimersAtTheirTime(t *testing.T) {
	t.Parallel()
	c := NewFake(noon)
	var ran []time.Duration
	note := func() { ran = append(ran, c.Now().Sub(noon)) }
	c.AfterFunc(3*time.Second, note)
	c.AfterFunc(time.Second, func() {
		note()
		c.AfterFunc(time.Second, note)
		c.AfterFunc(time.Hour, note)
	})
	stop := c.AfterFunc(time.Second, note)
	if !stop() || stop() {
		t.Error("a timer is stopped once")
	}
	for _, step := range []struct {
		by   time.Duration
		want []time.Duration
	}{
		{time.Second - 1, nil},
		{1, []time.Duration{time.Second}},
		{10 * time.Second, []time.Duration{2 * time.Second, 3 * time.Second}},
	} {
		ran = nil
		if c.Advance(step.by); !slices.Equal(ran, step.want) {
			t.Errorf("after %s more: run at %v, want %v", step.by, ran, step.want)
		}
	}
	if got := c.Now().Sub(noon); got != 11*time.Second {
		t.Errorf("it shows %s", got)
	}
	if c.Set(noon); !c.Now().Equal(noon) {
		t.Error("it can't be set back")
	}
}

func TestTheRealClockRunsTimers(t *testing.T) {
	t.Parallel()
	ran := make(chan struct{})
	Real{}.AfterFunc(time.Millisecond, func() { close(ran) })
	<-ran
	if stop := (Real{}).AfterFunc(time.Hour, func() { t.Error("it ran") }); !stop() {
		t.Error("an hour has passed")
	}
	if d := time.Since(Real{}.Now()); d < 0 || d > time.Minute {
		t.Errorf("it is %s late", d)
	}
}

func TestTheClockOfTheProcess(t *testing.T) { // not parallel: the clock is everybody's
	if System() != (Real{}) {
		t.Error("another clock than the real one")
	}
	fake := NewFake(noon)
	Set(fake)
	defer Set(Real{})
	if System() != fake {
		t.Error("it is not set")
	}
}

// What was long ago is so even if one of the two clocks says otherwise.
func TestAge(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, c := range map[string]struct {
		now, then time.Time
		least     time.Duration
	}{
		"a minute":                 {now, now.Add(-time.Minute), time.Minute},
		"with a sleep of two days": {AfterSleep(48 * time.Hour), now, 48 * time.Hour},
		"read from a file":         {now, now.Add(-time.Hour).Round(0), time.Hour},
		"no time":                  {now, now, 0},
	} {
		if age := Age(c.now, c.then); age < c.least || age > c.least+time.Hour {
			t.Errorf("%s: %v", name, age)
		}
	}
	// The clock was set back by two days, three hours ago.
	setBack := AfterSleep(-48 * time.Hour).Add(3 * time.Hour)
	if age := Age(setBack, now); age < 3*time.Hour || age > 4*time.Hour {
		t.Errorf("after the clock was set back: %v", age)
	}
}
