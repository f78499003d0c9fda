package shared

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/replica"
	"github.com/caddy-jwt/caddy-jwt/revocation"
	"github.com/caddy-jwt/caddy-jwt/tokenservice"
)

// StateSettings are what a config says of shared state.
type StateSettings struct {
	// Cluster is the name that keeps apart what shares a storage.
	Cluster string
	// Interval is how often the storage is listed.
	Interval time.Duration
	// MaxStale is the time after which a set that could not be synced is refused.
	MaxStale time.Duration
	// Serve reports whether requests are served while a set is not ready or too old, as
	// long as there is one in hand.
	Serve bool
	// Keys authenticate what is in the storage: the first signs, all verify.
	Keys [][]byte
	// Stores are the names of the stores of API keys.
	Stores []string
	// StorageModule is the id of the storage's module, such as
	// caddy.storage.file_system.
	StorageModule string
	// MirrorFolder is the folder of this machine that holds a copy of the state if the
	// storage is elsewhere.
	MirrorFolder string
	// LearnedRules and LearnedKeys are called with what other nodes have changed; nil for
	// nobody.
	LearnedRules func(rules []revocation.Rule)
	LearnedKeys  func(store string, changes []apikey.StoreChange)
	// RotatedKeys is called with changes of signing keys, no matter who made them; nil for nobody.
	RotatedKeys func(tokenservice.KeyEvent)
}

// Defaults of StateSettings.
const (
	DefaultCluster  = "default"
	DefaultInterval = 5 * time.Second
	DefaultMaxStale = 24 * time.Hour
)

// RevocationsPlace returns the place of the set of rules in the storage.
func RevocationsPlace(cluster string) string { return path.Join("jwt", cluster, "revocations") }

// KeysPlace returns the place of the set of a store's API keys in the storage.
func KeysPlace(cluster, store string) string { return path.Join("jwt", cluster, "keys-"+store) }

// State is the shared state as one config uses it: revocations, stored API keys and signing
// keys. The
// sets behind it outlive configs: a reload goes on with what is in memory. They work with
// the storage of the newest config that has started and not stopped.
type State struct {
	StateSettings
	logger  *zap.Logger
	storage certmagic.Storage
	look    *Look // nil for a server's
	emit    func(name string, data func() map[string]any)

	revocations *stateSet
	stores      map[string]*stateSet                // by name
	signing     atomic.Pointer[map[string]*Signing] // by issuer; added to until the start

	mu       sync.Mutex
	started  bool
	released bool
	watch    *watch
}

// process is the name of this process among those that share a storage. It is not derived
// from a file, as processes may share a folder.
var process = sync.OnceValue(func() string {
	var b [4]byte
	if _, err := rand.Read(b[:]); err != nil {
		panic(err) // crypto/rand never fails
	}
	return hex.EncodeToString(b[:])
})

// NewState makes the state of a config. Nothing is read or written before Start.
func (s *Sources) NewState(settings StateSettings) (*State, error) {
	st := &State{
		StateSettings: settings, logger: s.logger.Named("state"), storage: s.Storage(), emit: s.emit, look: s.look,
		stores: map[string]*stateSet{},
	}
	var err error
	if st.revocations, err = st.acquire(setOf{place: RevocationsPlace(settings.Cluster)}); err != nil {
		return nil, err
	}
	for _, name := range settings.Stores {
		if st.stores[name], err = st.acquire(setOf{place: KeysPlace(settings.Cluster, name), store: name}); err != nil {
			return nil, errors.Join(err, st.release())
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = st
	return st, nil
}

// all returns all sets, the revocations first.
func (st *State) all() []*stateSet {
	list := make([]*stateSet, 0, 1+len(st.stores))
	if st.revocations != nil {
		list = append(list, st.revocations)
	}
	for _, name := range slices.Sorted(maps.Keys(st.stores)) {
		list = append(list, st.stores[name])
	}
	return append(list, st.signingSets()...)
}

// start takes the sets into use. lenient reports whether requests go on to be served until
// the rules are loaded.
func (st *State) start(lenient bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.started {
		return
	}
	st.started = true
	for _, set := range st.all() {
		set.bind(st, lenient)
	}
	st.watch = startWatch(st)
}

// stop gives the sets back to the config before, if that still runs; otherwise what is not
// stored yet is stored now, within ctx.
func (st *State) stop(ctx context.Context, replaced bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if !st.started {
		return
	}
	st.started = false
	var ending sync.WaitGroup
	for _, set := range st.all() {
		ending.Go(func() { set.unbind(ctx, st, replaced) })
	}
	ending.Wait()
	st.watch.stop(ctx)
}

// release takes the sets out of use.
func (st *State) release() error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.released {
		return nil
	}
	st.released = true
	var errs []error
	for _, set := range st.all() {
		errs = append(errs, set.release())
	}
	return errors.Join(errs...)
}

// acquire returns the pool's set, or one of its own for a config that is looked at.
func (st *State) acquire(of setOf) (*stateSet, error) {
	if st.look != nil {
		return &stateSet{setOf: of, look: st.look, unread: errNeverRead}, nil
	}
	return acquireSet(of)
}

// binding is how this config keeps a set.
func (st *State) binding(place string) replica.Binding {
	if st.look != nil {
		return replica.Binding{
			Objects: replica.ReadOnly(replica.Folder(st.storage, place)), Local: replica.IsLocal(st.storage), Keys: st.Keys,
		}
	}
	b := replica.Binding{
		Objects: replica.Folder(st.storage, place), Interval: st.Interval,
		Local: replica.IsLocal(st.storage), Keys: st.Keys,
	}
	if !b.Local && st.MirrorFolder != "" {
		b.Mirror = replica.Folder(&certmagic.FileStorage{Path: st.MirrorFolder}, place)
	}
	return b
}

// MirrorName returns the name of the folder that mirrors a storage with these settings.
func MirrorName(module string, settings []byte) string {
	sum := sha256.Sum256(append([]byte(module+"\x00"), settings...))
	return hex.EncodeToString(sum[:8])
}

// usageFolder is the folder of the counts of a store's keys.
func (st *State) usageFolder(store string) replica.Objects {
	return replica.Folder(st.storage, path.Join("jwt", st.Cluster, "usage-"+store))
}

// Revocations returns the rules. It is nil until the first Start.
func (st *State) Revocations() *revocation.Set { return st.revocations.rules.Load() }

// Rules returns the rules in force, for a request.
func (st *State) Rules() *revocation.Snapshot {
	if set := st.revocations.rules.Load(); set != nil {
		return set.Snapshot()
	}
	return nil
}

// Store returns the store of API keys with this name, or nil if there is none, or before
// the first Start.
func (st *State) Store(name string) *apikey.Store {
	if set := st.stores[name]; set != nil {
		return set.keys.Load()
	}
	return nil
}

// Usage returns what is counted of a store's keys, or nil as Store.
func (st *State) Usage(name string) *apikey.Usage {
	if set := st.stores[name]; set != nil {
		return set.usage.Load()
	}
	return nil
}

// Used counts a use of an API key, if it is of a store.
func (st *State) Used(k apikey.Key, now time.Time) {
	if usage := st.Usage(k.Store()); usage != nil {
		usage.Used(k, now)
	}
}

// Node returns the name of this node: the host's name and 8 hexadecimal digits that differ
// from process to process.
func (st *State) Node() string { return nodeName() }

var nodeName = sync.OnceValue(func() string {
	host, err := os.Hostname()
	if err != nil {
		host = "node"
	}
	return host + "-" + process()
})

// SetStatus is the state of one set.
type SetStatus struct {
	// Name is revocations, keys- and the name of a store, or signing- and 16 hexadecimal
	// digits that stand for an issuer.
	Name string
	replica.Status
	// Refuses reports whether requests that depend on the set are refused now, and
	// RefusesAt is when that begins if no sync succeeds; zero for never.
	Refuses   bool
	RefusesAt time.Time
}

// Sets returns the state of all sets.
func (st *State) Sets(now time.Time) []SetStatus {
	var list []SetStatus
	for _, set := range st.all() {
		s := SetStatus{Name: path.Base(set.place), Status: set.status(), Refuses: set.refuses(now, st)}
		if !st.Serve && !s.SyncedAt.IsZero() {
			s.RefusesAt = s.SyncedAt.Add(st.MaxStale)
		}
		list = append(list, s)
	}
	return list
}

// StoreNames returns the names of the stores of API keys, sorted.
func (st *State) StoreNames() []string { return slices.Sorted(maps.Keys(st.stores)) }

// AwaitRevocations reports whether it is not known which credentials are revoked, so that
// requests must be refused. It waits a little for rules that are being loaded.
func (st *State) AwaitRevocations(ctx context.Context, now time.Time) (unavailable bool) {
	return st.revocations.await(ctx, now, st)
}

// AwaitStore reports whether the keys of a store are not known, likewise.
func (st *State) AwaitStore(ctx context.Context, name string, now time.Time) (unavailable bool) {
	return st.stores[name].await(ctx, now, st)
}

// Accept signs what is in the storage without a signature, in all sets, and returns how
// many objects those were.
func (st *State) Accept(ctx context.Context) (n int, err error) {
	for _, set := range st.all() {
		a := set.replicated()
		if a == nil {
			return n, errors.New("the state is not started")
		}
		accepted, err := a.Accept(ctx)
		n += accepted
		if err != nil {
			return n, fmt.Errorf("%s: %w", set.place, err)
		}
	}
	return n, nil
}

// Revoked emits an event for a rule that was made.
func (st *State) Revoked(r revocation.Rule) {
	if st.emit == nil || r.Gone {
		return
	}
	st.emit("revoked", func() map[string]any {
		issuer := r.Issuer
		if r.Kind == revocation.KindIssuer {
			issuer = r.Value
		}
		return map[string]any{"kind": r.Kind.String(), "id": r.PublicID(), "issuer": issuer}
	})
}

// KeyChanged emits an event for a change of a stored API key.
func (st *State) KeyChanged(store string, c apikey.StoreChange) {
	if st.emit == nil {
		return
	}
	st.emit("api_key_changed", func() map[string]any {
		return map[string]any{"store": store, "id": c.ID, "change": c.Change}
	})
}
