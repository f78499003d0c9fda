package shared

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"sync/atomic"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/keystore"
)

// Trusted are the keys of an issuer whose config names no place for them: those of a token
// service of the same config, which need no request, or those that its metadata leads to.
// Which of them is settled when all of the config is known.
type Trusted struct {
	services *Services
	issuer   string
	remote   *Remote
	settings Settings
	keys     atomic.Pointer[trustedKeys]
}

// trustedKeys are keys that verify.
type trustedKeys struct {
	keySet
	distrust func() // nil for keys that no signature makes doubtful
}

// keySet is validator.KeySet.
type keySet interface {
	Keys(ctx context.Context, kid string) ([]key.Key, error)
	Version(kid string, now time.Time) uint64
}

// Trusted returns the keys of an issuer that names no key source.
func (s *Sources) Trusted(iss string, settings Settings) (*Trusted, error) {
	remote, err := s.Remote(iss, settings)
	if err != nil {
		return nil, err
	}
	v := s.Services()
	t := &Trusted{services: v, issuer: iss, remote: remote, settings: settings}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.trusted = append(v.trusted, t)
	return t, nil
}

// settle makes the keys those of a service, or of the remote source if it is nil. Call with
// the lock of the services.
func (t *Trusted) settle(s *service) {
	if s == nil {
		t.keys.Store(&trustedKeys{t.remote, t.remote.Distrust})
		return
	}
	t.keys.Store(&trustedKeys{s.keys, nil})
	t.services.sources.trust(t, s.keys)
}

// current returns the keys that are settled. Before that it settles them.
func (t *Trusted) current() *trustedKeys {
	if k := t.keys.Load(); k != nil {
		return k
	}
	_ = t.services.Settle() // what is wrong elsewhere is an error of the Start
	return t.keys.Load()
}

// Keys implements validator.KeySet, as Version does.
func (t *Trusted) Keys(ctx context.Context, kid string) ([]key.Key, error) {
	return t.current().Keys(ctx, kid)
}

// Version returns the version of the keys.
func (t *Trusted) Version(kid string, now time.Time) uint64 { return t.current().Version(kid, now) }

// Distrust tells the keys that a signature is invalid.
func (t *Trusted) Distrust() {
	if k := t.current(); k.distrust != nil {
		k.distrust()
	}
}

// trust puts the keys of a service in the place of the remote source, which is given back
// before anything is fetched.
func (s *Sources) trust(t *Trusted, keys *Signing) {
	sum := sha256.Sum256([]byte("service\x00" + t.issuer))
	id := hex.EncodeToString(sum[:8])
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cleaned {
		return
	}
	if used, ok := s.sources[t.settings.id()]; ok && used.Source == Source(t.remote) {
		// Only issuers without a key source use it, as its settings name nothing but
		// the issuer, and they are all settled alike.
		delete(s.sources, used.ID)
		_ = t.remote.release(s)
	}
	if s.sources[id] == nil {
		s.use(&Used{ID: id, Kind: "service", Issuers: []string{t.issuer}, Source: serviceKeys{keys}})
	}
}

// serviceKeys are the keys of a token service of this config as a source of keys. They
// need neither to be started nor to be fetched.
type serviceKeys struct{ *Signing }

// Status describes the keys.
func (k serviceKeys) Status() keystore.Status {
	status := keystore.Status{State: "unavailable"}
	keys := k.SigningKeys()
	if keys == nil {
		return status
	}
	for _, signing := range keys.List(clock.System().Now()) {
		if signing.State == "retired" {
			continue
		}
		status.State = "fresh"
		status.Keys = append(status.Keys, keystore.KeyInfo{ID: signing.ID, Algorithm: signing.Algorithm.String(), Family: familyOf(signing.Algorithm)})
	}
	return status
}

// familyOf returns the kind of the keys that sign with an algorithm of the services.
func familyOf(a key.Algorithm) string {
	switch a {
	case key.ES256:
		return "P-256"
	case key.EdDSA:
		return "Ed25519"
	}
	return "RSA"
}

// Start does nothing, as the keys are those of the state.
func (serviceKeys) Start() {}

// Close does nothing.
func (serviceKeys) Close() {}
