package tokenservice

import (
	"bytes"
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/internal/replica"
	"github.com/caddy-jwt/caddy-jwt/key"
)

// SigningKeys are the signing keys of one issuer on which the nodes of a cluster agree
// through a storage. It is safe for concurrent use. Whether the set is ready and not too
// old is for the caller to look at, by Freshness, as with the other shared sets.
//
// The set always holds the next key: it is published a day before it signs, so that a
// verifier that asks for the key set once an hour knows every key. Only the first key of an
// issuer signs at once, and the one that RetireNow makes.
type SigningKeys struct {
	config  SigningConfig
	replica *replica.Replica[signingFact]
	ready   <-chan struct{}
	view    atomic.Pointer[signingView]
	use     atomic.Pointer[SigningUse]
	early   *replica.Early
	bound   atomic.Pointer[replica.Binding]
	waiting atomic.Int64 // requests

	started atomic.Bool
	life    context.Context // ends with Close
	end     context.CancelFunc
	loop    sync.WaitGroup
	wake    chan struct{} // with one place: there is something to do
	dirty   atomic.Bool   // there may be private keys to delete
	reseal  atomic.Bool   // there may be private keys to encrypt

	mu      sync.Mutex // of what follows; never held during a call of the storage
	state   signingState
	held    map[string]*key.Signer // the private keys that this node has, by id
	carried map[string]*viewedKey  // of the storage before
	changed chan struct{}          // closed when view changes

	keeping chan struct{} // with one place: held by what makes or deletes keys
	keep    keep
}

// signingVersions counts the versions of all views, so that none is used again.
var signingVersions atomic.Uint64

// NewSigningKeys makes them. Nothing is read or written before Start.
func NewSigningKeys(c SigningConfig) *SigningKeys {
	if c.Clock == nil {
		c.Clock = clock.System()
	}
	if c.CanForget == nil {
		c.CanForget = func() bool { return true }
	}
	k := &SigningKeys{
		config: c, state: newSigningState(), held: map[string]*key.Signer{}, changed: make(chan struct{}),
		wake: make(chan struct{}, 1), keeping: make(chan struct{}, 1), keep: newKeep(),
	}
	k.life, k.end = context.WithCancel(context.Background())
	use := c.SigningUse
	k.use.Store(&use)
	k.bound.Store(&c.Binding)
	k.view.Store(k.state.view(k.stale(), nil))
	k.replica = replica.New(replica.Config[signingFact]{
		Name: c.Name, Binding: c.Binding, Language: signingLanguage{}, Apply: k.apply, Observe: c.Observe,
		CanForget: c.CanForget, Clock: c.Clock,
	})
	k.ready = k.replica.Ready()
	k.early = replica.NewEarly(c.Clock, func(ctx context.Context) {
		_ = k.replica.Sync(ctx) // its error is in the set's status
	})
	return k
}

// Start begins to keep the keys in step with the storage, and to make those that are missing.
// It returns at once.
func (k *SigningKeys) Start() {
	if k.started.Swap(true) {
		return
	}
	k.replica.Start()
	k.loop.Go(k.run)
}

// run looks after the keys until Close.
func (k *SigningKeys) run() {
	select {
	case <-k.ready:
	case <-k.life.Done():
		return
	}
	for k.life.Err() == nil {
		k.lookAfter(k.life)
		over := make(chan struct{})
		stop := k.config.Clock.AfterFunc(k.pause(), func() { close(over) })
		select {
		case <-over:
		case <-k.wake:
		case <-k.life.Done():
		}
		stop()
	}
}

// pause returns how long to wait between two looks.
func (k *SigningKeys) pause() time.Duration {
	return time.Duration(float64(k.bound.Load().Interval) * (0.8 + 0.2*rand.Float64()))
}

// Close ends that. What is not stored is stored now, until ctx is done.
func (k *SigningKeys) Close(ctx context.Context) {
	k.end()
	k.loop.Wait()
	k.replica.Close(ctx)
}

// Use replaces how a config uses the keys. A key that is made from now on is for the
// algorithm; those that there are sign on until it may.
func (k *SigningKeys) Use(u SigningUse) {
	old := k.use.Swap(&u)
	if len(u.Secrets) > 0 && (len(old.Secrets) == 0 || !bytes.Equal(old.Secrets[0], u.Secrets[0])) {
		k.reseal.Store(true)
	}
	k.mu.Lock()
	k.show()
	k.mu.Unlock()
	k.awake()
}

// Rebind is that of replica.Replica. In another storage the set is another one: the keys of
// the storage before verify what they have signed until that has expired, and sign no more.
func (k *SigningKeys) Rebind(b replica.Binding, same bool) {
	k.bound.Store(&b)
	if !same {
		k.move()
	}
	k.replica.Rebind(b, same)
	k.awake()
}

// move forgets the keys but for what they have signed.
func (k *SigningKeys) move() {
	now := k.config.Clock.Now().Unix()
	k.mu.Lock()
	defer k.mu.Unlock()
	carried := map[string]*viewedKey{}
	for _, v := range k.view.Load().keys {
		if v.until > now {
			v.stops, v.last = min(v.stops, now), min(v.last, now)
			v.until, v.private, v.carried = min(v.until, now+v.signingKeyState.life+clockLeeway), nil, true
			carried[v.kid] = &v
		}
	}
	// Retired keys stay so. The generations of the other storage are its own.
	maps.DeleteFunc(k.state.keys, func(_ string, s *signingKeyState) bool { return !s.retired })
	for _, s := range k.state.keys {
		s.public = nil
	}
	k.state.gone = 0
	clear(k.held)
	k.carried = carried
	k.show()
}

// Sync brings the keys up to date with the storage now.
func (k *SigningKeys) Sync(ctx context.Context) error {
	err := k.replica.Sync(ctx)
	k.lookAfter(ctx)
	return err
}

// Accept, Ready, Status and Freshness are those of replica.Replica.
func (k *SigningKeys) Accept(ctx context.Context) (int, error) {
	defer k.awake()
	return k.replica.Accept(ctx)
}
func (k *SigningKeys) Ready() <-chan struct{}                      { return k.ready }
func (k *SigningKeys) Status() replica.Status                      { return k.replica.Status() }
func (k *SigningKeys) Freshness() (ready bool, syncedAt time.Time) { return k.replica.Freshness() }

// apply takes facts into force.
func (k *SigningKeys) apply(facts []signingFact) {
	tell := k.config.Rotated != nil
	select {
	case <-k.ready:
	default:
		tell = false // it was there when the node started
	}
	var events []KeyEvent
	k.mu.Lock()
	for i := range facts {
		f := &facts[i]
		change, _ := k.state.add(f)
		if f.kind == factRetire {
			k.dirty.Store(true)
		}
		if change != "" && tell {
			events = append(events, KeyEvent{Issuer: k.config.Issuer, KeyID: f.kid, Change: change, By: f.by, Node: f.node})
		}
	}
	for kid := range k.held {
		if s := k.state.keys[kid]; s != nil && k.state.isRetired(s) {
			delete(k.held, kid)
		}
	}
	k.show()
	k.mu.Unlock()
	for _, e := range events {
		k.config.Rotated(e)
	}
	k.awake()
}

// awake has the keys looked after soon.
func (k *SigningKeys) awake() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// show makes requests see what is so now. The caller holds the lock.
func (k *SigningKeys) show() {
	view := k.state.view(k.stale(), k.held)
	now := k.config.Clock.Now().Unix()
	maps.DeleteFunc(k.carried, func(_ string, v *viewedKey) bool { return v.until <= now })
	for kid, v := range k.carried {
		if s := k.state.keys[kid]; s == nil || s.public == nil && !s.retired {
			view.keys = append(view.keys, *v)
		}
	}
	view.index()
	if old := k.view.Load(); view.sameKeys(old) {
		view.version = old.version
	} else {
		n := uint64(len(view.keys)) + 1
		view.version = signingVersions.Add(n) - n + 1
	}
	k.view.Store(view)
	close(k.changed)
	k.changed = make(chan struct{})
}

// stale returns for how long a node signs that can't read the storage, in seconds.
func (k *SigningKeys) stale() int64 { return int64(k.use.Load().MaxStale / time.Second) }

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
	late := k.config.Clock.Now().Sub(status.SyncedAt) > 2*k.bound.Load().Interval+syncTime
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

// List returns the keys, the newest first: those that are published, and those that were
// retired in the last 30 days.
func (k *SigningKeys) List(now time.Time) []SigningKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	v := k.view.Load()
	n := v.accepted(now.Unix())
	turn := v.turn(now.Unix())
	var list []SigningKey
	for at := len(v.order) - 1; at >= 0; at-- {
		i := v.order[at]
		if i >= n {
			continue
		}
		s := &v.keys[i]
		key := s.shown()
		switch {
		case s == turn:
			key.State = "signing"
		case s.begins > now.Unix() && s.begins < s.stops:
			key.State = "next"
		default:
			key.State = "published"
		}
		list = append(list, key)
	}
	var retired []SigningKey
	for _, s := range k.state.keys {
		if k.state.isRetired(s) && now.Sub(time.Unix(s.at, 0)) < retiredShown {
			v := viewedKey{signingKeyState: *s, begins: s.from(), stops: s.at, until: s.at}
			key := v.shown()
			key.State = "retired"
			retired = append(retired, key)
		}
	}
	slices.SortFunc(retired, func(a, b SigningKey) int {
		if c := b.SignsUntil.Compare(a.SignsUntil); c != 0 {
			return c
		}
		return slices.Compare([]byte(a.ID), []byte(b.ID))
	})
	return append(list, retired...)
}

// retiredShown is for how long retired keys are listed.
const retiredShown = 30 * 24 * time.Hour

// shown returns the key as people see it.
func (k *viewedKey) shown() SigningKey {
	at := func(t int64) time.Time {
		if t <= 0 || t > latest {
			return time.Time{}
		}
		return time.Unix(t, 0).UTC()
	}
	out := SigningKey{ID: k.kid, Made: at(k.made), SignsFrom: at(k.begins), SignsUntil: at(k.stops), PublishedUntil: at(k.until)}
	if k.public != nil {
		out.Algorithm = k.public.Algorithm()
	}
	return out
}
