package integration

import (
	"sync"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// keyring is made once: RSA keys are slow to make, and no test changes them.
type keyring struct {
	RS256, PS256, ES256, ES384, ES512, EdDSA, HS256 *peers.Key
	// Plain is an RSA key without an alg of its own.
	Plain *peers.Key
	// Stranger is an RSA key that no issuer publishes, under RS256's kid.
	Stranger *peers.Key
}

var (
	ringOnce sync.Once
	ring     keyring
)

func keys(t *testing.T) *keyring {
	t.Helper()
	ringOnce.Do(func() {
		ring = keyring{
			RS256:    peers.NewKey(t, "RS256", "rs256"),
			PS256:    peers.NewKey(t, "PS256", "ps256"),
			ES256:    peers.NewKey(t, "ES256", "es256"),
			ES384:    peers.NewKey(t, "ES384", "es384"),
			ES512:    peers.NewKey(t, "ES512", "es512"),
			EdDSA:    peers.NewKey(t, "EdDSA", "eddsa"),
			HS256:    peers.NewKey(t, "HS256", ""),
			Plain:    peers.NewKey(t, "RS256", "plain"),
			Stranger: peers.NewKey(t, "RS256", "rs256"),
		}
		ring.Plain.NoAlg = true
	})
	return &ring
}

// published are the keys of the ring that a key set may hold.
func (k *keyring) published() []any {
	return []any{k.RS256, k.PS256, k.ES256, k.ES384, k.ES512, k.EdDSA, k.Plain}
}
