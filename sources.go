package caddyjwt

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

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/keystore"
)

// Sources are the key sources and key files of one config. What is shared with other
// configs (remote sources, key files) is taken out of pools and given back.
type Sources struct {
	logger *zap.Logger
	store  keyStore
	emit   func(name string, data func() map[string]any) // to Caddy's events; nil for nobody

	mu       sync.Mutex
	sources  map[string]*usedSource    // by id
	keyFiles map[string]*pooledKeyFile // by path
	takes    []func()                  // take over what was read of key files anew
	started  bool
	cleaned  bool
}

// newSources makes the sources of a config. storage keeps fetched keys, nil for none;
// emit emits an event, if somebody listens.
func newSources(logger *zap.Logger, storage certmagic.Storage, emit func(name string, data func() map[string]any)) *Sources {
	return &Sources{logger: logger, store: keyStore{storage: storage, logger: logger}, emit: emit}
}

// usedSource is a key source of this config.
type usedSource struct {
	id      string
	kind    string   // remote, file or config
	issuers []string // the iss of all that use it
	source  keySource
}

// start begins to fetch keys and to look for changes of files, and takes over what was
// read of key files anew.
func (s *Sources) start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started = true
	for _, used := range s.sources {
		used.source.Start()
	}
	for _, take := range s.takes {
		take()
	}
	s.takes = nil
	for _, f := range s.keyFiles {
		f.Start()
	}
}

// close gives the sources back. Requests in flight keep the keys they have. What was
// not taken is not given back, and a second call does nothing.
func (s *Sources) close() error {
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
		if r, ok := used.source.(*remoteSource); ok {
			errs = append(errs, r.release(s))
		} else {
			used.source.Close()
		}
	}
	for _, f := range s.keyFiles {
		errs = append(errs, f.release(s))
	}
	return errors.Join(errs...)
}

// remote returns the source with these settings for an issuer.
func (s *Sources) remote(iss string, settings sourceSettings) (*remoteSource, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := settings.id()
	if used, ok := s.sources[id]; ok {
		used.add(iss)
		return used.source.(*remoteSource), nil
	}
	store := s.store
	store.logger = s.logger.With(zap.String("issuer", iss), zap.String("id", id))
	r, err := acquireRemote(settings, binding{owner: s, observe: func(e keystore.Event) { s.observe(id, e) }, store: store})
	if err != nil {
		return nil, err
	}
	s.use(&usedSource{id: id, kind: "remote", issuers: []string{iss}, source: r})
	return r, nil
}

// local puts a source of this machine under the app's care. what names it.
func (s *Sources) local(iss, kind, what string, source keySource) {
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
	s.use(&usedSource{id: id, kind: kind, issuers: []string{iss}, source: source})
}

// use notes a source. Call with the lock.
func (s *Sources) use(used *usedSource) {
	if s.sources == nil {
		s.sources = map[string]*usedSource{}
	}
	s.sources[used.id] = used
	if s.started {
		used.source.Start()
	}
}

func (s *usedSource) add(iss string) {
	if !slices.Contains(s.issuers, iss) {
		s.issuers = append(s.issuers, iss)
	}
}

// list returns the sources in a stable order.
func (s *Sources) list() []usedSource {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]usedSource, 0, len(s.sources))
	for _, used := range s.sources {
		c := *used
		c.issuers = slices.Sorted(slices.Values(used.issuers))
		list = append(list, c)
	}
	slices.SortFunc(list, func(x, y usedSource) int {
		return cmp.Or(cmp.Compare(x.issuers[0], y.issuers[0]), cmp.Compare(x.id, y.id))
	})
	return list
}

// ended tells whether the config is gone.
func (s *Sources) ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cleaned
}

// find returns the source with an id.
func (s *Sources) find(id string) (usedSource, bool) {
	for _, used := range s.list() {
		if used.id == id {
			return used, true
		}
	}
	return usedSource{}, false
}

// refresh fetches the keys of a remote source now.
func (s usedSource) refresh(ctx context.Context) error {
	r, ok := s.source.(*remoteSource)
	if !ok {
		return errNotRemote
	}
	return r.Refresh(ctx)
}

var errNotRemote = errors.New("its keys come from this machine and are not fetched; a changed file is taken over by itself")

// observe tells the log and Caddy's events of a change of a source's state.
// Nothing of it is caused by a request alone, so nobody floods either from
// outside.
func (s *Sources) observe(id string, e keystore.Event) {
	s.mu.Lock()
	used, ok := s.sources[id]
	issuer := ""
	if ok {
		issuer = strings.Join(used.issuers, " ")
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
