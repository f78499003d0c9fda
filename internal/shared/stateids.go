package shared

import (
	"context"
	"time"

	"github.com/caddy-jwt/caddy-jwt/apikey"
)

// Name implements apikey.Stored.
func (k requestKeys) Name() string { return k.set.store }

// FindID implements apikey.Stored.
func (k requestKeys) FindID(id string, now time.Time) apikey.Standing {
	store := k.set.keys.Load()
	if store == nil {
		return apikey.StandingUnknown
	}
	return store.FindID(id, now)
}

// AwaitID implements apikey.Stored.
func (k requestKeys) AwaitID(ctx context.Context, id string) bool {
	store := k.set.keys.Load()
	return store != nil && k.set.look == nil && store.AwaitID(ctx, id)
}
