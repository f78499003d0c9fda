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
