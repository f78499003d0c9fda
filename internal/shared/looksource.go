package shared

import (
	"context"
	"sync"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/keystore"
)

// lookedRemote are the keys of an issuer whose keys would be fetched, for a config that is
// looked at.
type lookedRemote struct {
	look     *Look
	issuer   string
	settings Settings
	store    storedKeySets

	once sync.Once
	keys *keystore.Static // nil for none
}

// newLookedRemote makes a source that is in no pool. With Fetch, the keystore's own fetches
// when it is asked for the first time.
func newLookedRemote(l *Look, iss string, settings Settings, store storedKeySets) (*Remote, error) {
	remote, err := keystore.NewRemote(settings.Config())
	if err != nil {
		return nil, err
	}
	r := &Remote{Remote: remote, ID: settings.id(), identity: settings.identity()}
	r.look = &lookedRemote{look: l, issuer: iss, settings: settings, store: store}
	return r, nil
}

// Keys is that of Remote.
func (l *lookedRemote) Keys(ctx context.Context, r *Remote, kid string) ([]key.Key, error) {
	if l.look.Keys == nil && l.look.Fetch {
		keys, err := r.Remote.Keys(ctx, kid)
		if status := r.Remote.Status(); err != nil && status.LastError != "" {
			l.look.note("the keys of %s can't be fetched: %s; --jwks FILE gives them", l.issuer, status.LastError)
		}
		return keys, err
	}
	l.once.Do(func() { l.read(r.identity) })
	if l.keys == nil {
		return nil, key.ErrUnavailable
	}
	keys, err := l.keys.Keys(ctx, kid)
	if err != nil && l.look.Keys == nil {
		l.look.note("the keys of %s that are in the storage have none with the token's kid; a server would fetch them again before it refuses the token", l.issuer)
	}
	return keys, err
}

// read takes the keys that were handed over, or reads those that a server has stored.
func (l *lookedRemote) read(identity string) {
	if l.look.Keys != nil {
		l.keys = keystore.NewStatic(l.look.Keys)
		l.look.note("the keys of %s are those that were given by --jwks", l.issuer)
		return
	}
	const unchecked = "the signature was not checked: %s; --jwks FILE gives the keys"
	set, fetchedAt, err := l.store.read(identity)
	age := clock.System().Now().Sub(fetchedAt)
	switch {
	case err != nil:
		l.look.note(unchecked, "the keys of "+l.issuer+" can't be read from the storage ("+err.Error()+")")
	case set == nil:
		l.look.note(unchecked, "a server fetches the keys of "+l.issuer+", and none has stored them in the storage of this config")
	case age > orMaxStale(l.settings.MaxStale):
		l.look.note(unchecked, "the keys of "+l.issuer+" that are in the storage were fetched "+age.Round(time.Minute).String()+" ago, which is longer than max_stale")
	default:
		l.keys = keystore.NewStatic(set)
		l.look.note("the keys of %s are those that a server stored %s ago", l.issuer, age.Round(time.Second))
	}
}

func orMaxStale(d time.Duration) time.Duration {
	if d == 0 {
		return keystore.DefaultMaxStale
	}
	return d
}
