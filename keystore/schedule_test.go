package keystore

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

var noon = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

func TestLifetime(t *testing.T) {
	t.Parallel()
	at := func(d time.Duration) string { return noon.Add(d).Format(http.TimeFormat) }
	for name, c := range map[string]struct {
		header http.Header
		want   time.Duration
		ok     bool
	}{
		"nothing said":         {http.Header{}, 0, false},
		"other directives":     {http.Header{"Cache-Control": {"public, must-revalidate, s-maxage=9"}}, 0, false},
		"max-age":              {http.Header{"Cache-Control": {"public,max-age=300"}}, 5 * time.Minute, true},
		"any case, quoted":     {http.Header{"Cache-Control": {`Max-Age="300"`}}, 5 * time.Minute, true},
		"in a second line":     {http.Header{"Cache-Control": {"public", "max-age=300"}}, 5 * time.Minute, true},
		"no-store beside it":   {http.Header{"Cache-Control": {"max-age=300, no-store"}}, 0, true},
		"no-cache":             {http.Header{"Cache-Control": {"no-cache"}}, 0, true},
		"Age":                  {http.Header{"Cache-Control": {"max-age=300"}, "Age": {"100"}}, 200 * time.Second, true},
		"Age above":            {http.Header{"Cache-Control": {"max-age=300"}, "Age": {"400"}}, 0, true},
		"an Age that is none":  {http.Header{"Cache-Control": {"max-age=300"}, "Age": {"-5"}}, 5 * time.Minute, true},
		"max-age beyond int31": {http.Header{"Cache-Control": {"max-age=99999999999999999999"}}, 0, true},
		"max-age negative":     {http.Header{"Cache-Control": {"max-age=-1"}}, 0, true},
		"Expires":              {http.Header{"Expires": {at(time.Hour)}}, time.Hour, true},
		"Expires by its Date":  {http.Header{"Expires": {at(time.Hour)}, "Date": {at(30 * time.Minute)}}, 30 * time.Minute, true},
		"Expires past":         {http.Header{"Expires": {at(-time.Hour)}}, 0, true},
		"Expires 0":            {http.Header{"Expires": {"0"}}, 0, true},
		"max-age goes before":  {http.Header{"Expires": {at(time.Hour)}, "Cache-Control": {"max-age=300"}}, 5 * time.Minute, true},
	} {
		if got, ok := lifetime(c.header, noon); got != c.want || ok != c.ok {
			t.Errorf("%s: %s %v, want %s %v", name, got, ok, c.want, c.ok)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-7": 0, "x": 0, "1e9": 0, "99999999999999999999": 0,
		noon.Add(time.Minute).Format(http.TimeFormat):  time.Minute,
		noon.Add(-time.Minute).Format(http.TimeFormat): 0,
	} {
		if got := retryAfter(http.Header{"Retry-After": {value}}, noon); got != want {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
	}
}

func TestPausesKeepTheirLimits(t *testing.T) {
	t.Parallel()
	for range 1000 {
		for _, lifetime := range []time.Duration{0, 1, time.Second, time.Minute, 61 * time.Second, time.Hour, 1 << 62} {
			if d := refreshAfter(lifetime, time.Hour); d < minRefresh || d > time.Hour || (lifetime > minRefresh && d > lifetime) {
				t.Fatalf("refresh after %s for %s", d, lifetime)
			}
			if d := refreshAfter(lifetime, 10*time.Second); d != 10*time.Second {
				t.Fatalf("refresh after %s where the interval is ten seconds", d)
			}
		}
		for failures := range 100 {
			for _, asked := range []time.Duration{0, time.Second, time.Minute, 1 << 62} {
				if d := backoff(failures, asked, true); d < 0 || d > maxBackoff || d < min(asked, maxBackoff) {
					t.Fatalf("pause %s after %d failures", d, failures)
				}
				if d := backoff(failures, asked, false); d < 0 || d > maxBackoffEmpty {
					t.Fatalf("pause %s after %d failures without a set", d, failures)
				}
			}
		}
	}
}

func TestBucket(t *testing.T) {
	t.Parallel()
	b := newBucket()
	take := func(n int, at time.Duration) (taken int) {
		for range n {
			if b.take(noon.Add(at)) {
				taken++
			}
		}
		return taken
	}
	for i, c := range []struct {
		at   time.Duration
		want int
	}{
		{0, 5},
		{9 * time.Second, 0},
		{10 * time.Second, 1},
		{19 * time.Second, 0},
		{35 * time.Second, 2},
		{39 * time.Second, 0},
		{40 * time.Second, 1},
		{time.Hour, 5},
		{0, 0},                // the clock is set back
		{10 * time.Second, 1}, // and goes on from there
	} {
		if got := take(100, c.at); got != c.want {
			t.Errorf("row %d, at %s: %d taken, want %d", i, c.at, got, c.want)
		}
	}
}

func TestMissesAreBoundedInTimeAndSpace(t *testing.T) {
	t.Parallel()
	var m misses
	if m.has("a", noon) {
		t.Error("nothing was added")
	}
	for i := range 10 * maxMisses {
		m.add(fmt.Sprint(i), false, noon)
	}
	if len(m.until) != maxMisses {
		t.Errorf("%d are kept", len(m.until))
	}
	if !m.has("0", noon) || m.has("a", noon) || m.has(fmt.Sprint(9*maxMisses), noon) {
		t.Error("has")
	}
	if m.has("0", noon.Add(missWindow)) || m.has("0", noon.Add(-time.Second)) {
		t.Error("the window is over, or the clock was set back")
	}
	m.add("late", false, noon.Add(missWindow))
	if !m.has("late", noon.Add(missWindow)) || len(m.until) != 1 {
		t.Errorf("%d are kept after the window", len(m.until))
	}
	m.add("gone", true, noon.Add(missWindow))
	m.add("gone", false, noon.Add(missWindow)) // looked for meanwhile
	m.forget(noon.Add(missWindow))
	if m.has("late", noon.Add(missWindow)) {
		t.Error("not forgotten")
	}
	if !m.has("gone", noon.Add(missWindow)) {
		t.Error("the one that went with a set was forgotten")
	}
	// Once that is over it is one as any other.
	m.add("gone", false, noon.Add(2*missWindow))
	m.forget(noon.Add(2 * missWindow))
	if m.has("gone", noon.Add(2*missWindow)) || m.until != nil {
		t.Error("what went long ago is not forgotten")
	}
	m.add("gone", true, noon)
	if m.forget(noon.Add(-time.Hour)); m.until != nil {
		t.Error("what is of before the clock was set back is not forgotten")
	}
}
