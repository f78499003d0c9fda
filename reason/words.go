package reason

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// longestSeen is how much of a stranger's text a check shows, in bytes.
const longestSeen = 200

// Bounded returns a text of at most some 200 bytes: a longer one is cut, and says how long
// it was. What it returns may have control characters all the same.
func Bounded(text string) string {
	if len(text) <= longestSeen {
		return text
	}
	cut := longestSeen
	for cut > longestSeen-utf8.UTFMax && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return fmt.Sprintf("%s… (%d bytes)", text[:cut], len(text))
}

// When returns a time as people read it: in RFC 3339, and how long ago or ahead of now.
func When(t, now time.Time) string {
	text := t.UTC().Format(time.RFC3339Nano)
	switch d := t.Sub(now).Round(time.Second); {
	case d > 0:
		return text + ", in " + Span(d)
	case d < 0:
		return text + ", " + Span(-d) + " ago"
	}
	return text + ", now"
}

// Span returns a duration as a Caddyfile has it and as people read it: 90s, 5m, 1h30m, 3d4h.
// From two days on it has no minutes.
func Span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < 2*time.Minute || d%time.Second != 0 && d < 2*day:
		if d%time.Second == 0 {
			return fmt.Sprintf("%ds", d/time.Second)
		}
		return d.String()
	case d < 2*day:
		text := strings.TrimSuffix(d.String(), "m0s")
		if len(text) < len(d.String()) {
			text += "m"
		}
		if hours, ok := strings.CutSuffix(text, "h0m"); ok {
			return hours + "h"
		}
		return text
	}
	text := fmt.Sprintf("%dd", d/day)
	if hours := d % day / time.Hour; hours > 0 {
		text += fmt.Sprintf("%dh", hours)
	}
	return text
}
