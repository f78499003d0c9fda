package offline

import (
	"fmt"

	"github.com/caddy-jwt/caddy-jwt/internal/recognize"
	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/keystore"
)

// keys reads public keys: a key set, a JWK, or PEM.
func keys(text []byte) (*keystore.Set, error) {
	public, err := recognize.PublicKeys(text)
	if err != nil {
		return nil, fmt.Errorf("--jwks: %w", err)
	}
	list := make([]key.Key, len(public))
	for i, k := range public {
		list[i] = k
	}
	return keystore.NewSet(list), nil
}
