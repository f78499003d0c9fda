package revocation

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// The sizes that decide how the layers of a kind are kept.
const (
	// smallLayer is the most cells of the newest layer that are copied for each change.
	smallLayer = 512
	// smallFold is the most cells that are folded at once. More are folded beside
	// whatever else is done.
	smallFold = 16_384
	// leastDelta is how many cells may always wait for a fold. Otherwise it is an eighth of
	// those that were folded.
	leastDelta = 4096
	// longestDelta is the time after which a change starts a fold even if few cells wait:
	// what has ended in the meantime leaves the memory.
	longestDelta = time.Hour
)

// rules are the rules in force as their writers see them.
//
// A change makes a new layer, or replaces the newest by a larger one while it is small. A
// layer is united with the one before unless that is four times as large: so there are few,
// and each rule is copied a few times. A fold unites all layers into one, without what
// was removed or has ended. It reads what no longer changes, so that neither requests nor
// changes wait for it.
type rules struct {
	snapshot  atomic.Pointer[Snapshot]
	canForget func() bool
	now       func() time.Time

	mu    sync.Mutex
	kinds [kinds]writer
	folds sync.WaitGroup // for tests: the folds that are running
}

// writer is what its writers know of the rules of a kind. The rest of it is in the snapshot.
type writer struct {
	index
	folding  int       // how many of the oldest layers a fold is reading
	folded   time.Time // when the last fold began
	removals []removal // of rules that are still in a layer, and that no fold knows yet
}

// removal identifies a removed rule.
type removal struct {
	hash  hash
	id    uint32
	scope scope
}

func newRules(canForget func() bool, now func() time.Time) *rules {
	r := &rules{canForget: canForget, now: now}
	r.snapshot.Store(new(Snapshot))
	return r
}

// apply takes rules and removals into force, and returns those that were not known before.
// learned is asked for once for each; it is nil if nobody wants them.
func (r *rules) apply(facts []Rule, learned func(*Rule)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	forget := r.canForget()
	// Removals first: a rule whose removal is known is not taken in at all.
	var changes [kinds]change
	for _, removals := range []bool{true, false} {
		for i := range facts {
			f := &facts[i]
			c := &changes[f.Kind]
			if f.Gone != removals || forget && f.isForgotten(now.Unix()) {
				continue
			}
			if c.add(&r.kinds[f.Kind], f, len(facts)) && learned != nil {
				learned(f)
			}
		}
	}
	changed := false
	for k := range changes {
		if changes[k].layer != nil {
			changed = true
			r.kinds[k].push(&changes[k])
			r.fold(Kind(k), now, forget)
		}
	}
	if changed {
		r.publish()
	}
}

// change is a layer that becomes the newest of a kind.
type change struct {
	layer    *layer
	replaces bool // the newest, of which it has all
}

// add adds a rule or a removal unless it is known, and reports whether it was not.
func (c *change) add(w *writer, f *Rule, most int) bool {
	h, cell := f.hash(), f.cell()
	if w.isRemoved(h, cell.id, cell.scope) || c.layer != nil && c.layer.isRemoved(h, cell.id, cell.scope) {
		return false
	}
	known := w.has(h, cell.id, cell.scope)
	if f.Gone {
		if known {
			w.live--
			w.removals = append(w.removals, removal{h, cell.id, cell.scope})
		}
		cell.notBefore = isRemoval
		c.room(w, most).put(h.removal(cell.id, cell.scope), cell)
		return true
	}
	if known || c.layer != nil && c.layer.rule(h, cell.id, cell.scope) != nil {
		return false
	}
	c.room(w, most).put(h, cell)
	w.live++
	return true
}

// room returns the layer of a change, made for so many cells. It starts as a copy of the
// newest layer of the kind if that is small.
func (c *change) room(w *writer, most int) *layer {
	if c.layer != nil {
		return c.layer
	}
	n := len(w.layers)
	if n == 0 {
		c.layer = newLayer(most, nil)
		return c.layer
	}
	newest := w.layers[n-1]
	if c.replaces = n > max(1, w.folding) && newest.cells.Len()+most <= smallLayer; c.replaces {
		most += newest.cells.Len()
	}
	c.layer = newLayer(most, w.layers[0])
	if c.replaces {
		c.layer.add(newest, nothing)
	}
	return c.layer
}

func nothing(*cell) bool { return false }

// push takes in a change, and unites the newest of the layers behind the first that are of
// about the same size.
func (w *writer) push(c *change) {
	newest, layers := c.layer, slices.Clone(w.layers)
	if c.replaces {
		layers = layers[:len(layers)-1]
	}
	for n := len(layers) - 1; n >= max(1, w.folding) && layers[n].cells.Len() < 4*newest.cells.Len(); n-- {
		newest = unite([]*layer{layers[n], newest}, nothing)
		layers = layers[:n]
	}
	w.layers = append(layers, newest)
}

// unite makes one layer of several, without the cells that are forgotten.
func unite(layers []*layer, forget func(*cell) bool) *layer {
	n := 0
	for _, l := range layers {
		for c := range l.cells.All() {
			if l.keeps(hashOfCell(c.Digest), &c.Value, forget) {
				n++
			}
		}
	}
	united := newLayer(n, layers[0])
	for _, l := range layers {
		united.add(l, forget)
	}
	return united
}

// fold unites the layers of a kind, if it is time for that.
func (r *rules) fold(k Kind, now time.Time, forget bool) {
	w := &r.kinds[k]
	if w.folding > 0 {
		return
	}
	if w.folded.IsZero() {
		w.folded = now
	}
	delta := 0
	for _, l := range w.layers[1:] {
		delta += l.cells.Len()
	}
	base := w.layers[0].cells.Len()
	if delta <= max(leastDelta, base/8) && now.Sub(w.folded).Abs() < longestDelta {
		return
	}
	w.folding, w.folded = len(w.layers), now
	f := newFold(w, now, forget)
	if base+delta <= smallFold {
		f.run()
		w.install(f)
		return
	}
	r.folds.Go(func() {
		f.run()
		r.mu.Lock()
		defer r.mu.Unlock()
		w.install(f)
		r.fold(k, r.now(), r.canForget()) // if enough has come in the meantime
		r.publish()
	})
}

// fold is what makes one layer of several.
type fold struct {
	layers  []*layer
	removed map[*cell]bool
	now     int64
	forget  bool

	result *layer
	ended  int // the rules that were left out because they have ended
}

func newFold(w *writer, now time.Time, forget bool) *fold {
	f := &fold{layers: w.layers, removed: make(map[*cell]bool, len(w.removals)), now: now.Unix(), forget: forget}
	for _, gone := range w.removals {
		for _, l := range f.layers {
			if c := l.rule(gone.hash, gone.id, gone.scope); c != nil {
				f.removed[c] = true
			}
		}
	}
	w.removals = nil
	return f
}

func (f *fold) run() {
	forgets := func(c *cell) bool {
		return c.end == inert || f.forget && c.isOver(f.now) || len(f.removed) > 0 && f.removed[c]
	}
	for _, l := range f.layers {
		for c := range l.cells.All() {
			v := &c.Value
			if v.notBefore != isRemoval && v.end != inert && f.forget && v.isOver(f.now) && !f.removed[v] {
				f.ended++
			}
		}
	}
	f.result = unite(f.layers, forgets)
}

// install puts the result of a fold in place of the layers that it read.
func (w *writer) install(f *fold) {
	w.layers = append([]*layer{f.result}, w.layers[len(f.layers):]...)
	w.folding = 0
	w.live -= f.ended
	// A rule that was removed meanwhile and that the fold left out was subtracted twice.
	w.removals = slices.DeleteFunc(w.removals, func(gone removal) bool {
		if w.has(gone.hash, gone.id, gone.scope) {
			return false
		}
		w.live++
		return true
	})
}

// publish makes the changes visible to requests.
func (r *rules) publish() {
	s := new(Snapshot)
	for k := range r.kinds {
		x := &s.kinds[k]
		*x = r.kinds[k].index
		x.some = slices.ContainsFunc(x.layers, func(l *layer) bool { return l.cells.Len() > 0 })
		s.some = s.some || x.some
	}
	r.snapshot.Store(s)
}
