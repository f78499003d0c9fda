package shared

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/internal/replica"
	"github.com/caddy-jwt/caddy-jwt/reason"
	"github.com/caddy-jwt/caddy-jwt/revocation"
	"github.com/caddy-jwt/caddy-jwt/tokenservice"
)

// stateSets are the sets in use, by their place in the storage. They outlive configs, so
// that a reload finds what is in memory.
var stateSets = caddy.NewUsagePool()

// setOf says what a set is of: API keys if it has a store, signing keys if it has an issuer,
// else rules.
type setOf struct {
	place  string
	store  string // the name of the store
	issuer string
}

// stateSet is a set of rules, of API keys or of signing keys in the pool. It keeps nothing
// of one config.
type stateSet struct {
	setOf

	// One of rules, keys and signing is set by the first Start.
	rules   atomic.Pointer[revocation.Set]
	keys    atomic.Pointer[apikey.Store]
	usage   atomic.Pointer[apikey.Usage]
	signing atomic.Pointer[tokenservice.SigningKeys]

	// look is set if the set is of a config that is looked at, and in no pool. Then unread
	// is why it is not there.
	look   *Look
	unread error

	// lenient is set while requests are served without the set, as they were before a
	// reload added it.
	lenient atomic.Bool
	waiting atomic.Int64 // requests
	events  eventQueue

	mu     sync.Mutex
	owners []*State // the configs that have started and not stopped, the newest last
}

// replicated is what the sets of rules and those of keys have in common.
type replicated interface {
	Start()
	Close(ctx context.Context)
	Rebind(b replica.Binding, same bool)
	Sync(ctx context.Context) error
	Accept(ctx context.Context) (int, error)
	Ready() <-chan struct{}
	Freshness() (ready bool, syncedAt time.Time)
	Status() replica.Status
}

// acquireSet returns the pool's set with this place. Each call must be followed by one of
// release.
func acquireSet(of setOf) (*stateSet, error) {
	v, _, err := stateSets.LoadOrNew(of.place, func() (caddy.Destructor, error) {
		return &stateSet{setOf: of}, nil
	})
	if err != nil {
		return nil, err
	}
	return v.(*stateSet), nil
}

func (s *stateSet) release() error {
	if s.look != nil {
		return nil
	}
	_, err := stateSets.Delete(s.place)
	return err
}

// Destruct implements caddy.Destructor. The set was closed when the last config stopped.
func (s *stateSet) Destruct() error { return nil }

// replicated returns the set, or nil before the first Start.
func (s *stateSet) replicated() replicated {
	if rules := s.rules.Load(); rules != nil {
		return rules
	}
	if keys := s.keys.Load(); keys != nil {
		return keys
	}
	if signing := s.signing.Load(); signing != nil {
		return signing
	}
	return nil
}

// bind makes a config the newest that uses the set. lenient is that of State.start.
func (s *stateSet) bind(st *State, lenient bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := len(s.owners) == 0
	var before *State
	if !first {
		before = s.owners[len(s.owners)-1]
	}
	s.owners = append(s.owners, st)
	if !first {
		s.rebind(before, st)
		return
	}
	if s.issuer != "" {
		s.bindSigning(st)
		return
	}
	s.lenient.Store(lenient && s.store == "")
	if s.store == "" {
		set := revocation.NewSet(revocation.Config{
			Name: s.place, Binding: st.binding(s.place), Observe: s.observe, CanForget: clockTrust.canForget, Learned: s.learnedRules,
		})
		s.rules.Store(set)
		set.Start()
		return
	}
	keys := apikey.NewStore(apikey.StoreConfig{
		Name: s.store, Place: s.place, Binding: st.binding(s.place), Observe: s.observe, Learned: s.learnedKeys,
	})
	usage := apikey.NewUsage(apikey.UsageConfig{Objects: st.usageFolder(s.store), Keys: keys.Len})
	s.keys.Store(keys)
	s.usage.Store(usage)
	keys.Start()
	usage.Start()
}

// rebind makes the set work with the storage of another config.
func (s *stateSet) rebind(before, st *State) {
	same := replica.SameStorage(before.storage, st.storage)
	if signing := s.signing.Load(); signing != nil {
		signing.Use(st.use(s.issuer))
	}
	s.replicated().Rebind(st.binding(s.place), same)
	if usage := s.usage.Load(); usage != nil {
		usage.Rebind(st.usageFolder(s.store))
	}
	if !same {
		st.logger.Warn("the storage has changed; what is revoked stays revoked on this node, but is not taken over to the new storage", zap.String("set", s.place))
	}
}

// unbind takes a config away. If no other uses the set, it is closed, with one more attempt
// to store what is not stored. replaced reports whether a newer config serves requests now.
func (s *stateSet) unbind(ctx context.Context, st *State, replaced bool) {
	s.mu.Lock()
	newest := len(s.owners) > 0 && s.owners[len(s.owners)-1] == st
	s.owners = slices.DeleteFunc(s.owners, func(o *State) bool { return o == st })
	if len(s.owners) > 0 {
		if newest {
			s.rebind(st, s.owners[len(s.owners)-1])
		}
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	if rules := s.rules.Load(); rules != nil && replaced {
		n := 0
		for _, k := range revocation.Kinds {
			n += rules.Snapshot().Len(k)
		}
		if n > 0 {
			st.logger.Warn("the new config does not use this set, so that what was revoked is accepted again", zap.String("set", s.place), zap.Int("rules", n))
		}
	}
	s.replicated().Close(ctx) // first, as what it stores matters more than counts
	if n := s.status().Unstored; n > 0 && st.binding(s.place).Mirror == nil {
		st.logger.Error("changes of the shared state could not be stored until the end and are lost; what they revoked, disabled or deleted is accepted again", zap.String("set", s.place), zap.Int("objects", n))
	}
	if usage := s.usage.Load(); usage != nil {
		usage.Close(ctx)
	}
}

// owner returns the newest config that uses the set, or nil.
func (s *stateSet) owner() *State {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.owners) == 0 {
		return nil
	}
	return s.owners[len(s.owners)-1]
}

// status returns the state of the set.
func (s *stateSet) status() replica.Status {
	if r := s.replicated(); r != nil {
		return r.Status()
	}
	return replica.Status{}
}

// refuses reports whether requests that depend on the set must be refused: it is not ready,
// or too old. It is asked on each request.
func (s *stateSet) refuses(now time.Time, st *State) bool {
	if s.look != nil {
		return s.lacks()
	}
	r := s.replicated()
	if r == nil {
		return true
	}
	ready, syncedAt := r.Freshness()
	switch {
	case ready && (st.Serve || clock.Age(now, syncedAt) <= st.MaxStale):
		return false
	case ready:
		return true
	case s.lenient.Load():
		return false
	}
	return !st.Serve || !r.Status().Loaded
}

// The limits on requests that wait for a set to become ready.
const (
	readyWait   = 2 * time.Second
	readyQueue  = 256
	missingWait = 10 * time.Millisecond // between looks before the first Start
)

// await is refuses, but waits for a set that is being loaded.
func (s *stateSet) await(ctx context.Context, now time.Time, st *State) bool {
	if s.look != nil {
		return s.missed(st)
	}
	if !s.refuses(now, st) {
		return false
	}
	if s.waiting.Add(1) > readyQueue {
		s.waiting.Add(-1)
		return true
	}
	defer s.waiting.Add(-1)
	ctx, cancel := context.WithTimeout(ctx, readyWait)
	defer cancel()
	for s.replicated() == nil {
		select {
		case <-ctx.Done():
			return true
		case <-time.After(missingWait):
		}
	}
	r := s.replicated()
	if ready, _ := r.Freshness(); ready {
		return s.refuses(now, st) // it is too old
	}
	select {
	case <-ctx.Done():
	case <-r.Ready():
	}
	return s.refuses(now, st)
}

// learnedRules and learnedKeys pass on what other nodes have changed.
func (s *stateSet) learnedRules(rules []revocation.Rule) {
	st := s.owner()
	if st == nil {
		return
	}
	if st.LearnedRules != nil {
		st.LearnedRules(rules)
	}
	if st.emit != nil {
		s.events.add(func() {
			for i := range rules {
				st.Revoked(rules[i])
			}
		})
	}
}

func (s *stateSet) learnedKeys(changes []apikey.StoreChange) {
	st := s.owner()
	if st == nil {
		return
	}
	if st.LearnedKeys != nil {
		st.LearnedKeys(s.store, changes)
	}
	if st.emit != nil {
		s.events.add(func() {
			for _, c := range changes {
				st.KeyChanged(s.store, c)
			}
		})
	}
}

// requestKeys are the keys of a store as requests of one config use them.
type requestKeys struct {
	state *State
	set   *stateSet
}

// KeysOf returns the keys of the store with this name, for requests.
func (st *State) KeysOf(name string) apikey.Stored { return requestKeys{st, st.stores[name]} }

// Unavailable implements apikey.Stored.
func (k requestKeys) Unavailable(ctx context.Context, now time.Time) bool {
	return k.set.await(ctx, now, k.state)
}

// Find implements apikey.Stored.
func (k requestKeys) Find(d apikey.Digest, now time.Time) (apikey.Key, reason.Code) {
	store := k.set.keys.Load()
	if store == nil {
		return apikey.Key{}, reason.UnknownAPIKey
	}
	return store.Find(d, now)
}

// Has implements apikey.Stored.
func (k requestKeys) Has(d apikey.Digest) bool {
	store := k.set.keys.Load()
	return store != nil && store.Has(d)
}

// AwaitNews implements apikey.Stored.
func (k requestKeys) AwaitNews(ctx context.Context, text string) bool {
	store := k.set.keys.Load()
	return store != nil && k.set.look == nil && store.AwaitNews(ctx, text)
}
