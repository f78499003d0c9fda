package apikey

import (
	"math"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/table"
)

// idView is how the keys of a store stand, by their ids. It is immutable, and has a base
// and a delta as a storeView has. Nothing ever leaves it: a deleted key stays known.
type idView struct {
	seeds idSeeds
	base  *idTable
	delta [deltaShards]*idTable // by the first byte of the hash; nil for empty
	n     int                   // of the keys in the delta
}

// idTable holds for each key until when its last secret is accepted, in milliseconds since
// 1970, or what it is instead.
type idTable = table.Table[idHash, int64]

const (
	untilDeleted  = math.MinInt64
	untilDisabled = math.MinInt64 + 1
)

// find returns what is in the view of an id.
func (v *idView) find(id string) (until int64, ok bool) {
	h := v.seeds.hash(id)
	if delta := v.delta[h[0]]; delta != nil {
		if found := delta.Find(&h); found != nil {
			return *found, true
		}
	}
	if found := v.base.Find(&h); found != nil {
		return *found, true
	}
	return 0, false
}

// with returns a view with changes.
func (v *idView) with(changes map[idHash]int64) *idView {
	next := *v
	var shards [deltaShards][]idHash
	for h := range changes {
		shards[h[0]] = append(shards[h[0]], h)
	}
	for i, changed := range shards {
		if len(changed) == 0 {
			continue
		}
		old := v.delta[i]
		if old == nil {
			old = table.New[idHash, int64](0)
		}
		delta := table.New[idHash, int64](old.Len() + len(changed))
		for c := range old.All() {
			if _, ok := changes[c.Digest]; !ok {
				delta.Add(c.Digest, c.Value)
			}
		}
		for _, h := range changed {
			delta.Add(h, changes[h])
		}
		next.n += delta.Len() - old.Len()
		next.delta[i] = delta
	}
	if next.n > max(minFold, next.base.Len()/foldPart) {
		return next.fold()
	}
	return &next
}

// fold returns a view without a delta. It is made at once, as a million ids take a
// fiftieth of a second.
func (v *idView) fold() *idView {
	base := v.base.Empty(v.base.Len() + v.n)
	for c := range v.base.All() {
		if delta := v.delta[c.Digest[0]]; delta == nil || delta.Find(&c.Digest) == nil {
			base.Add(c.Digest, c.Value)
		}
	}
	for _, delta := range v.delta {
		if delta != nil {
			for c := range delta.All() {
				base.Add(c.Digest, c.Value)
			}
		}
	}
	base.Compact()
	return &idView{seeds: v.seeds, base: base}
}

// FindID returns how the key with this id stands, in one look-up. An unknown id means
// nothing as long as the store is not ready. The first call takes a while: from then on it
// is kept up to date.
func (s *Store) FindID(id string, now time.Time) Standing {
	v := s.byID.Load()
	if v == nil {
		v = s.makeIDView()
	}
	until, ok := v.find(id)
	switch {
	case !ok:
		return StandingUnknown
	case until == untilDeleted:
		return StandingDeleted
	case until == untilDisabled:
		return StandingDisabled
	case now.UnixMilli() >= until:
		return StandingExpired
	}
	return StandingValid
}

func (s *Store) makeIDView() *idView {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v := s.byID.Load(); v != nil {
		return v
	}
	v := &idView{seeds: newIDSeeds(), base: table.New[idHash, int64](len(s.state.keys))}
	view := s.view.Load()
	for id, k := range s.state.keys {
		if until, ok := k.until(view); ok {
			v.base.Add(v.seeds.hash(id), until)
		}
	}
	v.base.Compact()
	s.byID.Store(v)
	return v
}

// publishIDs makes visible by ids what has changed. What requests find by secrets is
// published already. The caller holds the lock.
func (s *Store) publishIDs(touched map[*keyState]*Record) {
	v := s.byID.Load()
	if v == nil {
		return
	}
	changes, view := make(map[idHash]int64, len(touched)), s.view.Load()
	for k := range touched {
		if until, ok := k.until(view); ok {
			changes[v.seeds.hash(k.id)] = until
		}
	}
	if len(changes) > 0 {
		s.byID.Store(v.with(changes))
	}
}

// until returns what an idTable holds of a key. It is false for one of which too little is
// known: its secret or its profile are on their way.
func (k *keyState) until(view *storeView) (until int64, ok bool) {
	if k.dead {
		return untilDeleted, true
	}
	until = untilDisabled
	for i := range k.secrets {
		found, there := view.find(&k.secrets[i].hash)
		if there && k.secrets[i].here && k.living() {
			until, ok = max(until, found.entry.expires), true
		}
	}
	if ok && k.disabled() {
		until = untilDisabled
	}
	return until, ok
}
