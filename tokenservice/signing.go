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

// SigningUse is how a config uses signing keys: what a reload may change.
type SigningUse struct {
	SigningSettings
	// Private is the folder of the private keys, each an object of its own that is never
	// merged, healed or mirrored, and is deleted when its key signs no more.
	Private replica.Objects
	// Secrets encrypt private keys, if there are any: the first encrypts, all decrypt.
	Secrets [][]byte
	// MaxStale is for how long a node signs that can't read the storage.
	MaxStale time.Duration
}

// SigningConfig is the config of SigningKeys.
type SigningConfig struct {
	SigningUse
	// Name is the place of the set, such as jwt/default/signing-0123456789abcdef.
	Name string
	// Binding is where the set of public keys and times is kept.
	Binding replica.Binding
	// Observe is called for changes of state, nil for nobody.
	Observe func(replica.Event)
	// Rotated is called when this node has made a key, or learned of a change that another
	// made; nil for nobody. It is not called for what was there when the node started.
	Rotated func(KeyEvent)
	// CanForget reports whether this node's clock may be trusted with what has ended.
	// Default: it always is.
	CanForget func() bool
	// Clock is the time. Default: the clock of the process.
	Clock clock.Clock
}

// KeyEvent is a change of the signing keys, for logs and the audit log.
type KeyEvent struct {
	Issuer, KeyID string
	// Change is made, signs, retired, removed (its last token has expired), or unreadable
	// (this node can't read its private key).
	Change string
	// By and Node are who caused it, and where; empty for the time.
	By, Node string
	// Err is why a key is unreadable.
	Err error
}

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
	// Stored is false if what was retired is retired on this node only, for now.
	Stored bool
}
