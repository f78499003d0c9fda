package keystore

import (
	"context"
	"time"

	"github.com/caddy-jwt/caddy-jwt/key"
)

// Static holds keys that are written in the config and never change. It is safe for
// concurrent use.
type Static struct {
	set *Set
}

// NewStatic makes a Static of a set.
func NewStatic(set *Set) *Static { return &Static{set: set} }

// Keys returns the keys that a token with this kid may have been signed with
// (see Set.find), or key.ErrUnknown if there is none. It never waits.
func (s *Static) Keys(_ context.Context, kid string) ([]key.Key, error) {
	if keys := s.set.find(kid); len(keys) > 0 {
		return keys, nil
	}
	return nil, key.ErrUnknown
}

// Version returns the version of the keys, which is the same for every kid.
func (s *Static) Version(string, time.Time) uint64 { return s.set.version }

// Start does nothing, as the keys never change.
func (s *Static) Start() {}

// Close does nothing.
func (s *Static) Close() {}

// Status describes the keys.
func (s *Static) Status() Status {
	return Status{State: "fresh", Keys: s.set.info(), Problems: s.set.problems}
}
