package replica

import (
	"slices"
	"time"
)

// object is one whose facts this node has taken into force.
type object struct {
	name     string
	size     int    // bytes as it is stored
	facts    int    // how many, with those of unknown kinds
	unknown  int    // of these, of unknown kinds
	last     int64  // when the last fact ends, 0 for never
	raw      []byte // as it is stored, if that is kept
	mirrored bool   // the mirror has it
	foreign  bool   // it can't be merged by this node: it is signed without a key, or the reverse, or full of facts

	listed   bool      // in the last complete listing
	missing  int       // in how many complete listings in a row it was not, though it should be
	since    uint64    // the listing before which its absence means nothing
	healed   bool      // it was stored again by this node
	unstored bool      // the storage has not confirmed it yet
	verified time.Time // since when the storage has had it all the time, as far as this node has seen; zero if not known

	by     *object   // what holds all facts of it that matter, as this node has found
	claims []string  // what it says that it replaces, as far as that is not settled
	claim  time.Time // when to look at claims again
}

// replacement returns an object that holds all facts of o that matter and that the storage
// has, or nil.
func (o *object) replacement() *object {
	for s := o.by; s != nil; s = s.by {
		if s.listed || s.missing < 2 && !s.unstored {
			return s
		}
	}
	return nil
}

// bad is an object that can't be used.
type bad struct {
	err   error // nil for a name without content: a Store that did not end
	since time.Time
	next  time.Time // when to try again
	told  bool
}

// state is what a node knows of the objects of its set.
type state struct {
	objects  map[string]*object
	bad      map[string]*bad
	gone     map[string]time.Time // pruned, since when: a late listing may still show it
	kept     int                  // bytes of raw contents
	keepers  []*object            // whose they are, the oldest first; with some that have none any more
	listings uint64

	complete  int       // complete syncs in a row since the start or the last change of storage
	wroteAt   time.Time // when this node wrote the marker, zero if it did not
	isReady   bool
	joined    bool // Joined was told
	loaded    bool
	signed    bool // the marker was seen with a signature
	unsigned  bool
	failing   bool
	unstored  bool // Unstored was told
	err       error
	syncedAt  time.Time
	startedAt time.Time
	mergeAt   time.Time // when to merge, zero if there is nothing to
	limit     int       // how large an object may be: less where the storage cuts off
	loadTime  time.Duration
	mergeTime time.Duration
}

func newState() state {
	return state{objects: map[string]*object{}, bad: map[string]*bad{}, gone: map[string]time.Time{}, limit: maxStored - reserve}
}

// move forgets all objects but those that no storage has.
func (s *state) move() {
	for name, o := range s.objects {
		if !o.unstored {
			s.drop(name)
		} else {
			o.by, o.claims, o.mirrored = nil, nil, false
		}
	}
	clear(s.bad)
	clear(s.gone)
	s.complete, s.wroteAt, s.signed, s.unsigned, s.mergeAt, s.limit = 0, time.Time{}, false, false, time.Time{}, maxStored-reserve
}

// rekey makes everything be looked at again that depends on the keys.
func (s *state) rekey() {
	clear(s.bad)
	s.signed, s.unsigned = false, false
	for _, o := range s.objects {
		o.foreign = false
	}
}

// keep keeps the content of an object, if it is small, for the case that the storage loses
// it. What no storage has is kept whatever it takes.
func (s *state) keep(o *object, stored []byte) {
	if o.raw != nil || len(stored) > maxKept && !o.unstored {
		return
	}
	o.raw = stored
	s.kept += len(stored)
	s.keepers = append(s.keepers, o)
	for n := len(s.keepers); s.kept > maxKeptAll && n > 0; n-- {
		old := s.keepers[0]
		s.keepers[0], s.keepers = nil, s.keepers[1:]
		if old.unstored || old == o {
			s.keepers = append(s.keepers, old)
		} else {
			s.letGo(old)
		}
	}
	if len(s.keepers) > 2*len(s.objects)+64 {
		s.keepers = slices.DeleteFunc(s.keepers, func(o *object) bool { return o.raw == nil })
	}
}

// letGo forgets the content of an object.
func (s *state) letGo(o *object) {
	s.kept -= len(o.raw)
	o.raw = nil
}

// drop forgets an object.
func (s *state) drop(name string) {
	if o := s.objects[name]; o != nil {
		s.letGo(o)
		o.listed, o.missing = false, 2 // for those that it replaces
		delete(s.objects, name)
	}
}

// How much of contents is kept.
const (
	maxKept    = 64 << 10 // of one object
	maxKeptAll = 16 << 20 // of all
)

// publish makes Status tell what is so now.
func (r *Replica[F]) publish() {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.state
	st := Status{
		Ready: s.isReady, Loaded: s.loaded, Unsigned: s.unsigned, SyncedAt: s.syncedAt, StartedAt: s.startedAt,
		LoadTime: s.loadTime, MergeTime: s.mergeTime, Err: s.err,
	}
	newest := ""
	for name, o := range s.objects {
		if o.by != nil && o.replacement() != nil {
			continue
		}
		st.Objects++
		st.Facts += o.facts
		st.Unknown += o.unknown
		if o.unstored {
			st.Unstored++
		}
		newest = max(newest, name)
	}
	if newest != "" {
		st.Newest = time.Unix(timeOf(newest), 0)
	}
	for _, b := range s.bad {
		if b.err != nil {
			st.Damaged++
		}
	}
	r.status.Store(&st)
}
