package shared

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-jwt/caddy-jwt/internal/setting"
	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/keystore"
)

// Source is a source of keys, as handlers use it and the app looks after it.
type Source interface {
	Keys(ctx context.Context, kid string) ([]key.Key, error)
	Version(kid string, now time.Time) uint64
	Status() keystore.Status
	Start()
	Close()
}

// Settings are everything that decides which keys a remote source has, and when. Two handlers with the same ones share a source.
type Settings struct {
	Issuer       string        `json:"issuer,omitempty"` // of the metadata
	Discovery    string        `json:"discovery,omitempty"`
	JWKSURL      string        `json:"jwks_url,omitempty"`
	CA           string        `json:"ca,omitempty"` // digest of the certificates
	BearerFile   string        `json:"bearer_token_file,omitempty"`
	InsecureHTTP bool          `json:"insecure_http,omitempty"`
	Refresh      time.Duration `json:"refresh_interval,omitempty"`
	MaxStale     time.Duration `json:"max_stale,omitempty"`
	MaxKeys      int           `json:"max_keys,omitempty"`

	Roots *x509.CertPool
}

// id identifies the settings by a digest, which does not reveal them.
func (s Settings) id() string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // strings and numbers
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// identity is like id, without the settings that only affect timing: sources with the
// same identity hold the same keys.
func (s Settings) identity() string {
	s.Refresh, s.MaxStale = 0, 0
	return s.id()
}

// Config returns the config of a remote source with these settings.
func (s Settings) Config() keystore.RemoteConfig {
	c := keystore.RemoteConfig{
		Issuer: s.Issuer, Discovery: s.Discovery, JWKSURL: s.JWKSURL, InsecureHTTP: s.InsecureHTTP,
		RefreshInterval: s.Refresh, MaxStale: s.MaxStale, RootCAs: s.Roots, MaxKeys: s.MaxKeys, Skew: clockTrust.compared,
	}
	if s.BearerFile != "" {
		path := s.BearerFile
		c.BearerToken = func() (string, error) { return setting.BearerToken(path) }
	}
	return c
}

// remotes are the remote sources in use, by the id of their settings. They
// outlive configs: a reload that names a source again finds it with its keys.
var remotes = caddy.NewUsagePool()

// Remote is a remote source in the pool. It keeps nothing of one config;
// what it needs of the configs in force is bound to it while they last.
type Remote struct {
	*keystore.Remote
	ID       string
	identity string

	restored  atomic.Bool // or tried to
	restoring sync.Mutex
	stored    atomic.Bool   // the keys came from storage
	look      *lookedRemote // nil for a server's

	mu     sync.Mutex
	owners []binding // of the configs that use it, the newest last
}

// binding is what a config lends to a source.
type binding struct {
	owner   any
	observe func(keystore.Event)
	store   storedKeySets
}

// acquireRemote returns the pool's source with these settings, and makes it if
// there is none, with the keys of one that differs in its timing alone. It
// binds a config's means to it: from now on, as the HTTP server may be asked
// before this app starts. Each call must be followed by one of release.
func acquireRemote(s Settings, b binding) (*Remote, error) {
	id := s.id()
	donor := donorOf(s.identity(), id)
	v, _, err := remotes.LoadOrNew(id, func() (caddy.Destructor, error) {
		remote, err := keystore.NewRemote(s.Config())
		if err != nil {
			return nil, err
		}
		r := &Remote{Remote: remote, ID: id, identity: s.identity()}
		remote.Observe(r.tell)
		if donor != nil {
			if set, fetchedAt, ok := donor.Snapshot(); ok && remote.Seed(set, fetchedAt) {
				r.restored.Store(true)
				r.stored.Store(donor.Status().Restored)
			}
		}
		return r, nil
	})
	if err != nil {
		return nil, err
	}
	r := v.(*Remote)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.owners = append(r.owners, b)
	return r, nil
}

// donorOf finds a source with the same keys. The pool is asked before the new
// source is in it, as asking waits for those that are being made.
func donorOf(identity, except string) *Remote {
	var donor *Remote
	remotes.Range(func(k, v any) bool {
		if r, ok := v.(*Remote); ok && k != except && r.identity == identity {
			donor = r
		}
		return true
	})
	return donor
}

// release gives a source back and takes back what its config had lent. If the
// config before is still running (the newer one failed to load), its means are
// in force again.
func (r *Remote) release(owner any) error {
	if r.look != nil {
		r.Remote.Close()
		return nil
	}
	r.mu.Lock()
	r.owners = slices.DeleteFunc(r.owners, func(b binding) bool { return b.owner == owner })
	r.mu.Unlock()
	_, err := remotes.Delete(r.ID)
	return err
}

// Destruct ends the refreshing when no config uses the source any more.
func (r *Remote) Destruct() error {
	r.Remote.Close()
	return nil
}

// Close does nothing: a source is given back through release.
func (r *Remote) Close() {}

// ownedBy reports whether a source has this owner and no other.
func (r *Remote) ownedBy(owner any) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.owners) == 1 && r.owners[0].owner == owner
}

func (r *Remote) bound() (binding, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.owners) == 0 {
		return binding{}, false
	}
	return r.owners[len(r.owners)-1], true
}

// tell passes an event on, and saves the keys after each successful fetch, even if they
// are unchanged: the time of the fetch limits how long they may be used.
func (r *Remote) tell(e keystore.Event) {
	b, ok := r.bound()
	if !ok {
		return
	}
	if e.Kind == keystore.KeysFetched {
		if set, fetchedAt, ok := r.Snapshot(); ok {
			b.store.save(r.identity, set, fetchedAt)
		}
	}
	b.observe(e)
}

// Start restores the last good keys, then begins to refresh. It returns at once.
func (r *Remote) Start() {
	if r.look != nil {
		return
	}
	go func() {
		r.restore()
		r.Remote.Start()
	}()
}

// Keys implements validator.KeySet. A request that comes before the stored
// keys are read waits for them: in an outage they are all there is.
func (r *Remote) Keys(ctx context.Context, kid string) ([]key.Key, error) {
	if r.look != nil {
		return r.look.Keys(ctx, r, kid)
	}
	if !r.restored.Load() {
		r.restore()
	}
	return r.Remote.Keys(ctx, kid)
}

// Version implements validator.KeySet.
func (r *Remote) Version(kid string, now time.Time) uint64 {
	if !r.restored.Load() {
		return 0
	}
	return r.Remote.Version(kid, now)
}

// Distrust begins a fetch, as Remote of the keystore does. What is only looked at fetches none.
func (r *Remote) Distrust() {
	if r.look == nil {
		r.Remote.Distrust()
	}
}

// Status is the source's state. Keys that came from a source with other timing
// were fetched by this process and are not restored ones.
func (r *Remote) Status() keystore.Status {
	s := r.Remote.Status()
	s.Restored = s.Restored && r.stored.Load()
	return s
}

// restore reads the last good keys from storage, once. The storage has a bound
// on its time; a request waits for no longer.
func (r *Remote) restore() {
	r.restoring.Lock()
	defer r.restoring.Unlock()
	if r.restored.Load() {
		return
	}
	b, ok := r.bound()
	if !ok {
		return // no config uses it any more
	}
	if set, fetchedAt, ok := b.store.load(r.identity); ok {
		r.stored.Store(r.Seed(set, fetchedAt))
	}
	r.restored.Store(true)
}
