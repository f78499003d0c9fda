package replica

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"
)

// setting is how a world of the model differs from a good one.
type setting struct {
	name    string
	lag     time.Duration // how old what is read may be
	absence bool          // a storage that is down says that it has nothing
	skew    time.Duration // how far the clock of one node is ahead
	cut     bool          // some listings are cut short, and nodes count once they are ready
	ghosts  bool          // a Store that does not end may leave a name without content
	blind   bool          // nodes don't look at a merge before they delete what it replaces
	noMark  bool          // nodes believe listings without the marker
	noGrace bool
	breaks  bool // it must find violations
}

var settings = []setting{
	{name: "plain"},
	{name: "reads lag up to 15 s", lag: 15 * time.Second},
	{name: "outages read as absence", absence: true},
	{name: "one clock 5 min ahead", skew: 5 * time.Minute},
	{name: "one clock 5 min behind", skew: -5 * time.Minute},
	{name: "listings cut short", cut: true},
	{name: "names without content", ghosts: true},
	{name: "all of these but lag", absence: true, skew: 5 * time.Minute, cut: true, ghosts: true},
	{name: "no look before deleting", blind: true},
	{name: "NO marker, outages read as absence", absence: true, noMark: true, breaks: true},
	{name: "one clock 30 min ahead", skew: 30 * time.Minute, breaks: true},
	{name: "NO grace", noGrace: true, breaks: true},
}

// tally counts what happened.
type tally struct{ acked, merges, pruned, kills, readers, violations int }

func (t *tally) add(o tally) {
	t.acked += o.acked
	t.merges += o.merges
	t.pruned += o.pruned
	t.kills += o.kills
	t.readers += o.readers
	t.violations += o.violations
}

// complete reports whether each event happened at least once.
func (t *tally) complete() bool {
	return t.acked > 0 && t.merges > 0 && t.pruned > 0 && t.kills > 0 && t.readers > 0
}

// TestModel runs nodes against a storage that does all that storages do, one step at a time
// in an order that is drawn. A node that starts must have every word that was acknowledged
// before, and none whose removal was. MODEL_RUNS is the number of runs of each setting,
// MODEL_SEED the seed of the first.
func TestModel(t *testing.T) {
	t.Parallel()
	runs, steps := 2, 2000
	long := os.Getenv("MODEL_RUNS") != ""
	if long {
		n, err := strconv.Atoi(os.Getenv("MODEL_RUNS"))
		if err != nil {
			t.Fatal(err)
		}
		runs, steps = n, 6000
	}
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("MODEL_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = n
	}
	rows := make([]string, len(settings))
	t.Cleanup(func() {
		if long {
			fmt.Printf("%-36s %9s / %6s / %6s / %5s / %7s  %s\n", fmt.Sprintf("%d runs of %d steps, seed %d", runs, steps, seed), "acked", "merges", "pruned", "kills", "readers", "violations")
			for _, row := range rows {
				fmt.Println(row)
			}
		}
	})
	for i, s := range settings {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			runs, steps := runs, steps
			if s.breaks && !long {
				runs, steps = 100, 6000 // until the first violation
			}
			var total tally
			bad := 0
			// Few runs may have none of some event, as merges are rare where reads lag.
			for run := 0; run < runs || !s.breaks && !total.complete() && run < 100; run++ {
				w := newWorld(s, seed+uint64(run))
				got := w.run(steps)
				total.add(got)
				if got.violations > 0 {
					bad++
					if !s.breaks {
						t.Errorf("MODEL_SEED=%d: %s", seed+uint64(run), w.violation)
					} else if !long {
						break
					}
				}
			}
			if s.breaks && bad == 0 {
				t.Errorf("MODEL_SEED=%d: no violation was found, so the model would not find one elsewhere", seed)
			}
			if !s.breaks && !total.complete() {
				t.Errorf("MODEL_SEED=%d: something did not happen at all: %+v", seed, total)
			}
			rows[i] = fmt.Sprintf("%-36s %9d / %6d / %6d / %5d / %7d  %d in %d runs", s.name, total.acked, total.merges, total.pruned, total.kills, total.readers, total.violations, bad)
		})
	}
}

// run lets the world go on for a number of steps, or until a violation.
func (w *world) run(steps int) tally {
	w.store.put(marker, []byte(markerText))
	for i := range w.nodes {
		w.nodes[i] = w.startNode(i)
	}
	for range steps {
		w.fate()
		w.step()
		if w.violation != "" {
			w.tally.violations++
			break
		}
	}
	for _, t := range w.tasks {
		t.kill()
	}
	return w.tally
}

// fate makes what nobody wants happen.
func (w *world) fate() {
	switch n := w.rnd.IntN(2000); {
	case n < 8:
		i := w.rnd.IntN(len(w.nodes))
		w.nodes[i].kill()
		w.nodes[i] = w.startNode(i)
		w.tally.kills++
	case n < 12:
		w.store.down = true
	case n < 40:
		w.store.down = false
	case n < 60:
		w.nodes[w.rnd.IntN(len(w.nodes))].speed = 1 << w.rnd.IntN(9)
	case n < 70:
		w.startReader()
	}
}

// simNode is a node of the model with its two tasks: one writes, one syncs.
type simNode struct {
	*node
	tasks []*task
	speed int
	view  time.Time // of what time it sees the storage
}

func (n *simNode) kill() {
	for _, t := range n.tasks {
		t.kill()
	}
}

// makeNode makes a node whose clock is ahead by skew.
func (w *world) makeNode(skew time.Duration) *simNode {
	n := &simNode{speed: 1 << w.rnd.IntN(9)}
	n.node = begun(simObjects{w}, &simClock{w, skew}, func(c *Config[word]) {
		c.Language = words{memo: &w.memo}
		c.Observe = func(e Event) {
			if e.Kind == Merged {
				w.tally.merges++
			}
		}
	})
	n.knobs.loads = 1
	n.knobs.from = 4
	n.knobs.grace = 30 * time.Second
	if w.noGrace {
		n.knobs.grace = 0
	}
	n.knobs.margin = 10 * time.Minute
	n.knobs.marker = !w.noMark
	n.knobs.look = !w.blind
	return n
}

func (w *world) startNode(i int) *simNode {
	skew := time.Duration(0)
	if i == 0 {
		skew = w.skew
	}
	n := w.makeNode(skew)
	n.tasks = []*task{
		w.start(n, func(ctx context.Context, t *task) {
			for {
				n.running.Lock()
				err := n.sync(ctx)
				n.running.Unlock()
				if err == nil {
					n.maintain(ctx)
				}
				if pause := time.Duration(1000+w.rnd.IntN(6000)) * time.Millisecond; !w.noGrace {
					t.sleep(pause)
				}
			}
		}),
		w.start(n, func(ctx context.Context, t *task) {
			for {
				t.sleep(time.Duration(w.rnd.IntN(16000)) * time.Millisecond)
				w.change(ctx, n)
			}
		}),
	}
	return n
}

// told is what the world knows of a word.
type told struct {
	word
	acked   bool      // until then, nobody may rely on it
	removal bool      // somebody tried to remove it
	removed bool      // and was told that it is
	at      time.Time // when that was, or when it was acknowledged
}

// change makes a node write a word or remove one that it has.
func (w *world) change(ctx context.Context, n *simNode) {
	if w.rnd.IntN(4) == 0 {
		var has []*told
		for _, k := range w.told {
			if n.holds(k.word) && !k.removed {
				has = append(has, k)
			}
		}
		if len(has) > 0 {
			k := has[w.rnd.IntN(len(has))]
			k.removal = true
			gone := k.word
			gone.Gone = true
			if n.Loosen(ctx, []word{gone}) == nil {
				k.removed, k.at = true, w.now
				w.tally.acked++
			}
			return
		}
	}
	var facts []word
	var mine []*told
	for range 1 + w.rnd.IntN(3) {
		w.lastID++
		f := word{W: fmt.Sprintf("w%d", w.rnd.IntN(12)), ID: w.lastID}
		if w.rnd.IntN(3) > 0 {
			f.End = w.now.Add(time.Duration(1+w.rnd.IntN(900)) * time.Second).Unix()
		}
		facts = append(facts, f)
		mine = append(mine, &told{word: f})
	}
	w.told = append(w.told, mine...)
	if stored, err := n.Tighten(ctx, facts); err == nil && stored {
		for _, k := range mine {
			k.acked, k.at = true, w.now
		}
		w.tally.acked++
	}
}

// startReader starts a node that has nothing, and looks at what it has when it counts.
func (w *world) startReader() {
	n := w.makeNode(0)
	w.start(n, func(ctx context.Context, t *task) {
		var must, mustNot []*told
		for _, k := range w.told {
			switch {
			case w.now.Sub(k.at) < w.lag: // nobody can know it yet
			case k.removed:
				mustNot = append(mustNot, k)
			case k.acked:
				must = append(must, k)
			}
		}
		began := w.now
		for range 20 {
			n.running.Lock()
			err := n.sync(ctx)
			n.running.Unlock()
			n.Replica.mu.Lock()
			enough := n.state.isReady || !w.cut && n.state.complete > 0
			n.Replica.mu.Unlock()
			if err == nil && enough {
				w.judge(n, began, must, mustNot)
				return
			}
			t.sleep(time.Second)
		}
	})
}

func (w *world) judge(n *simNode, began time.Time, must, mustNot []*told) {
	w.tally.readers++
	for _, k := range must {
		if !k.removal && !n.holds(k.word) && (k.End == 0 || k.End > w.now.Unix()) {
			w.violation = fmt.Sprintf("at %v: a node that started at %v lacks %+v, which was acknowledged", w.now, began, k.word)
		}
	}
	for _, k := range mustNot {
		if n.holds(k.word) && (k.End == 0 || k.End > w.now.Unix()) {
			w.violation = fmt.Sprintf("at %v: a node that started at %v holds %+v, whose removal was acknowledged", w.now, began, k.word)
		}
	}
}

// A node that sleeps through the roll of a key, the overlap, the margin and merges stores
// nothing again that brings the old secret back. Its retirement has no end, so it is there
// as long as any copy of the secret may be.
func TestANodeThatSleptBringsNoOldSecretBack(t *testing.T) {
	t.Parallel()
	w := newWorld(setting{}, 1)
	c := &simClock{w, 0}
	m := newMemory()
	language := func(cfg *Config[word]) { cfg.Language = words{now: func() int64 { return w.now.Unix() }} }
	a, sleeper := begun(m, c, language), begun(m, c, language)
	a.turn(t)
	old := word{W: "old", Kind: "secret"}
	if err := a.Loosen(t.Context(), []word{old}); err != nil {
		t.Fatal(err)
	}
	sleeper.turn(t)
	sleeper.turn(t)
	retire := word{W: "old", Kind: "retire", Till: w.now.Add(time.Hour).Unix()}
	if err := a.Loosen(t.Context(), []word{{W: "new", Kind: "secret"}, retire}); err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(30 * 24 * time.Hour)
	for i := range 40 {
		if _, err := a.Tighten(t.Context(), []word{{W: fmt.Sprint("w", i)}}); err != nil {
			t.Fatal(err)
		}
	}
	a.turn(t)
	w.now = w.now.Add(grace + time.Second)
	a.turn(t)
	if n := len(m.names()); n != 1 {
		t.Fatalf("%d objects, want the merge alone", n)
	}
	fresh := begun(m, c, language)
	fresh.turn(t)
	if fresh.holds(old) || !fresh.holds(retire) {
		t.Fatal("the merge should have the retirement and not the secret")
	}
	for range 4 {
		sleeper.turn(t)
	}
	if n := len(m.names()); n != 1 {
		t.Errorf("%d objects: the old ones are back", n)
	}
	// Even if one is stored again, by a node that could not read the merge, the secret stays out.
	lone := begun(m, c, language)
	if _, err := lone.Tighten(t.Context(), []word{old}); err != nil {
		t.Fatal(err)
	}
	late := begun(m, c, language)
	late.turn(t)
	if !late.holds(old) || !late.holds(retire) {
		t.Error("who reads both needs both")
	}
	if left := late.config.Language.Merge([]word{old, retire}); len(left) != 1 || left[0] != retire {
		t.Errorf("%v is left", left)
	}
}
