package shared

import (
	"context"
	"encoding/json"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/internal/replica"
)

// watch looks after the state of a config while it runs: it tells when a set grows stale or
// the clock is wrong, and lets other nodes know that this one is there.
type watch struct {
	state *State
	nodes replica.Objects
	ctx   context.Context // ends when it is stopped
	end   context.CancelFunc

	mu        sync.Mutex
	stopTimer func() bool
	stopped   bool
	running   sync.WaitGroup

	// Used by one run at a time.
	stale map[string]bool // the sets of which it was told
	doubt bool            // whether it was told that the clock is wrong
	seen  time.Time       // when this node was last written
}

const (
	watchInterval = time.Second
	// staleAfter is how many intervals a sync may be late.
	staleAfter = 10
	// seenInterval is how often a node says that it is there.
	seenInterval = time.Hour
	// seenFor is how long a node is listed that has said nothing.
	seenFor = 7 * 24 * time.Hour
	// nodeTime limits calls of the storage.
	nodeTime = 10 * time.Second
)

func startWatch(st *State) *watch {
	w := &watch{state: st, nodes: replica.Folder(st.storage, path.Join("jwt", st.Cluster, "nodes")), stale: map[string]bool{}}
	w.ctx, w.end = context.WithCancel(context.Background())
	w.next(0)
	return w
}

// next runs the watch once more after a time.
func (w *watch) next(after time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return
	}
	w.running.Add(1)
	stop := clock.System().AfterFunc(after, func() {
		w.run(clock.System().Now())
		w.running.Done()
		w.next(watchInterval)
	})
	w.stopTimer = func() bool {
		if !stop() {
			return false
		}
		w.running.Done()
		return true
	}
}

// stop ends the watch, and takes this node from the list of nodes.
func (w *watch) stop(ctx context.Context) {
	w.mu.Lock()
	w.stopped = true
	w.stopTimer()
	w.mu.Unlock()
	w.end() // a storage that hangs is not waited for
	w.running.Wait()
	if !w.seen.IsZero() && w.state.revocations.owner() == nil {
		// If this fails, the node is listed for a week.
		_ = w.nodes.Delete(ctx, w.object())
	}
}

func (w *watch) object() string { return "seen-" + process() }

func (w *watch) run(now time.Time) {
	st := w.state
	for _, set := range st.all() {
		w.review(set, now)
	}
	if d := clockTrust.doubt(now); (d != 0) != w.doubt {
		w.doubt = d != 0
		if w.doubt {
			st.logger.Error("this machine's clock differs from others'; rules that have ended are not removed until it is right", zap.Duration("difference", d))
		} else {
			st.logger.Info("this machine's clock is right again")
		}
	}
	if clock.Age(now, w.seen) >= seenInterval || now.Before(w.seen) {
		w.tell(now)
	}
}

// review tells if a set grows stale.
func (w *watch) review(set *stateSet, now time.Time) {
	s := set.status()
	since := s.SyncedAt
	if since.IsZero() {
		since = s.StartedAt
	}
	age := clock.Age(now, since)
	stale := !since.IsZero() && age > staleAfter*w.state.Interval
	if stale == w.stale[set.place] {
		return
	}
	w.stale[set.place] = stale
	if !stale || w.state.emit == nil {
		return
	}
	w.state.emit("state_stale", func() map[string]any {
		data := map[string]any{"set": set.name(), "age_seconds": age.Seconds()}
		if !w.state.Serve {
			data["refuses_at"] = since.Add(w.state.MaxStale).UTC().Format(time.RFC3339)
		}
		return data
	})
}

// seenNode is the content of the object of a node.
type seenNode struct {
	Node string    `json:"node"`
	At   time.Time `json:"at"`
}

// tell lets others know that this node is there, and takes away those that have said
// nothing for a week.
func (w *watch) tell(now time.Time) {
	ctx, cancel := context.WithTimeout(w.ctx, nodeTime)
	defer cancel()
	content, err := json.Marshal(seenNode{w.state.Node(), now.UTC().Truncate(time.Second)})
	if err == nil {
		err = w.nodes.Store(ctx, w.object(), content)
	}
	if err != nil {
		// The sets tell that the storage is away.
		w.seen = now.Add(-seenInterval + time.Minute)
		return
	}
	w.seen = now
	for name, n := range w.list(ctx) {
		if now.Sub(n.At) > seenFor {
			_ = w.nodes.Delete(ctx, name)
		}
	}
}

// list reads who is there, by the names of the objects.
func (w *watch) list(ctx context.Context) map[string]seenNode {
	names, err := w.nodes.List(ctx)
	if err != nil {
		return nil
	}
	found := map[string]seenNode{}
	for _, name := range names {
		if !strings.HasPrefix(name, "seen-") || len(found) >= maxNodes {
			continue
		}
		content, err := w.nodes.Load(ctx, name)
		var n seenNode
		if err == nil && json.Unmarshal(content, &n) == nil && len(n.Node) <= maxNodeName {
			found[name] = n
		}
	}
	return found
}

const (
	maxNodes    = 1000
	maxNodeName = 300
)

// Nodes returns the names of the nodes that share the state: those that have said so within
// a week and were not stopped.
func (st *State) Nodes(ctx context.Context, now time.Time) []string {
	st.mu.Lock()
	w := st.watch
	st.mu.Unlock()
	if w == nil {
		return nil
	}
	names := []string{st.Node()} // whatever the storage has lost
	for _, n := range w.list(ctx) {
		if now.Sub(n.At) <= seenFor {
			names = append(names, n.Node)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
