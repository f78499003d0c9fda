package clock

import "time"

// Age returns how long before now a time was: by the clock that can be set or by the one that
// can't, whichever says more. By the first alone, what is too old would be in use again once
// the clock is set back; by the second alone, as by now.Sub(then), it would not grow old while
// the machine sleeps, for which that clock stands still.
func Age(now, then time.Time) time.Duration {
	return max(now.Sub(then), now.Round(0).Sub(then))
}
