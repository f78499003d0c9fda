package command

import (
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-jwt/caddy-jwt/apikey"
)

// parseEnd parses a time to come: RFC 3339, or a duration from now. Empty is none.
func parseEnd(text string, now time.Time) (time.Time, error) {
	if text == "now" {
		return time.Time{}, withHint(errors.New("now is not in the future"), "write a later time, or a duration such as 24h")
	}
	return parseExpiry(text, now)
}

// parseNotBefore parses the time before which what is refused was issued: now, RFC 3339, or
// how long ago. Empty is none.
func parseNotBefore(text string, now time.Time) (time.Time, error) {
	switch text {
	case "":
		return time.Time{}, nil
	case "now":
		return now.UTC(), nil
	}
	d, err := caddy.ParseDuration(text)
	if err != nil {
		t, err := apikey.ParseTime(text)
		if err != nil {
			return t, fmt.Errorf("%w, now, or how long ago, such as 24h", err)
		}
		return t.UTC(), nil
	}
	if d < 0 {
		return time.Time{}, withHint(fmt.Errorf("%s is in the future", text), "write how long ago without a sign, such as 24h")
	}
	return now.Add(-d).UTC(), nil
}

// parseSpan parses a duration that is not negative. Empty is 0.
func parseSpan(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := caddy.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%s is not a valid duration; write one such as 30s, 24h or 90d", apikey.Quote(text))
	}
	return d, nil
}

// shownTime is a time as people read it, "-" for none.
func shownTime(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}
