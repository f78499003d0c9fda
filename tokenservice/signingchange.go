package tokenservice

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/replica"
)

// Rotate has the next key sign as soon as it has been published for PublishBefore, which may
// be at once, and makes another one. It holds once it is stored; the error is
// ErrKeysUnavailable, or replica.ErrNotStored, and then nothing was changed.
func (k *SigningKeys) Rotate(ctx context.Context, by, node string) (RotateResult, error) {
	release, err := k.begun(ctx)
	if err != nil {
		return RotateResult{}, err
	}
	defer release()
	if err := k.replica.Sync(ctx); err != nil {
		return RotateResult{}, fmt.Errorf("%w: %w", replica.ErrNotStored, err)
	}
	k.read(ctx)
	v, now := k.view.Load(), k.now()
	turn := v.turn(now)
	if turn == nil {
		if err := k.ensure(ctx, true, by, node); err != nil {
			return RotateResult{}, fmt.Errorf("%w: %w", replica.ErrNotStored, err)
		}
		return k.rotated(nil, true), nil
	}
	// Of those that wait, the one that has waited longest.
	var next *viewedKey
	others := 0
	for _, i := range v.order {
		s := &v.keys[i]
		if s.begins <= now || s.private == nil || s.stops <= s.begins {
			continue
		}
		others++
		if next == nil || s.made < next.made {
			next = s
		}
	}
	p := &pendingKeys{}
	from := now
	if next != nil {
		others--
		from = max(now, next.made+int64(PublishBefore/time.Second))
		if from < next.begins {
			p.facts = append(p.facts, signingFact{kind: factSooner, kid: next.kid, from: from, at: now, by: by, node: node})
		}
	}
	if others == 0 {
		rotate := int64(k.use.Load().Rotate / time.Second)
		if next == nil {
			rotate = 0
		}
		if _, err := k.newKey(p, now, min(max(from+rotate, now+publishFor), latest), by, node); err != nil {
			return RotateResult{}, err
		}
	}
	if err := k.store(ctx, p.signers, p.facts); err != nil {
		return RotateResult{}, fmt.Errorf("%w: %w", replica.ErrNotStored, err)
	}
	return k.rotated(nil, true), nil
}

// begun waits for the turn to change keys that are known.
func (k *SigningKeys) begun(ctx context.Context) (release func(), err error) {
	select {
	case <-k.ready:
	default:
		return nil, ErrKeysUnavailable
	}
	if release = k.hold(ctx); release == nil {
		return nil, fmt.Errorf("%w: %w", ErrKeysUnavailable, context.Cause(ctx))
	}
	return release, nil
}

// rotated returns the result of a change, after which the keys are as they are now.
func (k *SigningKeys) rotated(retired []string, stored bool) RotateResult {
	k.tell()
	k.awake()
	r := RotateResult{Retired: retired, Stored: stored}
	for _, s := range k.List(k.config.Clock.Now()) {
		switch s.State {
		case "signing":
			r.Signing = s
		case "next":
			r.Next = s // the last in the list is the first to sign
		}
	}
	return r
}

// RetireNow retires all keys there are: the one that signs, the next one, and those before, as
// a copy of the storage may be older than the last rotation. It deletes their private keys,
// and makes one that signs at once. A token that they signed is refused from
// now on, here at once, whether that can be stored or not. If no key could be made, Signing
// is empty, and one is made as soon as the storage can be reached.
func (k *SigningKeys) RetireNow(ctx context.Context, by, node string) (RotateResult, error) {
	select {
	case <-k.ready:
	default:
		return RotateResult{}, ErrKeysUnavailable
	}
	// A key may be about to be published, so that a copy of the storage has the private one.
	looking, cancel := context.WithTimeout(ctx, lookTime)
	names, _ := k.privateNames(looking)
	cancel()
	retired, gen := k.retirable(names)
	// What holds the keys may wait for the storage; this does not.
	stored, err := k.retire(ctx, retired, gen, by, node)
	if err != nil {
		return RotateResult{}, err
	}
	release := k.hold(ctx)
	if release == nil {
		return k.rotated(retired, stored), nil
	}
	defer release()
	_ = k.replica.Sync(ctx) // there may be keys of the generation of which this node had not heard
	k.keep.pending = nil
	for _, kid := range retired {
		if k.deletePrivate(ctx, kid) != nil {
			break // it is tried again after each sync
		}
	}
	_ = k.ensure(ctx, true, by, node) // likewise
	return k.rotated(retired, stored), nil
}

// lookTime is how long a retirement waits for what is in the storage.
const lookTime = time.Second

// retirable returns the ids of the keys that can be retired, those whose private keys have
// these names among them, and the generation that is retired with them.
func (k *SigningKeys) retirable(names []string) (kids []string, gen int64) {
	now := k.now()
	k.mu.Lock()
	defer k.mu.Unlock()
	found := map[string]bool{}
	gen = k.state.gone
	for kid, s := range k.state.keys {
		if s.public != nil && !k.state.isRetired(s) {
			found[kid] = true
			gen = max(gen, s.gen)
		}
	}
	for kid, v := range k.carried {
		if now < v.until {
			found[kid] = true
		}
	}
	for _, name := range names {
		kid, ok := privateOf(name)
		if s := k.state.keys[kid]; ok && (s == nil || !k.state.isRetired(s)) {
			found[kid] = true
		}
	}
	return slices.Sorted(maps.Keys(found)), gen
}

// retire retires keys, at once on this node.
func (k *SigningKeys) retire(ctx context.Context, kids []string, gen int64, by, node string) (stored bool, err error) {
	facts := make([]signingFact, len(kids))
	for i, kid := range kids {
		facts[i] = signingFact{kind: factRetire, kid: kid, gen: gen, at: k.now(), by: by, node: node}
	}
	return k.replica.Tighten(ctx, facts)
}
