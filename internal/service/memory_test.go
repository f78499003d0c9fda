package service

import (
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
)

// TestAServiceThatComesBackRemembers: what a service remembers outlives a config without it,
// so that no assertion is used twice, but not for ever.
func TestAServiceThatComesBackRemembers(t *testing.T) {
	t.Parallel()
	const issuer = "https://comes-back.example.com"
	c := clock.NewFake(time.Unix(1_800_000_000, 0))
	acquire := func() *Memory {
		t.Helper()
		m, err := acquireMemory(issuer)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	first := acquire()
	first.release(c)
	first.release(c) // does nothing
	c.Advance(rememberFor - time.Second)
	second := acquire()
	if second.Memory != first.Memory {
		t.Error("the memory was forgotten by a config without the service")
	}
	c.Advance(time.Minute) // the end of the first does not end the second
	third := acquire()
	if third.Memory != first.Memory {
		t.Error("the memory was forgotten while a config uses it")
	}
	second.release(c)
	third.release(c)
	c.Advance(rememberFor)
	last := acquire()
	defer last.release(c)
	if last.Memory == first.Memory {
		t.Error("a memory that nobody uses is kept for ever")
	}
}
