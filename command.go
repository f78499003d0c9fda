package caddyjwt

import caddycmd "github.com/caddyserver/caddy/v2/cmd"

func init() {
	caddycmd.RegisterCommand(jwtCommand())
}
