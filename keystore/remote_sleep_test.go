package keystore

import (
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
)

// A key set grows old while the machine sleeps, though one of its clocks stands still.
func TestRemoteAfterASleep(t *testing.T) {
	t.Parallel()
	r := remote(t, &host{answer: resets}, func(c *RemoteConfig) { c.MaxStale = 3 * time.Hour })
	r.Start()
	if !r.Seed(must(ParseJWKS(ec("a"), JWKSOptions{})), time.Now()) {
		t.Fatal("the seed is not used")
	}
	if v := r.Version("a", clock.AfterSleep(time.Hour)); v == 0 {
		t.Error("after an hour it is not in use")
	}
	if v := r.Version("a", clock.AfterSleep(48*time.Hour)); v != 0 {
		t.Error("after two days it is still in use")
	}
}
