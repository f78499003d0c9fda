//go:build s3

// Command caddys3 is a Caddy with the plugin and a storage in S3, to see that the two can
// be built together: `go vet -tags s3 ./internal/caddys3`. No test runs it, as there is no
// S3 here.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddyserver/caddy/v2/modules/standard"
	_ "github.com/techknowlogick/certmagic-s3"

	_ "github.com/caddy-jwt/caddy-jwt"
)

func main() {
	caddycmd.Main()
}
