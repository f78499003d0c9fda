package keystore

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The limits on the time between fetches.
const (
	// minRefresh keeps a source whose answers may not be cached at all from
	// being asked more often than this.
	minRefresh = time.Minute
	// firstBackoff doubles with every failure in a row.
	firstBackoff = time.Second
	// maxBackoff is the longest pause between attempts while a good set is in
	// use, so that no request is affected.
	maxBackoff = 5 * time.Minute
	// maxBackoffEmpty is the longest while there is none and every request is
	// refused: once the source is back, requests pass within this time.
	maxBackoffEmpty = 5 * time.Second
)

// lifetime returns how long an answer stays fresh by its own headers (RFC 9111
// sections 4.2.1 and 5.2.2), or ok = false if they do not say.
func lifetime(h http.Header, now time.Time) (d time.Duration, ok bool) {
	if control := h.Values("Cache-Control"); len(control) > 0 {
		for directive := range strings.SplitSeq(strings.Join(control, ","), ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
			switch strings.ToLower(name) {
			case "no-store", "no-cache":
				return 0, true
			case "max-age":
				seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
				if err != nil { // stale, as section 4.2.1 demands
					return 0, true
				}
				d, ok = time.Duration(seconds)*time.Second, true
			}
		}
	}
	if ok {
		// A cache on the way may have held the answer for some of that time.
		if age, err := strconv.ParseUint(h.Get("Age"), 10, 31); err == nil {
			d -= time.Duration(age) * time.Second
		}
		return max(d, 0), true
	}
	if expires := h.Get("Expires"); expires != "" {
		at, err := http.ParseTime(expires)
		if err != nil { // "0" and the like mean: already stale
			return 0, true
		}
		if date, err := http.ParseTime(h.Get("Date")); err == nil {
			now = date // the server's clock on both sides
		}
		return max(at.Sub(now), 0), true
	}
	return 0, false
}

// refreshAfter returns the time until the next fetch for an answer's lifetime:
// before its end, never longer than interval, never shorter than minRefresh
// (or interval, should that be shorter).
func refreshAfter(lifetime, interval time.Duration) time.Duration {
	floor := min(minRefresh, interval)
	return max(jitter(min(max(lifetime, floor), interval)), floor)
}

// backoff returns the pause after a number of failures in a row. retryAfter is what
// the source asked for (RFC 9110 section 10.2.3), zero if nothing; it
// lengthens the pause within the same limit.
func backoff(failures int, retryAfter time.Duration, serving bool) time.Duration {
	limit := maxBackoffEmpty
	if serving {
		limit = maxBackoff
	}
	d := limit
	if shift := failures - 1; shift < 10 { // 1 s << 10 is above either limit
		d = min(firstBackoff<<max(shift, 0), limit)
	}
	d = jitter(d)
	return max(d, min(retryAfter, limit))
}

// jitter shortens d by up to a tenth, so that the fetches of many sources, or of many
// servers with one source, spread out without exceeding a limit.
func jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return d - time.Duration(rand.Int64N(int64(d/10)+1)) //nolint:gosec // not a secret
}

// retryAfter reads the Retry-After of a 429 or 503: seconds or a date.
func retryAfter(h http.Header, now time.Time) time.Duration {
	value := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

// compareClocks reports how far the server's clock is ahead, for an answer that comes from
// the server itself: one from a cache on the way has an old Date (RFC 9110 section 6.6.1).
func (c *client) compareClocks(h http.Header) {
	if c.Skew == nil || h.Get("Age") != "" {
		return
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		c.Skew(date.Sub(c.Clock.Now()).Round(time.Second))
	}
}
