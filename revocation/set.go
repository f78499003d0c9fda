package revocation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/internal/replica"
)

// Config is the config of a Set.
type Config struct {
	// Name is the place of the set, such as jwt/default/revocations.
	Name string
	// Binding is where it is kept.
	Binding replica.Binding
	// Observe is called for changes of state; nil for nobody.
	Observe func(replica.Event)
	// Learned is called with rules and removals that other nodes made; nil for nobody.
	// It is not called for those that were there when the node started.
	Learned func([]Rule)
	// CanForget is that of replica.Config.
	CanForget func() bool
	// Clock is the time. Default: the clock of the process.
	Clock clock.Clock
}

// Set is the set of rules that the nodes of a cluster share. It is safe for concurrent
// use.
type Set struct {
	// Replica is how the set is shared: its state, Start, Close, Sync, Rebind, Accept.
	*replica.Replica[Rule]

	rules   *rules
	clock   clock.Clock
	learned func([]Rule)
	ready   <-chan struct{}

	mu   sync.Mutex
	mine map[identity]int // the rules that this node is about to add or remove
}

// NewSet makes a set, without reading anything.
func NewSet(c Config) *Set {
	if c.Clock == nil {
		c.Clock = clock.System()
	}
	canForget := c.CanForget
	if canForget == nil {
		canForget = func() bool { return true }
	}
	s := &Set{rules: newRules(canForget, c.Clock.Now), clock: c.Clock, learned: c.Learned, mine: map[identity]int{}}
	s.Replica = replica.New(replica.Config[Rule]{
		Name: c.Name, Binding: c.Binding, Language: language{}, Apply: s.apply, Observe: c.Observe, CanForget: c.CanForget, Clock: c.Clock,
	})
	s.ready = s.Replica.Ready()
	return s
}

// Snapshot returns the rules in force. It costs a load of a pointer.
func (s *Set) Snapshot() *Snapshot { return s.rules.snapshot.Load() }

// apply takes facts into force for the replica.
func (s *Set) apply(facts []Rule) {
	if s.learned == nil || !isClosed(s.ready) {
		s.rules.apply(facts, nil)
		return
	}
	var learned []Rule
	s.rules.apply(facts, func(r *Rule) { learned = append(learned, *r) })
	s.mu.Lock()
	learned = slices.DeleteFunc(learned, func(r Rule) bool { return s.mine[r.identity()] > 0 })
	s.mu.Unlock()
	if len(learned) > 0 {
		s.learned(learned)
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// making marks rules as this node's own until done is called.
func (s *Set) making(rules []Rule) (done func()) {
	note := func(by int) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for i := range rules {
			key := rules[i].identity()
			if s.mine[key] += by; s.mine[key] == 0 {
				delete(s.mine, key)
			}
		}
	}
	note(1)
	return func() { note(-1) }
}

// Errors of a set.
var (
	// ErrNoRule: there is no rule with this id.
	ErrNoRule = errors.New("there is no rule with this id")
	// ErrManyRules: there are many rules for the same thing already.
	ErrManyRules = errors.New("there are 64 rules for this already, so this one was not made; remove some of them, and give an end to those that are made again and again")
)

// mostRules is how many rules there may be for one thing, as a request that is about it
// looks at all of them.
const mostRules = 64

// Add takes rules into force at once, and stores them. stored is false if they hold on
// this node only, until they can be stored. The rules are those that New returned. The
// error is ErrManyRules, or that of replica.Replica.Tighten; nothing was changed then.
func (s *Set) Add(ctx context.Context, rules []Rule) (stored bool, err error) {
	if err := s.checkRoom(rules); err != nil {
		return false, err
	}
	defer s.making(rules)()
	return s.Tighten(ctx, rules)
}

// checkRoom checks that there are not too many rules for one thing. Calls at the same time
// may each use the last place.
func (s *Set) checkRoom(rules []Rule) error {
	type thing struct {
		kind Kind
		hash hash
	}
	more := map[thing]int{}
	snapshot, now := s.Snapshot(), s.clock.Now().Unix()
	for i := range rules {
		r := &rules[i]
		of := thing{r.Kind, r.hash()}
		if more[of]++; more[of]+snapshot.kinds[r.Kind].count(of.hash, now, r.Kind.holds()) > mostRules {
			return fmt.Errorf("%s: %w", r.Kind, ErrManyRules)
		}
	}
	return nil
}

// Remove removes the rule with a public id. It holds once it is stored; the error is
// ErrNoRule, an *InvalidError for the id or for a reason that is empty or does not fit, or
// replica.ErrNotStored. by, node and reason are for people. It returns the rule that was
// removed.
func (s *Set) Remove(ctx context.Context, id, by, node, reason string) (Rule, error) {
	if reason == "" {
		return Rule{}, invalid("reason", "must say why the rule is removed")
	}
	if err := checkText("reason", reason, MaxText); err != nil {
		return Rule{}, err
	}
	rule, err := s.Find(ctx, id)
	if err != nil {
		return Rule{}, err
	}
	gone := rule
	gone.Gone, gone.At, gone.By, gone.Node, gone.Reason = true, floor(s.clock.Now()), tidy(by), tidy(node), reason
	defer s.making([]Rule{gone})()
	if err := s.Loosen(ctx, []Rule{gone}); err != nil {
		return Rule{}, err
	}
	return rule, nil
}

// Find returns the rule with a public id as it is stored. It reads the storage. The error is
// ErrNoRule, or an *InvalidError for the id.
func (s *Set) Find(ctx context.Context, id string) (Rule, error) {
	kind, number, err := ParseID(id)
	if err != nil {
		return Rule{}, err
	}
	var found *Rule
	err = s.read(ctx, "", func(_ string, rules []Rule) bool {
		for i := range rules {
			if r := &rules[i]; r.Kind == kind && r.ID == number && r.PublicID() == id {
				found = r
				return false
			}
		}
		return true
	})
	switch {
	case err != nil:
		return Rule{}, err
	case found == nil:
		return Rule{}, ErrNoRule
	}
	return *found, nil
}

// read visits the rules in the storage that hold, with the objects that they are in.
func (s *Set) read(ctx context.Context, after string, visit func(object string, rules []Rule) bool) error {
	return s.Read(ctx, after, func(object string, facts []Rule) bool {
		snapshot, now := s.Snapshot(), s.clock.Now()
		return visit(object, slices.DeleteFunc(facts, func(r Rule) bool {
			return r.Gone || r.isOver(now) || snapshot.kinds[r.Kind].isRemoved(r.hash(), r.ID, r.scope())
		}))
	})
}

// isOver reports whether a rule no longer holds.
func (r *Rule) isOver(now time.Time) bool {
	return !r.End.IsZero() && now.Unix() >= r.End.Unix()+r.holds()
}

// Query selects rules. The zero value selects all of them.
type Query struct {
	// Kind is one of Kinds, if HasKind is set.
	Kind    Kind
	HasKind bool
	// Value and Issuer are those of the rules; empty for all. The issuer of a rule of
	// KindIssuer is its value.
	Value, Issuer string
	// After is where the page before ended; empty for the first page.
	After string
	// Limit is how many rules to return at least, if there are so many: a page ends with
	// an object. Default: 100.
	Limit int
}

func (q *Query) selects(r *Rule) bool {
	issuer := r.Issuer
	if r.Kind == KindIssuer {
		issuer = r.Value
	}
	return (!q.HasKind || r.Kind == q.Kind) && (q.Value == "" || r.Value == q.Value) && (q.Issuer == "" || issuer == q.Issuer)
}

// List returns a page of the rules that hold, as they are stored, and where to continue,
// empty if there are no more. It reads the storage. A rule that is in two objects, of which
// one is about to replace the other, may be on two pages.
func (s *Set) List(ctx context.Context, q Query) (rules []Rule, next string, err error) {
	if q.Limit <= 0 {
		q.Limit = 100
	}
	listed := map[identity]bool{}
	err = s.read(ctx, q.After, func(object string, found []Rule) bool {
		for i := range found {
			if r := &found[i]; q.selects(r) && !listed[r.identity()] {
				listed[r.identity()] = true
				rules = append(rules, *r)
			}
		}
		if len(rules) >= q.Limit {
			next = object
		}
		return next == ""
	})
	if err != nil {
		return nil, "", err
	}
	return rules, next, nil
}
