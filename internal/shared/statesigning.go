package shared

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/internal/replica"
	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/tokenservice"
)

// Signing are the signing keys of an issuer as one config uses them. Until the first Start
// they are unavailable.
type Signing struct {
	state    *State
	set      *stateSet
	settings tokenservice.SigningSettings
}

var _ tokenservice.Keys = (*Signing)(nil)

// SigningPlace returns the place of the set of an issuer's signing keys in the storage: of
// the public keys and their times.
func SigningPlace(cluster, issuer string) string {
	return path.Join("jwt", cluster, "signing-"+issuerName(issuer))
}

// PrivateKeysPlace returns the place of the private keys of an issuer in the storage.
func PrivateKeysPlace(cluster, issuer string) string {
	return path.Join("jwt", cluster, "private-"+issuerName(issuer))
}

// issuerName is what stands for an issuer in the storage, where a URL can't be part of a
// name.
func issuerName(issuer string) string {
	sum := sha256.Sum256([]byte(issuer))
	return hex.EncodeToString(sum[:8])
}

// AddSigning adds the signing keys of an issuer to the state of a config that has not
// started. The same issuer again is an error.
func (st *State) AddSigning(settings tokenservice.SigningSettings) (*Signing, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.started || st.released {
		return nil, errors.New("signing keys were added after the start")
	}
	all := st.Signing()
	if all[settings.Issuer] != nil {
		return nil, fmt.Errorf("there are two token services with the issuer %s; give each an issuer of its own", settings.Issuer)
	}
	set, err := st.acquire(setOf{place: SigningPlace(st.Cluster, settings.Issuer), issuer: settings.Issuer})
	if err != nil {
		return nil, err
	}
	next := maps.Clone(all)
	if next == nil {
		next = map[string]*Signing{}
	}
	next[settings.Issuer] = &Signing{st, set, settings}
	st.signing.Store(&next)
	return next[settings.Issuer], nil
}

// Signing returns the signing keys of the config, by issuer. The map must not be changed.
func (st *State) Signing() map[string]*Signing {
	if all := st.signing.Load(); all != nil {
		return *all
	}
	return nil
}

// signingSets returns the sets of signing keys in the order of their issuers.
func (st *State) signingSets() []*stateSet {
	all := st.Signing()
	list := make([]*stateSet, 0, len(all))
	for _, issuer := range slices.Sorted(maps.Keys(all)) {
		list = append(list, all[issuer].set)
	}
	return list
}

// use is how this config uses the signing keys of an issuer.
func (st *State) use(issuer string) tokenservice.SigningUse {
	return tokenservice.SigningUse{
		SigningSettings: st.Signing()[issuer].settings,
		Private:         st.privateKeys(issuer),
		Secrets:         st.Keys,
		MaxStale:        st.MaxStale,
	}
}

// privateKeys is the folder of the private keys of an issuer.
func (st *State) privateKeys(issuer string) replica.Objects {
	folder := replica.Folder(st.storage, PrivateKeysPlace(st.Cluster, issuer))
	if st.look != nil {
		return replica.ReadOnly(folder)
	}
	return folder
}

// bindSigning makes the keys of the first config that uses the set.
func (s *stateSet) bindSigning(st *State) {
	keys := tokenservice.NewSigningKeys(tokenservice.SigningConfig{
		SigningUse: st.use(s.issuer), Name: s.place, Binding: st.binding(s.place), Observe: s.observe,
		Rotated: s.rotated, CanForget: clockTrust.canForget,
	})
	s.signing.Store(keys)
	keys.Start()
}

// SigningKeys returns the keys, or nil before the first Start.
func (s *Signing) SigningKeys() *tokenservice.SigningKeys { return s.set.signing.Load() }

// known returns the keys if they are known: the set was loaded. It waits a little for one
// that is being loaded. A set that is too old still says whose keys verify, as it is asked
// for tokens that were accepted before.
func (s *Signing) known(ctx context.Context, now time.Time) *tokenservice.SigningKeys {
	keys := s.SigningKeys()
	if keys != nil {
		if ready, _ := keys.Freshness(); ready {
			return keys
		}
	}
	if s.set.await(ctx, now, s.state) {
		return nil
	}
	return s.SigningKeys()
}

// Keys implements tokenservice.Keys, as the methods below do.
func (s *Signing) Keys(ctx context.Context, kid string) ([]key.Key, error) {
	keys := s.known(ctx, clock.System().Now())
	if keys == nil {
		return nil, key.ErrUnavailable
	}
	return keys.Keys(ctx, kid)
}

// Version implements tokenservice.Keys.
func (s *Signing) Version(kid string, now time.Time) uint64 {
	keys := s.SigningKeys()
	if keys == nil {
		return 0
	}
	if ready, _ := keys.Freshness(); !ready {
		return 0
	}
	return keys.Version(kid, now)
}

// Signer implements tokenservice.Keys. A set that is too old does not sign: others may have
// gone on to keys that this node does not know.
func (s *Signing) Signer(ctx context.Context, now time.Time) (*key.Signer, error) {
	if s.set.look != nil {
		return s.throwaway()
	}
	if s.set.await(ctx, now, s.state) {
		return nil, tokenservice.ErrKeysUnavailable
	}
	return s.SigningKeys().Signer(ctx, now)
}

// Published implements tokenservice.Keys.
func (s *Signing) Published(ctx context.Context, now time.Time) ([]byte, error) {
	keys := s.known(ctx, now)
	if keys == nil {
		return nil, tokenservice.ErrKeysUnavailable
	}
	return keys.Published(ctx, now)
}
