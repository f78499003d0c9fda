// Command caddy is the Caddy that is measured: what ../../cmd/caddy is, and a
// handler that checks the signature of a token and nothing else, and a storage in Redis.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	// Everything that stock Caddy has.
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	// The jwt handler.
	_ "github.com/caddy-jwt/caddy-jwt"

	// The storage redis.
	_ "github.com/pberkel/caddy-storage-redis"
)

func main() {
	caddycmd.Main()
}
