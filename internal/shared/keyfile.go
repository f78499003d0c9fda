package shared

import (
	"maps"
	"path/filepath"
	"slices"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/apikey"
)

// keyFilePool are the key files in use, by their full path. They outlive configs:
// a reload that names a file again finds its keys, read already.
var keyFilePool = caddy.NewUsagePool()

// pooledKeyFile is a key file in the pool. It keeps nothing of one config; where
// its changes are logged is bound to it while a config lasts.
type pooledKeyFile struct {
	*apikey.File
	Path   string
	looked bool // it is in no pool

	mu     sync.Mutex
	owners []*Sources // the configs that use it, the newest last
}

// KeyFile returns the key file with this path, and reads it if it is new or has
// changed. What was read again serves from Start on: until then the config before
// is in force, and stays so if this one fails.
func (s *Sources) KeyFile(path string) (*apikey.File, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.keyFiles[path]; f != nil {
		return f.File, nil
	}
	if s.look != nil {
		f, err := readKeyFile(path)
		if err != nil {
			return nil, err
		}
		f.looked = true
		s.keepKeyFile(f)
		return f.File, nil
	}
	v, loaded, err := keyFilePool.LoadOrNew(path, func() (caddy.Destructor, error) {
		f, err := readKeyFile(path)
		if err != nil {
			return nil, err
		}
		f.Observe(f.tell)
		return f, nil
	})
	if err != nil {
		return nil, err
	}
	f := v.(*pooledKeyFile)
	take := func() {}
	if loaded {
		if take, err = f.Reread(); err != nil {
			if _, e := keyFilePool.Delete(path); e != nil {
				return nil, e
			}
			return nil, err
		}
	}
	f.mu.Lock()
	f.owners = append(f.owners, s)
	f.mu.Unlock()
	s.keepKeyFile(f)
	if s.started {
		take()
		f.Start()
	} else {
		s.takes = append(s.takes, take)
	}
	return f.File, nil
}

// readKeyFile reads a file.
func readKeyFile(path string) (*pooledKeyFile, error) {
	file, err := apikey.NewFile(apikey.FileConfig{Path: path})
	if err != nil {
		return nil, err
	}
	return &pooledKeyFile{File: file, Path: path}, nil
}

// keepKeyFile notes a file of this config. Call with the lock.
func (s *Sources) keepKeyFile(f *pooledKeyFile) {
	if s.keyFiles == nil {
		s.keyFiles = map[string]*pooledKeyFile{}
	}
	s.keyFiles[f.Path] = f
}

// PlacedKeys adds API keys that are in files of their own, which are started and closed
// with the others.
func (s *Sources) PlacedKeys(keys *apikey.Placed) {
	keys.Observe(func(e apikey.Event) { logKeyFile(s.logger, e) })
	s.mu.Lock()
	defer s.mu.Unlock()
	s.placed = append(s.placed, keys)
	if s.started {
		keys.Start()
	}
}

// release gives the file back.
func (f *pooledKeyFile) release(s *Sources) error {
	if f.looked {
		f.Close()
		return nil
	}
	f.mu.Lock()
	f.owners = slices.DeleteFunc(f.owners, func(b *Sources) bool { return s == b })
	f.mu.Unlock()
	_, err := keyFilePool.Delete(f.Path)
	return err
}

// Destruct stops polling when no config uses the file any more.
func (f *pooledKeyFile) Destruct() error {
	f.Close()
	return nil
}

// tell logs a change with the logger of the config in force.
func (f *pooledKeyFile) tell(e apikey.Event) {
	f.mu.Lock()
	var owner *Sources
	if len(f.owners) > 0 {
		owner = f.owners[len(f.owners)-1]
	}
	f.mu.Unlock()
	if owner != nil {
		logKeyFile(owner.logger, e)
	}
}

// logKeyFile writes a line for a change of a key file's state.
func logKeyFile(logger *zap.Logger, e apikey.Event) {
	fields := []zap.Field{zap.String("file", e.File), zap.Int("keys", e.Keys)}
	switch e.Kind {
	case apikey.Changed:
		logger.Info("the API keys of a file have changed", fields...)
	case apikey.Recovered:
		logger.Info("the API keys of a file can be read again", fields...)
	case apikey.Failing:
		logger.Error("a file of API keys can't be used; the previous keys stay in use", append(fields, shownError(e.Err))...)
	}
}

// KeyFileList returns the key files in a stable order.
func (s *Sources) KeyFileList() []*pooledKeyFile {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*pooledKeyFile, 0, len(s.keyFiles))
	for _, path := range slices.Sorted(maps.Keys(s.keyFiles)) {
		list = append(list, s.keyFiles[path])
	}
	return list
}

// KeyFile is the state of a file of API keys.
type KeyFile struct {
	Path string
	apikey.Status
}

// KeyFiles returns the state of the key files, and of the keys that are in files of their
// own. Of several with one path, such as those of two sites, it returns the one that fails.
func (s *Sources) KeyFiles() []KeyFile {
	byPath := map[string]KeyFile{}
	add := func(path string, status apikey.Status) {
		if other, ok := byPath[path]; !ok || other.Failures < status.Failures {
			byPath[path] = KeyFile{path, status}
		}
	}
	for _, f := range s.KeyFileList() {
		add(f.Path, f.Status())
	}
	s.mu.Lock()
	placed := slices.Clone(s.placed)
	s.mu.Unlock()
	for _, p := range placed {
		status := p.Status()
		add(status.File, status)
	}
	list := make([]KeyFile, 0, len(byPath))
	for _, path := range slices.Sorted(maps.Keys(byPath)) {
		list = append(list, byPath[path])
	}
	return list
}
