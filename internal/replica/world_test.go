package replica

import (
	"context"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"
)

// world is a storage, nodes, and the time, of which everything is drawn from one seed. One
// goroutine runs at a time.
type world struct {
	setting
	rnd       *rand.Rand
	now       time.Time
	timers    []*simTimer
	tasks     []*task
	nodes     [3]*simNode
	store     simStore
	told      []*told
	lastID    uint32
	memo      memo
	tally     tally
	violation string
}

func newWorld(s setting, seed uint64) *world {
	w := &world{setting: s, rnd: rand.New(rand.NewPCG(seed, 7)), now: noon}
	w.memo = memo{map[string]word{}, map[word]string{}}
	w.store = simStore{world: w, history: map[string][]simVersion{}}
	return w
}

// step lets one task go on until its next step, and the time with it.
func (w *world) step() {
	var awake []*task
	sum := 0
	var next *task
	for _, t := range w.tasks {
		if !w.now.Before(t.wake) {
			awake = append(awake, t)
			sum += t.node.speed
		} else if next == nil || t.wake.Before(next.wake) {
			next = t
		}
	}
	if len(awake) == 0 {
		w.advance(next.wake.Sub(w.now))
		return
	}
	w.advance(time.Duration(w.rnd.IntN(40)) * time.Millisecond)
	n := w.rnd.IntN(sum)
	for _, t := range awake {
		if n -= t.node.speed; n < 0 {
			t.run(true)
			return
		}
	}
}

func (w *world) advance(d time.Duration) {
	w.now = w.now.Add(d)
	for {
		n := slices.IndexFunc(w.timers, func(t *simTimer) bool { return !t.at.After(w.now) })
		if n < 0 {
			return
		}
		t := w.timers[n]
		w.timers = slices.Delete(w.timers, n, n+1)
		t.f()
	}
}

func (w *world) later(d time.Duration, f func()) *simTimer {
	t := &simTimer{w.now.Add(d), f}
	w.timers = append(w.timers, t)
	return t
}

type simTimer struct {
	at time.Time
	f  func()
}

// simClock is a node's clock, which is ahead of the world's.
type simClock struct {
	w    *world
	skew time.Duration
}

func (c *simClock) Now() time.Time { return c.w.now.Add(c.skew) }

func (c *simClock) AfterFunc(d time.Duration, f func()) func() bool {
	t := c.w.later(d, f)
	return func() bool {
		n := slices.Index(c.w.timers, t)
		if n >= 0 {
			c.w.timers = slices.Delete(c.w.timers, n, n+1)
		}
		return n >= 0
	}
}

// task is a goroutine of a node that runs only when the world lets it.
type task struct {
	w      *world
	node   *simNode
	wake   time.Time
	resume chan bool     // whether to live on
	parked chan struct{} // at the next step, or at the end
	over   bool
}

type taskKey struct{}

func taskOf(ctx context.Context) *task { return ctx.Value(taskKey{}).(*task) }

func (w *world) start(n *simNode, f func(context.Context, *task)) *task {
	t := &task{w: w, node: n, wake: w.now, resume: make(chan bool), parked: make(chan struct{})}
	w.tasks = append(w.tasks, t)
	go func() {
		defer func() {
			t.over = true
			t.parked <- struct{}{}
		}()
		if <-t.resume {
			f(context.WithValue(context.Background(), taskKey{}, t), t)
		}
	}()
	return t
}

// run lets the task go on to its next step, or to its end.
func (t *task) run(live bool) {
	t.resume <- live
	<-t.parked
	if t.over {
		t.w.tasks = slices.DeleteFunc(slices.Clone(t.w.tasks), func(o *task) bool { return o == t })
	}
}

// kill ends the task where it is.
func (t *task) kill() {
	if !t.over {
		t.run(false)
	}
}

// step waits until the world lets the task go on. A killed one goes no further.
func (t *task) step() {
	t.parked <- struct{}{}
	if !<-t.resume {
		runtime.Goexit()
	}
}

func (t *task) sleep(d time.Duration) {
	t.wake = t.w.now.Add(d)
	t.step()
}

// simStore remembers what was there at what time, for readers that lag.
type simStore struct {
	*world
	history map[string][]simVersion
	down    bool
}

type simVersion struct {
	at      time.Time
	there   bool
	content []byte // nil for a name without content
}

func (s *simStore) put(name string, content []byte) {
	s.history[name] = append(s.history[name], simVersion{s.now, true, slices.Clone(content)})
}

func (s *simStore) remove(name string) {
	s.history[name] = append(s.history[name], simVersion{s.now, false, nil})
}

// at returns the content of a name at a time, and whether it is there.
func (s *simStore) at(name string, at time.Time) ([]byte, bool) {
	h := s.history[name]
	for i := len(h) - 1; i >= 0; i-- {
		if !h[i].at.After(at) {
			return h[i].content, h[i].there
		}
	}
	return nil, false
}

// names returns the names that are there at a time.
func (s *simStore) names(at time.Time) []string {
	var names []string
	for name := range s.history {
		if _, ok := s.at(name, at); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// view returns the time of what a task's node sees now. It never goes back.
func (w *world) view(t *task) time.Time {
	view := w.now
	if w.lag > 0 {
		view = view.Add(-time.Duration(w.rnd.Int64N(int64(w.lag))))
	}
	if view.After(t.node.view) {
		t.node.view = view
	}
	return t.node.view
}
