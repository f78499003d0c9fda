// Package shared holds what outlives a config or is shared by sites: key sources and key
// files.
package shared

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/keystore"
)

// Sources are the key sources and key files of one config. What is shared with other
// configs (remote sources, key files) is taken out of pools and given back.
type Sources struct {
	logger *zap.Logger
	store  storedKeySets
	emit   func(name string, data func() map[string]any) // to Caddy's events; nil for nobody
	look   *Look                                         // nil for a server's

	mu       sync.Mutex
	sources  map[string]*Used          // by id
	keyFiles map[string]*pooledKeyFile // by path

	introspections map[string]*UsedIntrospection // by id

	placed   []*apikey.Placed
	takes    []func() // take over what was read of key files again
	started  bool
	cleaned  bool
	settleBy time.Time // when Settle gives up; zero before its first call
	state    *State    // nil for none
	services *Services
}

// New makes the sources of a config. storage keeps fetched keys, nil for none;
// emit emits an event, if somebody listens.
func New(logger *zap.Logger, storage certmagic.Storage, emit func(name string, data func() map[string]any)) *Sources {
	s := &Sources{logger: logger, store: storedKeySets{storage: storage, logger: logger}, emit: emit}
	if l, ok := storage.(*lookedAt); ok {
		s.look = l.look
	}
	s.services = &Services{sources: s}
	return s
}

// Used is a key source of this config.
type Used struct {
	ID      string
	Kind    string   // remote, file, config or service
	Issuers []string // the iss of all that use it
	Source  Source
}

// Start begins to fetch keys and to look for changes of files, and takes over what was
// read of key files again.
func (s *Sources) Start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started = true
	for _, used := range s.sources {
		used.Source.Start()
	}
	for _, take := range s.takes {
		take()
	}
	s.takes = nil
	for _, f := range s.keyFiles {
		f.Start()
	}
	for _, p := range s.placed {
		p.Start()
	}
}

// StartState takes the shared state of the config into use, if there is one. lenient reports
// whether requests are served without state at present, and go on to be until it is
// loaded.
func (s *Sources) StartState(lenient bool) {
	if st := s.State(); st != nil {
		st.start(lenient)
	}
}

// stateEnd limits the time in which a config that stops stores what is not stored yet.
const stateEnd = 5 * time.Second

// StopState gives the shared state back. replaced reports whether a newer config serves
// requests now.
func (s *Sources) StopState(replaced bool) {
	st := s.State()
	if st == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), stateEnd)
	defer cancel()
	st.stop(ctx, replaced)
}

// State returns the shared state of the config, or nil.
func (s *Sources) State() *State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// settleTime bounds how long the end of a config waits for keys that are being stored.
const settleTime = 2 * time.Second

// Settle waits until what was fetched is stored. New keys serve at once, and are stored
// a moment later: without waiting, a restart while the issuer is down would refuse
// tokens that were accepted before. It waits only for sources that no other config
// keeps, and in all its calls together no longer than settleTime.
func (s *Sources) Settle() {
	s.mu.Lock()
	if s.settleBy.IsZero() {
		s.settleBy = time.Now().Add(settleTime)
	}
	ctx, cancel := context.WithDeadline(context.Background(), s.settleBy)
	defer cancel()
	var ending []*Remote
	for _, used := range s.sources {
		if r, ok := used.Source.(*Remote); ok && r.ownedBy(s) {
			ending = append(ending, r)
		}
	}
	// Storing ends in an event, which takes the lock.
	s.mu.Unlock()
	for _, r := range ending {
		r.Settle(ctx)
	}
}

// Close gives the sources back, after Settle. Requests in flight keep the keys they
// have. What was not taken is not given back, and a second call does nothing.
func (s *Sources) Close() error {
	s.Settle()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cleaned {
		return nil
	}
	// The list stays for an operator who asked just before.
	s.cleaned = true
	s.takes = nil
	var errs []error
	for _, used := range s.sources {
		if r, ok := used.Source.(*Remote); ok {
			errs = append(errs, r.release(s))
		} else {
			used.Source.Close()
		}
	}
	for _, f := range s.keyFiles {
		errs = append(errs, f.release(s))
	}
	for _, i := range s.introspections {
		errs = append(errs, i.release(s))
	}
	for _, p := range s.placed {
		p.Close()
	}
	if s.state != nil {
		if s.look != nil {
			s.state.endLook()
		}
		errs = append(errs, s.state.release())
	}
	return errors.Join(errs...)
}

// Remote returns the source with these settings for an issuer.
func (s *Sources) Remote(iss string, settings Settings) (*Remote, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := settings.id()
	if used, ok := s.sources[id]; ok {
		used.add(iss)
		return used.Source.(*Remote), nil
	}
	store := s.store
	store.logger = s.logger.With(zap.String("issuer", iss), zap.String("id", id))
	var r *Remote
	var err error
	if s.look != nil {
		r, err = newLookedRemote(s.look, iss, settings, store)
	} else {
		r, err = acquireRemote(settings, binding{owner: s, observe: func(e keystore.Event) { s.observe(id, e) }, store: store})
	}
	if err != nil {
		return nil, err
	}
	s.use(&Used{ID: id, Kind: "remote", Issuers: []string{iss}, Source: r})
	return r, nil
}

// Local adds a local source, which is started and closed with the others. what names it.
func (s *Sources) Local(iss, kind, what string, source Source) {
	sum := sha256.Sum256([]byte(kind + "\x00" + iss + "\x00" + what))
	id := hex.EncodeToString(sum[:8])
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := 1; s.sources[id] != nil; n++ { // the same at two sites
		id = fmt.Sprintf("%s-%d", hex.EncodeToString(sum[:8]), n+1)
	}
	if f, ok := source.(*keystore.File); ok {
		f.Observe(func(e keystore.Event) { s.observe(id, e) })
	}
	s.use(&Used{ID: id, Kind: kind, Issuers: []string{iss}, Source: source})
}

// use notes a source. Call with the lock.
func (s *Sources) use(used *Used) {
	if s.sources == nil {
		s.sources = map[string]*Used{}
	}
	s.sources[used.ID] = used
	if s.started {
		used.Source.Start()
	}
}

func (s *Used) add(iss string) {
	if !slices.Contains(s.Issuers, iss) {
		s.Issuers = append(s.Issuers, iss)
	}
}

// List returns the sources in a stable order.
func (s *Sources) List() []Used {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Used, 0, len(s.sources))
	for _, used := range s.sources {
		c := *used
		c.Issuers = slices.Sorted(slices.Values(used.Issuers))
		list = append(list, c)
	}
	slices.SortFunc(list, func(x, y Used) int {
		return cmp.Or(cmp.Compare(x.Issuers[0], y.Issuers[0]), cmp.Compare(x.ID, y.ID))
	})
	return list
}

// Ended reports whether Close was called.
func (s *Sources) Ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cleaned
}

// Find returns the source with an id.
func (s *Sources) Find(id string) (Used, bool) {
	for _, used := range s.List() {
		if used.ID == id {
			return used, true
		}
	}
	return Used{}, false
}

// Refresh fetches the keys of a remote source now.
func (s Used) Refresh(ctx context.Context) error {
	r, ok := s.Source.(*Remote)
	if !ok {
		return ErrNotRemote
	}
	return r.Refresh(ctx)
}

// ErrNotRemote is the error of Refresh for a source that is not fetched.
var ErrNotRemote = errors.New("its keys come from this machine and are not fetched; a changed file is reloaded by itself")

// observe logs a change of a source's state and emits it as an event. No request alone
// causes one, so clients can't flood either.
func (s *Sources) observe(id string, e keystore.Event) {
	s.mu.Lock()
	used, ok := s.sources[id]
	issuer := ""
	if ok {
		issuer = strings.Join(used.Issuers, " ")
	}
	s.mu.Unlock()
	logEvent(s.logger.With(zap.String("issuer", issuer), zap.String("id", id)), e)
	name := map[keystore.EventKind]string{
		keystore.KeysChanged: "key_set_changed", keystore.SourceFailing: "key_source_failing",
	}[e.Kind]
	if name == "" || s.emit == nil {
		return
	}
	s.emit(name, func() map[string]any {
		data := map[string]any{"issuer": issuer, "id": id, "source": e.Source, "keys": e.Keys}
		if e.Kind == keystore.KeysChanged {
			data["added"], data["removed"] = e.Added, e.Removed
		} else if e.Err != nil {
			data["error"] = e.Err.Error()
		}
		return data
	})
}
