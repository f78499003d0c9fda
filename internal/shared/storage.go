package shared

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"path"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/keystore"
)

// storedKeySets keeps the last good key set of each remote source in Caddy's
// storage, so that a restart during an outage of the issuer still serves.
// Public keys are no secret, but anyone who can write here can sign: it is the
// storage that holds Caddy's private keys too.
type storedKeySets struct {
	storage certmagic.Storage
	logger  *zap.Logger
}

// storedKeys is the content of one object.
type storedKeys struct {
	// Source is the identity of the settings that the set was fetched with.
	Source    string          `json:"source"`
	FetchedAt time.Time       `json:"fetched_at"`
	Keys      json.RawMessage `json:"keys"`
}

// The bounds on a storage that hangs. Reading is what the first requests wait
// for.
const (
	storageReadTime  = 2 * time.Second
	storageWriteTime = 10 * time.Second
)

// storedName is where a key set is kept in the storage.
func storedName(identity string) string {
	return path.Join("jwt", "keys", identity+".json")
}

// save keeps a set. A failure is a line in the log: the set in hand serves.
func (s storedKeySets) save(identity string, set *keystore.Set, fetchedAt time.Time) {
	if s.storage == nil {
		return
	}
	keys, err := set.MarshalJSON()
	if err == nil {
		var object []byte
		if object, err = json.Marshal(storedKeys{Source: identity, FetchedAt: fetchedAt, Keys: keys}); err == nil {
			ctx, cancel := context.WithTimeout(context.Background(), storageWriteTime)
			defer cancel()
			err = s.storage.Store(ctx, storedName(identity), object)
		}
	}
	if err != nil {
		s.logger.Warn("the issuer's keys can't be saved in storage; after a restart while the issuer is down there would be no keys", shownError(err))
	}
}

// load reads a set back, and logs why it can't.
func (s storedKeySets) load(identity string) (set *keystore.Set, fetchedAt time.Time, ok bool) {
	set, fetchedAt, err := s.read(identity)
	if err != nil {
		s.logger.Warn("the issuer's last keys can't be read from storage; they are fetched", shownError(err))
	}
	return set, fetchedAt, set != nil
}

// read reads a set back, nil if there is none. It is parsed as strictly as one from the
// network, and the source itself refuses one from the future or past its age.
func (s storedKeySets) read(identity string) (set *keystore.Set, fetchedAt time.Time, err error) {
	if s.storage == nil {
		return nil, time.Time{}, nil
	}
	type result struct {
		object []byte
		err    error
	}
	ctx, cancel := context.WithTimeout(context.Background(), storageReadTime)
	defer cancel()
	done := make(chan result, 1)
	// Not every storage minds the context.
	go func() {
		object, err := s.storage.Load(ctx, storedName(identity))
		done <- result{object, err}
	}()
	var r result
	select {
	case r = <-done:
	case <-ctx.Done():
		r.err = ctx.Err()
	}
	if errors.Is(r.err, fs.ErrNotExist) {
		return nil, time.Time{}, nil
	}
	if r.err != nil {
		return nil, time.Time{}, r.err
	}
	var kept storedKeys
	if err := json.Unmarshal(r.object, &kept); err != nil {
		return nil, time.Time{}, err
	}
	if kept.Source != identity {
		return nil, time.Time{}, errors.New("it was fetched with other settings")
	}
	if set, err = keystore.ParseJWKS(kept.Keys, keystore.JWKSOptions{MaxKeys: keystore.MostKeys}); err != nil {
		return nil, time.Time{}, err
	}
	return set, kept.FetchedAt, nil
}
