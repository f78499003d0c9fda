package tokenservice

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"time"

	"github.com/caddy-jwt/caddy-jwt/key"
)

// keep is what a node remembers from one look at the keys to the next.
type keep struct {
	makeAt    time.Time // when to make the next key, zero for not at all
	endAt     time.Time // when to say which keys have ended, likewise
	pending   *pendingKeys
	sweptAt   time.Time            // when the folder of private keys was listed last
	strangers map[string]time.Time // keys of which only the private one is there, since when
	unread    map[string]*unread   // private keys that can't be read
	told      bool                 // the next two are set
	turn      string               // whose turn to sign it was
	accepted  map[string]bool      // which keys were accepted
}

// unread is a private key that could not be read.
type unread struct {
	times  int
	absent bool // the storage does not have it
}

// pendingKeys are keys that were made and whose facts could not be stored. They may appear
// all the same, so others are not made at once.
type pendingKeys struct {
	first   bool
	facts   []signingFact
	signers []*key.Signer
}

func newKeep() keep {
	return keep{strangers: map[string]time.Time{}, unread: map[string]*unread{}, accepted: map[string]bool{}}
}

// Times of looking after keys.
const (
	// spread is the longest delay before a node makes the next key, so that rarely two do.
	spread = 10 * time.Second
	// pendingFor is for how long the same keys are tried again: far less than slack.
	pendingFor = 5 * 60
	// sweepInterval is how often the folder of private keys is listed, where the storage is
	// not this machine's file system.
	sweepInterval = time.Minute
	// strangeFor is after what time a private key is deleted whose public key never came.
	strangeFor = 24 * time.Hour
)

// hold waits for its turn to make or delete keys, and returns what ends it, nil if ctx ended
// first.
func (k *SigningKeys) hold(ctx context.Context) (release func()) {
	select {
	case k.keeping <- struct{}{}:
		return func() { <-k.keeping }
	case <-ctx.Done():
		return nil
	}
}

// lookAfter reads private keys, makes keys that are missing, and deletes what is over.
func (k *SigningKeys) lookAfter(ctx context.Context) {
	select {
	case <-k.ready:
	default:
		return
	}
	release := k.hold(ctx)
	if release == nil {
		return
	}
	defer release()
	k.tell()
	if !k.started.Load() || k.replica.Status().Err != nil {
		return // what is in memory serves while the storage is away
	}
	if k.reseal.Swap(false) {
		k.sealAgain(ctx)
	}
	k.read(ctx)
	_ = k.ensure(ctx, false, "", "") // it is tried again
	k.note(ctx)
	k.sweep(ctx)
	k.tell()
}

// now returns the time in seconds.
func (k *SigningKeys) now() int64 { return k.config.Clock.Now().Unix() }

// read loads the private keys of those that sign now or later, and lets go of others.
func (k *SigningKeys) read(ctx context.Context) {
	v, now := k.view.Load(), k.now()
	got := map[string]*key.Signer{}
	for _, i := range v.order {
		s := &v.keys[i]
		if now >= s.last || s.private != nil {
			continue
		}
		private, err := k.loadPrivate(ctx, s.kid)
		if err == nil {
			got[s.kid] = private
			delete(k.keep.unread, s.kid)
		} else if ctx.Err() == nil {
			k.unreadable(s.kid, err)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	changed := len(got) > 0
	for kid, private := range got {
		if s := k.state.keys[kid]; s != nil && !k.state.isRetired(s) {
			k.held[kid] = private
		}
	}
	for kid := range k.held {
		i, ok := v.byID[kid]
		if ok && now >= v.keys[i].last || !ok && k.state.keys[kid] == nil && !k.keep.isPending(kid) {
			delete(k.held, kid)
			changed = true
		}
	}
	if changed {
		k.show()
	}
}

// unreadable notes that a private key can't be read, and tells of it once. One time is none:
// storages may be late.
func (k *SigningKeys) unreadable(kid string, err error) {
	u := k.keep.unread[kid]
	if u == nil {
		u = &unread{}
		k.keep.unread[kid] = u
	}
	u.times++
	u.absent = u.times > 1 && errors.Is(err, errNoPrivateKey)
	if u.times == 2 {
		k.event(KeyEvent{KeyID: kid, Change: "unreadable", Err: err})
	}
}

func (k *SigningKeys) event(e KeyEvent) {
	e.Issuer = k.config.Issuer
	if k.config.Rotated != nil {
		k.config.Rotated(e)
	}
}

// note stores what follows from the time and the config: that tokens live longer than was
// said, and which keys are over.
func (k *SigningKeys) note(ctx context.Context) {
	v, now := k.view.Load(), k.config.Clock.Now()
	life := int64(k.use.Load().Lifetime / time.Second)
	var longer, ends []signingFact
	for _, i := range v.order {
		s := &v.keys[i]
		if s.life < life && now.Unix() < s.last {
			longer = append(longer, signingFact{kind: factLife, kid: s.kid, life: life})
		}
		if s.until <= now.Unix() && s.end == 0 {
			ends = append(ends, signingFact{kind: factEnd, kid: s.kid, end: s.until})
		}
	}
	if len(longer) > 0 {
		// At once, as this node signs such tokens now.
		_, _ = k.replica.Tighten(ctx, longer)
	}
	switch {
	case len(ends) == 0 || !k.config.CanForget():
		k.keep.endAt = time.Time{}
	case k.keep.endAt.IsZero():
		k.keep.endAt = now.Add(time.Duration(rand.Int64N(int64(spread))))
	case !now.Before(k.keep.endAt):
		_ = k.replica.Loosen(ctx, ends) // it is tried again
	}
}

// sweep deletes private keys that sign no more: those of retired keys whenever they are
// found, as a copy that was restored brings them back.
func (k *SigningKeys) sweep(ctx context.Context) {
	now := k.config.Clock.Now()
	if !k.dirty.Swap(false) && !k.bound.Load().Local && !k.keep.sweptAt.IsZero() && now.Sub(k.keep.sweptAt) < sweepInterval && !now.Before(k.keep.sweptAt) {
		return
	}
	names, err := k.privateNames(ctx)
	if err != nil {
		k.dirty.Store(true)
		return
	}
	k.keep.sweptAt = now
	forget := k.config.CanForget()
	v := k.view.Load()
	strange := map[string]time.Time{}
	for _, name := range names {
		kid, ok := privateOf(name)
		if !ok {
			continue
		}
		i, known := v.byID[kid]
		over := false
		switch {
		case v.retired[kid]:
			over = true
		case known && !v.keys[i].carried:
			over = forget && now.Unix() >= v.keys[i].last
		default: // it may be about to be published
			since, ok := k.keep.strangers[kid]
			if !ok {
				since = now
			}
			strange[kid] = since
			over = forget && now.Sub(since) >= strangeFor
		}
		if over && k.deletePrivate(ctx, kid) != nil {
			k.dirty.Store(true)
			break
		}
	}
	k.keep.strangers = strange
}

func (k *SigningKeys) privateNames(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, privateTime)
	defer cancel()
	return k.use.Load().Private.List(ctx)
}

func (k *keep) isPending(kid string) bool {
	if k.pending != nil {
		for _, s := range k.pending.signers {
			if s.ID() == kid {
				return true
			}
		}
	}
	return false
}

// tell tells of what time has changed.
func (k *SigningKeys) tell() {
	v, now := k.view.Load(), k.now()
	turn := ""
	if s := v.turn(now); s != nil {
		turn = s.kid
	}
	accepted := map[string]bool{}
	for i := range v.accepted(now) {
		accepted[v.keys[i].kid] = true
	}
	before := k.keep
	k.keep.told, k.keep.turn, k.keep.accepted = true, turn, accepted
	if !before.told {
		return
	}
	if turn != before.turn && turn != "" {
		k.event(KeyEvent{KeyID: turn, Change: "signs"})
	}
	for kid := range maps.Keys(before.accepted) {
		if !accepted[kid] && !v.retired[kid] {
			k.event(KeyEvent{KeyID: kid, Change: "removed"})
		}
	}
}
