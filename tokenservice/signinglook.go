package tokenservice

import (
	"context"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/key"
)

// Keys implements Keys. A kid that is known costs a look-up.
func (k *SigningKeys) Keys(ctx context.Context, kid string) ([]key.Key, error) {
	if found, known := k.find(kid); known {
		return found, keyError(found)
	}
	if !isKeyID(kid) {
		return nil, key.ErrUnknown
	}
	began, ended := k.early.Await(ctx)
	if found, known := k.find(kid); known {
		return found, keyError(found)
	}
	// That there is no such key is known only if the storage says so.
	status := k.replica.Status()
	late := clock.Age(k.config.Clock.Now(), status.SyncedAt) > 2*k.bound.Load().Interval+syncTime
	if began && !ended || !status.Ready || status.Err != nil || late {
		return nil, key.ErrUnavailable
	}
	return nil, key.ErrUnknown
}

// syncTime is how long a sync may take that is none to worry about.
const syncTime = 15 * time.Second

func keyError(found []key.Key) error {
	if len(found) == 0 {
		return key.ErrUnknown
	}
	return nil
}

// find returns the accepted keys with an id, all for none, and reports whether the id is
// known, if only as one whose tokens are not accepted any more.
func (k *SigningKeys) find(kid string) (found []key.Key, known bool) {
	v := k.view.Load()
	n := v.accepted(k.config.Clock.Now().Unix())
	if kid == "" {
		return v.all[:n:n], n > 0
	}
	if i, ok := v.byID[kid]; ok {
		if i < n {
			return v.keys[i].one, true
		}
		return nil, true
	}
	return nil, v.retired[kid]
}

// Version implements Keys. It is 0 for a kid that is not accepted, as only Keys can find out
// whether another node has made it.
func (k *SigningKeys) Version(kid string, now time.Time) uint64 {
	v := k.view.Load()
	n := v.accepted(now.Unix())
	if i, ok := v.byID[kid]; n == 0 || kid != "" && (!ok || i >= n) {
		return 0
	}
	return v.version + uint64(len(v.keys)-n)
}

// Signer implements Keys.
func (k *SigningKeys) Signer(ctx context.Context, now time.Time) (*key.Signer, error) {
	if s := k.view.Load().signer(now.Unix()); s != nil {
		return s, nil
	}
	var s *key.Signer
	if k.await(ctx, func(v *signingView) bool { s = v.signer(now.Unix()); return s != nil }) {
		return s, nil
	}
	return nil, ErrKeysUnavailable
}

// Published implements Keys. The bytes must not be changed.
func (k *SigningKeys) Published(ctx context.Context, now time.Time) ([]byte, error) {
	var v *signingView
	if !k.await(ctx, func(view *signingView) bool { v = view; return v.accepted(now.Unix()) > 0 }) {
		return nil, ErrKeysUnavailable
	}
	n := v.accepted(now.Unix())
	if p := v.published.Load(); p != nil && p.keys == n {
		return p.json, nil
	}
	p := &publishedKeys{n, []byte(`{"keys":[`)}
	for i, viewed := range v.keys[:n] {
		if i > 0 {
			p.json = append(p.json, ',')
		}
		p.json = viewed.public.AppendJWK(p.json)
	}
	p.json = append(p.json, `]}`...)
	v.published.Store(p)
	return p.json, nil
}

// publishedKeys is a JWK Set of the first keys of a view.
type publishedKeys struct {
	keys int
	json []byte
}

// The limits on requests that wait for a key.
const (
	keyWait  = 2 * time.Second
	keyQueue = 256
)

// await waits a little for keys that are being loaded or made, until ok.
func (k *SigningKeys) await(ctx context.Context, ok func(*signingView) bool) bool {
	if ok(k.view.Load()) {
		return true
	}
	if k.waiting.Add(1) > keyQueue {
		k.waiting.Add(-1)
		return false
	}
	defer k.waiting.Add(-1)
	late := make(chan struct{})
	stop := k.config.Clock.AfterFunc(keyWait, func() { close(late) })
	defer stop()
	for {
		k.mu.Lock()
		changed := k.changed
		k.mu.Unlock()
		if ok(k.view.Load()) {
			return true
		}
		select {
		case <-changed:
		case <-late:
			return false
		case <-ctx.Done():
			return false
		}
	}
}
