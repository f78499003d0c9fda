package reason_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/caddy-jwt/caddy-jwt/reason"
)

func TestBounded(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "", "short": "short", strings.Repeat("x", 200): strings.Repeat("x", 200), strings.Repeat("x", 201): strings.Repeat("x", 200) + "… (201 bytes)",
	} {
		if got := reason.Bounded(text); got != want {
			t.Errorf("%q", got)
		}
	}
	for n := range 8 {
		if got := reason.Bounded(strings.Repeat("x", n) + strings.Repeat("🔑", 100)); !utf8.ValidString(got) || len(got) > 230 {
			t.Errorf("%d: %q", n, got)
		}
	}
	if got := reason.Bounded(strings.Repeat("\x80", 300)); len(got) > 230 {
		t.Errorf("%d bytes", len(got))
	}
}

func TestWhen(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	for after, want := range map[time.Duration]string{
		0: ", now", 400 * time.Millisecond: "00.4Z, now", -time.Minute: "07:59:00Z, 60s ago", 5 * time.Minute: ", in 5m", -24 * time.Hour: ", 24h ago", 49 * time.Hour: ", in 2d1h",
	} {
		if got := reason.When(now.Add(after), now); !strings.HasPrefix(got, "2027-01-1") || !strings.HasSuffix(got, want) {
			t.Errorf("%s: %s", after, got)
		}
	}
}

func TestSpan(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0s", 60 * time.Second: "60s", 90 * time.Second: "90s", 1500 * time.Millisecond: "1.5s", 2 * time.Minute: "2m", 5*time.Minute + time.Second: "5m1s", 10 * time.Minute: "10m", time.Hour: "1h", 90 * time.Minute: "1h30m",
		10 * time.Hour: "10h", 47 * time.Hour: "47h", 48 * time.Hour: "2d", 73*time.Hour + time.Minute: "3d1h", time.Hour + time.Second: "1h0m1s",
	} {
		if got := reason.Span(d); got != want {
			t.Errorf("%s is %s, want %s", d, got, want)
		}
	}
}
