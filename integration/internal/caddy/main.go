// Command caddy is the Caddy under test: what ../../../cmd/caddy is, the rate
// limiter that runs after jwt, the cache that people put after it, and a storage that
// several Caddys share. Its clock can be ahead of the machine's.
package main

import (
	"os"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	// Everything that stock Caddy has.
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	// The jwt handler and its commands.
	_ "github.com/caddy-jwt/caddy-jwt"

	// The handler cache.
	_ "github.com/caddyserver/cache-handler"

	// The handler rate_limit.
	_ "github.com/mholt/caddy-ratelimit"

	// The storage redis.
	_ "github.com/pberkel/caddy-storage-redis"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
)

// aheadClock is ahead of the machine's clock, so that a test need not wait for hours.
type aheadClock struct {
	clock.Real
	by time.Duration
}

// Now returns the time.
func (c aheadClock) Now() time.Time { return c.Real.Now().Add(c.by) }

func main() {
	// Of this binary alone; what people get has no such variable.
	if by, err := time.ParseDuration(os.Getenv("TEST_CLOCK_AHEAD")); err == nil {
		clock.Set(aheadClock{by: by})
	}
	caddycmd.Main()
}
