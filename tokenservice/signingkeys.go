package tokenservice

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/internal/replica"
	"github.com/caddy-jwt/caddy-jwt/key"
)

// Keys are the signing keys of an issuer, as the service and those that trust it use them.
// It is a validator.KeySet: only keys whose tokens are still accepted verify.
type Keys interface {
	// Keys and Version are those of validator.KeySet. An unknown kid brings one sync of
	// the shared state forward, within bounds, and waits for it; while it can't be known
	// whether the key is one of the issuer's, the error is key.ErrUnavailable.
	Keys(ctx context.Context, kid string) ([]key.Key, error)
	Version(kid string, now time.Time) uint64
	// Signer returns the key that signs now. The error is ErrKeysUnavailable. It may wait
	// a little for keys that are being loaded.
	Signer(ctx context.Context, now time.Time) (*key.Signer, error)
	// Published returns the public keys as a JWK Set (RFC 7517 section 5): those that sign,
	// those that will, and those whose tokens have not expired. The error is
	// ErrKeysUnavailable.
	Published(ctx context.Context, now time.Time) ([]byte, error)
}

// ErrKeysUnavailable: the signing keys are not known at present.
var ErrKeysUnavailable = errors.New("the signing keys are not available")

// SigningSettings are what a config says of the signing keys of an issuer.
type SigningSettings struct {
	// Issuer is the "iss" of the tokens.
	Issuer string
	// Algorithm is what new keys are for.
	Algorithm key.Algorithm
	// Rotate is how long a key signs.
	Rotate time.Duration
	// Lifetime is the longest life of a token, so that a key is published for that long,
	// and the leeway of clocks, after it has signed for the last time.
	Lifetime time.Duration
}

// PublishBefore is how long a key is published before it signs, unless it is the first of
// its issuer: longer than verifiers keep a key set.
const PublishBefore = 24 * time.Hour

// SigningConfig is the config of SigningKeys.
type SigningConfig struct {
	SigningSettings
	// Name is the place of the set, such as jwt/default/signing-0123456789abcdef.
	Name string
	// Binding is where the set of public keys and times is kept.
	Binding replica.Binding
	// Private is the folder of the private keys, each an object of its own that is never
	// merged, healed or mirrored, and is deleted when its key retires.
	Private replica.Objects
	// Observe is called for changes of state, nil for nobody.
	Observe func(replica.Event)
	// Rotated is called when this node has made a key, or learned of one; nil for nobody.
	Rotated func(KeyEvent)
	// Clock is the time. Default: the clock of the process.
	Clock clock.Clock
}

// KeyEvent is a change of the signing keys, for logs and the audit log.
type KeyEvent struct {
	Issuer, KeyID string
	// Change is made, signs, retired or removed.
	Change string
	// By and Node are who caused it, and where; empty for the time.
	By, Node string
}

// SigningKeys are the signing keys of one issuer on which the nodes of a cluster agree
// through a storage. It has the life of the other shared sets (Start, Close, Rebind, Sync,
// Accept, Ready, Freshness, Status).
type SigningKeys struct{ config SigningConfig }

// NewSigningKeys makes them. Nothing is read or written before Start.
func NewSigningKeys(c SigningConfig) *SigningKeys { return &SigningKeys{config: c} }

// SigningKey is a key as people see it.
type SigningKey struct {
	ID        string
	Algorithm key.Algorithm
	// State is next (published, not yet signing), signing, published (signs no more; its
	// tokens are still accepted) or retired (nothing that it signed is accepted).
	State string
	// Made, SignsFrom, SignsUntil and PublishedUntil are its times; zero for not known.
	Made, SignsFrom, SignsUntil, PublishedUntil time.Time
}

// RotateResult is what a rotation did.
type RotateResult struct {
	// Signing is the key that signs now, Next the one that will.
	Signing, Next SigningKey
	// Retired are the ids of the keys that are retired.
	Retired []string
	// Stored is false if what was retired holds on this node only, for now.
	Stored bool
}

// List returns the keys, the newest first.
func (k *SigningKeys) List(now time.Time) []SigningKey { return nil }

// Rotate has the next key sign as soon as it has been published for PublishBefore, which may
// be at once, and makes another one.
func (k *SigningKeys) Rotate(ctx context.Context, by, node string) (RotateResult, error) {
	return RotateResult{}, ErrKeysUnavailable
}

// RetireNow retires the key that signs and the next one, deletes their private keys, and
// makes one that signs at once. A token that they signed is refused from now on.
func (k *SigningKeys) RetireNow(ctx context.Context, by, node string) (RotateResult, error) {
	return RotateResult{}, ErrKeysUnavailable
}
