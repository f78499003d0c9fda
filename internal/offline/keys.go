package offline

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/keystore"
)

// keys reads public keys: a key set, a JWK, or PEM.
func keys(text []byte) (*keystore.Set, error) {
	if bytes.Contains(text, []byte("-----BEGIN")) {
		parsed, err := key.ParsePEM(text)
		if err != nil {
			return nil, fmt.Errorf("--jwks: %w", err)
		}
		list := make([]key.Key, len(parsed))
		for i, k := range parsed {
			list[i] = k
		}
		return keystore.NewSet(list), nil
	}
	var jwk struct {
		Type string `json:"kty"`
	}
	if json.Unmarshal(text, &jwk) == nil && jwk.Type != "" {
		text = append(append([]byte(`{"keys":[`), text...), "]}"...)
	}
	set, err := keystore.ParseJWKS(text, keystore.JWKSOptions{MaxKeys: keystore.MostKeys})
	if err != nil {
		return nil, fmt.Errorf("--jwks: %w", err)
	}
	return set, nil
}
