package tokenservice

import (
	"bytes"
	"context"
	"maps"
	"math/rand/v2"
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
