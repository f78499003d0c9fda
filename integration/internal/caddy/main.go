// Command caddy is the Caddy under test: what ../../../cmd/caddy is, the rate
// limiter that runs after jwt, the cache that people put after it, and a storage that
// several Caddys share.
package main

import (
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
)

func main() {
	caddycmd.Main()
}
