package shared

import (
	"context"
	"time"

	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/tokenservice"
)

// Signing are the signing keys of an issuer as one config uses them. Until the first Start
// they are unavailable.
type Signing struct {
	state    *State
	settings tokenservice.SigningSettings
}

var _ tokenservice.Keys = (*Signing)(nil)

// AddSigning adds the signing keys of an issuer to the state of a config that has not
// started. The same issuer again is an error.
func (st *State) AddSigning(settings tokenservice.SigningSettings) (*Signing, error) {
	return &Signing{st, settings}, nil
}

// Signing returns the signing keys of the config, by issuer.
func (st *State) Signing() map[string]*Signing { return nil }

// SigningKeys returns the keys, or nil before the first Start.
func (s *Signing) SigningKeys() *tokenservice.SigningKeys { return nil }

// Keys implements tokenservice.Keys, as the methods below do.
func (s *Signing) Keys(context.Context, string) ([]key.Key, error) { return nil, key.ErrUnavailable }

// Version implements tokenservice.Keys.
func (s *Signing) Version(string, time.Time) uint64 { return 0 }

// Signer implements tokenservice.Keys.
func (s *Signing) Signer(context.Context, time.Time) (*key.Signer, error) {
	return nil, tokenservice.ErrKeysUnavailable
}

// Published implements tokenservice.Keys.
func (s *Signing) Published(context.Context, time.Time) ([]byte, error) {
	return nil, tokenservice.ErrKeysUnavailable
}
