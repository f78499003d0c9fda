package shared

import (
	"context"
	"errors"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/replica"
	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/revocation"
	"github.com/caddy-jwt/caddy-jwt/tokenservice"
)

// Errors of reading a set.
var (
	errNeverRead  = errors.New("it was not read")
	errNeverMade  = errors.New("a server makes it when it starts with this config, and none has; is this the storage of the server? run the command as its user and with its environment (HOME, XDG_DATA_HOME)")
	errUnsigned   = errors.New("it was made without the key that the config has; caddy jwt state accept signs what is there")
	errIncomplete = errors.New("it could not be read completely")
)

// read reads a set of a config that is looked at. It is complete if two listings agree that
// it is, as storages may cut one short. It is not started, so it makes nothing.
func (s *stateSet) read(ctx context.Context, st *State) error {
	binding := st.binding(s.place)
	var set replicated
	var keep func()
	switch {
	case s.issuer != "":
		keys := tokenservice.NewSigningKeys(tokenservice.SigningConfig{SigningUse: st.use(s.issuer), Name: s.place, Binding: binding})
		set, keep = keys, func() { s.signing.Store(keys) }
	case s.store != "":
		keys := apikey.NewStore(apikey.StoreConfig{Name: s.store, Place: s.place, Binding: binding})
		set, keep = keys, func() { s.keys.Store(keys) }
	default:
		rules := revocation.NewSet(revocation.Config{Name: s.place, Binding: binding})
		set, keep = rules, func() { s.rules.Store(rules) }
	}
	err := readCompletely(ctx, set)
	if err != nil {
		set.Close(ctx)
		return err
	}
	keep()
	return nil
}

func readCompletely(ctx context.Context, set replicated) error {
	for range 3 {
		err := set.Sync(ctx)
		switch status := set.Status(); {
		case errors.Is(err, replica.ErrNoSet):
			return errNeverMade
		case status.Unsigned:
			return errUnsigned
		case err != nil:
			return err
		case status.Ready:
			return nil
		}
	}
	return errIncomplete
}

// missed is lacks for who needs the set: the answer says that it was not there.
func (s *stateSet) missed(st *State) bool {
	lacks := s.lacks()
	if lacks {
		s.look.note("%s could not be read from the storage %s, so what depends on it is not decided: %v", s.place, st.StorageModule, s.unread)
	}
	return lacks
}

// lacks reports whether what is only looked at is not there. Nothing is waited for, and
// what was read does not grow old: it may be asked for another time than now.
func (s *stateSet) lacks() bool {
	r := s.replicated()
	if r == nil {
		return true
	}
	ready, _ := r.Freshness()
	return !ready
}

// throwaway returns a key that nobody knows, for tokens that go nowhere: that the keys of a
// service are read is for verifying alone.
func (s *Signing) throwaway() (*key.Signer, error) {
	signer, err := key.NewSigner(s.settings.Algorithm)
	if err != nil {
		return nil, tokenservice.ErrKeysUnavailable
	}
	return signer, nil
}
