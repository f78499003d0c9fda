package command

import (
	"context"
	"github.com/caddy-jwt/caddy-jwt/internal/admin"
)

type configIssuer struct{}
type offlineApp struct{ admin.App }

func (*offlineApp) close(context.Context) {}
func openOffline(ctx context.Context, c *stateConfig, set string) (*offlineApp, error) {
	return nil, nil
}
