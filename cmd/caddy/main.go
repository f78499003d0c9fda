// Command caddy is stock Caddy with the jwt handler built in, for people who
// would rather not install xcaddy.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	// Everything that stock Caddy has.
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	// The jwt handler and its commands.
	_ "github.com/caddy-jwt/caddy-jwt"
)

func main() {
	caddycmd.Main()
}
