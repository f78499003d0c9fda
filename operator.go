package caddyjwt

import (
	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/caddy-jwt/caddy-jwt/internal/admin"
	"github.com/caddy-jwt/caddy-jwt/internal/command"
)

func init() {
	caddy.RegisterModule(adminAPI{})
	caddycmd.RegisterCommand(command.New(explainOffline))
}

// adminAPI serves /jwt/ on Caddy's admin endpoint, which has access control of its
// own.
type adminAPI struct{}

// CaddyModule returns the module's information.
func (adminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.jwt",
		New: func() caddy.Module { return new(adminAPI) },
	}
}

// Routes implements caddy.AdminRouter.
func (adminAPI) Routes() []caddy.AdminRoute {
	return admin.Routes()
}

var _ caddy.AdminRouter = adminAPI{}
