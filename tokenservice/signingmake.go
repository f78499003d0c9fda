package tokenservice

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/caddy-jwt/caddy-jwt/key"
)

// missing returns which keys there should be: the first, or the next one, none otherwise.
// soon reports whether the next is wanted as soon as it may sign.
func (k *SigningKeys) missing(now int64) (first, next, soon bool) {
	v, use := k.view.Load(), k.use.Load()
	turn := v.turn(now)
	if turn == nil {
		return true, false, false
	}
	soon = turn.public.Algorithm() != use.Algorithm
	// One that is much further away is of a config with a longer time, or of a clock that
	// was wrong.
	far := k.begin(turn, now, false) + 3600
	for _, i := range v.order {
		s := &v.keys[i]
		if s.begins <= now {
			continue
		}
		if u := k.keep.unread[s.kid]; u != nil && u.absent || s.begins > far || s.stops <= s.begins {
			continue
		}
		if s.public.Algorithm() == use.Algorithm {
			return false, false, false
		}
		soon = true
	}
	return false, true, soon
}

// begin returns when a key begins to sign that is made now, to follow another one.
func (k *SigningKeys) begin(turn *viewedKey, now int64, soon bool) int64 {
	from := now + publishFor
	if !soon {
		from = max(from, turn.begins+int64(k.use.Load().Rotate/time.Second))
	}
	return min(from, latest)
}

// ensure makes keys that are missing, after a random delay if there is time, unless it has to
// be now. by and node are who caused it.
func (k *SigningKeys) ensure(ctx context.Context, hurry bool, by, node string) error {
	now := k.config.Clock.Now()
	first, next, _ := k.missing(now.Unix())
	switch {
	case hurry, first && len(k.view.Load().retired) == 0:
	case !first && !next:
		k.keep.makeAt = time.Time{}
		return nil
	case k.keep.makeAt.IsZero():
		// If all are retired, the node where that was done makes the first.
		k.keep.makeAt = now.Add(time.Duration(rand.Int64N(int64(spread))))
		return nil
	case k.keep.makeAt.Sub(now) > spread: // the clock was set back
		k.keep.makeAt = now
		return nil
	case now.Before(k.keep.makeAt):
		return nil
	}
	// Another node may have made them. A listing that was cut short by chance is not so twice.
	for range 2 {
		if err := k.replica.Sync(ctx); err != nil {
			return err
		}
	}
	unix := k.now()
	first, next, soon := k.missing(unix)
	if !first && !next {
		return nil
	}
	p := k.keep.pending
	if p == nil || p.first != first || !k.good(p, unix) {
		var err error
		if p, err = k.generate(first, soon, unix, by, node); err != nil {
			return err
		}
		k.keep.pending = p
	}
	if err := k.store(ctx, p.signers, p.facts); err != nil {
		return err
	}
	k.keep.pending, k.keep.makeAt = nil, time.Time{}
	return nil
}

// good reports whether keys that could not be published can still be.
func (k *SigningKeys) good(p *pendingKeys, now int64) bool {
	f := p.facts[0]
	return now >= f.at && now-f.at <= pendingFor && f.gen == k.generation() && p.signers[0].Algorithm() == k.use.Load().Algorithm
}

// generation returns that of keys that are made now.
func (k *SigningKeys) generation() int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.state.gone + 1
}

// generate makes the first key and the next one, or the next one alone.
func (k *SigningKeys) generate(first, soon bool, now int64, by, node string) (*pendingKeys, error) {
	p := &pendingKeys{first: first}
	v := k.view.Load()
	turn := v.turn(now)
	if first {
		f, err := k.newKey(p, now, now, by, node)
		if err != nil {
			return nil, err
		}
		turn = &viewedKey{begins: f.from}
	}
	from := k.begin(turn, now, soon)
	if _, err := k.newKey(p, now, from, by, node); err != nil {
		return nil, err
	}
	// Those that were to sign later, or in its place, must not follow it.
	for _, i := range v.order {
		if s := &v.keys[i]; s.begins > from && s.made <= now {
			p.facts = append(p.facts, signingFact{kind: factSooner, kid: s.kid, from: from, at: now, by: by, node: node})
		}
	}
	return p, nil
}

// newKey makes a key that signs from a time on.
func (k *SigningKeys) newKey(p *pendingKeys, now, from int64, by, node string) (signingFact, error) {
	use := k.use.Load()
	s, err := key.NewSigner(use.Algorithm)
	if err != nil {
		return signingFact{}, err
	}
	f := signingFact{
		kind: factKey, kid: s.ID(), public: s.Public(), gen: k.generation(), at: now, from: from, life: int64(use.Lifetime / time.Second), by: by, node: node,
	}
	p.signers, p.facts = append(p.signers, s), append(p.facts, f)
	return f, nil
}

// store stores private keys, and then the facts that publish their keys: a key that is
// published has a private one. The keys sign once all is stored.
func (k *SigningKeys) store(ctx context.Context, signers []*key.Signer, facts []signingFact) error {
	for _, s := range signers {
		if err := k.storePrivate(ctx, s); err != nil {
			return err
		}
	}
	k.mu.Lock()
	for _, s := range signers {
		if known := k.state.keys[s.ID()]; known == nil || !k.state.isRetired(known) {
			k.held[s.ID()] = s
		}
	}
	k.mu.Unlock()
	return k.replica.Loosen(ctx, facts)
}
