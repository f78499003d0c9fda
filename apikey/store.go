package apikey

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/internal/replica"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// StoreConfig is the config of a Store.
type StoreConfig struct {
	// Name is the store's name in the config.
	Name string
	// Place is the place of the set, such as jwt/default/keys-partners.
	Place string
	// Binding is where the set is kept.
	Binding replica.Binding
	// Observe is called for changes of state; nil for nobody.
	Observe func(replica.Event)
	// Learned is called with changes that other nodes made; nil for nobody. It is not
	// called for what was there when the node started.
	Learned func([]StoreChange)
	// Clock is the time. Default: the clock of the process.
	Clock clock.Clock
}

// StoreChange is a change of a key, for logs and events.
type StoreChange struct {
	// ID is the key's.
	ID string
	// Change is created, rolled, edited, disabled, enabled or deleted.
	Change string
	// By and Node are who made it, and where.
	By, Node string
}

// Store is a set of API keys that the nodes of a cluster share through a storage, and that
// is changed while they run. It is safe for concurrent use.
type Store struct {
	config  StoreConfig
	replica *replica.Replica[fact]
	ready   <-chan struct{}
	view    atomic.Pointer[storeView] // what requests look into
	byID    atomic.Pointer[idView]    // likewise, by ids; nil until somebody asks
	early   *replica.Early
	changes changeLocks

	mu      sync.Mutex // of all that follows
	state   storeState
	folding bool
	own     map[string]struct{} // the nodes whose changes were made here
	folds   sync.WaitGroup
	ids     sortedIDs
}

// NewStore makes a store, without reading anything.
func NewStore(c StoreConfig) *Store {
	if c.Clock == nil {
		c.Clock = clock.System()
	}
	s := &Store{config: c, state: newStoreState(), own: map[string]struct{}{}}
	s.view.Store(newStoreView(c.Name))
	s.replica = replica.New(replica.Config[fact]{
		Name: c.Place, Binding: c.Binding, Language: storeLanguage{}, Apply: s.apply, Observe: c.Observe, Clock: c.Clock,
	})
	s.ready = s.replica.Ready()
	s.early = replica.NewEarly(c.Clock, func(ctx context.Context) {
		_ = s.replica.Sync(ctx) // its error is in the set's status
	})
	return s
}

// Start, Close, Rebind, Sync, Accept, Ready and Status are those of replica.Replica.
func (s *Store) Start()                                  { s.replica.Start() }
func (s *Store) Close(ctx context.Context)               { s.replica.Close(ctx); s.folds.Wait() }
func (s *Store) Rebind(b replica.Binding, same bool)     { s.replica.Rebind(b, same) }
func (s *Store) Sync(ctx context.Context) error          { return s.replica.Sync(ctx) }
func (s *Store) Accept(ctx context.Context) (int, error) { return s.replica.Accept(ctx) }
func (s *Store) Ready() <-chan struct{}                  { return s.ready }
func (s *Store) Status() replica.Status                  { return s.replica.Status() }

// Freshness is that of replica.Replica.
func (s *Store) Freshness() (ready bool, syncedAt time.Time) { return s.replica.Freshness() }

// Name returns the store's name in the config.
func (s *Store) Name() string { return s.config.Name }

// Len returns how many keys there are that are not deleted.
func (s *Store) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.living
}

// Find finds a key by its digest, in one look-up: "" for a valid one, else the reason. An
// unknown key means nothing as long as the store is not ready.
func (s *Store) Find(d Digest, now time.Time) (Key, reason.Code) {
	k, ok := s.view.Load().find(&d)
	return combine(k, ok, now, Key{}, reason.UnknownAPIKey)
}

// Has reports whether there is a key with this digest, valid or not.
func (s *Store) Has(d Digest) bool {
	_, ok := s.view.Load().find(&d)
	return ok
}

// apply takes facts into force.
func (s *Store) apply(facts []fact) {
	var learned []StoreChange
	s.mu.Lock()
	// The profiles that the facts have at hand, and need not be parsed for.
	touched := make(map[*keyState]*Record, min(len(facts), 1024))
	gone := map[Digest]storeChange{}
	for i := range facts {
		f := &facts[i]
		k, change, fresh := s.state.add(f)
		if !fresh {
			continue
		}
		if f.kind == factKey {
			touched[k] = f.record
			if change == "created" {
				s.ids.add(k.id)
			}
		} else if _, ok := touched[k]; !ok {
			touched[k] = nil
		}
		if k.dead {
			s.bury(k, gone)
		}
		learned = s.learn(learned, f, change)
	}
	s.publish(touched, gone)
	s.publishIDs(touched)
	s.mu.Unlock()
	if len(learned) > 0 {
		s.config.Learned(learned)
	}
}

// learn adds a change to those that other nodes have made.
func (s *Store) learn(learned []StoreChange, f *fact, change string) []StoreChange {
	if change == "" || s.config.Learned == nil {
		return learned
	}
	select {
	case <-s.ready:
	default:
		return learned
	}
	if _, own := s.own[f.node]; own {
		return learned
	}
	return append(learned, StoreChange{ID: f.key, Change: change, By: f.by, Node: f.node})
}

// bury forgets all of a deleted key but that it is deleted.
func (s *Store) bury(k *keyState, gone map[Digest]storeChange) {
	view := s.view.Load()
	for _, secret := range k.secrets {
		_, shared := s.state.shared[secret.hash]
		if found, ok := view.find(&secret.hash); shared || ok && found.ID() == k.id { // else it is another's
			gone[secret.hash] = storeChange{gone: true}
		}
	}
	k.profile, k.secrets, k.offs, k.rev = "", nil, nil, 0
}

// publish makes what has changed visible to requests. The caller holds the lock.
func (s *Store) publish(touched map[*keyState]*Record, changes map[Digest]storeChange) {
	view := s.view.Load()
	for k, profile := range touched {
		for _, secret := range k.secrets {
			if r, ok := k.entry(secret.hash, profile); ok {
				s.share(view, changes, k, secret.hash)
				changes[secret.hash] = storeChange{record: r}
			}
		}
	}
	for d := range changes {
		if len(s.state.shared) == 0 {
			break
		}
		if _, shared := s.state.shared[d]; shared {
			r, ok := s.state.found(d)
			changes[d] = storeChange{r, !ok}
		}
	}
	if len(changes) == 0 {
		return
	}
	view = view.with(s.config.Name, changes)
	s.view.Store(view)
	if view.foldable() && !s.folding {
		s.folding = true
		s.folds.Go(s.fold)
	}
}

// share notes that another key has a secret too, if one has.
func (s *Store) share(view *storeView, changes map[Digest]storeChange, k *keyState, hash Digest) {
	other := ""
	if c, ok := changes[hash]; ok && !c.gone {
		other = c.record.ID
	} else if found, ok := view.find(&hash); ok {
		other = found.ID()
	}
	if other == "" || other == k.id {
		return
	}
	keys := s.state.shared[hash]
	for _, k := range []*keyState{s.state.keys[other], k} {
		if !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	s.state.shared[hash] = keys
}

// fold makes a new base, while requests and changes go on, until little has changed
// meanwhile.
func (s *Store) fold() {
	for again := true; again; {
		before := s.view.Load()
		base := before.fold(s.config.Name)
		s.mu.Lock()
		view := s.view.Load().folded(before, base)
		s.view.Store(view)
		again = view.foldable()
		s.folding = again
		s.mu.Unlock()
	}
}
