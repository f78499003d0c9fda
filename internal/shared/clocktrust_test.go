package shared

import (
	"testing"
	"time"
)

// A clock is doubted if it was set since the start, or differs from an issuer's.
func TestClockIsDoubted(t *testing.T) {
	t.Parallel()
	// The wall clock is moved, the monotonic one is not.
	setBy := func(d time.Duration) *trust {
		tr := newTrust()
		tr.start = time.Now()
		tr.wall = tr.wall.Add(-d)
		return tr
	}
	skewed := func(d time.Duration) *trust {
		tr := newTrust()
		tr.compared(d)
		return tr
	}
	for name, c := range map[string]struct {
		trust *trust
		doubt bool
	}{
		"as it was":              {newTrust(), false},
		"set by 50 s":            {setBy(50 * time.Second), false},
		"set by 2 days":          {setBy(48 * time.Hour), true},
		"set back by 2 min":      {setBy(-2 * time.Minute), true},
		"ahead by 4 min":         {skewed(-4 * time.Minute), false},
		"behind an issuer":       {skewed(6 * time.Minute), true},
		"ahead of an issuer":     {skewed(-48 * time.Hour), true},
		"as an issuer's is":      {skewed(0), false},
		"right again since then": {func() *trust { tr := skewed(time.Hour); tr.compared(time.Second); return tr }(), false},
	} {
		if got := c.trust.doubt(time.Now()) != 0; got != c.doubt {
			t.Errorf("%s: doubted %v", name, got)
		}
		if c.trust.canForgetAt(time.Now()) {
			t.Errorf("%s: it forgets in its first hour", name)
		}
		later := time.Now().Add(2 * time.Hour)
		if got := c.trust.canForgetAt(later); got == c.doubt {
			t.Errorf("%s: after two hours it forgets: %v", name, got)
		}
	}
}
