package tokenservice

import (
	"testing"
	"time"
)

func TestNextRotation(t *testing.T) {
	t.Parallel()
	at := func(hour int) time.Time { return time.Date(2026, 3, 4, hour, 0, 0, 0, time.UTC) }
	for name, c := range map[string]struct {
		keys []SigningKey
		want time.Time
	}{
		"none":               {nil, time.Time{}},
		"no next key":        {[]SigningKey{{State: "signing", SignsUntil: at(3)}}, at(3)},
		"the next key":       {[]SigningKey{{State: "next", SignsFrom: at(4)}, {State: "signing", SignsUntil: at(3)}}, at(4)},
		"two next keys":      {[]SigningKey{{State: "next", SignsFrom: at(6)}, {State: "next", SignsFrom: at(5)}, {State: "signing"}}, at(5)},
		"a next key unknown": {[]SigningKey{{State: "next"}, {State: "signing", SignsUntil: at(3)}}, at(3)},
		"others":             {[]SigningKey{{State: "published", SignsFrom: at(1), SignsUntil: at(2)}, {State: "retired", SignsUntil: at(1)}}, time.Time{}},
	} {
		if got := NextRotation(c.keys); !got.Equal(c.want) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
