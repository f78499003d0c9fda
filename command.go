package caddyjwt

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/caddy-jwt/caddy-jwt/internal/command"
)

func init() {
	caddycmd.RegisterCommand(command.New())
}
