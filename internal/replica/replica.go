package replica

import (
	"context"
	"errors"
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
	// NoCreate reports that a set which is not there is not made: Sync returns ErrNoSet.
	NoCreate bool
	// Language is what the facts are.
	Language Language[F]
	// Apply takes facts into force. It is called by one goroutine at a time, with
	// facts that may have been applied before, and has taken them into force when it
	// returns.
	Apply func(facts []F)
	// Observe is called for changes of state; nil for nobody.
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
	// ErrNoSet: the folder has no marker, so there is no set there.
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
}

// New makes a replica. Nothing is read or written before Start or Sync.
func New[F any](c Config[F]) *Replica[F] { return &Replica[F]{config: c} }

// Start begins to keep the set in step with the storage. It returns at once, and does
// nothing if called again.
func (r *Replica[F]) Start() {}

// Close ends that, after one more attempt to store what is not stored, until ctx is done.
func (r *Replica[F]) Close(ctx context.Context) {}

// Rebind replaces where the set is kept. With the same storage, nothing is forgotten. With
// another one, what is in memory stays in force but is not stored there, and the set is
// complete after two more syncs.
func (r *Replica[F]) Rebind(b Binding, same bool) {}

// Tighten takes facts into force that only make the node refuse more: at once, whether
// they can be stored or not. What could not be stored is stored later. An error means that
// nothing was changed.
func (r *Replica[F]) Tighten(ctx context.Context, facts []F) (stored bool, err error) {
	return false, errors.ErrUnsupported
}

// Loosen stores facts that let the node accept more, and takes them into force once they
// are stored. On error, which is ErrNotStored if it is the storage's, nothing was changed.
func (r *Replica[F]) Loosen(ctx context.Context, facts []F) error { return errors.ErrUnsupported }

// Sync brings the set up to date with the storage now. It returns once that is done or
// has failed. Calls at the same time share one sync that began after they came.
func (r *Replica[F]) Sync(ctx context.Context) error { return errors.ErrUnsupported }

// Ready returns a channel that is closed once the set is ready.
func (r *Replica[F]) Ready() <-chan struct{} { return nil }

// Status returns the state of the set.
func (r *Replica[F]) Status() Status { return Status{} }

// Read visits the facts of the objects that are in use, one object after the other, read
// from the storage. after is the name of the object to continue behind, empty for the
// first. It ends when visit returns false.
func (r *Replica[F]) Read(ctx context.Context, after string, visit func(object string, facts []F) bool) error {
	return errors.ErrUnsupported
}

// Accept signs the set's marker and all objects that are not signed, and returns how many
// objects those were.
func (r *Replica[F]) Accept(ctx context.Context) (int, error) { return 0, errors.ErrUnsupported }
