package revocation

import (
	"context"
	"errors"
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
}

// NewSet makes a set, without reading anything.
func NewSet(c Config) *Set { return &Set{} }

// Snapshot returns the rules in force. It costs a load of a pointer.
func (s *Set) Snapshot() *Snapshot { return nil }

// Errors of a set.
var (
	// ErrNoRule: there is no rule with this id.
	ErrNoRule = errors.New("there is no rule with this id")
	// ErrManyRules: there are many rules for the same thing already.
	ErrManyRules = errors.New("there are 64 rules for this already; remove some of them")
)

// Add takes rules into force at once, and stores them. stored is false if they hold on
// this node only, until they can be stored.
func (s *Set) Add(ctx context.Context, rules []Rule) (stored bool, err error) {
	return false, errors.ErrUnsupported
}

// Remove removes the rule with a public id. It holds once it is stored; the error is
// ErrNoRule or replica.ErrNotStored. by and reason are for people. It returns the rule that
// was removed.
func (s *Set) Remove(ctx context.Context, id, by, node, reason string) (Rule, error) {
	return Rule{}, errors.ErrUnsupported
}

// Find returns the rule with a public id as it is stored, or ErrNoRule.
func (s *Set) Find(ctx context.Context, id string) (Rule, error) {
	return Rule{}, errors.ErrUnsupported
}

// Query selects rules. The zero value selects all of them.
type Query struct {
	// Kind is one of Kinds, if HasKind is set.
	Kind    Kind
	HasKind bool
	// Value and Issuer are those of the rules; empty for all.
	Value, Issuer string
	// After is where the page before ended; empty for the first page.
	After string
	// Limit is how many rules to return at least, if there are so many: a page ends with
	// an object.
	Limit int
}

// List returns a page of the rules, as they are stored, and where to continue, empty if
// there are no more. It reads the storage.
func (s *Set) List(ctx context.Context, q Query) (rules []Rule, next string, err error) {
	return nil, "", errors.ErrUnsupported
}

// Snapshot is an immutable set of rules, for requests.
type Snapshot struct{}

// Len returns how many rules of a kind there are.
func (s *Snapshot) Len(k Kind) int { return 0 }

// Empty reports whether there is no rule at all.
func (s *Snapshot) Empty() bool { return true }

// Token is what rules are about of one token.
type Token struct {
	Issuer  string    // "iss", empty for none
	ID      string    // "jti", empty for none
	Subject string    // "sub", empty for none
	Clients [4]string // client_id, azp, appid and cid, empty for none
	KeyID   string    // "kid" of the header
	Signed  string    // the header and the payload with the dot between them, or all of an opaque token
	Issued  time.Time // "iat", zero for none
}

// Subject is a Token in the form in which snapshots look for it. It is made once for a token
// and can be used with each snapshot of this process. It keeps nothing of the token's
// text.
type Subject struct{}

// NewSubject makes the subject of a token.
func NewSubject(t *Token) *Subject { return new(Subject) }

// Revokes reports whether a token is revoked. user is the user's id as it is published.
func (s *Snapshot) Revokes(t *Subject, user string, now time.Time) bool { return false }

// RevokesKey reports whether the API key with this id is revoked. store is the name of its
// store, empty for a key that is in a file or in the config.
func (s *Snapshot) RevokesKey(store, id string, now time.Time) bool { return false }

// Matches reports whether a token is refused by this rule.
func (r *Rule) Matches(t *Subject, user string, now time.Time) bool { return false }
