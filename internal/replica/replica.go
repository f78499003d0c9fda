package replica

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
)

// Config is the config of a Replica.
type Config[F any] struct {
	// Name is the place of the set, such as jwt/default/revocations, which the
	// objects' signatures cover.
	Name string
	// Binding is where the set is kept. It may be changed later, by Rebind.
	Binding
	// Language is what the facts are.
	Language Language[F]
	// Apply takes facts into force. It is called by one goroutine at a time, with
	// facts that may have been applied before, and has taken them into force when it
	// returns. It gets some thousands of them at most, and may not change the set.
	Apply func(facts []F)
	// Observe is called for changes of state; nil for nobody. It may be called by several
	// goroutines, during a sync, and may not wait for the replica.
	Observe func(Event)
	// CanForget reports whether this node's clock may be trusted with leaving out
	// facts that have ended. Default: it always is.
	CanForget func() bool
	// Clock is the time. Default: the clock of the process.
	Clock clock.Clock
}

// Binding is what a config says of where and how a set is kept.
type Binding struct {
	// Objects is the folder of the set.
	Objects Objects
	// Mirror is a folder of this machine that holds the same objects, so that a
	// node can start while the storage is away; nil for none.
	Mirror Objects
	// Interval is how often the folder is listed: each pause is 0.8 to 1 of it.
	Interval time.Duration
	// Local reports whether the storage is this machine's file system, so that an
	// empty folder is the truth and need not be doubted.
	Local bool
	// Keys authenticate objects, if there are any: the first signs, all verify.
	Keys [][]byte
}

// EventKind is what has happened to a set.
type EventKind int

// The kinds of events.
const (
	// Joined: the set is ready for the first time.
	Joined EventKind = iota
	// Failing: a sync failed, or the first after one that did not.
	Failing
	// Recovered: the first complete sync after Failing.
	Recovered
	// Damaged: an object can't be used. Object names it.
	Damaged
	// Unstored: something holds on this node only, as it could not be stored.
	Unstored
	// Stored: all that could not be stored is stored.
	Stored
	// Merged: objects were merged into one.
	Merged
	// Healed: an object that the storage had lost was stored again.
	Healed
)

// Event is a change of a set's state.
type Event struct {
	Kind   EventKind
	Set    string
	Object string
	Err    error
	Status Status
}

// Status is the state of a set on this node.
type Status struct {
	// Ready reports whether the node has all that the set had when it was last
	// listed, and so whether its absence means anything.
	Ready bool
	// Loaded reports whether any state of the set was loaded, from the storage or the
	// mirror, so that there is something in hand.
	Loaded bool
	// Unsigned reports that the set's marker is not signed, though there is a key.
	Unsigned bool
	// SyncedAt is the time of the last complete sync, zero for none.
	SyncedAt time.Time
	// StartedAt is the time of the start.
	StartedAt time.Time
	// Objects is the number of objects that are in use.
	Objects int
	// Facts is the number of facts in them, each counted as often as it is there.
	Facts int
	// Unstored is the number of objects that hold on this node only.
	Unstored int
	// Damaged is the number of objects that can't be used, Unknown of those facts that
	// this version does not know.
	Damaged, Unknown int
	// Newest is the time of the newest object.
	Newest time.Time
	// LoadTime and MergeTime are the sum of what loading and merging objects took.
	LoadTime, MergeTime time.Duration
	// Err is why the last sync failed, nil if it did not.
	Err error
}

// Errors of a set.
var (
	// ErrNoSet: the folder has no marker, so there is no set there. Only a replica that
	// was started makes one.
	ErrNoSet = errors.New("there is no such set in the storage")
	// ErrNotStored: the change could not be stored and was not made. It may still
	// appear, if the storage has it after all.
	ErrNotStored = errors.New("the storage did not confirm the change, so it was not made here; it may still appear")
	// ErrTooLarge: one fact does not fit into an object.
	ErrTooLarge = errors.New("the fact is too large")
)

// Replica is a set as one node has it. It is safe for concurrent use.
type Replica[F any] struct {
	config Config[F]
	clock  clock.Clock
	knobs  knobs

	bound   atomic.Pointer[bound]
	status  atomic.Pointer[Status]
	ready   chan struct{}
	started atomic.Bool
	life    context.Context // ends with Close
	end     context.CancelFunc
	loop    sync.WaitGroup

	applying applying[F]
	writes   [2]queue[F] // those that tighten, those that loosen
	syncs    syncs

	running sync.Mutex // held by what reads or changes the storage as a whole: sync, merge, prune, Accept
	mu      sync.Mutex // guards what follows; never held during a call of the storage
	state   state
}

// knobs are numbers that tests turn.
type knobs struct {
	grace  time.Duration // between a merge and the deletion of what it replaces
	margin time.Duration // between the end of a fact and when it is forgotten
	marker bool          // whether a listing without the marker counts for nothing
	look   bool          // whether to look at a merge once more before deleting what it replaces
	loads  int           // how many objects are loaded at a time
	spread time.Duration // the longest delay of a merge
	from   int           // small objects from which on they are merged
}

// The times of the protocol.
const (
	grace     = 2 * time.Minute // a listing takes 10 s at most; the rest is for storages whose readers lag
	margin    = 24 * time.Hour  // far more than clocks differ by
	callLimit = 10 * time.Second
)

// bound is a Binding in use.
type bound struct {
	Binding
	place int             // differs from storage to storage
	ctx   context.Context // ends when it is replaced
	end   context.CancelFunc
}

// New makes a replica. Nothing is read or written before Start, Sync or a change.
func New[F any](c Config[F]) *Replica[F] {
	if c.Clock == nil {
		c.Clock = clock.System()
	}
	if c.CanForget == nil {
		c.CanForget = func() bool { return true }
	}
	r := &Replica[F]{
		config: c,
		clock:  c.Clock,
		knobs:  knobs{grace: grace, margin: margin, marker: true, look: true, loads: 2, spread: time.Minute, from: 32},
		ready:  make(chan struct{}),
	}
	r.life, r.end = context.WithCancel(context.Background())
	r.bind(c.Binding, 0)
	r.state = newState()
	r.publish()
	return r
}

// Start begins to keep the set in step with the storage. It returns at once, and does
// nothing if called again.
func (r *Replica[F]) Start() {
	if r.started.Swap(true) {
		return
	}
	r.mu.Lock()
	r.state.startedAt = r.clock.Now()
	r.mu.Unlock()
	r.publish()
	r.loop.Go(r.keep)
}

// keep syncs again and again until Close.
func (r *Replica[F]) keep() {
	mirrored := anyPlace
	for r.life.Err() == nil {
		b := r.bound.Load()
		if b.place != mirrored {
			mirrored = b.place
			r.loadMirror(r.life)
		}
		err := r.Sync(r.life)
		if err == nil {
			if r.again() {
				continue // a listing that was cut short by chance is not so twice
			}
			r.maintain(r.life)
		}
		r.pause(b)
	}
}

// pause waits for 0.8 to 1 of the interval, so that nodes don't list in step.
func (r *Replica[F]) pause(b *bound) {
	wait := time.Duration(float64(b.Interval) * (0.8 + 0.2*rand.Float64()))
	over := make(chan struct{})
	stop := r.clock.AfterFunc(wait, func() { close(over) })
	defer stop()
	select {
	case <-over:
	case <-b.ctx.Done(): // another storage, or another interval
	case <-r.life.Done():
	}
}

// Close ends that, after one more attempt to store what is not stored, until ctx is done.
func (r *Replica[F]) Close(ctx context.Context) {
	r.end()
	r.loop.Wait()
	r.running.Lock()
	defer r.running.Unlock()
	_ = r.push(ctx, anyPlace) // it stays in the mirror, if there is one
}

// Rebind replaces where the set is kept. With the same storage, nothing is forgotten. With
// another one, what is in memory stays in force but is not stored there, except for what was
// not stored anywhere yet; and the set is complete after two more syncs. A call of the
// storage that is under way is made again.
func (r *Replica[F]) Rebind(b Binding, same bool) {
	r.mu.Lock()
	old := r.bound.Load()
	place := old.place
	if !same {
		place++
		r.state.move()
	}
	r.state.rekey()
	r.bind(b, place)
	r.mu.Unlock()
	old.end()
	r.publish()
}

func (r *Replica[F]) bind(b Binding, place int) {
	next := &bound{Binding: b, place: place}
	next.ctx, next.end = context.WithCancel(context.Background())
	r.bound.Store(next)
}

// Ready returns a channel that is closed once the set is ready.
func (r *Replica[F]) Ready() <-chan struct{} { return r.ready }

// Status returns the state of the set. It costs a load of a pointer.
func (r *Replica[F]) Status() Status { return *r.status.Load() }

// Freshness returns whether the set is ready, and the time of the last complete sync. It is
// for every request.
func (r *Replica[F]) Freshness() (ready bool, syncedAt time.Time) {
	s := r.status.Load()
	return s.Ready, s.SyncedAt
}

// observe tells of an event.
func (r *Replica[F]) observe(kind EventKind, object string, err error) {
	if r.config.Observe != nil {
		r.config.Observe(Event{Kind: kind, Set: r.config.Name, Object: object, Err: err, Status: r.Status()})
	}
}
