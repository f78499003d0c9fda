// Command caddy is the Caddy that is measured: what ../../cmd/caddy is, and a
// handler that checks the signature of a token and nothing else.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	// Everything that stock Caddy has.
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	// The jwt handler.
	_ "github.com/caddy-jwt/caddy-jwt"
)

func main() {
	caddycmd.Main()
}
