// Command caddy is the Caddy under test: what ../../../cmd/caddy is, the rate
// limiter that runs after jwt, and the cache that people put after it.
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
)

func main() {
	caddycmd.Main()
}
